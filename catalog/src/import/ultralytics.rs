//! The metadata that ultralytics writes into ONNX files of classifiers.

use super::found::{OnnxHead, Options, text};
use super::labels::{Labels, distinct, in_order};

/// Options by the metadata; none if the file is not of ultralytics.
pub(super) fn options(head: &OnnxHead) -> Result<Options, String> {
    if !is_of_ultralytics(head) {
        return Ok(Vec::new());
    }
    if let Some(task) = head.metadata("task").filter(|task| *task != "classify") {
        return Err(format!("the model's task is '{task}', not 'classify'"));
    }
    let mut options = vec![
        text("resize", "crop"),
        text("interpolation", "bilinear"),
        text("output", "softmax"),
    ];
    let sides: Vec<&str> = head
        .metadata("imgsz")
        .map(|sides| {
            sides
                .trim_matches(['[', ']', '(', ')', ' '])
                .split(',')
                .collect()
        })
        .unwrap_or_default();
    let sides: Vec<&str> = sides.into_iter().map(str::trim).collect();
    match sides[..] {
        [height, width] => options.push(text("size", &format!("{height}x{width}"))),
        [side] if !side.is_empty() => options.push(text("size", &format!("{side}x{side}"))),
        _ => {}
    }
    Ok(options)
}

/// The labels of the metadata.
pub(super) fn labels(head: &OnnxHead) -> Result<Option<Labels>, String> {
    match head.metadata("names").filter(|_| is_of_ultralytics(head)) {
        Some(names) => {
            let numbered = dictionary(names).ok_or("its names cannot be read")?;
            distinct(in_order(numbered)?).map(Some)
        }
        None => Ok(None),
    }
}

fn is_of_ultralytics(head: &OnnxHead) -> bool {
    head.metadata("names").is_some() && head.metadata("task").is_some()
}

/// Python's text of a dictionary from numbers to strings: `{0: 'cat', 1: "dog's"}`.
fn dictionary(text: &str) -> Option<Vec<(u64, String)>> {
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    let mut pairs = Vec::new();
    while !rest.starts_with('}') {
        let (number, after) = rest.split_once(':')?;
        let number = number.trim().trim_matches(['\'', '"']).parse().ok()?;
        let (label, after) = string(after.trim_start())?;
        pairs.push((number, label));
        rest = after.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None => rest,
        };
    }
    (rest.trim() == "}").then_some(pairs)
}

/// A Python string in quotes, and the text behind it.
fn string(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut label = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => label.push(match characters.next()?.1 {
                'n' => '\n',
                't' => '\t',
                plain @ ('\\' | '\'' | '"') => plain,
                _ => return None,
            }),
            _ if character == quote => return Some((label, text.get(at + 1..)?)),
            _ => label.push(character),
        }
    }
    None
}

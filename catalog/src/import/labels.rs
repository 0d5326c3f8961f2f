//! Labels from a text: a line a label, or JSON.

use std::collections::HashMap;

use serde_json::Value;

/// Labels in the order of a model's columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// All are different.
    pub names: Vec<String>,
    /// Which of them had to be made different.
    pub warning: Option<String>,
}

/// Labels of a file: a line a label; a JSON array of labels; or a JSON object from number to label
/// (also below `id2label`) or from label to number. A byte order mark, carriage returns, spaces
/// around a label and blank lines at the end do not count.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn labels_of_text(bytes: &[u8]) -> Result<Labels, String> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("it is UTF-16; save it as UTF-8".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no UTF-8 text".to_owned())?;
    let text = text.trim_start_matches('\u{feff}').trim_end();
    if text.starts_with(['[', '{']) {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| format!("it begins as JSON and is no valid JSON ({error})"))?;
        let labels = match &value {
            Value::Object(_) => match labels_of_config(&value)? {
                Some(labels) => return Ok(labels),
                None => of_object(&value)?,
            },
            value => of_array(value)?,
        };
        return distinct(labels);
    }
    let mut labels = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let label = line.trim();
        if label.is_empty() {
            return Err(format!("line {} is blank", number + 1));
        }
        labels.push(label.to_owned());
    }
    distinct(labels)
}

/// Labels of a `config.json`: `id2label`, or timm's `label_names`. `None` if there are none.
///
/// # Errors
/// A sentence that says what is wrong with them.
pub fn labels_of_config(config: &Value) -> Result<Option<Labels>, String> {
    let of_timm = || {
        let cfg = config.get("pretrained_cfg")?;
        cfg.get("label_names").filter(|names| !names.is_null())
    };
    if config.get("problem_type").and_then(Value::as_str) == Some("multi_label_classification") {
        return Err("the model has several labels for an image (problem_type)".to_owned());
    }
    let found = match config.get("id2label").filter(|labels| !labels.is_null()) {
        Some(labels) => Some(of_object(labels)?),
        None => {
            let names = config.get("label_names").filter(|names| !names.is_null());
            let names = names.or_else(of_timm);
            names.map(of_array).transpose()?
        }
    };
    found.map(distinct).transpose()
}

/// Numbers with labels, from 0 without a gap.
pub(super) fn in_order(mut numbered: Vec<(u64, String)>) -> Result<Vec<String>, String> {
    numbered.sort_by_key(|(number, _)| *number);
    for (expected, (number, _)) in (0_u64..).zip(&numbered) {
        if *number != expected {
            return Err(format!(
                "its labels have no number {expected}, or have it twice"
            ));
        }
    }
    Ok(numbered.into_iter().map(|(_, label)| label).collect())
}

/// Makes equal labels different: the later ones get their number in parentheses.
pub(super) fn distinct(labels: Vec<String>) -> Result<Labels, String> {
    if labels.is_empty() {
        return Err("it has no labels".to_owned());
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut names: Vec<String> = Vec::with_capacity(labels.len());
    let mut renamed = Vec::new();
    for (number, label) in labels.iter().enumerate() {
        if label.is_empty() {
            return Err(format!("label number {number} is empty"));
        }
        let mut name = label.clone();
        if seen.contains_key(&name) {
            name = format!("{label} ({number})");
            renamed.push(format!("'{name}'"));
        }
        if seen.insert(name.clone(), number).is_some() {
            return Err(format!("label '{name}' is there twice"));
        }
        names.push(name);
    }
    let warning = (!renamed.is_empty()).then(|| {
        format!(
            "Some labels are there twice; the later ones are called {}",
            renamed.join(", ")
        )
    });
    Ok(Labels { names, warning })
}

fn of_array(value: &Value) -> Result<Vec<String>, String> {
    let expected = || "a JSON array of labels, or an object of numbers and labels, is expected";
    let labels = value.as_array().ok_or_else(expected)?;
    let label = |value: &Value| label(value).ok_or_else(|| expected().to_owned());
    labels.iter().map(label).collect()
}

fn of_object(value: &Value) -> Result<Vec<String>, String> {
    let expected = "an object of numbers and labels is expected".to_owned();
    let Some(pairs) = value.as_object() else {
        return of_array(value);
    };
    let by_number = pairs
        .iter()
        .map(|(number, name)| Some((number.trim().parse().ok()?, label(name)?)));
    let by_label = pairs
        .iter()
        .map(|(label, number)| Some((number.as_u64()?, label.clone())));
    let numbered: Option<Vec<(u64, String)>> = by_number.collect();
    let numbered = numbered.or_else(|| by_label.collect());
    in_order(numbered.ok_or(expected)?)
}

/// A label, or one behind its synset: `["n01440764", "tench"]`.
fn label(value: &Value) -> Option<String> {
    match value {
        Value::String(label) => Some(label.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(pair) => match &pair[..] {
            [Value::String(_), Value::String(label)] => Some(label.trim().to_owned()),
            _ => None,
        },
        _ => None,
    }
}

//! `OPTIONS (...)` of `CREATE TASK` and `CREATE MODEL` as parsed, and their meaning as
//! [`ModelOptions`].

use thiserror::Error;

use crate::{Layout, ModelOptions, Normalisation, Output, Task};

/// Greatest input height or width, in pixels.
pub const INPUT_SIDE_PIXELS_MAX: u32 = 4096;

/// Default of the task option `accuracy_slack_points`.
pub const ACCURACY_SLACK_POINTS_DEFAULT: f64 = 1.0;

const MODEL_KEYS: [&str; 9] = [
    "layout", "size", "channels", "mean", "std", "labels", "other", "output", "accuracy",
];
const TASK_KEYS: [&str; 1] = ["accuracy_slack_points"];

/// The value of one option as written.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    /// `0.5`, `-1`
    Number(f64),
    /// `'28x28'`
    Text(String),
    /// `NHWC`: a bare word
    Word(String),
    /// `(0.1, 0.2, 0.3)`, `('a', 'b')`
    List(Vec<OptionValue>),
}

impl OptionValue {
    /// The text of a string or bare word.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Text(s) | Self::Word(s) => Some(s),
            _ => None,
        }
    }

    /// A number, also one written in quotes.
    fn number(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Text(s) => s.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        }
    }

    /// The elements of a list; a single value counts as a list of one.
    fn elements(&self) -> &[OptionValue] {
        match self {
            Self::List(values) => values,
            single => std::slice::from_ref(single),
        }
    }
}

/// What is wrong with the options of a task or model; the text is for whoever wrote them.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum OptionError {
    /// An option that does not exist.
    #[error("Unknown option '{key}'; the options are {known}")]
    Unknown {
        /// The option as written.
        key: String,
        /// Names of the options that exist.
        known: String,
    },
    /// An option that has no default is missing.
    #[error("Option '{key}' is missing: {hint}")]
    Missing {
        /// Name of the option.
        key: &'static str,
        /// How to give it.
        hint: &'static str,
    },
    /// A value outside what the option takes.
    #[error("Incorrect value of option '{key}': {reason}")]
    Value {
        /// Name of the option.
        key: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A class that the task does not have.
    #[error("Unknown class '{class}' in {place}: the classes of task '{task}' are {classes}")]
    UnknownClass {
        /// The class as written.
        class: String,
        /// `COVERS` or `option 'labels'`.
        place: &'static str,
        /// Name of the task.
        task: String,
        /// The task's classes, quoted.
        classes: String,
    },
    /// `COVERS` is empty or repeats a class.
    #[error("Incorrect COVERS: {0}")]
    Covers(String),
    /// The classes of a task are empty, repeated or malformed.
    #[error("Incorrect CLASSES: {0}")]
    Classes(String),
}

fn value_error(key: &'static str, reason: impl Into<String>) -> OptionError {
    OptionError::Value {
        key,
        reason: reason.into(),
    }
}

/// Reads the options of `CREATE TASK`: `accuracy_slack_points`, 0..=100.
pub fn task_slack_points(options: &[(String, OptionValue)]) -> Result<f64, OptionError> {
    check_keys(options, &TASK_KEYS)?;
    let key = "accuracy_slack_points";
    match find(options, key) {
        None => Ok(ACCURACY_SLACK_POINTS_DEFAULT),
        Some(value) => value
            .number()
            .filter(|n| (0.0..=100.0).contains(n))
            .ok_or_else(|| value_error(key, "a number of points between 0 and 100 is expected")),
    }
}

/// Reads the options of `CREATE MODEL ... FOR TASK task [COVERS covers]`: the classes that the
/// model answers, in the task's order, and how to feed it.
pub fn model_options(
    task: &Task,
    covers: Option<&[String]>,
    options: &[(String, OptionValue)],
) -> Result<(Vec<String>, ModelOptions), OptionError> {
    check_keys(options, &MODEL_KEYS)?;
    let other = read_other(task, options)?;
    let given = find(options, "labels").map(read_labels).transpose()?;
    let covers = read_covers(task, covers, given.as_deref(), other.as_deref())?;
    let labels = given.unwrap_or_else(|| covers.iter().cloned().chain(other.clone()).collect());
    check_labels(task, &labels, &covers, other.as_deref())?;

    let (height, width) = read_size(options)?;
    let channels = read_channels(options)?;
    let normalisation = Normalisation {
        mean: read_per_channel(options, "mean", channels, 0.0)?,
        std: read_per_channel(options, "std", channels, 1.0)?,
    };
    if normalisation.std.iter().any(|s| *s <= 0.0) {
        return Err(value_error("std", "each value must be greater than 0"));
    }
    let options = ModelOptions {
        layout: read_layout(options)?,
        height,
        width,
        channels,
        normalisation,
        labels,
        other,
        output: read_output(options)?,
        accuracy: read_accuracy(options)?,
    };
    let in_task_order = task
        .classes
        .iter()
        .filter(|c| covers.contains(c))
        .cloned()
        .collect();
    Ok((in_task_order, options))
}

fn find<'a>(options: &'a [(String, OptionValue)], key: &str) -> Option<&'a OptionValue> {
    options
        .iter()
        .find(|(k, _)| k.eq_ignore_ascii_case(key))
        .map(|(_, v)| v)
}

fn check_keys(options: &[(String, OptionValue)], known: &[&str]) -> Result<(), OptionError> {
    match options
        .iter()
        .find(|(k, _)| !known.iter().any(|n| n.eq_ignore_ascii_case(k)))
    {
        None => Ok(()),
        Some((key, _)) => Err(OptionError::Unknown {
            key: key.clone(),
            known: known.join(", "),
        }),
    }
}

/// Names quoted and joined for a message; long lists are cut.
fn quoted(names: &[String]) -> String {
    const NAMES_SHOWN_MAX: usize = 30;
    let mut text = names
        .iter()
        .take(NAMES_SHOWN_MAX)
        .map(|n| format!("'{n}'"))
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(rest) = names.len().checked_sub(NAMES_SHOWN_MAX).filter(|r| *r > 0) {
        text.push_str(&format!(" and {rest} more"));
    }
    text
}

fn unknown_class(task: &Task, class: &str, place: &'static str) -> OptionError {
    OptionError::UnknownClass {
        class: class.to_owned(),
        place,
        task: task.name.clone(),
        classes: quoted(&task.classes),
    }
}

fn first_repeated(names: &[String]) -> Option<&String> {
    let mut seen = std::collections::HashSet::new();
    names.iter().find(|n| !seen.insert(n.as_str()))
}

fn read_other(
    task: &Task,
    options: &[(String, OptionValue)],
) -> Result<Option<String>, OptionError> {
    let Some(value) = find(options, "other") else {
        return Ok(None);
    };
    let other = value
        .text()
        .filter(|s| !s.is_empty())
        .ok_or_else(|| value_error("other", "a label in quotes is expected"))?;
    if task.class_index(other).is_some() {
        return Err(value_error(
            "other",
            format!(
                "'{other}' is a class of task '{}'; it must be none of them",
                task.name
            ),
        ));
    }
    Ok(Some(other.to_owned()))
}

fn read_labels(value: &OptionValue) -> Result<Vec<String>, OptionError> {
    value
        .elements()
        .iter()
        .map(|v| match v {
            OptionValue::Text(s) => Ok(s.clone()),
            _ => Err(value_error(
                "labels",
                "a list of labels in quotes is expected",
            )),
        })
        .collect()
}

/// The covered classes in the order as written: `COVERS`, else the labels that are classes,
/// else all classes of the task.
fn read_covers(
    task: &Task,
    covers: Option<&[String]>,
    labels: Option<&[String]>,
    other: Option<&str>,
) -> Result<Vec<String>, OptionError> {
    let Some(covers) = covers else {
        let labels = labels.unwrap_or(&task.classes);
        return Ok(labels
            .iter()
            .filter(|l| Some(l.as_str()) != other)
            .cloned()
            .collect());
    };
    if let Some(class) = covers.iter().find(|c| task.class_index(c).is_none()) {
        return Err(unknown_class(task, class, "COVERS"));
    }
    if let Some(class) = first_repeated(covers) {
        return Err(OptionError::Covers(format!(
            "class '{class}' is named twice"
        )));
    }
    Ok(covers.to_vec())
}

fn check_labels(
    task: &Task,
    labels: &[String],
    covers: &[String],
    other: Option<&str>,
) -> Result<(), OptionError> {
    if let Some(label) = first_repeated(labels) {
        return Err(value_error(
            "labels",
            format!("label '{label}' is named twice"),
        ));
    }
    for label in labels.iter().filter(|l| Some(l.as_str()) != other) {
        if task.class_index(label).is_none() {
            return Err(unknown_class(task, label, "option 'labels'"));
        }
        if !covers.contains(label) {
            return Err(value_error(
                "labels",
                format!("label '{label}' is not in COVERS"),
            ));
        }
    }
    if let Some(class) = covers.iter().find(|c| !labels.contains(c)) {
        return Err(value_error(
            "labels",
            format!("covered class '{class}' is not among them"),
        ));
    }
    if let Some(other) = other.filter(|o| !labels.iter().any(|l| l == o)) {
        return Err(value_error(
            "labels",
            format!("option other = '{other}' is not among them"),
        ));
    }
    if covers.is_empty() {
        return Err(OptionError::Covers(
            "at least one class is needed".to_owned(),
        ));
    }
    if labels.len() < 2 {
        let only = labels.first().map_or("", String::as_str);
        return Err(value_error(
            "labels",
            format!("'{only}' alone leaves nothing to decide; add a class, or option other"),
        ));
    }
    Ok(())
}

fn read_size(options: &[(String, OptionValue)]) -> Result<(u32, u32), OptionError> {
    let value = find(options, "size").ok_or(OptionError::Missing {
        key: "size",
        hint: "give the model's input size as size = 'HEIGHTxWIDTH' in pixels",
    })?;
    let expected = || {
        value_error(
            "size",
            format!("'HEIGHTxWIDTH' in pixels is expected, each 1 to {INPUT_SIDE_PIXELS_MAX}"),
        )
    };
    let side = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|n| (1..=INPUT_SIDE_PIXELS_MAX).contains(n))
    };
    let sides = match value {
        OptionValue::Number(n) => side(&n.to_string()).map(|n| (n, n)),
        other => other
            .text()
            .and_then(|text| match text.split_once(['x', 'X']) {
                Some((height, width)) => Some((side(height)?, side(width)?)),
                None => side(text).map(|n| (n, n)),
            }),
    };
    sides.ok_or_else(expected)
}

fn read_channels(options: &[(String, OptionValue)]) -> Result<u8, OptionError> {
    let Some(value) = find(options, "channels") else {
        return Ok(3);
    };
    match value.number() {
        Some(1.0) => Ok(1),
        Some(3.0) => Ok(3),
        _ => Err(value_error("channels", "1 (grey) or 3 (RGB) is expected")),
    }
}

fn read_per_channel(
    options: &[(String, OptionValue)],
    key: &'static str,
    channels: u8,
    default: f32,
) -> Result<Vec<f32>, OptionError> {
    let channels = usize::from(channels);
    let Some(value) = find(options, key) else {
        return Ok(vec![default; channels]);
    };
    let numbers: Vec<f32> = value
        .elements()
        .iter()
        .map(|v| v.number().map(|n| n as f32).filter(|n| n.is_finite()))
        .collect::<Option<_>>()
        .ok_or_else(|| value_error(key, "a number, or a list of one a channel, is expected"))?;
    match *numbers.as_slice() {
        [all] => Ok(vec![all; channels]),
        _ if numbers.len() == channels => Ok(numbers),
        _ => Err(value_error(
            key,
            format!("{} values given for {channels} channels", numbers.len()),
        )),
    }
}

fn read_layout(options: &[(String, OptionValue)]) -> Result<Layout, OptionError> {
    let Some(value) = find(options, "layout") else {
        return Ok(Layout::Nchw);
    };
    match value.text().map(str::to_ascii_uppercase).as_deref() {
        Some("NCHW") => Ok(Layout::Nchw),
        Some("NHWC") => Ok(Layout::Nhwc),
        _ => Err(value_error("layout", "'NCHW' or 'NHWC' is expected")),
    }
}

fn read_output(options: &[(String, OptionValue)]) -> Result<Output, OptionError> {
    let Some(value) = find(options, "output") else {
        return Ok(Output::Logits);
    };
    match value.text().map(str::to_ascii_lowercase).as_deref() {
        Some("logits") => Ok(Output::Logits),
        Some("softmax") => Ok(Output::Softmax),
        _ => Err(value_error("output", "'logits' or 'softmax' is expected")),
    }
}

fn read_accuracy(options: &[(String, OptionValue)]) -> Result<Option<f64>, OptionError> {
    let Some(value) = find(options, "accuracy") else {
        return Ok(None);
    };
    value
        .number()
        .filter(|n| (0.0..=1.0).contains(n))
        .map(Some)
        .ok_or_else(|| value_error("accuracy", "a fraction between 0 and 1 is expected"))
}

#[cfg(test)]
mod tests;

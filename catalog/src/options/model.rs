//! Interpretation of the options of `CREATE MODEL` as [`ModelOptions`].

use super::classes::unknown_class;
use super::image;
use crate::answer_shape::AnswerShape;
use crate::model::{ModelInput, ModelOptions, Output};
use crate::option_value::{OptionError, OptionValue, check_keys, find, value_error};
use crate::task::{Task, TaskInput};

/// Options of models with labels, in addition to those of all models.
const CLASS_KEYS: [&str; 3] = ["labels", "other", "output"];
/// Options of all models.
const MODEL_KEYS: [&str; 2] = ["output_name", "accuracy"];
/// Options that `ALTER MODEL` changes.
const ALTER_KEYS: [&str; 1] = ["accuracy"];

/// Parses the options of `CREATE MODEL ... FOR TASK task [COVERS covers]`: returns the classes
/// that the model covers, in the task's order, and how to feed it.
pub fn model_options(
    task: &Task,
    covers: Option<&[String]>,
    options: &[(String, OptionValue)],
) -> Result<(Vec<String>, ModelOptions), OptionError> {
    check_keys(options, &model_keys(task))?;
    let input = match &task.input {
        TaskInput::Image => ModelInput::Image(image::read(options)?),
        TaskInput::Columns(columns) => ModelInput::Columns {
            columns: columns.clone(),
        },
    };
    let accuracy = read_accuracy(options)?;
    let answers = match task.answer_shape() {
        AnswerShape::Label => read_answers(task, covers, options)?,
        AnswerShape::Value if covers.is_some() => {
            return Err(OptionError::Covers(task.without_classes()));
        }
        AnswerShape::Value => Answers {
            covers: Vec::new(),
            labels: Vec::new(),
            other: None,
            output: Output::Value,
        },
    };
    let options = ModelOptions {
        input,
        labels: answers.labels,
        other: answers.other,
        output: answers.output,
        output_name: read_output_name(options)?,
        accuracy,
    };
    Ok((answers.covers, options))
}

/// Covered classes of a model, and how to read its output.
struct Answers {
    /// In the task's order.
    covers: Vec<String>,
    labels: Vec<String>,
    other: Option<String>,
    output: Output,
}

/// Parses the options of a model with labels.
fn read_answers(
    task: &Task,
    covers: Option<&[String]>,
    options: &[(String, OptionValue)],
) -> Result<Answers, OptionError> {
    let other = read_other(task, options)?;
    let given = find(options, "labels").map(read_labels).transpose()?;
    let covers = read_covers(task, covers, given.as_deref(), other.as_deref())?;
    let labels = given.unwrap_or_else(|| covers.iter().cloned().chain(other.clone()).collect());
    check_labels(task, &labels, &covers, other.as_deref())?;
    let output = read_output(options, &task.input)?;
    let in_task_order = task.classes.iter().filter(|c| covers.contains(c));
    Ok(Answers {
        covers: in_task_order.cloned().collect(),
        labels,
        other,
        output,
    })
}

fn model_keys(task: &Task) -> Vec<&'static str> {
    let input = match task.input {
        TaskInput::Image => image::keys(),
        TaskInput::Columns(_) => Vec::new(),
    };
    let classes: &[_] = match task.answer_shape() {
        AnswerShape::Label => &CLASS_KEYS,
        AnswerShape::Value => &[],
    };
    [&input, classes, &MODEL_KEYS].concat()
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

/// The covered classes in the order as written: those of `COVERS`, otherwise the labels that are
/// classes, otherwise all classes of the task.
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

/// Column models mostly come from libraries whose classifiers return probabilities.
fn read_output(
    options: &[(String, OptionValue)],
    input: &TaskInput,
) -> Result<Output, OptionError> {
    let Some(value) = find(options, "output") else {
        return Ok(match input {
            TaskInput::Image => Output::Logits,
            TaskInput::Columns(_) => Output::Softmax,
        });
    };
    match value.text().map(str::to_ascii_lowercase).as_deref() {
        Some("logits") => Ok(Output::Logits),
        Some("softmax" | "probabilities") => Ok(Output::Softmax),
        _ => Err(value_error(
            "output",
            "'logits' or 'softmax' (also called 'probabilities') is expected",
        )),
    }
}

fn read_output_name(options: &[(String, OptionValue)]) -> Result<Option<String>, OptionError> {
    let Some(value) = find(options, "output_name") else {
        return Ok(None);
    };
    let name = value.text().filter(|name| !name.is_empty());
    name.map(|name| Some(name.to_owned())).ok_or_else(|| {
        value_error(
            "output_name",
            "the name of one of the model's outputs in quotes is expected",
        )
    })
}

/// Applies the options of `ALTER MODEL ... SET`: only `accuracy`, which `NULL` resets. Changing a
/// model's input or the meaning of its output requires a new version.
pub fn set_model_options(
    model: &mut ModelOptions,
    options: &[(String, OptionValue)],
) -> Result<(), OptionError> {
    check_keys(options, &ALTER_KEYS)?;
    model.accuracy = match find(options, "accuracy") {
        Some(OptionValue::Word(word)) if word.eq_ignore_ascii_case("NULL") => None,
        _ => read_accuracy(options)?,
    };
    Ok(())
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

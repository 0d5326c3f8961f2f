//! The statement that creates a task or model again, as `SHOW CREATE` answers it.
//!
//! Every option is written out, so that the text keeps its meaning when a default changes. Strings
//! are quoted for a session in the default SQL mode.

use crate::{Layout, ModelOptions, Output, Task};

/// `CREATE TASK ...` of `task`.
pub fn task_definition(task: &Task) -> String {
    format!(
        "CREATE TASK `{}` CLASSES ({}) KIND CLASSIFICATION INPUT IMAGE OPTIONS \
         (accuracy_slack_points = {})",
        task.name,
        strings(&task.classes),
        task.accuracy_slack_points
    )
}

/// `CREATE MODEL ...` of the model `name` of `task`.
pub fn model_definition(
    name: &str,
    version: &str,
    task: &str,
    uri: &str,
    covers: &[String],
    options: &ModelOptions,
) -> String {
    format!(
        "CREATE MODEL `{name}` FOR TASK `{task}` FROM {} VERSION {} COVERS ({}) OPTIONS ({}, {})",
        string(uri),
        string(version),
        strings(covers),
        input_options(options),
        output_options(options)
    )
}

fn input_options(options: &ModelOptions) -> String {
    let layout = match options.layout {
        Layout::Nchw => "NCHW",
        Layout::Nhwc => "NHWC",
    };
    format!(
        "layout = {layout}, size = '{}x{}', channels = {}, mean = ({}), std = ({})",
        options.height,
        options.width,
        options.channels,
        numbers(&options.normalisation.mean),
        numbers(&options.normalisation.std)
    )
}

fn output_options(options: &ModelOptions) -> String {
    let output = match options.output {
        Output::Logits => "logits",
        Output::Softmax => "softmax",
    };
    let mut parts = vec![format!("labels = ({})", strings(&options.labels))];
    parts.push(format!("output = {output}"));
    parts.extend(
        options
            .other
            .iter()
            .map(|other| format!("other = {}", string(other))),
    );
    parts.extend(
        options
            .accuracy
            .iter()
            .map(|accuracy| format!("accuracy = {accuracy}")),
    );
    parts.join(", ")
}

fn string(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn strings(texts: &[String]) -> String {
    texts
        .iter()
        .map(|t| string(t))
        .collect::<Vec<_>>()
        .join(", ")
}

fn numbers(values: &[f32]) -> String {
    values
        .iter()
        .map(f32::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

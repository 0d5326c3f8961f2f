//! The statement that recreates a task or model, as returned by `SHOW CREATE`.
//!
//! Every option is included, so that the statement keeps its meaning when a default changes.
//! Strings are quoted for a session in the default SQL mode.

use crate::{ImageOptions, ModelInput, ModelOptions, Output, Task};

/// `CREATE TASK ...` of `task`.
pub fn task_definition(task: &Task) -> String {
    let classes = match &task.classes[..] {
        [] => String::new(),
        classes => format!(" CLASSES ({})", strings(classes)),
    };
    let constraints = task.constraints.named();
    let constraints = constraints.map(|(name, value)| format!(", {name} = {value}"));
    let prior = task
        .constraints
        .prior
        .as_ref()
        .map_or_else(String::new, |prior| {
            format!(", prior = {}", string(&prior.to_string()))
        });
    let roots = match &task.image_roots[..] {
        [] => String::new(),
        roots => format!(", image_roots = ({})", strings(roots)),
    };
    format!(
        "CREATE TASK `{}`{classes} KIND {} INPUT {} OPTIONS (accuracy_slack_points = {}, \
         answers = '{}'{}{prior}{roots})",
        task.name,
        task.kind.as_str(),
        task.input,
        task.accuracy_slack_points,
        task.constraints.answers.name(),
        constraints.collect::<String>()
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
    let mut text = format!(
        "CREATE MODEL `{name}` FOR TASK `{task}` FROM {} VERSION {}",
        string(uri),
        string(version),
    );
    if !covers.is_empty() {
        text.push_str(&format!(" COVERS ({})", strings(covers)));
    }
    let mut parts = options.input.image().map_or_else(Vec::new, image_options);
    parts.extend(output_options(options));
    if !parts.is_empty() {
        text.push_str(&format!(" OPTIONS ({})", parts.join(", ")));
    }
    text
}

fn image_options(image: &ImageOptions) -> Vec<String> {
    let layout = image.layout.name();
    let of = &image.preprocessing;
    let mut parts = vec![
        format!("layout = {layout}"),
        format!("size = '{}x{}'", image.height, image.width),
        format!("channels = {}", image.channels),
        format!("mean = ({})", numbers(&image.normalisation.mean)),
        format!("std = ({})", numbers(&image.normalisation.std)),
        format!("scale = {}", of.scale),
        format!("resize = '{}'", of.resize.name()),
        format!("interpolation = '{}'", of.interpolation.name()),
        format!("decode = '{}'", of.decode.name()),
        format!("orientation = '{}'", of.orientation.name()),
        format!("background = '{}'", of.background),
    ];
    if image.channels == 3 {
        parts.push(format!("channel_order = {}", of.channel_order.name()));
    }
    match of.resize.pads() {
        true => parts.push(format!("pad = '{}'", of.pad)),
        false => parts.push(format!("crop_fraction = {}", of.crop_fraction)),
    }
    parts
}

fn output_options(options: &ModelOptions) -> Vec<String> {
    let output = match (options.output, &options.input) {
        (Output::Logits, _) => Some("logits"),
        (Output::Softmax, ModelInput::Image(_)) => Some("softmax"),
        (Output::Softmax, ModelInput::Columns { .. }) => Some("probabilities"),
        (Output::Value, _) => None,
    };
    let mut parts = Vec::new();
    if let Some(output) = output {
        parts.push(format!("labels = ({})", strings(&options.labels)));
        parts.push(format!("output = {output}"));
    }
    let name = options.output_name.iter();
    parts.extend(name.map(|name| format!("output_name = {}", string(name))));
    let other = options.other.iter();
    parts.extend(other.map(|other| format!("other = {}", string(other))));
    let accuracy = options.accuracy.iter();
    parts.extend(accuracy.map(|accuracy| format!("accuracy = {accuracy}")));
    parts
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

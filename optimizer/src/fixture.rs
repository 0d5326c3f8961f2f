//! Tasks and models for this crate's tests.

use predictsql_catalog::{
    Column, ColumnKind, ImageOptions, Layout, Model, ModelInput, ModelOptions, Normalisation,
    Output, Snapshot, Task, TaskInput, TaskKind,
};

pub(crate) fn task(name: &str, classes: &[&str]) -> Task {
    Task {
        name: name.to_owned(),
        kind: TaskKind::Classification,
        input: TaskInput::Image,
        classes: classes.iter().map(|c| (*c).to_owned()).collect(),
        accuracy_slack_points: 1.0,
        constraints: Default::default(),
        image_roots: Vec::new(),
        version: 1,
    }
}

pub(crate) fn model(id: u64, name: &str, labels: &[&str], accuracy: Option<f64>) -> Model {
    let labels: Vec<String> = labels.iter().map(|c| (*c).to_owned()).collect();
    Model {
        id,
        name: name.to_owned(),
        version: "1".to_owned(),
        task: "t".to_owned(),
        uri: format!("{name}.onnx"),
        sha256: String::new(),
        bytes: 0,
        covers: labels.clone(),
        options: ModelOptions {
            input: ModelInput::Image(ImageOptions {
                layout: Layout::Nchw,
                height: 28,
                width: 28,
                channels: 1,
                normalisation: Normalisation {
                    mean: vec![0.0],
                    std: vec![1.0],
                },
                preprocessing: Default::default(),
            }),
            labels,
            other: None,
            output: Output::Logits,
            output_name: None,
            accuracy,
        },
        seconds_per_image: None,
    }
}

/// Regression `price` over a number and a text column.
pub(crate) fn columns_task() -> Task {
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
    };
    Task {
        kind: TaskKind::Regression,
        input: TaskInput::Columns(vec![
            column("size", ColumnKind::Double),
            column("colour", ColumnKind::Varchar),
        ]),
        ..task("price", &[])
    }
}

/// Task `t` with classes cat, dog, bag and model `m`, and the task `price` without a model.
pub(crate) fn catalog() -> Snapshot {
    let classes = ["cat", "dog", "bag"];
    Snapshot::new(
        1,
        vec![task("t", &classes), columns_task()],
        vec![model(1, "m", &classes, None)],
    )
}

//! Models over columns, as scikit-learn, skl2onnx and XGBoost export them.

#![allow(clippy::unwrap_used)]

mod support;

use bytes::Bytes;
use predictsql_catalog::{Column, ColumnKind, ModelInput, ModelOptions, Output};
use predictsql_executor::{
    ColumnValue, Executor, ExecutorConfig, Input, LoadedModel, ModelError, Outcome, PredictError,
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use support::{config, folder, model};

fn executor() -> Executor {
    Executor::new(ExecutorConfig {
        model_roots: vec![folder("columns").into()],
        ..config()
    })
    .unwrap()
}

fn options(columns: &[(&str, ColumnKind)], labels: &[&str], output: Output) -> ModelOptions {
    let column = |(name, kind): &(&str, ColumnKind)| Column {
        name: (*name).to_string(),
        kind: *kind,
    };
    ModelOptions {
        input: ModelInput::Columns {
            columns: columns.iter().map(column).collect(),
        },
        labels: labels.iter().map(|label| (*label).to_string()).collect(),
        other: None,
        output,
        output_name: None,
        accuracy: None,
    }
}

const IRIS: [(&str, ColumnKind); 4] = [
    ("sepal_length", ColumnKind::Double),
    ("sepal_width", ColumnKind::Double),
    ("petal_length", ColumnKind::Double),
    ("petal_width", ColumnKind::Double),
];

const GOODS: [(&str, ColumnKind); 4] = [
    ("price", ColumnKind::Double),
    ("colour", ColumnKind::Varchar),
    ("PIECES", ColumnKind::Double),
    ("weight", ColumnKind::Double),
];

const SORTED: [&str; 3] = ["setosa", "versicolor", "virginica"];

fn iris(labels: &[&str]) -> ModelOptions {
    options(&IRIS, labels, Output::Softmax)
}

fn goods() -> ModelOptions {
    options(&GOODS, &["no", "yes"], Output::Softmax)
}

fn width() -> ModelOptions {
    options(&IRIS[..3], &[], Output::Value)
}

async fn load(executor: &Executor, name: &str, options: &ModelOptions) -> LoadedModel {
    let model = model(executor, &format!("{name}.onnx"), options).await;
    executor.load(&model).await.unwrap()
}

async fn refusal(name: &str, options: &ModelOptions) -> ModelError {
    let uri = format!("{name}.onnx");
    executor().inspect(&uri, options).await.unwrap_err()
}

async fn predict(executor: &Executor, model: &LoadedModel, inputs: Vec<Input>) -> Vec<Outcome> {
    let cancel = CancellationToken::new();
    executor.predict(model, inputs, &cancel).await.unwrap()
}

fn row(values: impl IntoIterator<Item = ColumnValue>) -> Input {
    Input::Columns(values.into_iter().collect())
}

fn numbers(values: &[f64]) -> Input {
    row(values.iter().copied().map(ColumnValue::Number))
}

fn text(text: &str) -> ColumnValue {
    ColumnValue::Text(Bytes::copy_from_slice(text.as_bytes()))
}

/// Rows of a model and what the library that made it answers to them.
fn expected(name: &str) -> (Vec<Input>, Vec<Value>) {
    let all = std::fs::read_to_string(folder("columns/expected.json")).unwrap();
    let all: Value = serde_json::from_str(&all).unwrap();
    let value = |value: &Value| match value.as_str() {
        Some(word) => text(word),
        None => ColumnValue::Number(value.as_f64().unwrap()),
    };
    let rows = all[name]["rows"].as_array().unwrap();
    let rows = rows
        .iter()
        .map(|values| row(values.as_array().unwrap().iter().map(value)));
    (
        rows.collect(),
        all[name]["answers"].as_array().unwrap().clone(),
    )
}

fn close(found: f64, expected: &Value) -> bool {
    let expected = expected.as_f64().unwrap();
    (found - expected).abs() <= 2e-5 * (1.0 + expected.abs())
}

/// `order` has the model's own class for each label.
fn assert_scores(outcomes: &[Outcome], answers: &[Value], order: &[usize]) {
    assert_eq!(outcomes.len(), answers.len());
    for (outcome, answer) in outcomes.iter().zip(answers) {
        let Outcome::Scores(scores) = outcome else {
            panic!("{outcome:?}");
        };
        let scores = scores.probabilities();
        assert_eq!(scores.len(), order.len());
        for (score, class) in scores.iter().zip(order) {
            assert!(
                close(f64::from(*score), &answer[*class]),
                "{scores:?}, {answer}"
            );
        }
    }
}

#[tokio::test]
async fn classifiers_answer_as_their_libraries_do() {
    let executor = executor();
    let two = ["other", "virginica"];
    let turned = ["virginica", "setosa", "versicolor"];
    let numbered = ["2", "0", "1"];
    let (same, rotated): (&[usize], &[usize]) = (&[0, 1, 2], &[2, 0, 1]);
    for (name, labels, order) in [
        ("iris_tensor", &SORTED[..], same),
        ("iris_maps", &SORTED, same),
        // Keys that are labels say themselves which is which.
        ("iris_maps", &numbered, rotated),
        ("iris_named_tensor", &SORTED, same),
        ("iris_named_maps", &SORTED, same),
        ("iris_named_maps", &turned, rotated),
        ("iris_double", &SORTED, same),
        ("iris_apart", &SORTED, same),
        ("iris_xgboost", &SORTED, same),
        ("virginica_xgboost", &two, &[0, 1]),
    ] {
        let model = load(&executor, name, &iris(labels)).await;
        let (rows, answers) = expected(name);
        let outcomes = predict(&executor, &model, rows).await;
        assert_scores(&outcomes, &answers, order);
    }
}

#[tokio::test]
async fn regressions_answer_as_their_libraries_do() {
    let executor = executor();
    for name in [
        "width_linear",
        "width_double",
        "width_tree",
        "width_xgboost",
    ] {
        let model = load(&executor, name, &width()).await;
        let (rows, answers) = expected(name);
        let outcomes = predict(&executor, &model, rows).await;
        for (outcome, answer) in outcomes.iter().zip(&answers) {
            assert!(
                matches!(outcome, Outcome::Value(value) if close(*value, answer)),
                "{name}: {outcome:?} instead of {answer}"
            );
        }
        assert_eq!(outcomes.len(), answers.len());
    }
}

#[tokio::test]
async fn columns_of_all_types_go_by_name_into_inputs_of_their_own() {
    let executor = executor();
    let model = load(&executor, "goods_maps", &goods()).await;
    assert!(model.seconds_per_image().is_some());
    let (rows, answers) = expected("goods_maps");
    let turned = rows.iter().map(|input| {
        let Input::Columns(values) = input else {
            panic!("{input:?}");
        };
        // colour, weight, price, pieces as GOODS has them.
        row([2, 0, 3, 1].map(|index| values[index].clone()))
    });
    let outcomes = predict(&executor, &model, turned.collect()).await;
    assert_scores(&outcomes, &answers, &[0, 1]);

    let two = [
        ("broken", ColumnKind::Double),
        ("whole", ColumnKind::Double),
    ];
    let model = load(&executor, "sum", &options(&two, &[], Output::Value)).await;
    let (rows, _) = expected("sum");
    assert_eq!(
        predict(&executor, &model, rows).await,
        [Outcome::Value(0.1 + 3.0), Outcome::Value(1e300 - 7.0)]
    );
}

#[tokio::test]
async fn nulls_and_values_out_of_range_are_outcomes_beside_the_good_ones() {
    let executor = executor();
    let model = load(&executor, "iris_maps", &iris(&SORTED)).await;
    let good = [5.1, 3.5, 1.4, 0.2];
    let inputs = vec![
        numbers(&good),
        Input::Null,
        row([
            ColumnValue::Number(1.0),
            ColumnValue::Null,
            ColumnValue::Number(1.0),
            ColumnValue::Number(1.0),
        ]),
        numbers(&[5.1, 1e39, 1.4, 0.2]),
        numbers(&good[..3]),
        Input::Image(Bytes::from_static(b"x")),
        numbers(&good),
    ];
    let outcomes = predict(&executor, &model, inputs.clone()).await;
    assert!(matches!(outcomes[0], Outcome::Scores(_)));
    assert_eq!(outcomes[0], outcomes[6]);
    assert_eq!(outcomes[1..3], [Outcome::Null, Outcome::Null]);
    let unreadable = |reason: &str| Outcome::Unreadable(reason.to_string());
    assert_eq!(
        outcomes[3..6],
        [
            unreadable(
                "cannot be given to the model: column 'sepal_width' is 1e39, out of the model's range"
            ),
            unreadable("has 3 values for 4 columns"),
            unreadable("is an image, not a row of columns"),
        ]
    );
    // The same through a preparation, which has no identities of rows.
    let cancel = CancellationToken::new();
    let models = [model.clone()];
    let prepared = executor.prepare(&models, inputs, &cancel).await.unwrap();
    assert_eq!(prepared.ids(), [None; 7]);
    let rows = [6, 3, 1, 0];
    let some = executor
        .infer(&prepared, &model, &rows, &cancel)
        .await
        .unwrap();
    assert_eq!(some, rows.map(|row| outcomes[row].clone()));
}

#[tokio::test]
async fn results_that_are_not_finite_are_outcomes_beside_the_good_ones() {
    let executor = executor();
    let one = options(&IRIS[..1], &[], Output::Value);
    let model = load(&executor, "logarithm", &one).await;
    let rows = [0.0, 1.0, -1.0].map(|number| numbers(&[number])).to_vec();
    let outcomes = predict(&executor, &model, rows).await;
    assert_eq!(outcomes[1], Outcome::Value(0.0));
    for place in [0, 2] {
        let Outcome::Unreadable(reason) = &outcomes[place] else {
            panic!("{outcomes:?}")
        };
        assert!(reason.contains("not finite"), "{reason}");
    }
}

#[tokio::test]
async fn a_model_that_refuses_unknown_text_is_loaded_all_the_same() {
    let executor = executor();
    let model = load(&executor, "goods_strict", &goods()).await;
    assert_eq!(model.seconds_per_image(), None);
    let known = |colour: &str| {
        row([
            ColumnValue::Number(2.875),
            text(colour),
            ColumnValue::Number(0.0),
            ColumnValue::Number(0.0),
        ])
    };
    let outcomes = predict(&executor, &model, vec![known("red")]).await;
    assert!(matches!(outcomes[..], [Outcome::Scores(_)]));
    let cancel = CancellationToken::new();
    let failed = executor
        .predict(&model, vec![known("striped")], &cancel)
        .await;
    assert!(
        matches!(failed, Err(PredictError::Model { .. })),
        "{failed:?}"
    );
}

#[tokio::test]
async fn many_rows_go_through_in_order() {
    let executor = Executor::new(ExecutorConfig {
        model_roots: vec![folder("columns").into()],
        queue_chunks_max: 3,
        ..config()
    })
    .unwrap();
    let two = [
        ("broken", ColumnKind::Double),
        ("whole", ColumnKind::Double),
    ];
    let model = load(&executor, "sum", &options(&two, &[], Output::Value)).await;
    assert_eq!(model.chunk_inputs(), 1024);
    let before = executor.images_inferred();
    let inputs = (0..5000_i32).map(|i| numbers(&[f64::from(i) / 2.0, f64::from(i)]));
    let outcomes = predict(&executor, &model, inputs.collect()).await;
    assert_eq!(outcomes.len(), 5000);
    for (index, outcome) in (0..5000_i32).zip(&outcomes) {
        assert_eq!(outcome, &Outcome::Value(f64::from(index) * 1.5));
    }
    assert_eq!(executor.images_inferred() - before, 5000);
}

#[tokio::test]
async fn columns_and_models_must_fit() {
    let named = [
        ("petal_length", ColumnKind::Double),
        ("petal_width", ColumnKind::Double),
        ("sepal_length", ColumnKind::Double),
        ("height", ColumnKind::Double),
    ];
    let mut varchar = IRIS;
    varchar[2].1 = ColumnKind::Varchar;
    let mut double = GOODS;
    double[1].1 = ColumnKind::Double;
    let softmax = |columns: &[_], labels: &[&str]| options(columns, labels, Output::Softmax);
    for (name, options, text) in [
        (
            "iris_tensor",
            softmax(&IRIS[..3], &SORTED),
            "the model's input 'features' has shape [?, 4], but the task's columns are [batch, 3]",
        ),
        (
            "iris_apart",
            softmax(&IRIS[..3], &SORTED),
            "the model has 4 inputs (petal_width, petal_length, sepal_width, sepal_length) for 3 columns \
             of the task; it must have one input [batch, 3] for all of them, or one input [batch, 1] for \
             each",
        ),
        (
            "iris_apart",
            softmax(&named, &SORTED),
            "the model's inputs (petal_width, petal_length, sepal_width, sepal_length) are not called as \
             the task's columns (petal_length, petal_width, sepal_length, height) are; give all of them \
             the same names, in any order, or none, in the same order",
        ),
        (
            "iris_tensor",
            softmax(&varchar, &SORTED),
            "the model's input 'features' is a tensor of f32 [?, 4], which column 'petal_length' of type \
             VARCHAR does not fit: a DOUBLE goes into a float32, float64 or int64 tensor, a VARCHAR into \
             one of strings",
        ),
        (
            "goods_maps",
            softmax(&double, &["no", "yes"]),
            "the model's input 'colour' is a tensor of String [?, 1], which column 'colour' of type DOUBLE \
             does not fit: a DOUBLE goes into a float32, float64 or int64 tensor, a VARCHAR into one of \
             strings",
        ),
        (
            "iris_tensor",
            iris(&SORTED[..2]),
            "the model's output 'probabilities' has 3 columns, but 2 labels were given; give one label for \
             each column, in order",
        ),
        (
            "iris_named_maps",
            iris(&["setosa", "versicolor", "rose"]),
            "the model's output 'output_probability' gives probabilities of 'setosa', 'versicolor', \
             'virginica', but 3 labels were given; give these as labels",
        ),
        (
            "iris_named_tensor",
            iris(&["virginica", "setosa", "versicolor"]),
            "the model calls",
        ),
        (
            "iris_maps",
            softmax(&IRIS, &[]),
            "the model's options cannot be used: labels is empty",
        ),
        (
            "iris_tensor",
            options(&IRIS, &[], Output::Value),
            "the model has no float output of shape [batch, 1]; its outputs are 'label': a tensor of i64 \
             [?], 'probabilities': a tensor of f32 [?, 3]",
        ),
    ] {
        let error = refusal(name, &options).await.to_string();
        assert!(error.starts_with(text), "{name}: {error}");
    }
}

#[tokio::test]
async fn models_over_columns_are_measured() {
    let executor = executor();
    let model = load(&executor, "iris_xgboost", &iris(&SORTED)).await;
    let measured = executor.measure(&model, &[256, 1, 16]).await.unwrap();
    let sizes: Vec<u32> = measured.iter().map(|(inputs, _)| *inputs).collect();
    assert_eq!(sizes, [1, 16, 256]);
    assert!(measured.iter().all(|(_, seconds)| *seconds > 0.0));
}

//! Fuzzing of the optimizer's analysis of statements.

use super::input::Input;
use super::statements::lex_mode;
use predictsql_catalog::{
    ImageOptions, Layout, Model, ModelInput, ModelOptions, Normalisation, Output, Snapshot, Task,
    TaskInput, TaskKind,
};
use predictsql_optimizer::prefilter;
use predictsql_optimizer::statement::PredictStatement;
use predictsql_optimizer::stream::{InputText, PushdownChoices, StreamSelect};
use std::sync::OnceLock;

const SCHEMA: &str = "ml";

/// Any text as a statement: a statement rejected by the prefilter has no predict call with any
/// lexing, and one with a predict call is rejected or rewritten.
pub fn analysis(data: &[u8]) {
    let mut input = Input::new(data);
    let bits = input.byte();
    let sql = input.rest();
    let text = String::from_utf8_lossy(sql);
    if text.contains(is_foreign_space) {
        return;
    }
    let ours =
        prefilter::may_call(text.as_bytes(), SCHEMA) && prefilter::has_schema_call(&text, SCHEMA);
    match PredictStatement::read(&text, lex_mode(bits), SCHEMA, catalog()) {
        Ok(None) => {}
        Err(refusal) => {
            assert!(ours, "refused, but the prefilter forwards it: {refusal:?}");
            assert!(!refusal.message.is_empty());
        }
        Ok(Some(statement)) => {
            assert!(ours, "a predict call that the prefilter does not see");
            let stubs = statement.as_stubs();
            assert_eq!(stubs.parameters.len(), statement.parameter_count());
            assert!(stubs.parameters.is_sorted());
            let (_, _) = (statement.is_several(), statement.explain());
            if let Ok(select) = statement.stream() {
                rewrite(&select, bits);
            }
        }
    }
}

/// Whether the character is white space for sqlparser, but a letter for the store.
fn is_foreign_space(c: char) -> bool {
    c.is_whitespace() && !c.is_ascii()
}

fn rewrite(select: &StreamSelect<'_, '_>, bits: u8) {
    for prediction in select.predictions() {
        assert!(prediction.input < select.input_count());
        assert!(!prediction.task.name.is_empty());
    }
    let predictions = select.predictions().len();
    assert!(select.cells().all(|cell| cell.prediction() < predictions));
    let mut deciding = select.tests().iter().filter_map(|test| test.prediction());
    assert!(deciding.all(|prediction| prediction < predictions));
    assert_eq!(select.cell_names().count(), select.cells().len());
    for test in select.tests() {
        assert!(!select.test_text(test).is_empty());
    }
    for input in 0..select.input_count() {
        assert!(!select.input_text(input).is_empty());
        let _ = select.input_parameter(input);
    }
    for prediction in 0..predictions {
        if let Some(query) = select.class_query(prediction) {
            assert!(!query.text.sql.is_empty());
            let _ = select.abbreviated(&query.text.sql);
        }
    }
    let _ = (select.constants_query(), select.limit());
    assert!(!select.describe(bits & 8 != 0).sql.is_empty());
    let how = if bits & 16 != 0 {
        InputText::AsIs
    } else {
        InputText::Utf8
    };
    let inputs = vec![(bits & 32 == 0).then_some(how); select.input_count()];
    let pushdown = select.pushdown(&PushdownChoices {
        inputs: &inputs,
        impossible: bits & 64 != 0,
        rows_filtered: bits & 128 != 0,
    });
    let placeholders = pushdown.text.sql.matches('?').count();
    assert!(placeholders >= pushdown.text.parameters.len());
    let hidden = pushdown.inputs.iter().flatten();
    assert!(hidden.into_iter().all(|column| *column < pushdown.hidden));
}

/// Task `t` with classes cat, dog and bag, and its model `m`.
fn catalog() -> &'static Snapshot {
    static CATALOG: OnceLock<Snapshot> = OnceLock::new();
    CATALOG.get_or_init(|| {
        let classes: Vec<String> = ["cat", "dog", "bag"].map(str::to_owned).into();
        let task = Task {
            name: "t".to_owned(),
            kind: TaskKind::Classification,
            input: TaskInput::Image,
            classes: classes.clone(),
            accuracy_slack_points: 1.0,
            constraints: Default::default(),
            image_roots: Vec::new(),
            version: 1,
        };
        let options = ModelOptions {
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
            labels: classes.clone(),
            other: None,
            output: Output::Logits,
            output_name: None,
            accuracy: None,
        };
        let model = Model {
            id: 1,
            name: "m".to_owned(),
            version: "1".to_owned(),
            task: "t".to_owned(),
            uri: "m.onnx".to_owned(),
            sha256: String::new(),
            bytes: 0,
            covers: classes,
            options,
            seconds_per_image: None,
        };
        Snapshot::new(1, vec![task], vec![model])
    })
}

//! Properties: definitions parse back to what they were made of, and no text panics.

#![allow(clippy::unwrap_used)]

use predictsql_catalog::{
    Layout, ModelOptions, Normalisation, Output, Task, TaskInput, TaskKind, check_classes,
    model_definition, model_options, task_definition, task_slack_points,
};
use proptest::prelude::*;

use super::{CatalogStatement, parse, recognise};

fn classes() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set(r#"[a-z'"\\`%_é ;#/*-]{1,8}"#, 2..6)
        .prop_map(|set| set.into_iter().collect::<Vec<_>>())
        .prop_filter("as a task takes them", |classes| {
            check_classes(classes).is_ok()
        })
}

fn task() -> impl Strategy<Value = Task> {
    (classes(), 0.0..100.0_f64).prop_map(|(classes, accuracy_slack_points)| Task {
        name: "animals".to_owned(),
        kind: TaskKind::Classification,
        input: TaskInput::Image,
        classes,
        accuracy_slack_points,
        version: 1,
    })
}

fn options(task: Task) -> impl Strategy<Value = (Task, ModelOptions)> {
    let channels = prop_oneof![Just(1_usize), Just(3)];
    channels.prop_flat_map(move |channels| {
        let task = task.clone();
        let sizes = (1..=4096_u32, 1..=4096_u32);
        let mean = prop::collection::vec(-10.0..10.0_f32, channels);
        let std = prop::collection::vec(1e-6..10.0_f32, channels);
        let flags = (any::<bool>(), any::<bool>(), any::<bool>());
        let accuracy = prop::option::of(0.0..=1.0_f64);
        (sizes, mean, std, flags, accuracy).prop_map(move |(size, mean, std, flags, accuracy)| {
            // Upper case: no class is.
            let other = flags.2.then(|| "O'THER\\".to_owned());
            let options = ModelOptions {
                layout: if flags.0 { Layout::Nchw } else { Layout::Nhwc },
                height: size.0,
                width: size.1,
                channels: channels as u8,
                normalisation: Normalisation { mean, std },
                labels: task
                    .classes
                    .iter()
                    .rev()
                    .cloned()
                    .chain(other.clone())
                    .collect(),
                other,
                output: if flags.1 {
                    Output::Logits
                } else {
                    Output::Softmax
                },
                accuracy,
            };
            (task.clone(), options)
        })
    })
}

proptest! {
    #[test]
    fn a_task_is_what_its_definition_creates(task in task()) {
        let sql = task_definition(&task);
        prop_assert!(recognise(&sql));
        let CatalogStatement::CreateTask(parsed) = parse(&sql).unwrap() else {
            return Err(TestCaseError::fail("not a task"));
        };
        prop_assert_eq!(&parsed.name, &task.name);
        prop_assert_eq!(&parsed.classes, &task.classes);
        let slack = task_slack_points(&parsed.options).unwrap();
        prop_assert_eq!(slack, task.accuracy_slack_points);
    }

    #[test]
    fn a_model_is_what_its_definition_creates(
        (task, options) in task().prop_flat_map(options),
        uri in r#"[a-z0-9/'"\\ :.]{1,20}"#,
    ) {
        let sql = model_definition("m", "it's 1", &task.name, &uri, &task.classes, &options);
        prop_assert!(recognise(&sql));
        let CatalogStatement::CreateModel(parsed) = parse(&sql).unwrap() else {
            return Err(TestCaseError::fail("not a model"));
        };
        prop_assert_eq!(&parsed.uri, &uri);
        prop_assert_eq!(parsed.version.as_deref(), Some("it's 1"));
        let read = model_options(&task, parsed.covers.as_deref(), &parsed.options).unwrap();
        prop_assert_eq!(read, (task.classes.clone(), options));
    }

    #[test]
    fn no_text_panics(text in r"\PC{0,60}") {
        let _ = recognise(&text);
        let _ = parse(&text);
    }

    #[test]
    fn no_statement_like_text_panics(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "CREATE", "TASK", "MODEL", "SHOW", "DROP", "FOR", "FROM", "CLASSES", "OPTIONS", "(",
                ")", ",", "=", "'a'", "'", "-", "1", "1e999", "LIKE", "WHERE", ";", "COVERS", "\n", "é",
                "KIND", "INPUT", "VERSION", "/*", "*/", "--", "`x`", "`",
            ]),
            0..14,
        )
    ) {
        let text = words.join(" ");
        let _ = recognise(&text);
        if let Err(error) = parse(&text) {
            prop_assert!(error.code == 1064 || error.code == 1235);
        }
    }
}

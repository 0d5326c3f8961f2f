//! Property tests: definitions parse back to their source, and no text panics.

#![allow(clippy::unwrap_used)]

use predictsql_catalog::{
    ACCURACY_SLACK_POINTS_DEFAULT, Background, ChannelOrder, ClassShares, Colour, Column,
    ColumnKind, Decode, ImageOptions, Interpolation, Layout, ModelInput, ModelOptions,
    Normalisation, OrientationTag, Output, Preprocessing, Resize, Task, TaskConstraints, TaskInput,
    TaskKind, check_classes, check_columns, model_definition, model_options, task_definition,
};
use proptest::prelude::*;

use super::{CatalogStatement, Change, parse, recognise};
use crate::RefusalKind;

fn classes() -> impl Strategy<Value = Vec<String>> {
    prop::collection::btree_set(r#"[a-z'"\\`%_é ;#/*-]{1,8}"#, 2..6)
        .prop_map(|set| set.into_iter().collect::<Vec<_>>())
        .prop_filter("as a task takes them", |classes| {
            check_classes(TaskKind::Classification, classes).is_ok()
        })
}

fn input() -> impl Strategy<Value = TaskInput> {
    let kind = prop_oneof![Just(ColumnKind::Double), Just(ColumnKind::Varchar)];
    let column =
        ("[A-Za-z_][A-Za-z0-9_]{0,8}", kind).prop_map(|(name, kind)| Column { name, kind });
    let columns = prop::collection::vec(column, 1..6)
        .prop_filter("as a task takes them", |columns| {
            check_columns(columns).is_ok()
        });
    prop_oneof![Just(TaskInput::Image), columns.prop_map(TaskInput::Columns)]
}

fn task() -> impl Strategy<Value = Task> {
    let kind = prop_oneof![Just(TaskKind::Classification), Just(TaskKind::Regression)];
    let constraints = (
        prop::option::of(0.0..=1.0_f64),
        prop::option::of(1e-3..1e6_f64),
        prop::option::of(0.0..1e6_f64),
    );
    let constraints =
        constraints.prop_map(|(min_accuracy, max_seconds, max_cost)| TaskConstraints {
            min_accuracy,
            max_seconds,
            max_cost,
            prior: None,
            answers: Default::default(),
        });
    let shares = prop::collection::vec(0_u32..200, 0..6);
    (
        kind,
        input(),
        classes(),
        0.0..100.0_f64,
        constraints,
        shares,
        prop::collection::vec(r#"[a-z0-9/'"\\ :.é]{1,20}"#, 0..4),
    )
        .prop_map(
            |(kind, input, classes, accuracy_slack_points, mut constraints, shares, roots)| {
                let classes = match kind {
                    TaskKind::Classification => classes,
                    TaskKind::Regression => Vec::new(),
                };
                let shares = shares.iter().map(|share| f64::from(*share) / 1_000.0);
                let shares = ClassShares::new(classes.iter().cloned().zip(shares)).unwrap();
                constraints.prior = Some(shares).filter(|shares| !shares.is_empty());
                let image_roots = match input {
                    TaskInput::Image => roots,
                    TaskInput::Columns(_) => Vec::new(),
                };
                Task {
                    name: "animals".to_owned(),
                    kind,
                    input,
                    classes,
                    accuracy_slack_points,
                    constraints,
                    image_roots,
                    version: 1,
                }
            },
        )
}

fn model_input(task: &Task) -> BoxedStrategy<ModelInput> {
    if let TaskInput::Columns(columns) = &task.input {
        let columns = columns.clone();
        return Just(ModelInput::Columns { columns }).boxed();
    }
    let channels = prop_oneof![Just(1_usize), Just(3)];
    let image = channels.prop_flat_map(|channels| {
        let mean = prop::collection::vec(-10.0..10.0_f32, channels);
        let std = prop::collection::vec(1e-6..10.0_f32, channels);
        let preprocessing = preprocessing(channels == 3);
        (
            1..=4096_u32,
            1..=4096_u32,
            mean,
            std,
            any::<bool>(),
            preprocessing,
        )
            .prop_map(move |(height, width, mean, std, nchw, preprocessing)| {
                ModelInput::Image(ImageOptions {
                    layout: if nchw { Layout::Nchw } else { Layout::Nhwc },
                    height,
                    width,
                    channels: channels as u8,
                    normalisation: Normalisation { mean, std },
                    preprocessing,
                })
            })
    });
    image.boxed()
}

/// Any that options can say.
fn preprocessing(in_colour: bool) -> impl Strategy<Value = Preprocessing> {
    let resize = prop::sample::select(vec![
        Resize::Stretch,
        Resize::Crop,
        Resize::Pad,
        Resize::Letterbox,
    ]);
    let interpolation = prop::sample::select(vec![
        Interpolation::Bilinear,
        Interpolation::Bicubic,
        Interpolation::Nearest,
        Interpolation::Lanczos,
    ]);
    let scale = prop_oneof![Just(1.0 / 255.0), Just(1.0), 1e-6..1000.0_f64];
    let background = prop::option::of(any::<[u8; 3]>());
    let ways = (resize, interpolation, any::<bool>(), any::<bool>());
    let values = (0.1..=1.0_f64, scale, background, any::<[u8; 3]>());
    (ways, values).prop_map(move |((resize, interpolation, bgr, ignores), values)| {
        let (crop_fraction, scale, background, pad) = values;
        Preprocessing {
            resize,
            crop_fraction: if resize.pads() { 1.0 } else { crop_fraction },
            interpolation,
            decode: match ignores ^ bgr {
                true => Decode::Exact,
                false => Decode::Scaled,
            },
            channel_order: match bgr && in_colour {
                true => ChannelOrder::Bgr,
                false => ChannelOrder::Rgb,
            },
            scale,
            orientation: match ignores {
                true => OrientationTag::Ignore,
                false => OrientationTag::Exif,
            },
            background: background.map_or(Background::None, |c| Background::Colour(Colour(c))),
            pad: match resize.pads() {
                true => Colour(pad),
                false => resize.pad_default(),
            },
        }
    })
}

fn options(task: Task) -> impl Strategy<Value = (Task, ModelOptions)> {
    let flags = (any::<bool>(), any::<bool>());
    let last = (
        prop::option::of(0.0..=1.0_f64),
        prop::option::of("[ -~äß]{1,9}"),
    );
    (model_input(&task), flags, last).prop_map(move |(input, (logits, other), last)| {
        let (accuracy, output_name) = last;
        let regression = task.kind == TaskKind::Regression;
        // Upper case, unlike every class.
        let other = (other && !regression).then(|| "O'THER\\".to_owned());
        let classes = task.classes.iter().rev().cloned();
        let options = ModelOptions {
            input,
            labels: classes.chain(other.clone()).collect(),
            other,
            output: match (regression, logits) {
                (true, _) => Output::Value,
                (false, true) => Output::Logits,
                (false, false) => Output::Softmax,
            },
            output_name,
            accuracy,
        };
        (task.clone(), options)
    })
}

proptest! {
    #[test]
    fn a_task_is_what_its_definition_creates(task in task()) {
        let sql = task_definition(&task);
        prop_assert!(recognise(&sql));
        let CatalogStatement::Change(Change::CreateTask(parsed)) = parse(&sql).unwrap() else {
            return Err(TestCaseError::fail("not a task"));
        };
        prop_assert_eq!(&parsed.name, &task.name);
        prop_assert_eq!(&parsed.classes, &task.classes);
        prop_assert_eq!((parsed.kind, &parsed.input), (task.kind, &task.input));
        let mut made = Task {
            accuracy_slack_points: ACCURACY_SLACK_POINTS_DEFAULT,
            constraints: TaskConstraints::default(),
            image_roots: Vec::new(),
            ..task.clone()
        };
        made.set(&parsed.options).unwrap();
        prop_assert_eq!(made, task);
    }

    #[test]
    fn a_model_is_what_its_definition_creates(
        (task, options) in task().prop_flat_map(options),
        uri in r#"[a-z0-9/'"\\ :.]{1,20}"#,
    ) {
        let sql = model_definition("m", "it's 1", &task.name, &uri, &task.classes, &options);
        prop_assert!(recognise(&sql));
        let CatalogStatement::Change(Change::CreateModel(parsed)) = parse(&sql).unwrap() else {
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
                "KIND", "INPUT", "DOUBLE", "VERSION", "EVALUATE", "ON", "SELECT", "m@1", ".", "/*", "*/", "--", "`x`", "`",
            ]),
            0..14,
        )
    ) {
        let text = words.join(" ");
        let _ = recognise(&text);
        if let Err(error) = parse(&text) {
            prop_assert!(matches!(error.kind, RefusalKind::Syntax | RefusalKind::Unsupported));
        }
    }
}

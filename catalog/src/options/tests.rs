//! Tests of reading options.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::model::{ModelInput, ModelOptions, Output};
use crate::option_value::{OptionError, OptionValue};
use crate::task::{Task, TaskInput, TaskKind};
use crate::{
    Background, ChannelOrder, Colour, Column, ColumnKind, Decode, ImageOptions, Interpolation,
    Layout, OrientationTag, Preprocessing, Resize,
};

fn task() -> Task {
    Task {
        name: "animals".to_owned(),
        kind: TaskKind::Classification,
        input: TaskInput::Image,
        classes: strings(&["cat", "dog", "owl"]),
        accuracy_slack_points: 1.0,
        constraints: Default::default(),
        image_roots: Vec::new(),
        version: 1,
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|t| t.to_string()).collect()
}

fn text(value: &str) -> OptionValue {
    OptionValue::Text(value.to_owned())
}

fn list(values: &[&str]) -> OptionValue {
    OptionValue::List(values.iter().map(|v| text(v)).collect())
}

fn image(options: &ModelOptions) -> &ImageOptions {
    options.input.image().unwrap()
}

fn read(
    covers: Option<&[&str]>,
    options: &[(&str, OptionValue)],
) -> Result<(Vec<String>, ModelOptions), OptionError> {
    let mut all = vec![("size".to_owned(), OptionValue::Number(28.0))];
    for (key, value) in options {
        all.retain(|(k, _)| k != key);
        all.push(((*key).to_owned(), value.clone()));
    }
    model_options(&task(), covers.map(strings).as_deref(), &all)
}

#[track_caller]
fn refused(covers: Option<&[&str]>, options: &[(&str, OptionValue)], part: &str) {
    let message = read(covers, options).unwrap_err().to_string();
    assert!(message.contains(part), "{message} lacks {part}");
}

#[test]
fn defaults() {
    let (covers, options) = read(None, &[]).unwrap();
    assert_eq!(covers, ["cat", "dog", "owl"]);
    assert_eq!(options.labels, covers);
    let image = image(&options);
    assert_eq!((image.height, image.width, image.channels), (28, 28, 3));
    assert_eq!(image.normalisation.mean, [0.0; 3]);
    assert_eq!(image.normalisation.std, [1.0; 3]);
    assert_eq!(image.layout, Layout::Nchw);
    assert_eq!(options.output, Output::Logits);
    assert_eq!((options.other, options.accuracy), (None, None));
}

#[test]
fn labels_follow_covers_as_written_and_other_comes_last() {
    let (covers, options) = read(Some(&["owl", "cat"]), &[("other", text("rest"))]).unwrap();
    assert_eq!(covers, ["cat", "owl"], "the task's order");
    assert_eq!(options.labels, ["owl", "cat", "rest"]);
    assert_eq!(options.other.as_deref(), Some("rest"));
}

#[test]
fn labels_alone_say_what_is_covered() {
    let given = [("labels", list(&["rest", "dog"])), ("other", text("rest"))];
    let (covers, options) = read(None, &given).unwrap();
    assert_eq!(covers, ["dog"]);
    assert_eq!(options.labels, ["rest", "dog"]);
}

#[test]
fn classes_and_labels_must_agree() {
    refused(
        Some(&["cat", "cow"]),
        &[],
        "Unknown class 'cow' in COVERS: the classes of task",
    );
    refused(Some(&["cat", "Cat"]), &[], "'Cat'");
    refused(Some(&["cat", "cat"]), &[], "named twice");
    refused(Some(&["cat"]), &[], "nothing to decide");
    let labels = |l: &[&str]| [("labels", list(l))];
    refused(
        Some(&["cat", "dog"]),
        &labels(&["cat", "dog", "owl"]),
        "'owl' is not in COVERS",
    );
    refused(
        Some(&["cat", "dog"]),
        &labels(&["cat"]),
        "'dog' is not among them",
    );
    refused(
        None,
        &labels(&["cat", "cow"]),
        "Unknown class 'cow' in option 'labels'",
    );
    refused(None, &labels(&["cat", "cat"]), "named twice");
    refused(
        None,
        &[("other", text("dog"))],
        "is a class of task 'animals'",
    );
    let both = [("labels", list(&["cat", "dog"])), ("other", text("rest"))];
    refused(None, &both, "option other = 'rest' is not among them");
}

#[test]
fn values_are_checked() {
    refused(
        None,
        &[("colour", text("x"))],
        "Unknown option 'colour'; the options are layout",
    );
    refused(None, &[("size", text("28x"))], "'size'");
    refused(None, &[("size", text("0x28"))], "'size'");
    refused(None, &[("size", OptionValue::Number(4097.0))], "1 to 4096");
    refused(None, &[("size", OptionValue::Number(28.5))], "'size'");
    refused(
        None,
        &[("channels", OptionValue::Number(2.0))],
        "1 (grey) or 3",
    );
    refused(
        None,
        &[("mean", list(&["0.1", "0.2"]))],
        "2 values given for 3 channels",
    );
    refused(None, &[("std", OptionValue::Number(0.0))], "greater than 0");
    refused(
        None,
        &[("std", OptionValue::Number(1e-60))],
        "greater than 0",
    );
    refused(None, &[("mean", OptionValue::Number(1e60))], "'mean'");
    refused(None, &[("layout", text("HWC"))], "'NCHW' or 'NHWC'");
    refused(
        None,
        &[("output", text("sigmoid"))],
        "'logits' or 'softmax'",
    );
    refused(
        None,
        &[("accuracy", OptionValue::Number(93.0))],
        "between 0 and 1",
    );
    let missing = model_options(&task(), None, &[]).unwrap_err();
    assert!(missing.to_string().contains("HEIGHTxWIDTH"));
}

fn preprocessing(options: &[(&str, OptionValue)]) -> Preprocessing {
    let (_, options) = read(None, options).unwrap();
    image(&options).preprocessing
}

#[test]
fn preprocessing_is_that_of_stretched_rgb_by_default() {
    let default = preprocessing(&[]);
    assert!(default.is_default());
    let spelled = preprocessing(&[
        ("resize", text("Stretch")),
        ("crop_fraction", OptionValue::Number(1.0)),
        ("interpolation", OptionValue::Word("BILINEAR".to_owned())),
        ("channel_order", text("rgb")),
        ("scale", text("1/255")),
        ("orientation", text("EXIF")),
        ("background", text("#FFFFFF")),
    ]);
    assert_eq!(spelled, default);
    assert_eq!(
        preprocessing(&[("scale", text("0.00392156862745098"))]),
        default
    );
    let (_, options) = read(None, &[]).unwrap();
    let written = serde_json::to_value(&options).unwrap();
    assert!(written.get("preprocessing").is_none(), "{written}");
}

#[test]
fn preprocessing_is_read_and_written() {
    let given = preprocessing(&[
        ("resize", text("letterbox")),
        ("interpolation", text("lanczos")),
        ("decode", text("exact")),
        ("channel_order", text("BGR")),
        ("scale", OptionValue::Number(1.0)),
        ("orientation", text("ignore")),
        ("background", text("none")),
    ]);
    let expected = Preprocessing {
        resize: Resize::Letterbox,
        crop_fraction: 1.0,
        interpolation: Interpolation::Lanczos,
        decode: Decode::Exact,
        channel_order: ChannelOrder::Bgr,
        scale: 1.0,
        orientation: OrientationTag::Ignore,
        background: Background::None,
        pad: Colour([114; 3]),
    };
    assert_eq!(given, expected);
    let (_, options) = read(None, &[("resize", text("pad")), ("pad", text("#010203"))]).unwrap();
    assert_eq!(image(&options).preprocessing.pad, Colour([1, 2, 3]));
    let written = serde_json::to_string(&options).unwrap();
    let again: ModelOptions = serde_json::from_str(&written).unwrap();
    assert_eq!(again, options);
}

#[test]
fn a_fraction_alone_crops_what_keeps_its_aspect_ratio() {
    let fraction = ("crop_fraction", OptionValue::Number(0.875));
    assert_eq!(
        preprocessing(std::slice::from_ref(&fraction)).resize,
        Resize::Crop
    );
    let stretched = preprocessing(&[fraction, ("resize", text("stretch"))]);
    assert_eq!(
        (stretched.resize, stretched.crop_fraction),
        (Resize::Stretch, 0.875)
    );
}

#[test]
fn preprocessing_is_checked() {
    refused(None, &[("resize", text("fit"))], "'letterbox' is expected");
    for fraction in [0.0, 0.05, 1.01, -1.0, 87.5] {
        let fraction = [("crop_fraction", OptionValue::Number(fraction))];
        refused(None, &fraction, "from 0.1 to 1");
    }
    let fraction = ("crop_fraction", OptionValue::Number(0.9));
    let padded = [fraction, ("resize", text("pad"))];
    refused(None, &padded, "resize = 'pad' shows the whole image");
    refused(
        None,
        &[("interpolation", text("area"))],
        "'bilinear', 'bicubic'",
    );
    refused(None, &[("decode", text("draft"))], "'scaled' or 'exact'");
    refused(None, &[("channel_order", text("RBG"))], "'RGB' or 'BGR'");
    let grey = [
        ("channels", OptionValue::Number(1.0)),
        ("channel_order", text("BGR")),
    ];
    refused(None, &grey, "3 channels");
    for scale in ["0", "-1", "1/0", "a/b", "inf", "nan", "1e9", ""] {
        refused(
            None,
            &[("scale", text(scale))],
            "'1/255' for a range of 0 to 1",
        );
    }
    refused(None, &[("orientation", text("6"))], "'exif' or 'ignore'");
    refused(None, &[("background", text("#fff"))], "'#rrggbb' or 'none'");
    refused(
        None,
        &[("pad", text("white"))],
        "for resize = 'pad' or 'letterbox'",
    );
    let grey = [("resize", text("pad")), ("pad", text("none"))];
    refused(None, &grey, "'white', 'black' or '#rrggbb'");
}

#[test]
fn sizes_are_height_by_width() {
    let (_, options) = read(None, &[("size", OptionValue::Word("32x28".to_owned()))]).unwrap();
    let image = image(&options);
    assert_eq!((image.height, image.width), (32, 28));
}

fn over_columns(kind: TaskKind) -> Task {
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
    };
    let columns = vec![
        column("size", ColumnKind::Double),
        column("colour", ColumnKind::Varchar),
    ];
    Task {
        kind,
        input: TaskInput::Columns(columns),
        classes: match kind {
            TaskKind::Classification => task().classes,
            TaskKind::Regression => Vec::new(),
        },
        ..task()
    }
}

#[test]
fn models_over_columns_have_no_image_options() {
    let task = over_columns(TaskKind::Classification);
    let (covers, options) = model_options(&task, None, &[]).unwrap();
    assert_eq!(covers, task.classes);
    assert_eq!(
        (&options.labels, options.output),
        (&covers, Output::Softmax)
    );
    let columns = task.columns().to_vec();
    assert_eq!(options.input, ModelInput::Columns { columns });
    let size = [("size".to_owned(), OptionValue::Number(28.0))];
    let error = model_options(&task, None, &size).unwrap_err().to_string();
    assert_eq!(
        error,
        "Unknown option 'size'; the options are labels, other, output, output_name, accuracy"
    );
}

#[test]
fn models_of_regressions_have_no_labels() {
    let task = over_columns(TaskKind::Regression);
    let accuracy = [("accuracy".to_owned(), OptionValue::Number(0.5))];
    let (covers, options) = model_options(&task, None, &accuracy).unwrap();
    assert!(covers.is_empty() && options.labels.is_empty());
    assert_eq!(
        (options.output, options.accuracy),
        (Output::Value, Some(0.5))
    );
    let labels = [("labels".to_owned(), list(&["a"]))];
    assert!(model_options(&task, None, &labels).is_err());
    let covers = model_options(&task, Some(&strings(&["a"])), &[]).unwrap_err();
    assert!(covers.to_string().contains("no classes"), "{covers}");
}

#[test]
fn options_stored_before_there_were_columns_are_read() {
    let stored = r#"{"layout":"NHWC","height":28,"width":32,"channels":1,
        "normalisation":{"mean":[0.485],"std":[0.229]},"labels":["a","b"],"other":null,
        "output":"logits","accuracy":0.9}"#;
    let options: ModelOptions = serde_json::from_str(stored).unwrap();
    let read = image(&options);
    assert_eq!(
        (read.layout, read.height, read.width),
        (Layout::Nhwc, 28, 32)
    );
    assert_eq!(read.normalisation.mean, [0.485_f32]);
    let written = serde_json::to_value(&options).unwrap();
    let stored: serde_json::Value = serde_json::from_str(stored).unwrap();
    assert_eq!(written["height"], stored["height"]);
    assert_eq!(written.as_object().unwrap().len(), 9);
    for kind in [TaskKind::Classification, TaskKind::Regression] {
        let (_, options) = model_options(&over_columns(kind), None, &[]).unwrap();
        let text = serde_json::to_string(&options).unwrap();
        assert_eq!(
            serde_json::from_str::<ModelOptions>(&text).unwrap(),
            options
        );
    }
}

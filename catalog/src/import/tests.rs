//! Tests of options that are read from what exporters write.
#![allow(clippy::unwrap_used)]

use super::found::text;
use super::*;

fn read(config: &str, preprocessor: &str, given: &Options) -> Result<Imported, String> {
    let described = Described {
        config: (!config.is_empty()).then(|| config.to_owned()),
        preprocessor: (!preprocessor.is_empty()).then(|| preprocessor.to_owned()),
        head: OnnxHead::default(),
    };
    imported(&described, given).map_err(|error| error.to_string())
}

fn shown(imported: &Imported, key: &str) -> String {
    match find(&imported.options, key) {
        Some(OptionValue::List(values)) => {
            let numbers = values.iter().map(|v| match v {
                OptionValue::Number(number) => format!("{number:.4}"),
                other => other.text().unwrap_or_default().to_owned(),
            });
            numbers.collect::<Vec<_>>().join(",")
        }
        Some(OptionValue::Number(number)) => format!("{number:.6}"),
        Some(other) => other.text().unwrap_or_default().to_owned(),
        None => "-".to_owned(),
    }
}

const KEYS: [&str; 6] = [
    "size",
    "resize",
    "crop_fraction",
    "interpolation",
    "scale",
    "channel_order",
];

fn recipe(preprocessor: &str) -> Result<String, String> {
    let found = read("", preprocessor, &Vec::new())?;
    Ok(KEYS.map(|key| shown(&found, key)).join(" "))
}

#[test]
fn recipes_of_image_processors_become_options() {
    let numbers = r#""image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]"#;
    for (recipe_text, expected) in [
        (
            r#""image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}, "resample": 2"#,
            "224x224 stretch 1.000000 bilinear 0.003922 RGB",
        ),
        (
            r#""feature_extractor_type": "ViTFeatureExtractor", "size": 224, "resample": 3"#,
            "224x224 stretch 1.000000 bicubic 0.003922 RGB",
        ),
        (
            r#""feature_extractor_type": "ConvNextFeatureExtractor", "size": 224, "crop_pct": 0.875, "resample": 3"#,
            "224x224 crop 0.875000 bicubic 0.003922 RGB",
        ),
        (
            r#""image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}, "crop_pct": 0.9"#,
            "384x384 stretch 1.000000 bilinear 0.003922 RGB",
        ),
        (
            r#""image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": true"#,
            "224x224 crop 0.875000 bicubic 0.003922 RGB",
        ),
        (
            r#""image_processor_type": "DeiTImageProcessor", "size": {"height": 256, "width": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": true, "rescale_factor": 1, "do_rescale": true"#,
            "224x224 stretch 0.875000 bicubic 1.000000 RGB",
        ),
        (
            r#""image_processor_type": "MobileViTImageProcessor", "size": {"shortest_edge": 288}, "crop_size": 256, "do_flip_channel_order": true, "do_normalize": false"#,
            "256x256 crop 0.888889 bilinear 0.003922 BGR",
        ),
        (
            r#""size": [32, 48], "do_rescale": false, "resample": 1"#,
            "32x48 stretch 1.000000 lanczos 1.000000 RGB",
        ),
    ] {
        let text = format!("{{{recipe_text}, {numbers}}}");
        assert_eq!(recipe(&text).as_deref(), Ok(expected), "{text}");
    }
}

#[test]
fn recipes_that_options_cannot_express_are_refused_by_name() {
    let numbers = r#""image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]"#;
    for (recipe_text, named) in [
        (r#""size": {"shortest_edge": 224}"#, "shortest edge"),
        (r#""size": {"longest_edge": 224}"#, "longest_edge"),
        (
            r#""size": {"shortest_edge": 224}, "crop_size": 256"#,
            "crop_size 256",
        ),
        (r#""size": 224, "do_pad": true"#, "do_pad"),
        (r#""size": 224, "do_resize": false"#, "do_resize"),
        (r#""size": 224, "resample": 5"#, "resample 5"),
        (r#""resample": 2"#, "no size"),
    ] {
        let error = recipe(&format!("{{{recipe_text}, {numbers}}}")).unwrap_err();
        assert!(
            error.contains(named) && error.contains("OPTIONS"),
            "{error}"
        );
    }
    assert!(
        recipe(r#"{"size": 224}"#)
            .unwrap_err()
            .contains("image_mean")
    );
    assert!(recipe("[1]").unwrap_err().contains("no JSON object"));
    assert!(recipe("{").unwrap_err().contains("no valid JSON"));
    // Options that are given make what cannot be expressed superfluous.
    let given = vec![text("size", "8x8"), text("resize", "stretch")];
    let text = format!(r#"{{"size": {{"shortest_edge": 224}}, {numbers}}}"#);
    let found = read("", &text, &given).unwrap();
    assert_eq!(
        (shown(&found, "mean"), shown(&found, "size")),
        ("0.5000,0.5000,0.5000".into(), "-".into())
    );
}

#[test]
fn timm_and_ultralytics_are_read() {
    let config = r#"{"pretrained_cfg": {"input_size": [3, 288, 288], "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225], "crop_pct": 0.95, "interpolation": "bicubic",
        "crop_mode": "center"}, "label_names": ["cat", "dog"]}"#;
    let found = read(config, "", &Vec::new()).unwrap();
    let expected = ["288x288", "crop", "0.950000", "bicubic", "-", "-"].join(" ");
    assert_eq!(KEYS.map(|key| shown(&found, key)).join(" "), expected);
    assert_eq!(shown(&found, "labels"), "cat,dog");
    assert_eq!(shown(&found, "std"), "0.2290,0.2240,0.2250");
    let border = config.replace("\"center\"", "\"border\"");
    assert!(
        read(&border, "", &Vec::new())
            .unwrap_err()
            .contains("border")
    );

    let described = |task: &str, names: &str| Described {
        head: OnnxHead {
            metadata: vec![
                ("task".to_owned(), task.to_owned()),
                ("imgsz".to_owned(), "[64, 64]".to_owned()),
                ("names".to_owned(), names.to_owned()),
            ],
            input: Some(vec![None, Some(3), Some(64), Some(64)]),
        },
        ..Described::default()
    };
    let names = r#"{0: 'cat', 1: "dog's", 2: 'a \'b\''}"#;
    let found = imported(&described("classify", names), &Vec::new()).unwrap();
    assert_eq!(shown(&found, "labels"), "cat,dog's,a 'b'");
    assert_eq!(shown(&found, "output"), "softmax");
    assert_eq!(shown(&found, "resize"), "crop");
    assert_eq!(shown(&found, "size"), "64x64");
    assert!(imported(&described("detect", names), &Vec::new()).is_err());
    for broken in [
        "{0: 'cat'",
        "{0: 'cat, 1: 'dog'}",
        "{0 'cat'}",
        "{1: 'cat'}",
        "{",
        "cat",
    ] {
        assert!(
            imported(&described("classify", broken), &Vec::new()).is_err(),
            "{broken}"
        );
    }
}

#[test]
fn what_is_missing_follows_from_the_shape_of_the_input() {
    let of = |axes: &[Option<u64>]| {
        let described = Described {
            head: OnnxHead {
                metadata: Vec::new(),
                input: Some(axes.to_vec()),
            },
            ..Described::default()
        };
        let found = imported(&described, &Vec::new()).unwrap();
        ["size", "layout", "channels"]
            .map(|key| shown(&found, key))
            .join(" ")
    };
    assert_eq!(of(&[None, Some(3), Some(8), Some(9)]), "8x9 NCHW 3.000000");
    assert_eq!(
        of(&[Some(1), Some(8), Some(9), Some(1)]),
        "8x9 NHWC 1.000000"
    );
    assert_eq!(of(&[None, Some(3), None, None]), "- NCHW 3.000000");
    assert_eq!(of(&[None, Some(4)]), "- - -");
}

#[test]
fn labels_of_files_come_in_their_order() {
    let of = |text: &[u8]| labels_of_text(text).map(|labels| labels.names.join("|"));
    let ok = |text: &str| Ok(text.to_owned());
    assert_eq!(of(b"cat\ndog"), ok("cat|dog"));
    assert_eq!(of("\u{feff}cat\r\ndog \r\n\r\n".as_bytes()), ok("cat|dog"));
    assert_eq!(of(br#"["cat", "dog"]"#), ok("cat|dog"));
    assert_eq!(of(br#"{"1": "dog", "0": "cat"}"#), ok("cat|dog"));
    assert_eq!(of(br#"{"dog": 1, "cat": 0}"#), ok("cat|dog"));
    assert_eq!(
        of(
            br#"{"id2label": {"10": "k", "0": "a", "1": "b", "2": "c", "3": "d", "4": "e",
        "5": "f", "6": "g", "7": "h", "8": "i", "9": "j"}}"#
        ),
        ok("a|b|c|d|e|f|g|h|i|j|k")
    );
    assert_eq!(
        of(br#"{"0": ["n01", "tench"], "1": ["n02", "crane"]}"#),
        ok("tench|crane")
    );
    assert_eq!(of(b"crane\ndog\ncrane"), ok("crane|dog|crane (2)"));
    assert!(labels_of_text(b"crane\ncrane").unwrap().warning.is_some());
    for broken in [
        &b""[..],
        b"cat\n\ndog",
        b"\xff\xfec\x00",
        b"\xff",
        b"[1, {}]",
        b"{\"0\": \"a\", \"2\": \"b\"}",
        b"{\"a\": \"b\"}",
        b"[\"a\"",
        b"[\"\"]",
        b"{\"0\": \"a\", \"00\": \"b\"}",
    ] {
        assert!(of(broken).is_err(), "{:?}", String::from_utf8_lossy(broken));
    }
}

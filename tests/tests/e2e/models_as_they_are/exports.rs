//! Folders as exporters leave them, imported without options, answer as Pillow and ONNX Runtime do
//! in Python.

use serde_json::Value;

use predictsql_tests::process::new_dir;

use super::{colours, made, proxy};

/// Greatest difference of a score from the one in Python.
const SCORES_MAX: f64 = 1e-3;

fn expected() -> Value {
    let text = std::fs::read_to_string(made().join("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    let texts = value.as_array().unwrap().iter();
    texts
        .map(|text| text.as_str().unwrap().to_owned())
        .collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    let numbers = value.as_array().unwrap().iter();
    numbers.map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn exports_are_imported_without_options_and_answer_as_in_python() {
    let proxy = proxy("exports", made().join("photos"));
    let mut session = proxy.root();
    let expected = expected();
    let (labels, photos) = (texts(&expected["labels"]), texts(&expected["photos"]));
    assert_eq!(photos.len(), 100);
    session.run("CREATE TASK animals CLASSES FROM MODEL 'exports/crop/'");
    session.run("CREATE DATABASE IF NOT EXISTS as_they_are");
    session.run("CREATE TEMPORARY TABLE as_they_are.photos (n INT PRIMARY KEY, photo VARCHAR(40))");
    let rows = photos
        .iter()
        .enumerate()
        .map(|(n, photo)| format!("({n}, '{photo}')"));
    let rows = rows.collect::<Vec<_>>().join(", ");
    session.run(&format!("INSERT INTO as_they_are.photos VALUES {rows}"));
    let exports = expected["exports"].as_array().unwrap();
    assert_eq!(exports.len(), 10);
    // By default large photos are decoded to a part of their size, which Python does not do.
    let decodes = [("", 2.5 * SCORES_MAX), ("decode = 'exact'", SCORES_MAX)];
    let all = exports
        .iter()
        .flat_map(|export| decodes.map(|decode| (export, decode)));
    for (number, (export, (decode, scores_max))) in all.enumerate() {
        let [name, from, options] =
            ["name", "from", "options"].map(|key| export[key].as_str().unwrap());
        let options = match [options, decode] {
            ["", ""] => String::new(),
            [one, ""] | ["", one] => format!(" OPTIONS ({one})"),
            [one, other] => format!(" OPTIONS ({one}, {other})"),
        };
        let model = format!("m{number}_{name}");
        session.run(&format!(
            "CREATE MODEL {model} FOR TASK animals FROM '{from}'{options}"
        ));
        let warnings = session.rows("SHOW WARNINGS");
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
        let scores = labels
            .iter()
            .map(|label| format!("exports.predict_proba('{model}', '{label}', photo)"));
        let found = session.rows(&format!(
            "SELECT exports.predict('{model}', photo), {} FROM as_they_are.photos ORDER BY n",
            scores.collect::<Vec<_>>().join(", ")
        ));
        let wanted: Vec<Vec<f64>> = export["scores"]
            .as_array()
            .unwrap()
            .iter()
            .map(numbers)
            .collect();
        assert_eq!(found.len(), wanted.len());
        let mut most: f64 = 0.0;
        for ((found, wanted), photo) in found.iter().zip(&wanted).zip(&photos) {
            let best = (0..wanted.len())
                .max_by(|a, b| wanted[*a].total_cmp(&wanted[*b]))
                .unwrap();
            assert_eq!(
                found[0].as_deref(),
                Some(labels[best].as_str()),
                "{name} {photo}"
            );
            for (found, wanted) in found[1..].iter().zip(wanted) {
                let found: f64 = found.as_deref().unwrap().parse().unwrap();
                most = most.max((found - wanted).abs());
            }
        }
        println!("{name}: scores of 100 photos differ from those in Python by {most:.6} at most");
        assert!(most <= scores_max, "{name} {decode}: {most}");
    }
}

#[test]
fn what_was_read_is_shown_and_makes_the_same_model_again() {
    let proxy = proxy("exported_again", made().join("photos"));
    let mut session = proxy.root();
    session.run("CREATE TASK animals CLASSES FROM FILE 'exports/labels.txt'");
    session.run("CREATE TASK others CLASSES FROM FILE 'exports/labels.json'");
    let classes = |session: &mut predictsql_tests::Wire, task: &str| {
        let shown = session.rows(&format!("SHOW CREATE TASK {task}"));
        let text = shown[0][1].clone().unwrap();
        text.split_once("CLASSES").unwrap().1.to_owned()
    };
    assert_eq!(
        classes(&mut session, "animals"),
        classes(&mut session, "others")
    );
    session.run("CREATE MODEL m FOR TASK animals FROM 'exports/crop/'");
    let shown = |session: &mut predictsql_tests::Wire| {
        session.rows("SHOW CREATE MODEL m")[0]
            .iter()
            .flatten()
            .find(|text| text.starts_with("CREATE MODEL"))
            .cloned()
            .unwrap()
    };
    let text = shown(&mut session);
    for part in [
        "FROM 'exports/crop/model.onnx'",
        "size = '32x32'",
        "resize = 'crop'",
        "crop_fraction = 0.875",
        "interpolation = 'bicubic'",
        "mean = (0.485, 0.456, 0.406)",
        "std = (0.229, 0.224, 0.225)",
        "labels = ('tench', 'crane', 'red fox', 'tabby, tabby cat', 'crane (machine)')",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let ask = "SELECT exported_again.predict_proba('m', 'crane', '007.jpg')";
    let before = session.value(ask);
    session.run("DROP MODEL m");
    session.run(&text);
    assert_eq!((shown(&mut session), session.value(ask)), (text, before));
    // Options given override what was read.
    session.run("DROP MODEL m");
    session.run(
        "CREATE MODEL m FOR TASK animals FROM 'exports/crop/' OPTIONS (interpolation = 'nearest', \
         labels = FILE 'exports/labels.txt')",
    );
    assert!(shown(&mut session).contains("interpolation = 'nearest'"));
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let models = new_dir("exports-broken");
    let export = made().join("exports/crop");
    let folder = |name: &str, config: &str, preprocessor: &str| {
        let folder = models.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(export.join("model.onnx"), folder.join("model.onnx")).unwrap();
        std::fs::write(folder.join("config.json"), config).unwrap();
        std::fs::write(folder.join("preprocessor_config.json"), preprocessor).unwrap();
    };
    let config = std::fs::read_to_string(export.join("config.json")).unwrap();
    folder("json", &config, "{");
    folder("pads", &config, r#"{"size": 32, "do_pad": true}"#);
    folder(
        "gap",
        r#"{"id2label": {"0": "a", "2": "b"}}"#,
        "{\"size\": 32}",
    );
    folder("huge", &config, &" ".repeat(5 << 20));
    std::fs::create_dir_all(models.join("empty")).unwrap();
    std::fs::write(models.join("blank.txt"), "tench\n\ncrane\n").unwrap();
    let settings = predictsql_tests::Settings {
        schema: "exports_broken".to_owned(),
        image_roots: vec![colours()],
        model_roots: vec![models],
        ..predictsql_tests::Settings::default()
    };
    let proxy = predictsql_tests::Proxy::start(predictsql_tests::Store::shared(), &settings);
    let mut session = proxy.root();
    session.run("CREATE TASK animals CLASSES ('tench', 'crane', 'red fox', 'tabby, tabby cat', 'crane (machine)')");
    for (from, code, words) in [
        (
            "json/",
            1525,
            "preprocessor_config.json cannot be used: it is no valid JSON",
        ),
        ("pads/", 1525, "its step do_pad has no option"),
        ("huge/", 1290, "beside_model_bytes_max"),
        ("empty/", 1017, "has no model.onnx and no onnx/model.onnx"),
        ("nowhere/", 1017, "has no model.onnx"),
        ("../", 1290, "outside the allowed model roots"),
    ] {
        let error = session.error(&format!("CREATE MODEL m FOR TASK animals FROM '{from}'"));
        assert_eq!(error.code, code, "{from}: {error:?}");
        assert!(error.message.contains(words), "{from}: {error:?}");
    }
    for (from, code, words) in [
        ("FILE 'blank.txt'", 1525, "line 2 is blank"),
        (
            "FILE '/etc/hostname'",
            1290,
            "outside the allowed model roots",
        ),
        ("FILE 'nowhere.txt'", 1017, "does not exist"),
        ("MODEL 'gap/'", 1525, "have no number 1"),
        ("MODEL 'json/model.onnx'", 1525, "names no labels"),
    ] {
        let error = session.error(&format!("CREATE TASK t CLASSES FROM {from}"));
        assert_eq!(error.code, code, "{from}: {error:?}");
        assert!(error.message.contains(words), "{from}: {error:?}");
    }
    assert_eq!(session.rows("SHOW MODELS").len(), 0);
}

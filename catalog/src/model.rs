//! A model: an ONNX file that answers a task for some of its classes, and how to feed it.

use serde::{Deserialize, Serialize};

/// Order of the axes of the input tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Layout {
    /// [batch, channels, height, width]
    Nchw,
    /// [batch, height, width, channels]
    Nhwc,
}

/// What the numbers of the output tensor, shape [batch, labels], mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Unnormalised scores: softmax is applied to them.
    Logits,
    /// Probabilities that sum to 1: used as they are.
    Softmax,
}

/// Per-channel normalisation of pixel values: `(pixel / 255 - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// One value a channel, in units of full scale (0..=1).
    pub mean: Vec<f32>,
    /// One value a channel, greater than 0.
    pub std: Vec<f32>,
}

/// How to feed a model and read its output: the `OPTIONS (...)` of `CREATE MODEL`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelOptions {
    /// Order of the input's axes.
    pub layout: Layout,
    /// Input height in pixels.
    pub height: u32,
    /// Input width in pixels.
    pub width: u32,
    /// 1 (grey) or 3 (RGB).
    pub channels: u8,
    /// Pixel normalisation, one mean and std per channel.
    pub normalisation: Normalisation,
    /// Names of the output's columns in order: classes of the task, and `other` where there is one.
    pub labels: Vec<String>,
    /// The label, one of `labels` and no class of the task, that means "none of my classes".
    pub other: Option<String>,
    /// What the output's numbers are.
    pub output: Output,
    /// Accuracy on its own classes as declared by whoever created the model, 0..=1.
    pub accuracy: Option<f64>,
}

/// A model of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Catalog id; grows with creation, so the greatest is the model created last.
    pub id: u64,
    /// Lower-case name, unique among tasks and models.
    pub name: String,
    /// Version label, `1` unless given.
    pub version: String,
    /// Name of the task that it answers.
    pub task: String,
    /// Where the file is, as given.
    pub uri: String,
    /// SHA-256 of the file when it was created, lower-case hex; a file that differs is refused.
    pub sha256: String,
    /// Size of the file.
    pub bytes: u64,
    /// Classes of the task that it can answer, in the task's order.
    pub covers: Vec<String>,
    /// How to feed it.
    pub options: ModelOptions,
    /// Seconds of inference per image as measured when it was created, if it was measured.
    pub seconds_per_image: Option<f64>,
}

//! A model: an ONNX file that answers a task for some of its classes, and how to feed it.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::answer_shape::{AnswerShape, OutputCodec};
use crate::task::Column;

/// Order of the axes of the input tensor.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, EnumString,
)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE", ascii_case_insensitive)]
pub enum Layout {
    /// [batch, channels, height, width]
    Nchw,
    /// [batch, height, width, channels]
    Nhwc,
}

impl Layout {
    /// As options name it.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What the numbers of the output tensor mean: [batch, labels] of a classification, [batch, 1] of
/// a regression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Unnormalised scores: softmax is applied to them.
    Logits,
    /// Probabilities that sum to 1: used as they are.
    Softmax,
    /// The answer itself, of a regression.
    Value,
}

impl Output {
    /// Shape of the answers that such numbers give.
    pub fn answer_shape(self) -> AnswerShape {
        match self {
            Self::Logits | Self::Softmax => AnswerShape::Label,
            Self::Value => AnswerShape::Value,
        }
    }
}

/// Per-channel normalisation of pixel values: `(pixel / 255 - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// One value a channel, in units of full scale (0..=1).
    pub mean: Vec<f32>,
    /// One value a channel, greater than 0.
    pub std: Vec<f32>,
}

/// How a picture becomes a model's input tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImageOptions {
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
}

/// What a model is fed with. In JSON the fields stand among those of [`ModelOptions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ModelInput {
    /// A picture.
    Image(ImageOptions),
    /// A row of the task's columns.
    Columns {
        /// The task's columns, in its order.
        columns: Vec<Column>,
    },
}

impl ModelInput {
    /// How pictures are fed to it; `None` for a model over columns.
    pub fn image(&self) -> Option<&ImageOptions> {
        match self {
            Self::Image(image) => Some(image),
            Self::Columns { .. } => None,
        }
    }
}

/// How to feed a model and read its output: the `OPTIONS (...)` of `CREATE MODEL`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelOptions {
    /// What it is fed with.
    #[serde(flatten)]
    pub input: ModelInput,
    /// Names of the output's columns in order: classes of the task, and `other` where there is
    /// one. Empty for a regression.
    pub labels: Vec<String>,
    /// The label, one of `labels` and no class of the task, that means "none of my classes".
    pub other: Option<String>,
    /// What the output's numbers are.
    pub output: Output,
    /// Accuracy on its own classes as declared by whoever created the model, 0..=1.
    pub accuracy: Option<f64>,
}

impl ModelOptions {
    /// How its outputs are kept; `None` where they are not.
    pub fn output_codec(&self) -> Option<OutputCodec> {
        self.output.answer_shape().output_codec(self.labels.len())
    }
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

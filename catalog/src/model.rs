//! A model: an ONNX file that predicts some of a task's classes, and how to feed it.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::answer_shape::{AnswerShape, OutputCodec};
use crate::preprocessing::Preprocessing;
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
    /// Name in options.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Meaning of the numbers of the output tensor: [batch, labels] for a classification, [batch, 1]
/// for a regression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// Unnormalised scores, to which softmax is applied.
    Logits,
    /// Probabilities that sum to 1, used unchanged.
    Softmax,
    /// The answer of a regression.
    Value,
}

impl Output {
    /// Shape of the answers computed from these numbers.
    pub fn answer_shape(self) -> AnswerShape {
        match self {
            Self::Logits | Self::Softmax => AnswerShape::Label,
            Self::Value => AnswerShape::Value,
        }
    }
}

/// Per-channel normalisation of pixel values: `(pixel * scale - mean) / std`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// One value per channel of the input, in units of scaled values: 0..=1 by default.
    pub mean: Vec<f32>,
    /// One value per channel, greater than 0.
    pub std: Vec<f32>,
}

/// Conversion of an image to a model's input tensor.
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
    /// How the image becomes pixels of that size. Absent in JSON unless an option is given.
    #[serde(default, skip_serializing_if = "Preprocessing::is_default")]
    pub preprocessing: Preprocessing,
}

/// Input of a model. In JSON its fields are inlined into those of [`ModelOptions`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ModelInput {
    /// An image.
    Image(ImageOptions),
    /// A row of the task's columns.
    Columns {
        /// The task's columns, in its order.
        columns: Vec<Column>,
    },
}

impl ModelInput {
    /// Image options; `None` for a model over columns.
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
    /// Kind of input.
    #[serde(flatten)]
    pub input: ModelInput,
    /// Names of the output's columns in order: classes of the task, and `other` if there is one.
    /// Empty for a regression.
    pub labels: Vec<String>,
    /// The label, contained in `labels` but not a class of the task, that means "none of my
    /// classes".
    pub other: Option<String>,
    /// Meaning of the output's numbers.
    pub output: Output,
    /// Name of the output with the answers, if it was given; otherwise the one that fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_name: Option<String>,
    /// Accuracy on its own classes as declared by the model's creator, 0..=1.
    pub accuracy: Option<f64>,
}

impl ModelOptions {
    /// Codec of its kept outputs; `None` if outputs are not kept.
    pub fn output_codec(&self) -> Option<OutputCodec> {
        self.output.answer_shape().output_codec(self.labels.len())
    }
}

/// A model of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Catalog id; ascending in order of creation.
    pub id: u64,
    /// Lower-case name, unique among tasks and models.
    pub name: String,
    /// Version label, `1` by default.
    pub version: String,
    /// Name of its task.
    pub task: String,
    /// URI of the file, as given.
    pub uri: String,
    /// SHA-256 of the file at creation, lower-case hex; a file with another hash is rejected.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Classes of the task that it can predict, in the task's order.
    pub covers: Vec<String>,
    /// How to feed it.
    pub options: ModelOptions,
    /// Seconds of inference per image, measured at creation, if it was measured.
    pub seconds_per_image: Option<f64>,
}

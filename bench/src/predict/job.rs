//! What a loop in a process of its own is told: the job by file, orders by standard input, and
//! answers by standard output, one JSON object a line, after the line [`READY`].

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The line by which a loop says that its model is loaded.
pub const READY: &str = "ready";

/// The same for all orders.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// The ONNX Runtime library.
    pub library: PathBuf,
    /// The ONNX file: one input, one output [batch, labels].
    pub model: PathBuf,
    /// What the images are, and how they become the model's input.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// The image files.
    pub images: Vec<PathBuf>,
    /// CPU threads.
    pub threads: usize,
    /// Number of the GPU that the bare loop uses; `None`: the CPU.
    #[serde(default)]
    pub gpu: Option<u16>,
    /// Added to the nice value.
    pub nice: i32,
    /// Where the table is, for a loop that reads it.
    pub table: Table,
}

/// How files become an input.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Recipe {
    /// Grey PNG files of the model's size become [batch, 1, height, width]; outputs are logits.
    Grey {
        /// Height and width of the images, in pixels.
        size: (u32, u32),
        /// Subtracted from a sample in 0..1.
        mean: f64,
        /// Divides it then.
        std: f64,
    },
    /// JPEG files in colour become the input of [`crate::photo`]; outputs are probabilities.
    Photo,
}

/// A table with a column `photo` of paths relative to a folder, and a server that has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Table {
    /// The server.
    pub host: String,
    /// Its port; user `root` has no password.
    pub port: u16,
    /// The table, in the database `bench`.
    pub name: String,
    /// The folder.
    pub image_root: PathBuf,
}

/// How threads are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// Each thread decodes and infers batches of its own.
    SessionPerThread,
    /// One session splits its operators over all threads; another thread decodes ahead.
    OneSession,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SessionPerThread => "a session a thread",
            Self::OneSession => "one session for all threads",
        })
    }
}

/// Asks for the labels of `images` images, from the first one on, again from there after the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// How; only the bare loop has both ways.
    pub way: Way,
    /// Images in one run of the model.
    pub batch: usize,
    /// Images in all.
    pub images: usize,
    /// The label whose probabilities are wanted, too; only the bare loop gives them.
    pub probability_of: Option<usize>,
}

/// The answer to an order.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// Wall-clock time from order to last label.
    pub seconds: f64,
    /// For each image the position of its label among the model's.
    pub labels: Vec<usize>,
    /// For each image the probability of the wanted label, if one was.
    #[serde(default)]
    pub probabilities: Vec<f32>,
}

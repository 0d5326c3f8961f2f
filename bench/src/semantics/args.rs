//! Flags of the semantics benchmark.

use std::path::PathBuf;

use predictsql_proxy::demo::dataset;

use super::error::SemanticsError;

/// Flags of `predictsql-bench semantics`.
#[derive(Debug, Clone, clap::Args)]
pub struct SemanticsArgs {
    /// Fewer rounds, and nothing is added to the history
    #[arg(long)]
    pub(super) quick: bool,
    /// Rounds of the statement and of its yardstick [default: 5 with --quick, else 11]
    #[arg(long, value_name = "N")]
    pub(super) rounds: Option<usize>,
    /// Rows of the table of photos
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    pub(super) rows: usize,
    /// Distinct photos in them, at most the images of the dataset
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub(super) images: usize,
    /// Rows of the table of numbers, all different
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub(super) flowers: usize,
    /// A model of the zoo that reads grey images
    #[arg(long, value_name = "NAME", default_value = "apparel_small")]
    pub(super) model: String,
    /// A model of four measures of irises, with a tensor of scores
    #[arg(
        long,
        value_name = "FILE",
        default_value = "executor/tests/columns/iris_tensor.onnx"
    )]
    pub(super) iris: PathBuf,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    pub(super) save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/semantics.jsonl"
    )]
    pub(super) history: PathBuf,
    /// Folder that holds zoo.json and the models that it lists
    #[arg(long, value_name = "DIR", default_value = "bench/zoo")]
    pub(super) zoo: PathBuf,
    /// Folder of the Fashion-MNIST files
    #[arg(long, value_name = "DIR", default_value = dataset::DATASET_DIR)]
    pub(super) dataset: PathBuf,
    /// The ONNX Runtime library
    #[arg(
        long,
        value_name = "FILE",
        env = "PREDICTSQL_ORT_LIB",
        default_value = ".cache/onnxruntime/libonnxruntime.so"
    )]
    pub(super) ort_library: PathBuf,
    /// The predictsql binary [default: this program itself, which holds the same code]
    #[arg(long, value_name = "FILE")]
    pub(super) predictsql: Option<PathBuf>,
}

impl SemanticsArgs {
    pub(super) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 5 } else { 11 })
    }

    pub(super) fn check(&self, images: usize) -> Result<(), SemanticsError> {
        let wrong = |text: String| Err(SemanticsError::Flag(text));
        if self.rounds() == 0 || self.rows == 0 || self.images == 0 || self.flowers == 0 {
            return wrong("--rounds, --rows, --images and --flowers must be greater than 0".into());
        }
        if self.images > images || self.images > self.rows {
            return wrong(format!(
                "--images: the dataset has {images}, and the table {} rows",
                self.rows
            ));
        }
        Ok(())
    }
}

//! Flags of the decode benchmark, and the ways that it compares.

use std::path::PathBuf;

use crate::photo;

/// Flags of `predictsql-bench decode`.
#[derive(Debug, Clone, clap::Args)]
pub struct DecodeArgs {
    /// Fewer rounds and photos, and nothing is added to the history
    #[arg(long)]
    pub(super) quick: bool,
    /// Rounds of the CPU's measurement [default: 3 with --quick, else 9]
    #[arg(long, value_name = "N")]
    pub(super) rounds: Option<usize>,
    /// Photos whose labels are compared [default: 200 with --quick, else all 2000]
    #[arg(long, value_name = "N")]
    pub(super) images: Option<usize>,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    pub(super) save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/decode.jsonl"
    )]
    pub(super) history: PathBuf,
    /// Folder of the photos and their models, as scripts/setup.sh bench makes it
    #[arg(long, value_name = "DIR", default_value = photo::FOLDER_DEFAULT)]
    pub(super) photos: PathBuf,
    /// The ONNX Runtime library
    #[arg(
        long,
        value_name = "FILE",
        env = "PREDICTSQL_ORT_LIB",
        default_value = ".cache/onnxruntime/libonnxruntime.so"
    )]
    pub(super) ort_library: PathBuf,
}

impl DecodeArgs {
    /// Rounds of the CPU's measurement.
    pub(super) fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 9 })
    }

    /// Photos whose labels are compared.
    pub(super) fn images(&self) -> usize {
        self.images.unwrap_or(if self.quick { 200 } else { 2000 })
    }
}

/// How the models of a pair decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To a part of the size where that is enough: the default.
    Scaled,
    /// At their own size.
    Exact,
}

impl Way {
    /// The value of the option `decode`, and the end of the model's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scaled => "scaled",
            Self::Exact => "exact",
        }
    }
}

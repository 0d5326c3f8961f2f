//! Flags of the soak.

use std::path::PathBuf;
use std::time::Duration;

use predictsql_proxy::demo::dataset;

use super::error::SoakError;

/// Flags of `predictsql-bench soak`.
#[derive(Debug, Clone, clap::Args)]
pub struct SoakArgs {
    /// How long the load goes on [default: 2 with --quick, else 30]
    #[arg(long, value_name = "N")]
    pub(super) minutes: Option<f64>,
    /// Shorter, and nothing is added to the history
    #[arg(long)]
    pub(super) quick: bool,
    /// Clients with selects and changes of all kinds;
    /// four more evaluate models and change the catalog
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(super) clients: u32,
    /// Which draws are made
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub(super) seed: u64,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    pub(super) save: bool,
    /// File of the history
    #[arg(long, value_name = "FILE", default_value = "bench/history/soak.jsonl")]
    pub(super) history: PathBuf,
    /// Folder that holds the models of the zoo in `models`
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
    /// The predictsql binary [default: the one beside this program]
    #[arg(long, value_name = "FILE")]
    pub(super) predictsql: Option<PathBuf>,
    /// Leave logs and data there
    #[arg(long, value_name = "DIR")]
    pub(super) keep: Option<PathBuf>,
}

impl SoakArgs {
    pub(super) fn whole(&self) -> Result<Duration, SoakError> {
        let minutes = self.minutes.unwrap_or(if self.quick { 2.0 } else { 30.0 });
        if !(0.5..=10_000.0).contains(&minutes) {
            let text = "--minutes must be from 0.5 to 10000".to_owned();
            return Err(SoakError::Flag(text));
        }
        if !(1..=50).contains(&self.clients) {
            return Err(SoakError::Flag("--clients must be from 1 to 50".to_owned()));
        }
        Ok(Duration::from_secs_f64(60.0 * minutes))
    }

    pub(super) fn program(&self) -> Result<PathBuf, SoakError> {
        if let Some(program) = &self.predictsql {
            return Ok(program.clone());
        }
        let program = std::env::current_exe()?.with_file_name("predictsql");
        if program.exists() {
            return Ok(program);
        }
        Err(SoakError::Flag(format!(
            "{} is missing: cargo build --release -p predictsql-proxy, or name it with --predictsql",
            program.display()
        )))
    }
}

//! Why the relay benchmark gives no result.

use std::io;
use std::path::PathBuf;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum RelayBenchError {
    /// A flag cannot be followed.
    #[error("{0}")]
    Flag(String),
    /// Programs that are compared or used are not installed.
    #[error("missing: {}", .0.join("; "))]
    Missing(Vec<String>),
    /// A server did not start or ended early.
    #[error("{name}: {reason}; the end of its log:\n{log}")]
    Server {
        /// Which.
        name: &'static str,
        /// What happened.
        reason: String,
        /// Last lines of its log.
        log: String,
    },
    /// A program that was run to its end failed.
    #[error("{program}: {reason}")]
    Program {
        /// Which.
        program: String,
        /// What it said.
        reason: String,
    },
    /// A file could not be written or read.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The client of the benchmark failed.
    #[error("{step}: {source}")]
    Client {
        /// What it did.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The result would be worth nothing.
    #[error("no result: {0}")]
    Worthless(String),
    /// SIGINT or SIGTERM.
    #[error("stopped by a signal")]
    Interrupted,
    /// Sockets, processes.
    #[error("{0}")]
    System(#[from] io::Error),
    /// Not the JSON that was expected.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl RelayBenchError {
    /// For `map_err`: a [`RelayBenchError::Client`] in `step`.
    pub fn client(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Client { step, source }
    }
}

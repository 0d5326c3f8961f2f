//! Why the predict benchmark gives no result.

use std::io;
use std::path::PathBuf;

use predictsql_proxy::demo::DemoError;
use predictsql_proxy::serve::ServeError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A flag cannot be followed.
    #[error("{0}")]
    Flag(String),
    /// The proxy or its store could not be started.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Images or models could not be set up.
    #[error(transparent)]
    SetUp(#[from] DemoError),
    /// A statement was refused.
    #[error("{step}: {source}")]
    Sql {
        /// What it was for.
        step: &'static str,
        /// The answer.
        source: mysql_async::Error,
    },
    /// One of the loops that are compared failed.
    #[error("the {name} loop: {reason}")]
    Loop {
        /// Which.
        name: &'static str,
        /// What it said.
        reason: String,
    },
    /// An image is not what the bare loop reads.
    #[error("{}: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// ONNX Runtime refused.
    #[error("ONNX Runtime: {0}")]
    Runtime(String),
    /// The result would be worth nothing.
    #[error("no result: {0}")]
    Worthless(String),
    /// Files, processes.
    #[error("{0}")]
    System(#[from] io::Error),
    /// Not the JSON that was expected.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl BenchError {
    /// For `map_err`: a [`BenchError::Sql`] in `step`.
    pub fn sql(step: &'static str) -> impl FnOnce(mysql_async::Error) -> Self {
        move |source| Self::Sql { step, source }
    }
}

/// For `map_err` on what ONNX Runtime says.
impl<T> From<ort::Error<T>> for BenchError {
    fn from(error: ort::Error<T>) -> Self {
        Self::Runtime(error.message().to_owned())
    }
}

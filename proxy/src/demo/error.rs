//! Errors of the demo's set-up.

use std::io;
use std::path::PathBuf;

use crate::serve::ServeError;

/// Why the demo failed.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The attempted action, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file has invalid content.
    #[error("{}: {reason}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The Fashion-MNIST images are not installed.
    #[error(
        "the Fashion-MNIST images are not in {}: run `scripts/setup.sh demo`, or on Debian \
         `apt-get install dataset-fashion-mnist`",
        dir.display()
    )]
    NoImages {
        /// The searched directory.
        dir: PathBuf,
    },
    /// The list of models is missing.
    #[error("{} was not found: start the demo in the root of the source tree, or name the folder with --zoo", path.display())]
    NoZoo {
        /// The searched path.
        path: PathBuf,
    },
    /// The proxy or its store could not be started.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// An error of threads, the terminal, or the client program.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    /// A statement of the set-up failed.
    #[error("{step}: {source}")]
    Sql {
        /// Purpose of the statement.
        step: String,
        /// The store's error.
        source: mysql_async::Error,
    },
}

impl DemoError {
    /// For `map_err`: creates a [`DemoError::Io`] for `path`.
    pub(super) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// For `map_err`: creates a [`DemoError::Sql`] for `step`.
    pub(super) fn sql(step: impl Into<String>) -> impl FnOnce(mysql_async::Error) -> Self {
        let step = step.into();
        move |source| Self::Sql { step, source }
    }
}

//! What can go wrong while the demo sets itself up.

use std::io;
use std::path::PathBuf;

use crate::serve::ServeError;

/// Why the demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The Fashion-MNIST images are not on this machine.
    #[error(
        "the Fashion-MNIST images are not in {}: run `scripts/setup.sh demo`, or on Debian \
         `apt-get install dataset-fashion-mnist`",
        dir.display()
    )]
    NoImages {
        /// Where they were looked for.
        dir: PathBuf,
    },
    /// The list of models is missing.
    #[error("{} was not found: start the demo in the root of the source tree, or name the folder with --zoo", path.display())]
    NoZoo {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The proxy or its store could not be started.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Threads, the terminal, the client program.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
    /// A statement of the set-up failed.
    #[error("{step}: {source}")]
    Sql {
        /// What the statement was for.
        step: String,
        /// The answer.
        source: mysql_async::Error,
    },
}

impl DemoError {
    /// For `map_err`: a [`DemoError::Io`] about `path`.
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

    /// For `map_err`: a [`DemoError::Sql`] in `step`.
    pub(super) fn sql(step: impl Into<String>) -> impl FnOnce(mysql_async::Error) -> Self {
        let step = step.into();
        move |source| Self::Sql { step, source }
    }
}

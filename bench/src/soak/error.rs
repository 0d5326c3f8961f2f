//! Why the soak gives no result, or a bad one.

use std::io;

use predictsql_proxy::demo::DemoError;

use crate::relay::RelayBenchError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum SoakError {
    /// A flag cannot be followed.
    #[error("{0}")]
    Flag(String),
    /// Images could not be set up.
    #[error(transparent)]
    SetUp(#[from] DemoError),
    /// A program is missing or fails.
    #[error(transparent)]
    Program(#[from] RelayBenchError),
    /// A server did not start, or ended by itself.
    #[error("{name}: {reason}; the end of its log:\n{log}")]
    Server {
        /// Which.
        name: &'static str,
        /// What happened.
        reason: String,
        /// Last lines of its log.
        log: String,
    },
    /// A statement outside of the load was refused.
    #[error("{step}: {source}")]
    Sql {
        /// What it was for.
        step: &'static str,
        /// The answer.
        source: mysql_async::Error,
    },
    /// The load found what must not be.
    #[error("broken promises: {0}")]
    Broken(String),
    /// SIGINT or SIGTERM.
    #[error("stopped by a signal")]
    Interrupted,
    /// Files, sockets, processes.
    #[error("{0}")]
    System(#[from] io::Error),
}

impl SoakError {
    /// For `map_err`: a [`SoakError::Sql`] in `step`.
    pub fn sql(step: &'static str) -> impl FnOnce(mysql_async::Error) -> Self {
        move |source| Self::Sql { step, source }
    }
}

//! Why the semantics benchmark gives no result.

use std::io;

use predictsql_proxy::demo::DemoError;

use crate::served::ServedError;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum SemanticsError {
    /// A flag cannot be followed.
    #[error("{0}")]
    Flag(String),
    /// Images or models could not be set up.
    #[error(transparent)]
    SetUp(#[from] DemoError),
    /// The proxy did not start or ended early.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// A statement was refused.
    #[error("{step}: {source}")]
    Sql {
        /// What it was for.
        step: &'static str,
        /// The answer.
        source: mysql_async::Error,
    },
    /// The result would be worth nothing.
    #[error("no result: {0}")]
    Worthless(String),
    /// SIGINT or SIGTERM.
    #[error("stopped by a signal")]
    Interrupted,
    /// Files, sockets, processes.
    #[error("{0}")]
    System(#[from] io::Error),
}

impl SemanticsError {
    /// For `map_err`: a [`SemanticsError::Sql`] in `step`.
    pub fn sql(step: &'static str) -> impl FnOnce(mysql_async::Error) -> Self {
        move |source| Self::Sql { step, source }
    }
}

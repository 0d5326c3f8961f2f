//! Why the decode benchmark gives no result.

use std::io;

use crate::served::ServedError;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A flag cannot be followed.
    #[error("{0}")]
    Flag(String),
    /// The proxy did not start or ended early.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// A statement was refused.
    #[error("{0}")]
    Sql(#[from] mysql_async::Error),
    /// The result would be worth nothing.
    #[error("no result: {0}")]
    Worthless(String),
    /// Files, processes.
    #[error("{0}")]
    System(#[from] io::Error),
}

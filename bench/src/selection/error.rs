//! Why the benchmark of choosing among models gives no result.

use predictsql_proxy::demo::DemoError;
use predictsql_proxy::serve::ServeError;
use thiserror::Error;

use crate::repository::RepositoryError;

/// What went wrong.
#[derive(Debug, Error)]
pub enum SelectionError {
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The proxy or its store could not be started.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// Images or models could not be set up.
    #[error(transparent)]
    SetUp(#[from] DemoError),
    /// A statement was refused.
    #[error("{0}")]
    Sql(#[from] mysql_async::Error),
    /// EXPLAIN said something else.
    #[error("EXPLAIN shows no plan: {0}")]
    NotExplained(String),
    /// A plot could not be drawn.
    #[error("plot: {0}")]
    Plot(String),
    /// Files.
    #[error("{0}")]
    System(#[from] std::io::Error),
    /// A thread of the benchmark ended early.
    #[error("the benchmark's thread died")]
    Died,
}

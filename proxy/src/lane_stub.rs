//! Stands in for the lane until it is there: forwards all. Same names as `lane/mod.rs`.

use std::path::PathBuf;
use std::sync::Arc;

use predictsql_catalog::store::SchemaName;
use predictsql_executor::Executor;

use crate::account::ServiceAccount;
use crate::relay::{Handled, Route, Router, SessionEnd, Takeover};

/// Limits of each statement's spool.
#[derive(Debug, Clone)]
pub struct SpoolLimits {
    /// Bytes of rows kept in memory by one statement.
    pub memory_bytes_max: u64,
    /// Bytes of rows kept in a temporary file by one statement.
    pub disk_bytes_max: u64,
    /// Where the file is made.
    pub directory: PathBuf,
}

/// What all sessions' lanes share.
pub struct LaneContext {
    /// Schema of the catalog, the stubs and the functions.
    pub schema: SchemaName,
    /// Runs models.
    pub executor: Executor,
    /// Reads and writes the catalog.
    pub account: ServiceAccount,
    /// Limits of each statement's spool.
    pub spool: SpoolLimits,
    /// Longest data sent ahead for one parameter (COM_STMT_SEND_LONG_DATA), in bytes.
    pub long_data_bytes_max: usize,
}

/// One session's lane.
pub struct Lane;

impl Lane {
    /// The lane of a new session.
    pub fn new(_context: Arc<LaneContext>) -> Self {
        Self
    }
}

impl Router for Lane {
    fn route(&mut self, _command: u8, _body: &[u8]) -> Route {
        Route::Forward
    }

    async fn handle(&mut self, takeover: Takeover<'_>) -> Result<Handled, SessionEnd> {
        Ok(Handled::Forward(takeover.command))
    }
}

//! State shared by the lanes of all sessions.

use std::sync::Arc;

use predictsql_catalog::store::SchemaName;
use predictsql_executor::Executor;

use crate::account::ServiceAccount;
use crate::config::LimitsConfig;
use crate::lane::store::spool::SpoolLimits;
use crate::live::Live;
use crate::observed::Observed;
use crate::predict::{CacheMode, OutputCache, Planner};

/// State shared by the lanes of all sessions.
pub struct LaneContext {
    /// Schema that holds the catalog, the stubs and the functions.
    pub schema: SchemaName,
    /// Runs models.
    pub executor: Executor,
    /// Plans predict statements: chooses the models to run.
    pub planner: Planner,
    /// What statements took.
    pub observed: Observed,
    /// Cache of model outputs.
    pub cache: OutputCache,
    /// Default cache mode of a session; `@ml_cache` overrides it.
    pub cache_mode: CacheMode,
    /// Limits on the inferences of statements and on the trials of models.
    pub limits: LimitsConfig,
    /// The service account, which reads and writes the catalog.
    pub account: ServiceAccount,
    /// Limits of each statement's spool.
    pub spool: SpoolLimits,
    /// Registry of the live sessions; KILL statements use it to end another session's statement.
    pub live: Arc<Live>,
    /// Limit on the long data (COM_STMT_SEND_LONG_DATA) of one execution, in bytes.
    pub long_data_bytes_max: usize,
}

//! What the lanes of all sessions share.

use std::sync::Arc;

use predictsql_catalog::store::SchemaName;
use predictsql_executor::Executor;

use crate::account::ServiceAccount;
use crate::config::LimitsConfig;
use crate::lane::store::spool::SpoolLimits;
use crate::live::Live;
use crate::predict::{CacheMode, OutputCache, Planner};

/// What all sessions' lanes share.
pub struct LaneContext {
    /// Schema of the catalog, the stubs and the functions.
    pub schema: SchemaName,
    /// Runs models.
    pub executor: Executor,
    /// Decides which.
    pub planner: Planner,
    /// Outputs of models that are kept.
    pub cache: OutputCache,
    /// What sessions do with them unless they say otherwise.
    pub cache_mode: CacheMode,
    /// What statements may have models do.
    pub limits: LimitsConfig,
    /// Reads and writes the catalog.
    pub account: ServiceAccount,
    /// Limits of each statement's spool.
    pub spool: SpoolLimits,
    /// The sessions, for those that end what another runs.
    pub live: Arc<Live>,
    /// Longest data sent ahead for one parameter (COM_STMT_SEND_LONG_DATA), in bytes.
    pub long_data_bytes_max: usize,
}

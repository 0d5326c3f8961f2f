//! Limits of memory and disk that all sessions share, as the settings give them.

use std::sync::Arc;

use crate::config::Config;
use crate::lane::{SpoolAccount, SpoolLimits};
use crate::relay::HeldAccount;

/// Of the rows of predict statements.
pub fn spool(config: &Config) -> SpoolLimits {
    SpoolLimits {
        memory_bytes_max: config.lane.spool_memory_bytes_max,
        disk_bytes_max: config.lane.spool_disk_bytes_max,
        directory: config.lane.spool_dir.clone(),
        account: SpoolAccount::new(
            config.lane.statements_memory_bytes_max,
            config.lane.statements_disk_bytes_max,
        ),
    }
}

/// Of long commands that are looked at or answered.
pub fn held(config: &Config) -> Arc<HeldAccount> {
    HeldAccount::new(
        config.lane.spool_dir.clone(),
        config.inspect_memory_bytes_max,
        config.inspect_disk_bytes_max,
    )
}

//! The table `[lane]`: what predict statements may hold in memory and on disk.

use super::over::set;
use super::paths::shown_path;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The table as read from the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LaneFile {
    spool_memory_bytes_max: Option<u64>,
    spool_disk_bytes_max: Option<u64>,
    statements_memory_bytes_max: Option<u64>,
    statements_disk_bytes_max: Option<u64>,
    spool_dir: Option<PathBuf>,
}

/// Limits of predict statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneConfig {
    /// Rows waiting to be predicted, in memory, per statement, bytes.
    pub spool_memory_bytes_max: u64,
    /// Rows waiting to be predicted, on disk, per statement, bytes.
    pub spool_disk_bytes_max: u64,
    /// Rows and inputs in memory, of all statements together, bytes.
    pub statements_memory_bytes_max: u64,
    /// Rows on disk, of all statements together, bytes.
    pub statements_disk_bytes_max: u64,
    /// Where the latter lie.
    pub spool_dir: PathBuf,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self {
            spool_memory_bytes_max: 8 << 20,
            spool_disk_bytes_max: 4 << 30,
            statements_memory_bytes_max: 256 << 20,
            statements_disk_bytes_max: 16 << 30,
            spool_dir: std::env::temp_dir(),
        }
    }
}

impl LaneConfig {
    /// Puts what is typed over this.
    pub(super) fn take(&mut self, file: LaneFile) {
        set(
            &mut self.spool_memory_bytes_max,
            file.spool_memory_bytes_max,
        );
        set(&mut self.spool_disk_bytes_max, file.spool_disk_bytes_max);
        set(
            &mut self.statements_memory_bytes_max,
            file.statements_memory_bytes_max,
        );
        set(
            &mut self.statements_disk_bytes_max,
            file.statements_disk_bytes_max,
        );
        set(&mut self.spool_dir, file.spool_dir);
    }

    /// What would make it, as typed.
    pub(super) fn as_typed(&self) -> LaneFile {
        LaneFile {
            spool_memory_bytes_max: Some(self.spool_memory_bytes_max),
            spool_disk_bytes_max: Some(self.spool_disk_bytes_max),
            statements_memory_bytes_max: Some(self.statements_memory_bytes_max),
            statements_disk_bytes_max: Some(self.statements_disk_bytes_max),
            spool_dir: Some(shown_path(&self.spool_dir)),
        }
    }
}

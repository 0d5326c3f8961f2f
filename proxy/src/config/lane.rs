//! The table `[lane]`: memory and disk limits of predict statements.

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
    /// Maximum bytes of rows in memory that wait for predictions, per statement.
    pub spool_memory_bytes_max: u64,
    /// Maximum bytes of rows on disk that wait for predictions, per statement.
    pub spool_disk_bytes_max: u64,
    /// Maximum bytes of rows and inputs in memory, of all statements together.
    pub statements_memory_bytes_max: u64,
    /// Maximum bytes of rows on disk, of all statements together.
    pub statements_disk_bytes_max: u64,
    /// Directory of the rows on disk.
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
    /// Overrides these settings with those of the file.
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

    /// The equivalent file table.
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

//! The table `[cache]`: kept model outputs.

use super::over::set;
use crate::predict::{CacheLimits, CacheMode};
use serde::{Deserialize, Serialize};

/// The table as read from the file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheFile {
    mode: Option<CacheMode>,
    prediction_cache_bytes_max: Option<u64>,
    prediction_cache_rows_max: Option<u64>,
}

/// Settings of kept model outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// Mode of sessions that do not set `@ml_cache`.
    pub mode: CacheMode,
    /// Limits of the kept outputs.
    pub limits: CacheLimits,
}

impl Default for CacheConfig {
    fn default() -> Self {
        Self {
            mode: CacheMode::On,
            limits: CacheLimits {
                memory_bytes_max: 64 << 20,
                rows_max: 5_000_000,
            },
        }
    }
}

impl CacheConfig {
    /// Overrides these settings with those of the file.
    pub(super) fn take(&mut self, file: &CacheFile) {
        set(&mut self.mode, file.mode);
        let limits = &mut self.limits;
        set(
            &mut limits.memory_bytes_max,
            file.prediction_cache_bytes_max,
        );
        set(&mut limits.rows_max, file.prediction_cache_rows_max);
    }

    /// The equivalent file table.
    pub(super) fn as_typed(&self) -> CacheFile {
        CacheFile {
            mode: Some(self.mode),
            prediction_cache_bytes_max: Some(self.limits.memory_bytes_max),
            prediction_cache_rows_max: Some(self.limits.rows_max),
        }
    }
}

//! The table `[cache]`: outputs of models that are kept.

use super::over::set;
use crate::predict::{CacheLimits, CacheMode};
use serde::{Deserialize, Serialize};

/// As typed.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CacheFile {
    mode: Option<CacheMode>,
    prediction_cache_bytes_max: Option<u64>,
    prediction_cache_rows_max: Option<u64>,
}

/// Outputs of models that are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheConfig {
    /// What sessions do unless they set `@ml_cache`.
    pub mode: CacheMode,
    /// How much is kept.
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
    /// Puts what is typed over this.
    pub(super) fn take(&mut self, file: &CacheFile) {
        set(&mut self.mode, file.mode);
        let limits = &mut self.limits;
        set(
            &mut limits.memory_bytes_max,
            file.prediction_cache_bytes_max,
        );
        set(&mut limits.rows_max, file.prediction_cache_rows_max);
    }

    /// What would make it, as typed.
    pub(super) fn as_typed(&self) -> CacheFile {
        CacheFile {
            mode: Some(self.mode),
            prediction_cache_bytes_max: Some(self.limits.memory_bytes_max),
            prediction_cache_rows_max: Some(self.limits.rows_max),
        }
    }
}

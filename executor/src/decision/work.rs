//! Running counts of one caller's predictions, and its limit of inferences.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::{InferenceLimit, PredictError};
use crate::kept::CacheMode;
use crate::spent::Spent;

/// Counts of one caller's work; shared with the code that displays them.
#[derive(Debug, Default)]
pub struct Counters {
    /// Inputs processed by models.
    pub images: AtomicU64,
    /// Inputs answered without running a model.
    pub cache_hits: AtomicU64,
    /// Inputs without a kept output.
    pub cache_misses: AtomicU64,
    /// Executor time used by all of this.
    pub spent: Arc<Spent>,
}

/// The work of one caller, shared by its predictors.
#[derive(Debug)]
pub struct Work {
    counters: Arc<Counters>,
    mode: CacheMode,
    /// Maximum number of inputs that models may process.
    inferences_max: Option<u64>,
}

impl Work {
    /// Work counted in `counters`.
    pub fn new(counters: Arc<Counters>, mode: CacheMode, inferences_max: Option<u64>) -> Self {
        Self {
            counters,
            mode,
            inferences_max,
        }
    }

    /// Maximum number of inputs that models may process, if limited.
    pub fn inferences_max(&self) -> Option<u64> {
        self.inferences_max
    }

    /// Rejects inputs beyond the limit before a model processes them. `seconds` is their estimated
    /// time.
    ///
    /// # Errors
    /// [`PredictError::OverLimit`] with the required limit.
    pub fn admit(&self, inputs: u64, seconds: Option<f64>) -> Result<(), PredictError> {
        let wanted = self.images().saturating_add(inputs);
        match self.inferences_max {
            Some(inferences_max) if wanted > inferences_max => {
                Err(PredictError::OverLimit(InferenceLimit::Forecast {
                    inferences_max,
                    wanted,
                    seconds,
                }))
            }
            _ => Ok(()),
        }
    }

    /// Counter for executor time.
    pub(super) fn spent(&self) -> &Arc<Spent> {
        &self.counters.spent
    }

    /// Mode of kept outputs.
    pub fn mode(&self) -> CacheMode {
        self.mode
    }

    /// Counts inputs that were answered without a model: by a kept output, or by the output of an
    /// equal input.
    pub(super) fn hit(&self, inputs: usize) {
        let hits = &self.counters.cache_hits;
        hits.fetch_add(inputs as u64, Relaxed);
    }

    /// Counts inputs without a kept output.
    pub(super) fn missed(&self, inputs: usize) {
        let misses = &self.counters.cache_misses;
        misses.fetch_add(inputs as u64, Relaxed);
    }

    /// Counts inputs that a model processed.
    ///
    /// # Errors
    /// [`PredictError::OverLimit`] if they exceed the limit, since their number was not known in
    /// advance.
    pub(super) fn inferred(&self, images: usize) -> Result<(), PredictError> {
        let images = images as u64;
        let all = self.counters.images.fetch_add(images, Relaxed) + images;
        match self.inferences_max {
            Some(inferences_max) if all > inferences_max => {
                Err(PredictError::OverLimit(InferenceLimit::Reached {
                    inferences_max,
                }))
            }
            _ => Ok(()),
        }
    }

    /// Number of inputs processed by models.
    pub fn images(&self) -> u64 {
        self.counters.images.load(Relaxed)
    }
}

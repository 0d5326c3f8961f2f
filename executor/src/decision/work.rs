//! What one caller has had predicted, counted while it runs, and its limit of inferences.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::error::{InferenceLimit, PredictError};
use crate::kept::CacheMode;
use crate::spent::Spent;

/// Counts of one caller's work. Who shows them holds them as well.
#[derive(Debug, Default)]
pub struct Counters {
    /// Inputs that models have looked at.
    pub images: AtomicU64,
    /// Inputs that were answered without running a model.
    pub cache_hits: AtomicU64,
    /// Inputs of which no output was kept.
    pub cache_misses: AtomicU64,
    /// What all of this took of the executor.
    pub spent: Arc<Spent>,
}

/// The work of one caller, shared by its predictors.
#[derive(Debug)]
pub struct Work {
    counters: Arc<Counters>,
    mode: CacheMode,
    /// Inputs that models may look at.
    inferences_max: Option<u64>,
}

impl Work {
    /// The work that `counters` count.
    pub fn new(counters: Arc<Counters>, mode: CacheMode, inferences_max: Option<u64>) -> Self {
        Self {
            counters,
            mode,
            inferences_max,
        }
    }

    /// Most inputs that models may look at, where there is a limit.
    pub fn inferences_max(&self) -> Option<u64> {
        self.inferences_max
    }

    /// Refuses inputs beyond the limit before a model looks at them.
    /// `seconds` is what they would take.
    ///
    /// # Errors
    /// [`PredictError::OverLimit`] with what would be needed.
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

    /// Where what it takes of the executor is counted.
    pub(super) fn spent(&self) -> &Arc<Spent> {
        &self.counters.spent
    }

    /// What it does with kept outputs.
    pub fn mode(&self) -> CacheMode {
        self.mode
    }

    /// Counts inputs that were answered without a model: by a kept output, or by that of an input
    /// like it.
    pub(super) fn hit(&self, inputs: usize) {
        let hits = &self.counters.cache_hits;
        hits.fetch_add(inputs as u64, Relaxed);
    }

    /// Counts inputs of which no output is kept.
    pub(super) fn missed(&self, inputs: usize) {
        let misses = &self.counters.cache_misses;
        misses.fetch_add(inputs as u64, Relaxed);
    }

    /// Counts inputs that a model has looked at.
    ///
    /// # Errors
    /// [`PredictError::OverLimit`] where they are more than may be:
    /// their number was not known before.
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

    /// Inputs that models have looked at.
    pub fn images(&self) -> u64 {
        self.counters.images.load(Relaxed)
    }
}

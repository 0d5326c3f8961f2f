//! What one statement has had predicted, counted while it runs.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};

use super::CacheMode;
use crate::live::Statement;

/// The work of one statement, shared by its predictors.
#[derive(Debug)]
pub struct Work {
    statement: Arc<Statement>,
    mode: CacheMode,
    stages: Mutex<Vec<u64>>,
}

impl Work {
    /// No work yet, of a statement that operators see.
    pub fn new(statement: Arc<Statement>, mode: CacheMode) -> Self {
        Self {
            statement,
            mode,
            stages: Mutex::default(),
        }
    }

    /// What it does with kept outputs.
    pub fn mode(&self) -> CacheMode {
        self.mode
    }

    /// Counts inputs that were answered without a model: by a kept output, or by that of an input like
    /// it.
    pub(super) fn hit(&self, inputs: usize) {
        let hits = &self.statement.cache_hits;
        hits.fetch_add(inputs as u64, Relaxed);
    }

    /// Counts inputs of which no output is kept.
    pub(super) fn missed(&self, inputs: usize) {
        let misses = &self.statement.cache_misses;
        misses.fetch_add(inputs as u64, Relaxed);
    }

    /// Counts inputs that a stage of a decision looks at.
    pub(super) fn at_stage(&self, stage: usize, inputs: usize) {
        let mut stages = self.stages.lock().unwrap_or_else(PoisonError::into_inner);
        if stages.len() <= stage {
            stages.resize(stage + 1, 0);
        }
        if let Some(counted) = stages.get_mut(stage) {
            *counted += inputs as u64;
        }
    }

    /// Inputs that each stage has looked at, over all predictions of the statement.
    pub fn stages(&self) -> Vec<u64> {
        self.stages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts images that a model has looked at.
    pub(super) fn inferred(&self, images: usize) {
        self.statement.images.fetch_add(images as u64, Relaxed);
    }

    /// Images that models have looked at for the statement.
    pub fn images(&self) -> u64 {
        self.statement.images.load(Relaxed)
    }
}

//! What one statement has had predicted, counted while it runs.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::live::Statement;

/// The work of one statement, shared by its predictors.
#[derive(Debug)]
pub struct Work {
    statement: Arc<Statement>,
}

impl Work {
    /// No work yet, of a statement that operators see.
    pub fn new(statement: Arc<Statement>) -> Self {
        Self { statement }
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

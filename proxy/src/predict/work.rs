//! What one statement has had predicted, counted while it runs.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use predictsql_executor::Spent;

use super::CacheMode;
use crate::error::{ErrorKind, SqlError};
use crate::live::Statement;

/// The work of one statement, shared by its predictors.
#[derive(Debug)]
pub struct Work {
    statement: Arc<Statement>,
    mode: CacheMode,
    /// Inputs that models may look at.
    inferences_max: Option<u64>,
}

impl Work {
    /// No work yet, of a statement that operators see.
    pub fn new(statement: Arc<Statement>, mode: CacheMode, inferences_max: Option<u64>) -> Self {
        Self {
            statement,
            mode,
            inferences_max,
        }
    }

    /// Most inputs that models may look at for the statement, where there is a limit.
    pub fn inferences_max(&self) -> Option<u64> {
        self.inferences_max
    }

    /// Refuses inputs beyond the limit before a model looks at them. `seconds` is what they would take.
    ///
    /// # Errors
    /// 1104, with what would be needed and how to allow it.
    pub fn admit(&self, inputs: u64, seconds: Option<f64>) -> Result<(), SqlError> {
        let wanted = self.images().saturating_add(inputs);
        match self.inferences_max {
            Some(max) if wanted > max => Err(refusal(max, wanted, seconds)),
            _ => Ok(()),
        }
    }

    /// Where what it takes of the executor is counted.
    pub(super) fn spent(&self) -> &Arc<Spent> {
        &self.statement.spent
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

    /// Counts images that a model has looked at.
    ///
    /// # Errors
    /// 1104 where they are more than may be: of a statement that could not be told to need so many.
    pub(super) fn inferred(&self, images: usize) -> Result<(), SqlError> {
        let images = images as u64;
        let all = self.statement.images.fetch_add(images, Relaxed) + images;
        match self.inferences_max {
            Some(max) if all > max => Err(SqlError::new(
                ErrorKind::TooManyInferences,
                format!(
                    "The statement has to run more than {max} images through models, which is what it may: \
                     SET @ml_max_inferences to more, or to 0 for no limit"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Images that models have looked at for the statement.
    pub fn images(&self) -> u64 {
        self.statement.images.load(Relaxed)
    }
}

fn refusal(max: u64, wanted: u64, seconds: Option<f64>) -> SqlError {
    let price = match seconds {
        Some(seconds) if seconds >= 1.0 => format!(" (about {seconds:.0} s)"),
        Some(_) => " (less than 1 s)".to_owned(),
        None => String::new(),
    };
    SqlError::new(
        ErrorKind::TooManyInferences,
        format!(
            "The statement would run {wanted} images through models{price}, and may run {max}: \
             SET @ml_max_inferences = {wanted} allows it, 0 any number"
        ),
    )
}

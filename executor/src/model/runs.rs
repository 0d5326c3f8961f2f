//! Runs of a model: with a session of this process, or at a server.

use super::reader::Numbers;
use crate::{ColumnValue, ModelError};

/// Inputs of one run of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Batch<'b> {
    /// Consecutive images in the layout of the model.
    Images(&'b [f32]),
    /// Rows that the model accepts.
    Rows(&'b [&'b [ColumnValue]]),
}

/// Runs batches of one model, one after another. Blocks.
pub(crate) trait Runs {
    /// Runs a batch of at most the model's batch size, and passes its answers to `read`.
    ///
    /// # Errors
    /// The model's failure; then `read` is not called.
    fn run(
        &mut self,
        batch: Batch<'_>,
        read: &mut dyn FnMut(&Numbers<'_>),
    ) -> Result<(), ModelError>;

    /// Batch sizes that runs are padded to, ascending: the first run of each prepares it. Empty:
    /// any size runs as it is.
    fn buckets(&self) -> &[usize] {
        &[]
    }

    /// Runs a batch, and compares the model's own label for its first answer with the label whose
    /// probability is at least `sure_min`, if there is one.
    ///
    /// # Errors
    /// [`ModelError::LabelOrder`], and the model's failure.
    fn check_label(&mut self, batch: Batch<'_>, sure_min: f32) -> Result<(), ModelError>;
}

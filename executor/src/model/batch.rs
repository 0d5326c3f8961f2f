//! Inputs of one run of a model.

use crate::ColumnValue;

/// Inputs of one run of a model.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Batch<'b> {
    /// Consecutive images in the layout of the model.
    Images(&'b [f32]),
    /// Rows that the model accepts.
    Rows(&'b [&'b [ColumnValue]]),
}

//! The forms in which backends take the inputs of models.

use std::sync::Arc;

use crate::picture::InputSpec;

/// Form in which a backend takes the inputs of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Form {
    /// Images, decoded and preprocessed to a tensor.
    Tensor(Arc<InputSpec>),
    /// Images as they were read: the backend decodes them.
    Encoded,
    /// Rows of columns.
    Rows,
}

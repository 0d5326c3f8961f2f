//! Reply of a child that tried a model.

use serde::{Deserialize, Serialize};

use crate::error::ModelError;
use crate::warning::ModelWarning;

/// Measurements of a usable model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tried {
    /// Seconds of one CPU thread for one input; `None` if it could not be measured.
    pub(crate) seconds_per_image: Option<f64>,
    /// What is suspicious of it.
    #[serde(default)]
    pub(crate) warnings: Vec<ModelWarning>,
}

/// The child's reply.
pub(super) type Reply = Result<Tried, ModelError>;

//! What a child that tried a model replies.

use serde::{Deserialize, Serialize};

use crate::error::ModelError;

/// What was found of a model that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tried {
    /// Of one CPU thread for one input; `None` where it could not be measured.
    pub(crate) seconds_per_image: Option<f64>,
}

/// The last word of the child.
pub(super) type Reply = Result<Tried, ModelError>;

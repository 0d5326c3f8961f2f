//! A prepared chunk of inputs, on which pieces are run.

use std::sync::Arc;

use super::tensor::Tensor;
use crate::identity::InputId;
use crate::input::ColumnValue;
use crate::permits::Permit;
use crate::picture::InputSpec;

/// Data of a prepared chunk for any number of runs. It holds the chunk's permit.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) content: Contents,
    pub(crate) _permit: Arc<Permit>,
}

/// Prepared inputs of a model.
#[derive(Debug)]
pub(crate) enum Contents {
    /// Images as tensors: one per input spec of the models.
    Images(Vec<(Arc<InputSpec>, Tensor)>),
    Rows(Vec<Arc<[ColumnValue]>>),
}

/// Result of preparing one input.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Null,
    Unreadable(String),
    /// Its index among the images or rows of the chunk.
    At(usize),
}

/// A chunk that waits for its runs.
#[derive(Debug)]
pub(crate) struct PreparedChunk {
    pub(crate) chunk: Arc<Chunk>,
    /// One per input.
    pub(crate) places: Vec<Place>,
    /// One per input.
    pub(crate) ids: Vec<Option<InputId>>,
}

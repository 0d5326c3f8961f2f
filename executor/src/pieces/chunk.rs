//! A chunk of inputs that is prepared: what pieces of it are run on.

use std::sync::Arc;

use super::tensor::Tensor;
use crate::identity::InputId;
use crate::input::ColumnValue;
use crate::permits::Permit;
use crate::picture::InputSpec;

/// What a chunk's runs look at, as many as wanted. It holds the chunk's permit.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) content: Contents,
    pub(crate) _permit: Arc<Permit>,
}

/// Inputs that models can be run on.
#[derive(Debug)]
pub(crate) enum Contents {
    /// Images as tensors: one for each way in which models want them.
    Images(Vec<(Arc<InputSpec>, Tensor)>),
    Rows(Vec<Arc<[ColumnValue]>>),
}

/// What became of one input in preparation.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Null,
    Unreadable(String),
    /// Its position among the images or rows of the chunk.
    At(usize),
}

/// A chunk that waits for its runs.
#[derive(Debug)]
pub(crate) struct PreparedChunk {
    pub(crate) chunk: Arc<Chunk>,
    /// One an input.
    pub(crate) places: Vec<Place>,
    /// One an input.
    pub(crate) ids: Vec<Option<InputId>>,
}

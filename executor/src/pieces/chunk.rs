//! A prepared chunk of inputs, on which pieces are run.

use std::sync::Arc;

use bytes::Bytes;

use super::form::Form;
use super::tensor::Tensor;
use crate::identity::InputId;
use crate::input::ColumnValue;
use crate::permits::Permit;
use crate::picture::InputSpec;
use crate::reserved::Reserved;

/// Data of a prepared chunk for any number of runs. It holds the chunk's permit.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) content: Contents,
    pub(crate) _permit: Arc<Permit>,
}

/// Prepared inputs of a model.
#[derive(Debug)]
pub(crate) enum Contents {
    Images(Images),
    Rows(Vec<Arc<[ColumnValue]>>),
}

/// Images in each form that the models of a chunk want.
#[derive(Debug, Default)]
pub(crate) struct Images {
    /// One per input spec of the models.
    pub(crate) tensors: Vec<(Arc<InputSpec>, Tensor)>,
    /// The images as they are, if a backend decodes them.
    pub(crate) encoded: Option<Vec<Encoded>>,
}

/// An image on its way to a backend that decodes it.
#[derive(Debug)]
pub(crate) enum Encoded {
    /// Its file's content, and the memory that it counts for.
    Image {
        bytes: Bytes,
        reserved: Option<Reserved>,
    },
    /// The URI of an object that the backend reads itself.
    Object(Bytes),
}

impl Encoded {
    /// Whether it counts as read ahead.
    pub(crate) fn holds_space(&self) -> bool {
        matches!(
            self,
            Self::Image {
                reserved: Some(_),
                ..
            }
        )
    }
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

impl Contents {
    /// Whether the inputs are there in this form.
    pub(crate) fn has(&self, form: &Form) -> bool {
        match (self, form) {
            (Self::Images(images), Form::Tensor(spec)) => {
                images.tensors.iter().any(|(of, _)| of == spec)
            }
            (Self::Images(images), Form::Encoded) => images.encoded.is_some(),
            (Self::Rows(_), Form::Rows) => true,
            _ => false,
        }
    }
}

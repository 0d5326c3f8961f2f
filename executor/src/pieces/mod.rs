//! Pieces of work for a model: prepared chunks, their tensors, and the callers that wait for the
//! answers.

mod chunk;
mod form;
mod piece;
mod reply;
mod tensor;

pub(crate) use chunk::{Chunk, Contents, Encoded, Images, Place, PreparedChunk};
pub(crate) use form::Form;
pub(crate) use piece::{Answered, Piece};
pub(crate) use reply::{Answer, Reply, SharedRun};
pub(crate) use tensor::{Tensor, TensorPool};

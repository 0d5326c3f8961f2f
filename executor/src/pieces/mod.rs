//! Pieces of work for a model: prepared chunks, their tensors, and the callers that wait for the
//! answers.

mod chunk;
mod piece;
mod reply;
mod tensor;

pub(crate) use chunk::{Chunk, Contents, Place, PreparedChunk};
pub(crate) use piece::{Answered, Piece};
pub(crate) use reply::{Answer, Reply, SharedRun};
pub(crate) use tensor::{Tensor, TensorPool};

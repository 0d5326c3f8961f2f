//! Where the bytes of images and models are read from: a [`Source`] for each kind of place.
//!
//! Futures of sources may block in reading a local file: they are polled by threads that fetch or
//! load, never by those that decode and infer, nor by sessions.

mod given_bytes;
mod limited;
mod local_files;
mod location;
mod model_files;
mod roots;
mod source;
#[cfg(test)]
mod tests;
mod wait;

pub(crate) use given_bytes::given;
pub(crate) use limited::Sources;
pub use model_files::ModelFile;
pub(crate) use model_files::ModelFiles;
pub(crate) use source::{ReadError, Wanted};
pub(crate) use wait::Waiter;

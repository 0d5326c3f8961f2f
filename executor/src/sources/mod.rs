//! Reading the bytes of images and models: one [`Source`] per kind of storage.
//!
//! Futures of sources may block while reading a local file. They are polled by threads that fetch
//! or load, never by threads that decode and infer, nor by sessions.

mod bound;
mod given_bytes;
mod limited;
mod local_files;
mod model_cache;
mod model_files;
mod object_stores;
mod objects;
mod roots;
mod source;
#[cfg(test)]
mod tests;
mod wait;

pub(crate) use bound::BoundRoots;
pub(crate) use given_bytes::given;
pub(crate) use limited::Sources;
pub use model_files::ModelFile;
pub(crate) use model_files::ModelFiles;
pub(crate) use source::{ReadError, Wanted};
pub(crate) use wait::Waiter;

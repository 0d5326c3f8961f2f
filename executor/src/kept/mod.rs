//! Outputs of models that are kept, so that inputs seen before run no model.
//!
//! ```text
//! find ─► memory ─► store
//! keep ─► memory, and ─► store
//! ```
//!
//! A kept output goes by what the model is (file, options) and what the input shows (content), so
//! it is never out of date. The store is somebody else's:
//! it can neither fail a caller nor hold one up for long.

mod cache;
mod looked_up;
mod numbers;
mod store;

pub use cache::{CacheMode, OutputCache};
pub use numbers::Numbers;
pub use store::OutputStore;

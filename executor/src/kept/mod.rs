//! Kept model outputs, so that known inputs need no model run.
//!
//! ```text
//! find ─► memory ─► store
//! keep ─► memory, and ─► store
//! ```
//!
//! A kept output is identified by the model (file, options) and the input's content, so it never
//! becomes stale. The store is provided by the caller of this crate: it can neither fail a
//! prediction nor delay it for long.

mod cache;
mod looked_up;
mod numbers;
mod store;

pub use cache::{CacheMode, OutputCache};
pub use numbers::Numbers;
pub use store::OutputStore;

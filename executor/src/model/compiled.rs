//! A model that is ready in this process.

use super::contract::Feed;
use super::sessions::SessionPool;
use crate::resident::GivesMemoryBack;

/// Rows of columns in one chunk: they are small, and so is what a model does with one.
pub(crate) const CHUNK_ROWS_MAX: usize = 1024;

/// Sessions of one file under one set of options, whatever the catalog calls it.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Inputs per run.
    pub(crate) batch_inputs: usize,
    /// Inputs that stages hand on together, at most.
    pub(crate) chunk_inputs: usize,
    /// Measured at warm-up.
    pub(crate) seconds_per_image: Option<f64>,
    /// Of reading the file too, where it was loaded to stay.
    pub(crate) load_seconds: f64,
    pub(crate) memory_bytes: u64,
    /// Sessions to run it with.
    pub(crate) sessions: SessionPool,
    /// After the sessions.
    pub(super) _gives_memory_back: GivesMemoryBack,
}

impl Compiled {
    /// How its input is made.
    pub(crate) fn feed(&self) -> &Feed {
        &self.sessions.contract().feed
    }
}

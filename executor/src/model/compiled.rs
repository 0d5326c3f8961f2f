//! A model that is ready to run in this process.

use super::contract::Feed;
use super::sessions::SessionPool;
use crate::ModelWarning;
use crate::resident::GivesMemoryBack;

/// Maximum rows of columns in one chunk: rows are small and fast to process.
pub(crate) const CHUNK_ROWS_MAX: usize = 1024;

/// Sessions of one file with one set of options, independent of the model's name in the catalog.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Inputs per run.
    pub(crate) batch_inputs: usize,
    /// Maximum inputs per chunk in the stages.
    pub(crate) chunk_inputs: usize,
    /// Measured at warm-up.
    pub(crate) seconds_per_image: Option<f64>,
    /// Includes the time to read the file if the model was loaded to stay.
    pub(crate) load_seconds: f64,
    pub(crate) memory_bytes: u64,
    /// What is suspicious of it.
    pub(crate) warnings: Vec<ModelWarning>,
    /// Sessions to run it with.
    pub(crate) sessions: SessionPool,
    /// Dropped after the sessions.
    pub(super) _gives_memory_back: GivesMemoryBack,
}

impl Compiled {
    /// Kind and layout of its input.
    pub(crate) fn feed(&self) -> &Feed {
        &self.sessions.contract().feed
    }
}

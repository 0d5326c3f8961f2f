//! A piece for the CPU pool, with the sessions that run it.

use std::sync::Arc;

use crate::model::Compiled;
use crate::pieces::Piece;

/// Assumed inference time per input of a model that was not measured.
const INPUT_NS: u64 = 1_000_000;

/// A piece and its compiled model.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) piece: Piece,
    pub(super) compiled: Arc<Compiled>,
}

impl Run {
    pub(crate) fn new(piece: Piece, compiled: Arc<Compiled>) -> Self {
        Self { piece, compiled }
    }

    /// Estimated inference time per input, in nanoseconds.
    pub(super) fn input_ns(&self) -> u64 {
        let seconds = self.compiled.seconds_per_image;
        seconds.map_or(INPUT_NS, |seconds| (seconds * 1e9) as u64)
    }
}

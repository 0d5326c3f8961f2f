//! A piece for the CPU pool, with the sessions that run it.

use std::sync::Arc;

use crate::model::Compiled;
use crate::pieces::Piece;

/// How long a model that could not be tried is taken to look at one input.
const INPUT_NS: u64 = 1_000_000;

/// A piece and its model in this process.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) piece: Piece,
    pub(super) compiled: Arc<Compiled>,
}

impl Run {
    pub(crate) fn new(piece: Piece, compiled: Arc<Compiled>) -> Self {
        Self { piece, compiled }
    }

    /// About how long the model looks at one input, in nanoseconds.
    pub(super) fn input_ns(&self) -> u64 {
        let seconds = self.compiled.seconds_per_image;
        seconds.map_or(INPUT_NS, |seconds| (seconds * 1e9) as u64)
    }
}

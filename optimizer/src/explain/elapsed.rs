//! Expected duration of a whole statement in EXPLAIN.

use serde_json::{Value, json};

use super::prediction::duration;

/// Expected seconds of a whole statement, in its parts.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Elapsed {
    /// From the statement's arrival to the last byte of its answer.
    pub seconds: f64,
    /// Its part in which models are loaded.
    pub loading: f64,
    /// Inputs that models process; the others have kept outputs.
    pub inferences: f64,
    /// Reading and identifying images, in seconds summed over threads.
    pub fetching: f64,
    /// Decoding and preprocessing, in CPU seconds summed over threads.
    pub preparing: f64,
    /// Inference, in CPU seconds summed over threads.
    pub inferring: f64,
    /// Earlier statements of the same text or shape that correct these figures.
    pub statements_observed: u64,
}

impl Elapsed {
    /// The figures as one line.
    pub(super) fn text(&self, threads: u32) -> String {
        let mut text = format!(
            "about {} for {:.0} inferences: {} reading, {} decoding, {} inferring, summed over \
             {threads} CPU threads",
            duration(self.seconds),
            self.inferences.ceil(),
            duration(self.fetching),
            duration(self.preparing),
            duration(self.inferring),
        );
        if self.loading > 0.0 {
            text.push_str(&format!("; {} loading models", duration(self.loading)));
        }
        text.push_str(match self.statements_observed {
            0 => "; no such statement has run yet",
            _ => "; corrected by such statements so far",
        });
        text
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "expected": self.seconds,
            "loading": self.loading,
            "inferences": self.inferences,
            "fetching": self.fetching,
            "decoding": self.preparing,
            "inferring": self.inferring,
            "statements_observed": self.statements_observed,
        })
    }
}

//! What is remembered of statements by their text, and of outputs that are kept.

use std::hash::{DefaultHasher, Hash, Hasher};

use moka::sync::Cache;

use super::counts::Counts;

/// Maximum number of statements that are remembered.
const STATEMENTS_MAX: u64 = 20_000;
/// Maximum number of models whose kept outputs are counted.
const MODELS_MAX: u64 = 10_000;
/// Weight of the newest statement of a shape.
const NEWEST: f64 = 0.6;
/// Bounds of what a shape's statements take over what their kind does.
const RATIO_MAX: f64 = 20.0;

/// A statement's text, and its text without literals, as hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    exact: u64,
    shape: u64,
}

impl Fingerprint {
    /// Of a statement in a database; `masked` is its text without literals.
    #[must_use]
    pub fn new(database: &str, text: &str, masked: &str) -> Self {
        let hash = |text: &str| {
            let mut hasher = DefaultHasher::new();
            (database, text).hash(&mut hasher);
            hasher.finish()
        };
        Self {
            exact: hash(text),
            shape: hash(masked),
        }
    }

    /// Of the same statement when these models answer it.
    pub(super) fn answered_by(mut self, outputs: &[[u8; 16]]) -> Self {
        let mut hasher = DefaultHasher::new();
        (self.exact, outputs).hash(&mut hasher);
        self.exact = hasher.finish();
        self
    }
}

#[derive(Debug)]
pub(super) struct Memory {
    /// Counts of the last statement of a text.
    counts: Cache<u64, Counts>,
    /// Statements of a shape.
    shapes: Cache<u64, Shape>,
    /// By output id of a model.
    kept: Cache<[u8; 16], Coverage>,
}

#[derive(Debug, Clone, Copy)]
struct Shape {
    statements: u64,
    /// Logarithm of what they took over what their kind does.
    ratio: f64,
}

/// Outputs of a model that are kept, of the inputs that statements ask it about.
#[derive(Debug, Clone, Copy, Default)]
struct Coverage {
    kept: f64,
    /// The most different inputs of one statement so far.
    inputs: f64,
}

/// Outputs of one model in one statement.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    /// Different inputs that the statement asked the model about.
    pub(super) inputs: f64,
    /// Outputs that were kept before.
    pub(super) found: f64,
    /// Outputs that are kept since.
    pub(super) added: f64,
}

/// What is known of a statement before it runs.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) counts: Option<Counts>,
    pub(super) ratio: f64,
    pub(super) statements: u64,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            counts: Cache::new(STATEMENTS_MAX),
            shapes: Cache::new(STATEMENTS_MAX),
            kept: Cache::new(MODELS_MAX),
        }
    }
}

impl Memory {
    pub(super) fn of(&self, fingerprint: Fingerprint) -> Known {
        let shape = self.shapes.get(&fingerprint.shape);
        Known {
            counts: self.counts.get(&fingerprint.exact),
            ratio: shape.map_or(1.0, |shape| shape.ratio.exp()),
            statements: shape.map_or(0, |shape| shape.statements),
        }
    }

    /// Takes account of a statement that took `ratio` of what its kind does.
    pub(super) fn note(&self, fingerprint: Fingerprint, counts: Counts, ratio: f64) {
        self.counts.insert(fingerprint.exact, counts);
        let ratio = ratio.clamp(1.0 / RATIO_MAX, RATIO_MAX).ln();
        let shape = match self.shapes.get(&fingerprint.shape) {
            Some(known) => Shape {
                statements: known.statements + 1,
                ratio: known.ratio + NEWEST * (ratio - known.ratio),
            },
            None => Shape {
                statements: 1,
                ratio: ratio * NEWEST,
            },
        };
        self.shapes.insert(fingerprint.shape, shape);
    }

    /// Expected number of kept outputs of a model, for `inputs` different inputs.
    pub(super) fn kept(&self, output: [u8; 16], inputs: f64) -> f64 {
        let coverage = self.kept.get(&output).unwrap_or_default();
        let share = coverage.kept / coverage.inputs.max(inputs).max(1.0);
        (inputs * share).min(inputs)
    }

    /// Takes account of the outputs of a model in a statement.
    pub(super) fn keep(&self, output: [u8; 16], seen: Kept) {
        let before = self.kept.get(&output).unwrap_or_default();
        let inputs = before.inputs.max(seen.inputs);
        let kept = before.kept.max(seen.found) + seen.added;
        let kept = kept.min(inputs);
        self.kept.insert(output, Coverage { kept, inputs });
    }
}

//! Inputs and outcomes of predictions.

use std::sync::Arc;

use bytes::Bytes;

/// One input of a predict call.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// SQL NULL; its outcome is [`Outcome::Null`].
    Null,
    /// A path or URI as sent by the store; not necessarily UTF-8.
    Location(Bytes),
    /// An encoded image.
    Image(Bytes),
    /// An encoded image or a location that exceeds the limit of its length; only the length is
    /// kept. Its outcome is [`Outcome::Unreadable`].
    TooLarge {
        /// Its length in bytes.
        bytes: u64,
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// One value per column of the task's input, in its order. If one is NULL, the outcome is
    /// [`Outcome::Null`].
    Columns(Arc<[ColumnValue]>),
}

/// One value of a column input.
#[derive(Debug, Clone, PartialEq)]
pub enum ColumnValue {
    /// SQL NULL.
    Null,
    /// A number of any SQL type, converted to DOUBLE.
    Number(f64),
    /// A UTF-8 text.
    Text(Bytes),
}

/// Outcome of one input.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The input was NULL.
    Null,
    /// The input could not be read or decoded. One clause without a subject, to follow the input's
    /// name in a warning: "does not exist". It contains no path of the server.
    Unreadable(String),
    /// The answer of a classification model.
    Scores(Scores),
    /// The answer of a regression model; finite.
    Value(f64),
}

/// Probabilities per label of the model, in the order of its `labels`; they sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores(Box<[f32]>);

impl Scores {
    /// Wraps probabilities.
    pub fn new(probabilities: impl Into<Box<[f32]>>) -> Self {
        Self(probabilities.into())
    }

    /// Softmax of `logits`, shifted by their maximum so that no exponential overflows.
    pub(crate) fn from_logits(logits: &[f32]) -> Self {
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut scores: Box<[f32]> = logits.iter().map(|logit| (logit - max).exp()).collect();
        let sum: f32 = scores.iter().sum();
        for score in &mut scores {
            *score /= sum;
        }
        Self(scores)
    }

    /// One probability per label.
    pub fn probabilities(&self) -> &[f32] {
        &self.0
    }

    /// Index of the greatest probability; the lowest index among equals. NaN is less than any
    /// number. 0 if there are no labels or only NaN.
    pub fn best(&self) -> usize {
        let mut best = 0;
        let mut greatest = f32::NEG_INFINITY;
        for (index, &score) in self.0.iter().enumerate() {
            if score > greatest {
                best = index;
                greatest = score;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn best_takes_the_lowest_index_of_equals_and_never_nan() {
        assert_eq!(Scores::new([0.1, 0.6, 0.3]).best(), 1);
        assert_eq!(Scores::new([0.4, 0.4, 0.2]).best(), 0);
        assert_eq!(Scores::new([f32::NAN, 0.2, 0.8]).best(), 2);
        assert_eq!(Scores::new([f32::NAN, f32::NAN]).best(), 0);
        assert_eq!(Scores::new([]).best(), 0);
    }

    #[test]
    fn softmax_survives_large_logits() {
        let scores = Scores::from_logits(&[1000.0, 999.0, -1000.0]);
        let expected = [0.731_058_6, 0.268_941_4, 0.0];
        for (found, expected) in scores.probabilities().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{scores:?}");
        }
    }
}

//! Answers of a task's predictions.

/// Answer of one prediction for one input.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Answer {
    /// The input was NULL.
    #[default]
    Null,
    /// The input could not be read or decoded. The text is a clause without a subject ("does not
    /// exist").
    Unreadable(String),
    /// A class of the task.
    Class {
        /// Its index among the task's classes plus one; 0 for none of them.
        code: usize,
        /// Scores of the classes that the predictor was configured to score, in that order,
        /// rounded to six decimals; `None` for a class that no executed model covers.
        scores: Box<[Option<f64>]>,
    },
    /// The number predicted by a regression; finite.
    Value(f64),
}

impl Answer {
    /// The code by which statements distinguish answers: 0 for NULL, otherwise the class's index
    /// plus one.
    pub fn code(&self) -> usize {
        match self {
            Self::Class { code, .. } => *code,
            Self::Null | Self::Unreadable(_) | Self::Value(_) => 0,
        }
    }

    /// Score of the class at index `place` of the predictor's scored classes.
    pub fn score(&self, place: usize) -> Option<f64> {
        match self {
            Self::Class { scores, .. } => scores.get(place).copied().flatten(),
            Self::Null | Self::Unreadable(_) | Self::Value(_) => None,
        }
    }

    /// The number predicted by a regression.
    pub fn value(&self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(*value),
            Self::Null | Self::Unreadable(_) | Self::Class { .. } => None,
        }
    }

    /// Why the input could not be read.
    pub fn unreadable(&self) -> Option<&str> {
        match self {
            Self::Unreadable(reason) => Some(reason),
            Self::Null | Self::Class { .. } | Self::Value(_) => None,
        }
    }
}

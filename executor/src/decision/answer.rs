//! Answers of a task's predictions.

/// What is known of one prediction of one input.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Answer {
    /// The input was NULL.
    #[default]
    Null,
    /// The input could not be read or decoded: one clause without a subject ("does not exist").
    Unreadable(String),
    /// A class of the task.
    Class {
        /// Its position among the task's classes plus one; 0 for none of them.
        code: usize,
        /// Scores of the classes that the predictor was made to score, in that order, to six
        /// decimals; `None` for a class that no model run covers.
        scores: Box<[Option<f64>]>,
    },
    /// The number that a regression answers; finite.
    Value(f64),
}

impl Answer {
    /// The outcome by which statements tell answers apart: 0 for NULL, else the class's position
    /// plus one.
    pub fn code(&self) -> usize {
        match self {
            Self::Class { code, .. } => *code,
            Self::Null | Self::Unreadable(_) | Self::Value(_) => 0,
        }
    }

    /// The score of the class that the predictor scores at that place.
    pub fn score(&self, place: usize) -> Option<f64> {
        match self {
            Self::Class { scores, .. } => scores.get(place).copied().flatten(),
            Self::Null | Self::Unreadable(_) | Self::Value(_) => None,
        }
    }

    /// The number that a regression answers.
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

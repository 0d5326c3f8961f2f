//! The lane's one way to predictions: inputs go in, answers of a task come out.
//!
//! The [`Planner`] decides which models answer, and remembers it. A [`Predictor`] stands for one
//! prediction of one statement: it runs what was decided, stage by stage, loads models when they are
//! first needed, and turns their votes into the task's classes. What it has done is counted in the
//! statement's [`Work`]. Physical plans know neither models nor labels.

mod cache;
mod forecast;
mod piece;
mod places;
mod planning;
mod predictor;
mod tally;
#[cfg(test)]
mod tests;
mod work;

pub use cache::{CacheLimits, CacheMode, OutputCache};
pub use forecast::Forecast;
pub use planning::Planner;
pub use predictor::Predictor;
pub use tally::{Tally, VoterTally};
pub use work::Work;

use predictsql_executor::PredictError;

use crate::error::{ErrorKind, SqlError};

/// Scores are given to so many parts of one: six decimals, the same on every device.
const SCORE_PARTS: f64 = 1e6;

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
        /// Scores of the classes that the predictor was made to score, in that order, to six decimals;
        /// `None` for a class that no model run covers.
        scores: Box<[Option<f64>]>,
    },
    /// The number that a regression answers; finite.
    Value(f64),
}

impl Answer {
    /// The outcome by which statements tell answers apart: 0 for NULL, else the class's position plus
    /// one.
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
            _ => None,
        }
    }

    /// Why the input could not be read.
    pub fn unreadable(&self) -> Option<&str> {
        match self {
            Self::Unreadable(reason) => Some(reason),
            _ => None,
        }
    }
}

/// Refuses a statement whose predictors would have models look at more than it may.
///
/// # Errors
/// 1104, see [`Work::admit`].
pub fn admit<'p>(
    work: &Work,
    forecasts: impl Iterator<Item = (&'p Predictor, &'p Forecast)>,
) -> Result<(), SqlError> {
    let (mut inputs, mut seconds) = (0, Some(0.0));
    for (predictor, forecast) in forecasts {
        inputs += forecast.inputs();
        let of_this = predictor.seconds(forecast);
        seconds = seconds.zip(of_this).map(|(sum, more)| sum + more);
    }
    work.admit(inputs, seconds)
}

/// A failed prediction as the client sees it.
pub(crate) fn failure(error: PredictError) -> SqlError {
    match error {
        PredictError::Cancelled => interrupted(),
        PredictError::Stopped => SqlError::new(ErrorKind::Shutdown, "Server shutdown in progress"),
        other => SqlError::other(other.to_string()),
    }
}

pub(crate) fn interrupted() -> SqlError {
    SqlError::new(ErrorKind::Interrupted, "Query execution was interrupted")
}

//! Access of the lane to predictions: the executor's decision runner, with client-visible errors
//! and warnings, and the table of kept outputs.

mod outputs;

pub use outputs::{CacheLimits, start};
pub use predictsql_executor::decision::{
    Answer, Counters, Forecast, Planner, Predictor, PredictorWarning, Tally, UsedDecisions,
    VoterTally, Work, admit,
};
pub use predictsql_executor::kept::{CacheMode, OutputCache};
use predictsql_executor::{InferenceLimit, PredictError};

use crate::error::{ErrorKind, SqlError};

impl From<PredictError> for SqlError {
    fn from(error: PredictError) -> Self {
        match error {
            PredictError::Cancelled => interrupted(),
            PredictError::Stopped => Self::new(ErrorKind::Shutdown, "Server shutdown in progress"),
            PredictError::Load(error) => Self::from(&error),
            PredictError::OverLimit(limit) => over_limit(limit),
            PredictError::Model { .. }
            | PredictError::NotPrepared { .. }
            | PredictError::NoSuchInput { .. }
            | PredictError::Internal { .. } => Self::other(error.to_string()),
        }
    }
}

/// Error for an exceeded limit, with the required number if known, and how to raise the limit.
fn over_limit(limit: InferenceLimit) -> SqlError {
    let message = match limit {
        InferenceLimit::Forecast {
            inferences_max,
            wanted,
            seconds,
        } => {
            let price = match seconds {
                Some(seconds) if seconds >= 1.0 => format!(" (about {seconds:.0} s)"),
                Some(_) => " (less than 1 s)".to_owned(),
                None => String::new(),
            };
            format!(
                "The statement would run {wanted} images through models{price}, and may run {inferences_max}: \
                 SET @ml_max_inferences = {wanted} allows it, 0 any number"
            )
        }
        InferenceLimit::Reached { inferences_max } => format!(
            "The statement has to run more than {inferences_max} images through models, which is what it may: \
             SET @ml_max_inferences to more, or to 0 for no limit"
        ),
    };
    SqlError::new(ErrorKind::TooManyInferences, message)
}

pub(crate) fn interrupted() -> SqlError {
    SqlError::new(ErrorKind::Interrupted, "Query execution was interrupted")
}

/// Warnings for a statement that are known before any input is read.
pub fn warnings(predictor: &Predictor) -> impl Iterator<Item = (ErrorKind, String)> + '_ {
    predictor.warnings().map(|warning| match warning {
        PredictorWarning::LimitNotPlanned(text) => (ErrorKind::Constraint, text),
        PredictorWarning::ClassNotCovered { model, class } => (
            // Same code as for unreadable inputs: NULL in place of a value.
            ErrorKind::UnreadableInput,
            format!("Model '{model}' does not cover class '{class}': its score is NULL"),
        ),
        PredictorWarning::ClassNotAlwaysCovered { class } => (
            ErrorKind::UnreadableInput,
            format!(
                "Not each model that may answer covers class '{class}': its score is NULL for the \
                 inputs that another model answers"
            ),
        ),
    })
}

/// Parses the value of `@ml_cache`; `None` if it is not set.
///
/// # Errors
/// [`ErrorKind::WrongVariableValue`] for an invalid value.
pub fn cache_mode_of_variable(value: &str) -> Result<Option<CacheMode>, SqlError> {
    if value.is_empty() {
        return Ok(None);
    }
    CacheMode::named(value).map(Some).ok_or_else(|| {
        SqlError::new(
            ErrorKind::WrongVariableValue,
            "Variable '@ml_cache' can't be set to that value: it is 'off', 'read' or 'on'",
        )
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_variable_names_a_mode() {
        assert_eq!(cache_mode_of_variable("").unwrap(), None);
        for mode in [CacheMode::Off, CacheMode::Read, CacheMode::On] {
            let named = cache_mode_of_variable(&mode.name().to_uppercase());
            assert_eq!(named.unwrap(), Some(mode));
        }
        let error = cache_mode_of_variable("1").unwrap_err();
        assert_eq!(error.kind, ErrorKind::WrongVariableValue);
    }
}

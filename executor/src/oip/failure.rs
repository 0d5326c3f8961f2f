//! Failures that a worker tells of itself, as details of a gRPC status. A status without them
//! comes from the connection, or from another kind of server.

use serde::{Deserialize, Serialize};
use tonic::{Code, Status};

use crate::error::ModelError;

/// A failure that a worker knows the reason of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Failure {
    /// The model cannot be loaded: it is not what it should be, or its file cannot be read.
    Load(ModelError),
    /// The model failed on these inputs.
    Model {
        /// A clause.
        reason: String,
    },
    /// No model of this name is loaded.
    NotLoaded,
    /// The worker is stopping, or has too many requests: another one may have time.
    Busy,
}

impl Failure {
    /// The status that tells the failure.
    pub(crate) fn status(&self) -> Status {
        let (code, message) = match self {
            Self::Load(error) => (Code::FailedPrecondition, error.to_string()),
            Self::Model { reason } => (Code::FailedPrecondition, reason.clone()),
            Self::NotLoaded => (Code::NotFound, "no such model is loaded".to_string()),
            Self::Busy => (
                Code::Unavailable,
                "the worker takes no work now".to_string(),
            ),
        };
        // Without details the message is still right.
        let details = serde_json::to_vec(self).unwrap_or_default();
        Status::with_details(code, message, details.into())
    }

    /// The failure that a status tells, if a worker told it.
    pub(crate) fn of(status: &Status) -> Option<Self> {
        serde_json::from_slice(status.details()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_its_status() {
        let failures = [
            Failure::Load(ModelError::NotFinite),
            Failure::Model {
                reason: "it gave too few rows".to_string(),
            },
            Failure::NotLoaded,
            Failure::Busy,
        ];
        for failure in failures {
            assert_eq!(Failure::of(&failure.status()), Some(failure));
        }
        assert_eq!(Failure::of(&Status::unavailable("refused")), None);
    }
}

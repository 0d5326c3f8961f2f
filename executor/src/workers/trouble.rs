//! Why a worker has not answered, where that says nothing of the model.

use tonic::{Code, Status};

use crate::error::ModelError;
use crate::oip::Failure;

/// What a worker says when it is asked for something of a model.
pub(super) type Asked<T> = Result<Result<T, ModelError>, Trouble>;

/// Why a worker has not answered, where that says nothing of the model.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection or the worker failed.
    Lost(String),
    /// It takes no more work now.
    Busy,
    /// It refuses such a request, and another would refuse it too.
    Refused(String),
}

impl Trouble {
    /// For a status that a worker has not told the reason of.
    pub(super) fn of(status: &Status) -> Self {
        match status.code() {
            Code::InvalidArgument
            | Code::Unimplemented
            | Code::OutOfRange
            | Code::ResourceExhausted
            | Code::PermissionDenied
            | Code::Unauthenticated => Self::Refused(reason(status)),
            _ => Self::Lost(reason(status)),
        }
    }
}

/// What a status says.
pub(super) fn reason(status: &Status) -> String {
    match status.message() {
        "" => status.code().description().to_string(),
        message => message.to_string(),
    }
}

/// The error of a model that a status tells; `Err`: it tells nothing of the model.
pub(super) fn told(status: &Status) -> Result<ModelError, Trouble> {
    match Failure::of(status) {
        Some(Failure::Load(error)) => Ok(error),
        Some(Failure::Model { reason }) => Ok(ModelError::Runtime { reason }),
        Some(Failure::Busy | Failure::NotLoaded) => Err(Trouble::Busy),
        None => match Trouble::of(status) {
            Trouble::Refused(reason) => Ok(ModelError::NoWorker {
                reason: format!("a worker refuses: {reason}"),
            }),
            other => Err(other),
        },
    }
}

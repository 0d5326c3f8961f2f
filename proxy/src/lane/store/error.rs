//! Errors of statements that the lane runs.

use predictsql_executor::PredictError;
use predictsql_optimizer::Refusal;

use crate::error::SqlError;
use crate::relay::SessionEnd;
use crate::wire::{ErrPacket, Malformed};

/// Error of a statement that the lane runs.
#[derive(Debug)]
pub enum LinkError {
    /// The store's own error; the session goes on.
    Refused(ErrPacket),
    /// The lane's own error; the store connection is idle and the session goes on.
    Sql(SqlError),
    /// The session is over.
    End(SessionEnd),
}

impl From<SqlError> for LinkError {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<PredictError> for LinkError {
    fn from(error: PredictError) -> Self {
        Self::Sql(error.into())
    }
}

impl From<Malformed> for LinkError {
    fn from(error: Malformed) -> Self {
        Self::End(SessionEnd::Protocol(error.0))
    }
}

impl From<Refusal> for LinkError {
    fn from(refusal: Refusal) -> Self {
        Self::Sql(refusal.into())
    }
}

//! Why a statement of the lane does not go through.

use predictsql_executor::PredictError;
use predictsql_optimizer::Refusal;

use crate::error::SqlError;
use crate::relay::SessionEnd;
use crate::wire::{ErrPacket, Malformed};

/// Why a statement of the lane did not go through.
#[derive(Debug)]
pub enum LinkError {
    /// The store refused it, in its own words; the session goes on.
    Refused(ErrPacket),
    /// The lane refuses it; the store is idle and the session goes on.
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

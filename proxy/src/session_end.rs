//! Reasons for the end of a session, for its client, the log and the metrics.

use crate::error::Outcome;
use std::io;
use strum::{IntoStaticStr, VariantNames};

/// Why a session ended.
#[derive(Debug, thiserror::Error, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum SessionEnd {
    /// The client closed the connection.
    #[error("the client closed the connection")]
    ClientClosed,
    /// The client connection failed.
    #[error("the client's connection failed: {0}")]
    #[strum(serialize = "client_lost")]
    Client(#[source] io::Error),
    /// The store ended the session.
    #[error("the store closed the connection")]
    StoreClosed,
    /// The store connection failed.
    #[error("the store's connection failed: {0}")]
    #[strum(serialize = "store_lost")]
    Store(#[source] io::Error),
    /// One side violated the protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// It had not logged in, and was displaced by another client.
    #[error("the client did not log in while others waited")]
    Displaced,
    /// An operator ended the session.
    #[error("the session was killed")]
    Killed,
    /// The session exceeded its idle timeout.
    #[error("the session was idle for too long")]
    Idle,
    /// The proxy is stopping.
    #[error("the proxy stops")]
    Stopped,
}

impl SessionEnd {
    /// All labels returned by [`label`](Self::label).
    pub const LABELS: &[&str] = Self::VARIANTS;

    /// Label in metrics.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.into()
    }

    /// Outcome of a lane command during which the session ended.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::ClientClosed | Self::Client(_) => Outcome::ClientLost,
            Self::StoreClosed | Self::Store(_) => Outcome::StoreLost,
            Self::Protocol(_) => Outcome::Protocol,
            Self::Killed | Self::Idle | Self::Displaced | Self::Stopped => Outcome::Stopped,
        }
    }

    /// The end caused by an error of the client's stream.
    #[must_use]
    pub fn client(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::ClientClosed,
            _ => Self::Client(error),
        }
    }

    /// The end caused by an error of the store's stream.
    #[must_use]
    pub fn store(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe => Self::StoreClosed,
            _ => Self::Store(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_an_end_from_a_loss() {
        let lost = SessionEnd::Client(io::ErrorKind::TimedOut.into());
        assert_eq!(lost.label(), "client_lost");
        assert_eq!(SessionEnd::StoreClosed.label(), "store_closed");
        let labels = [
            "client_closed",
            "client_lost",
            "store_closed",
            "store_lost",
            "protocol",
            "displaced",
            "killed",
            "idle",
            "stopped",
        ];
        assert_eq!(SessionEnd::LABELS, labels);
    }
}

//! An error as a client of the MySQL protocol sees it.

use thiserror::Error;

/// An error packet to be: what the lane and the catalog statements answer with.
///
/// The message is for the user: it names what is wrong and what to do, and carries no literals,
/// passwords or internal text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("ERROR {code} ({sqlstate}): {message}")]
pub struct SqlError {
    /// MySQL error number.
    pub code: u16,
    /// Five characters.
    pub sqlstate: &'static str,
    /// Text for the user.
    pub message: String,
}

impl SqlError {
    /// An error of that code, SQLSTATE and text.
    pub fn new(code: u16, sqlstate: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            sqlstate,
            message: message.into(),
        }
    }

    /// 1235 (42000): `construct` is not supported yet.
    pub fn unsupported(construct: impl std::fmt::Display) -> Self {
        Self::new(
            1235,
            "42000",
            format!("PredictSQL does not yet support {construct}"),
        )
    }

    /// 1305 (42000): no task, model or function of that name.
    pub fn unknown(kind: &str, name: &str) -> Self {
        Self::new(1305, "42000", format!("{kind} '{name}' does not exist"))
    }

    /// 1525 (HY000): a value that is not accepted.
    pub fn wrong_value(message: impl Into<String>) -> Self {
        Self::new(1525, "HY000", message)
    }

    /// 1105 (HY000): a failure with no code of its own.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(1105, "HY000", message)
    }
}

//! What a session is doing.

use strum::{FromRepr, IntoStaticStr};

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, FromRepr)]
#[strum(serialize_all = "lowercase")]
#[repr(u8)]
pub enum Activity {
    /// Waits for the client.
    Idle,
    /// Waits for the client, with a transaction open.
    #[strum(serialize = "in transaction")]
    InTransaction,
    /// Waits for the rest of a command.
    Receiving,
    /// The store works or answers.
    Forwarding,
    /// The predict lane answers.
    Predicting,
}

impl Activity {
    /// As `SHOW SESSIONS` says it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The activity of that number; idle for none.
    pub(super) fn from_bits(bits: u8) -> Self {
        Self::from_repr(bits).unwrap_or(Self::Idle)
    }
}

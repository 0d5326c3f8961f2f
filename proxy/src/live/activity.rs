//! Current activity of a session.

use strum::{FromRepr, IntoStaticStr};

/// Current activity of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, FromRepr)]
#[strum(serialize_all = "lowercase")]
#[repr(u8)]
pub enum Activity {
    /// Waits for a command from the client.
    Idle,
    /// Waits for a command from the client, with a transaction open.
    #[strum(serialize = "in transaction")]
    InTransaction,
    /// Waits for the rest of a command.
    Receiving,
    /// The store executes a command or sends its answer.
    Forwarding,
    /// The predict lane handles a command.
    Predicting,
}

impl Activity {
    /// Name shown by `SHOW SESSIONS`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The activity with this number; `Idle` if there is none.
    pub(super) fn from_bits(bits: u8) -> Self {
        Self::from_repr(bits).unwrap_or(Self::Idle)
    }
}

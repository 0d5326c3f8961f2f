//! Sessions: a client connection and its own store connection, relayed byte for byte.
//!
//! The [`Router`] inspects a command before any byte of it is forwarded, if the lane may handle
//! that kind of command. A long command is shown to it in parts, and waits in a file meanwhile. A
//! command longer than `inspect_bytes_max` is forwarded unseen. Parsing has no other effect:
//! anything that is not understood is forwarded.
//!
//! By design, the relay never builds a statement, never reads a row, and holds no buffer for a
//! waiting session.

mod accept;
mod connect;
pub(crate) mod framer;
pub(crate) mod handshake;
mod held;
mod long_command;
mod packet_heads;
mod router;
mod session;
mod session_status;
pub(crate) mod tracker;

pub(crate) use connect::connect;

pub use crate::session_end::SessionEnd;
pub use accept::{Acceptor, BoundListener, Control, Limits};
pub use handshake::SessionFacts;
pub use held::HeldAccount;
pub use router::{Handled, LongHead, LongRoute, Refusal, Route, Router, Takeover};
pub use session::SessionConfig;
pub use session_status::SessionStatus;

//! Sessions: a client's connection and its own connection to the store, relayed byte for byte.
//!
//! A command is shown to the [`Router`] whole before any byte of it is forwarded, if it is of a
//! kind the lane cares for and no longer than `inspect_bytes_max`; a longer one is forwarded as it
//! comes, so a predict statement of that length reaches the store, whose stub functions refuse it.
//! Parsing decides nothing else: whatever is not understood is forwarded.
//!
//! Absent by intent: the relay never builds a statement, never reads a row, and holds no buffer
//! for a session that waits.

mod accept;
mod connect;
pub(crate) mod framer;
pub(crate) mod handshake;
mod packet_heads;
mod router;
mod session;
pub(crate) mod tracker;

pub(crate) use connect::connect;

pub use crate::session_end::SessionEnd;
pub use accept::{Acceptor, BoundListener, Control, Limits};
pub use handshake::SessionFacts;
pub use router::{Handled, Route, Router, Takeover};
pub use session::SessionConfig;

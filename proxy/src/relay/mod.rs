//! Sessions: a client connection and its own store connection, relayed byte for byte.
//!
//! The [`Router`] inspects a command as a whole, before any byte of it is forwarded, if the lane
//! may handle that kind of command and the command is at most `inspect_bytes_max` long. A longer
//! command is forwarded as it arrives; a predict statement of that length thus reaches the store,
//! whose stub functions reject it. Parsing has no other effect: anything that is not understood is
//! forwarded.
//!
//! By design, the relay never builds a statement, never reads a row, and holds no buffer for a
//! waiting session.

mod accept;
mod connect;
pub(crate) mod framer;
pub(crate) mod handshake;
mod packet_heads;
mod router;
mod session;
mod session_status;
pub(crate) mod tracker;

pub(crate) use connect::connect;

pub use crate::session_end::SessionEnd;
pub use accept::{Acceptor, BoundListener, Control, Limits};
pub use handshake::SessionFacts;
pub use router::{Handled, Route, Router, Takeover};
pub use session::SessionConfig;
pub use session_status::SessionStatus;

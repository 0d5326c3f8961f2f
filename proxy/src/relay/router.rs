//! Interface between relay and lane: which of store and lane answers a command, and what the lane
//! gets while it handles one.

pub use super::long_command::Refusal;
use super::session_status::SessionStatus;
use crate::live;
use crate::session_end::SessionEnd;
use crate::wire::{Capabilities, ErrPacket, StatusFlags, Stream};
use bytes::{Bytes, BytesMut};
use std::future::Future;
use tokio_util::sync::CancellationToken;

/// Which side answers a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<R> {
    /// The store: the command is forwarded unchanged.
    Forward,
    /// The lane: called once the store is idle, with the result of routing the command.
    Lane(R),
}

/// What happens with a command that is too long to be shown to the router at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongRoute {
    /// It is forwarded as it arrives.
    Forward,
    /// [`Router::look`] is shown its parts, and then it is known.
    Look,
    /// It may be the lane's: `route` is shown the whole.
    Lane,
}

/// A long command's head, and what is known when it begins.
#[derive(Debug, Clone, Copy)]
pub struct LongHead<'a> {
    /// The command byte.
    pub command: u8,
    /// The first bytes of its body; at least 6 if the body has that many.
    pub head: &'a [u8],
    /// Status of the session; none if it may change before the command is executed.
    pub status: Option<StatusFlags>,
    /// Length of its first packet, the command byte included.
    pub packet_bytes: usize,
}

/// One session's lane as seen by the relay.
pub trait Router: Send {
    /// Result of routing a command to the lane. It is kept with the command, so that the command
    /// is analysed once.
    type Routed: std::fmt::Debug + Send;

    /// Decides which side answers a command. `body` is the whole payload after the command byte.
    /// Called once per command, in order and before the command is forwarded, for queries,
    /// prepared statements, and commands that change the session (INIT_DB, CHANGE_USER,
    /// RESET_CONNECTION). Must be fast: it delays every plain query. For a long command see
    /// [`Self::long_begins`].
    fn route(&mut self, command: u8, body: &[u8]) -> Route<Self::Routed>;

    /// Called instead of `route` when a long command of those kinds begins. Of one that is
    /// forwarded, nothing else is told.
    fn long_begins(&mut self, long: LongHead<'_>) -> LongRoute {
        self.passed_unseen(long.command, long.head);
        LongRoute::Forward
    }

    /// Shows the next part of the body of a command for which `long_begins` returned
    /// [`LongRoute::Look`]; a line feed follows the last part. True if the lane may have to answer
    /// it.
    fn look(&mut self, _part: &[u8]) -> bool {
        false
    }

    /// Such a command is forwarded, since nothing was found in it.
    fn looked_in_vain(&mut self, _command: u8) {}

    /// A command of which the router has not been shown the whole is forwarded, since it is longer
    /// than `inspect_bytes_max` or could not be kept. `head` is the first part of its body.
    fn passed_unseen(&mut self, command: u8, head: &[u8]);

    /// A long command that may be the lane's is not answered. The result is for [`Self::handle`],
    /// which is given the command's head only; none if the command has no answer.
    fn refuse(&mut self, _command: u8, _head: &[u8], _why: Refusal) -> Option<Self::Routed> {
        None
    }

    /// The error that replaces that of a stub, with which the store has ended its answer to the
    /// last command.
    fn instead_of_stub(&mut self) -> Option<ErrPacket> {
        None
    }

    /// Called when the store answered the last routed command with a stub's error, before anything
    /// was sent to the client. `answer` is the last read from the store. Returns the command's
    /// payload if the lane answers the command after all; `handle` is called next.
    fn take_back(&mut self, _answer: &[u8]) -> Option<(Bytes, Self::Routed)> {
        None
    }

    /// Answers a command that was routed to the lane. The lane owns both streams until it returns;
    /// then the store must be idle and the client's answer complete and flushed. An error closes
    /// the session.
    fn handle(
        &mut self,
        takeover: Takeover<'_, Self::Routed>,
    ) -> impl Future<Output = Result<Handled, SessionEnd>> + Send;
}

/// How the lane finished a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// The client has received its answer.
    Answered,
    /// Nothing was sent to the client: the relay forwards this payload (the original command, or
    /// another that the store answers in its place) and relays the answer as for any command.
    Forward(Bytes),
}

/// What the lane gets while it handles one command.
#[derive(Debug)]
pub struct Takeover<'a, R> {
    /// The client stream; the client waits for an answer.
    pub client: &'a mut Stream,
    /// The store stream; the store is idle.
    pub store: &'a mut Stream,
    /// The whole payload, including the command byte.
    pub command: Bytes,
    /// The result of [`Router::route`].
    pub routed: R,
    /// Sequence id of the command's packet: the answer starts with the next id.
    pub seq: u8,
    /// Capabilities negotiated for the session, the same on both legs.
    pub capabilities: Capabilities,
    /// Client bytes that were read after the command. The lane appends any further client bytes
    /// that it reads and does not use.
    pub read_ahead: &'a mut BytesMut,
    /// Id of the last statement that the client itself prepared at the store; none if that failed.
    pub prepared: Option<u32>,
    /// Status of the session; the lane sets the flags of its own answer here.
    pub status: &'a mut SessionStatus,
    /// Cancelled when the proxy stops without further waiting, and when the session is killed.
    pub stop: &'a CancellationToken,
    /// The session's record in the operators' views.
    pub record: &'a live::Session,
}

//! The lane as the relay sees it: who answers a command,
//! and what the lane gets for the time of one.

use crate::live;
use crate::session_end::SessionEnd;
use crate::wire::{Capabilities, StatusFlags, Stream};
use bytes::{Bytes, BytesMut};
use std::future::Future;
use tokio_util::sync::CancellationToken;

/// Who answers a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route<R> {
    /// The store: the command is forwarded as it is.
    Forward,
    /// The lane: it is called once the store is idle, with what it has found the command to be.
    Lane(R),
}

/// One session's lane, as the relay sees it.
pub trait Router: Send {
    /// What the router has found a command of the lane to be: it travels with the command,
    /// which is looked at once.
    type Routed: std::fmt::Debug + Send;

    /// Says who answers a command. `body` is what follows the command byte, whole. Called once per
    /// command in order, before it is forwarded, for queries, prepared statements, and what
    /// changes the session (INIT_DB, CHANGE_USER, RESET_CONNECTION), as long as they are at most
    /// `inspect_bytes_max` long. Must be quick: every plain query waits for it.
    fn route(&mut self, command: u8, body: &[u8]) -> Route<Self::Routed>;

    /// Is told instead of a command of those kinds that is longer than `inspect_bytes_max` and is
    /// forwarded without being shown. `head` is as much of its body as is at hand, at least 6
    /// bytes where it has as many.
    fn passed_unseen(&mut self, command: u8, head: &[u8]);

    /// The store has answered the command that was routed last with the error of a stub, and the
    /// client was sent nothing yet. `answer` is what the store sent last. Returns the command's
    /// payload where the lane is to answer it after all; then it is called.
    fn take_back(&mut self, _answer: &[u8]) -> Option<(Bytes, Self::Routed)> {
        None
    }

    /// Answers a command that was routed to the lane. Both streams are its own until it returns,
    /// and then the store must be idle and the client's answer be complete and flushed. Returning
    /// an error closes the session.
    fn handle(
        &mut self,
        takeover: Takeover<'_, Self::Routed>,
    ) -> impl Future<Output = Result<Handled, SessionEnd>> + Send;
}

/// How the lane left a command that it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Handled {
    /// The client has its answer.
    Answered,
    /// Nothing was sent to the client: the relay forwards this payload (the command as it came, or
    /// another that the store answers in its place) and relays the answer as of any command.
    Forward(Bytes),
}

/// What the lane gets for the time of one command.
#[derive(Debug)]
pub struct Takeover<'a, R> {
    /// The client, which waits for an answer.
    pub client: &'a mut Stream,
    /// The store, which is idle.
    pub store: &'a mut Stream,
    /// The whole payload, with its command byte.
    pub command: Bytes,
    /// What [`Router::route`] has found the command to be.
    pub routed: R,
    /// Sequence id of the command's packet: the answer starts with the next.
    pub seq: u8,
    /// What the session has negotiated, the same on both legs.
    pub capabilities: Capabilities,
    /// Bytes of the client that were read after the command. What the lane reads of the client
    /// beyond its own business is appended here.
    pub read_ahead: &'a mut BytesMut,
    /// Id of the statement that the client has prepared last at the store by itself;
    /// none where that failed.
    pub prepared: Option<u32>,
    /// Status flags of the last answer; the lane leaves those of its own.
    pub status: &'a mut StatusFlags,
    /// Cancelled when the proxy stops and will not wait longer, and when the session is killed.
    pub stop: &'a CancellationToken,
    /// What operators see of the session.
    pub record: &'a live::Session,
}

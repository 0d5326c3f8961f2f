//! State of an established session in both directions.

use super::config::SessionConfig;
use crate::live::SessionGuard;
use crate::relay::framer::Framer;
use crate::relay::handshake::SessionFacts;
use crate::relay::held::HeldAccount;
use crate::relay::long_command::LongCommand;
use crate::relay::router::Router;
use crate::relay::tracker::Tracker;
use crate::session_end::SessionEnd;
use crate::wire::{StatusFlags, Stream};
use bytes::{Bytes, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use tokio::time::Sleep;

/// An established session.
pub struct Session<R: Router> {
    pub(super) client: Stream,
    pub(super) store: Stream,
    /// Client bytes not yet processed: an incomplete command, a command of the lane, or what
    /// follows it.
    pub(super) from_client: BytesMut,
    /// Bytes that the store did not take at once.
    pub(super) to_store: BytesMut,
    /// Bytes that the client did not take at once.
    pub(super) to_client: BytesMut,
    pub(super) framer: Framer,
    pub(super) tracker: Tracker,
    pub(super) router: R,
    pub(super) record: SessionGuard,
    /// `from_client` starts with a command for the lane, which waits for the store to be idle,
    /// unless it is a long one.
    pub(super) lane_due: Option<R::Routed>,
    /// The long command that is received or forwarded; `from_client` is what follows it.
    pub(super) long: Option<Box<LongCommand>>,
    /// The long command for the lane.
    pub(super) lane_long: Option<LaneLong>,
    /// What long commands hold, and how long they may be.
    pub(super) held_account: Arc<HeldAccount>,
    pub(super) inspect_bytes_max: usize,
    /// `from_client` is processed further only after the store has answered.
    pub(super) held: bool,
    /// End the session when idle.
    pub(super) draining: bool,
    /// The client has shut down its write side; it may still read.
    pub(super) client_ended: bool,
    /// The store's write side has been shut down as well.
    pub(super) store_told: bool,
    /// Set while the client does not take its data.
    pub(super) stalled: Option<Box<StalledClient>>,
}

/// A long command for the lane, as a whole.
pub struct LaneLong {
    /// The command byte and the body.
    pub payload: Bytes,
    /// Sequence ids of its first packet and of its last.
    pub seqs: (u8, u8),
}

/// Why a stretch of plain relaying ends.
pub enum Turn {
    /// A command for the lane.
    Lane,
    /// End of the session.
    End(SessionEnd),
    /// The store takes no more data; it may still send an error.
    StoreWriteFailed(SessionEnd),
}

impl Turn {
    /// The client leg failed.
    pub fn client_failed(error: io::Error) -> Self {
        Self::End(SessionEnd::client(error))
    }

    /// The store leg failed.
    pub fn store_failed(error: io::Error) -> Self {
        Self::End(SessionEnd::store(error))
    }

    /// The store takes no more data.
    pub fn store_write_failed(error: io::Error) -> Self {
        Self::StoreWriteFailed(SessionEnd::store(error))
    }
}

/// A client that does not read.
pub struct StalledClient {
    pub(super) next_look: Pin<Box<Sleep>>,
    /// Buffered bytes at the last check.
    pub(super) untaken_bytes: usize,
}

impl<R: Router> Session<R> {
    /// State of a session that has logged in.
    pub(super) fn new(
        client: Stream,
        store: Stream,
        facts: &SessionFacts,
        router: R,
        config: &SessionConfig,
        record: SessionGuard,
    ) -> Self {
        let unlike_legs = client.is_private() != store.is_private();
        Self {
            client,
            store,
            from_client: BytesMut::new(),
            to_store: BytesMut::new(),
            to_client: BytesMut::new(),
            framer: Framer::new(config.inspect_bytes_max),
            tracker: Tracker::new(facts.capabilities, facts.status).over_unlike_legs(unlike_legs),
            router,
            record,
            lane_due: None,
            long: None,
            lane_long: None,
            held_account: Arc::clone(&config.held),
            inspect_bytes_max: config.inspect_bytes_max,
            held: false,
            draining: false,
            client_ended: false,
            store_told: false,
            stalled: None,
        }
    }

    /// Whether part of a command is buffered, none of it forwarded to the store.
    pub(super) fn holds_part_of_a_command(&self) -> bool {
        let is_part = self.long.is_some() || (!self.from_client.is_empty() && !self.held);
        is_part && self.lane_due.is_none()
    }

    /// Whether a transaction is open.
    pub(super) fn in_transaction(&self) -> bool {
        let status = self.tracker.status().flags();
        status.contains(StatusFlags::SERVER_STATUS_IN_TRANS)
    }
}

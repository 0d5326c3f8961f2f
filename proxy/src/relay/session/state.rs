//! An established session: what is under way in both directions.

use crate::live::SessionGuard;
use crate::relay::framer::Framer;
use crate::relay::handshake::SessionFacts;
use crate::relay::router::Router;
use crate::relay::tracker::Tracker;
use crate::session_end::SessionEnd;
use crate::wire::{StatusFlags, Stream};
use bytes::BytesMut;
use std::io;
use std::pin::Pin;
use tokio::time::Sleep;

/// An established session.
pub struct Session<R: Router> {
    pub(super) client: Stream,
    pub(super) store: Stream,
    /// Client bytes that are not decided: an incomplete command, the lane's, or what follows it.
    pub(super) from_client: BytesMut,
    /// What the store did not take at once.
    pub(super) to_store: BytesMut,
    /// What the client did not take at once.
    pub(super) to_client: BytesMut,
    pub(super) framer: Framer,
    pub(super) tracker: Tracker,
    pub(super) router: R,
    pub(super) record: SessionGuard,
    /// `from_client` starts with a command of the lane, which waits for the store.
    pub(super) lane_due: Option<R::Routed>,
    /// `from_client` may only be read on when the store has answered.
    pub(super) held: bool,
    /// End when idle.
    pub(super) draining: bool,
    /// The client sends no more; it may still read.
    pub(super) client_ended: bool,
    /// The store has been told so.
    pub(super) store_told: bool,
    /// While the client does not take what it is sent.
    pub(super) stalled: Option<Box<StalledClient>>,
}

/// What ends a stretch of plain relaying.
pub enum Turn {
    /// A command of the lane.
    Lane,
    /// The session's end.
    End(SessionEnd),
    /// The store takes no more; it may still say why.
    StoreWriteFailed(SessionEnd),
}

impl Turn {
    /// The client's leg failed.
    pub fn client_failed(error: io::Error) -> Self {
        Self::End(SessionEnd::client(error))
    }

    /// The store's leg failed.
    pub fn store_failed(error: io::Error) -> Self {
        Self::End(SessionEnd::store(error))
    }

    /// The store takes no more.
    pub fn store_write_failed(error: io::Error) -> Self {
        Self::StoreWriteFailed(SessionEnd::store(error))
    }
}

/// A client that does not take what it is sent.
pub struct StalledClient {
    pub(super) next_look: Pin<Box<Sleep>>,
    /// What it had not taken at the last look.
    pub(super) untaken_bytes: usize,
}

impl<R: Router> Session<R> {
    /// A session that has logged in.
    pub(super) fn new(
        client: Stream,
        store: Stream,
        facts: &SessionFacts,
        router: R,
        inspect_bytes_max: usize,
        record: SessionGuard,
    ) -> Self {
        let unlike_legs = client.is_private() != store.is_private();
        Self {
            client,
            store,
            from_client: BytesMut::new(),
            to_store: BytesMut::new(),
            to_client: BytesMut::new(),
            framer: Framer::new(inspect_bytes_max),
            tracker: Tracker::new(facts.capabilities, facts.status).over_unlike_legs(unlike_legs),
            router,
            record,
            lane_due: None,
            held: false,
            draining: false,
            client_ended: false,
            store_told: false,
            stalled: None,
        }
    }

    /// Whether the client has sent the start of a command, of which the store knows nothing yet.
    pub(super) fn holds_part_of_a_command(&self) -> bool {
        !self.from_client.is_empty() && !self.held && self.lane_due.is_none()
    }

    /// Whether a transaction is open.
    pub(super) fn in_transaction(&self) -> bool {
        let status = self.tracker.status();
        status.contains(StatusFlags::SERVER_STATUS_IN_TRANS)
    }
}

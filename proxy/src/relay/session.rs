//! One session: both directions of the relay in one future, and the lane's turns.

mod ending;
mod opening;
mod transfer;

use self::ending::StalledClient;
use self::opening::open;
use self::transfer::{forward, poll_drain, poll_read};
use super::framer::{Framer, Stop};
use super::handshake::{ReadAhead, SessionFacts};
use super::tracker::{ClientTurn, Tracker};
use super::{Handled, Router, SessionEnd, Takeover};
use crate::account::StoreAddress;
use crate::admission::{Admission, Applicant};
use crate::live::{Activity, Live, SessionGuard};
use crate::tls::Tls;
use crate::wire::{HEADER_BYTES, PacketWriter, StatusFlags, Stream};
use bytes::{Buf, Bytes, BytesMut};
use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What one read takes at most.
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    /// One per relay thread, used only within one poll: a session that waits holds no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

/// What all sessions share.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Where each session connects to.
    pub store: StoreAddress,
    /// TLS of both legs.
    pub tls: Tls,
    /// Longest wait for the connection to the store.
    pub connect_timeout: Duration,
    /// Longest time between a client's connection and the end of its login.
    pub login_time_max: Duration,
    /// Who has not logged in yet.
    pub admission: Arc<Admission>,
    /// Longest command that the router is shown.
    pub inspect_bytes_max: usize,
    /// Sessions end when they are idle and in no transaction.
    pub drain: CancellationToken,
    /// Sessions end at once.
    pub stop: CancellationToken,
    /// Where sessions are registered.
    pub live: Arc<Live>,
}

/// Serves a client until its session ends.
pub async fn serve<R: Router>(
    client: Stream,
    applicant: Applicant,
    config: &SessionConfig,
    open_lane: impl FnOnce(&SessionFacts) -> R,
) -> SessionEnd {
    let end = serve_to_end(client, applicant, config, open_lane).await;
    config.live.note_end(&end);
    end
}

async fn serve_to_end<R: Router>(
    mut client: Stream,
    applicant: Applicant,
    config: &SessionConfig,
    open_lane: impl FnOnce(&SessionFacts) -> R,
) -> SessionEnd {
    // Boxed, so that the memory of these phases is not part of every idle session.
    let opened = tokio::select! {
        opened = Box::pin(open(&mut client, config, &applicant)) => opened,
        () = config.drain.cancelled() => return SessionEnd::Stopped,
    };
    drop(applicant);
    let (store, facts, ahead) = match opened {
        Ok(opened) => opened,
        Err(end) => return end,
    };
    let router = open_lane(&facts);
    let stop = config.stop.child_token();
    let leave = config.drain.child_token();
    let record = config.live.enter(
        facts.connection_id,
        &facts.user,
        client.peer(),
        facts.database.as_deref(),
        stop.clone(),
        leave,
    );
    let mut session = Session::new(
        client,
        store,
        &facts,
        router,
        config.inspect_bytes_max,
        record,
    );
    drop(facts);
    let end = tokio::select! {
        biased;
        end = session.run(ahead) => end,
        () = stop.cancelled() => SessionEnd::Stopped,
    };
    let end = match end {
        SessionEnd::Stopped if stop.is_cancelled() && !config.stop.is_cancelled() => {
            SessionEnd::Killed
        }
        end => end,
    };
    Box::pin(session.farewell(&end)).await;
    end
}

/// An established session.
struct Session<R> {
    client: Stream,
    store: Stream,
    /// Client bytes that are not decided: an incomplete command, the lane's, or what follows it.
    from_client: BytesMut,
    /// What the store did not take at once.
    to_store: BytesMut,
    /// What the client did not take at once.
    to_client: BytesMut,
    framer: Framer,
    tracker: Tracker,
    router: R,
    record: SessionGuard,
    /// `from_client` starts with a command of the lane, which waits for the store.
    lane_due: bool,
    /// `from_client` may only be read on when the store has answered.
    held: bool,
    /// End when idle.
    draining: bool,
    /// The client sends no more; it may still read.
    client_ended: bool,
    /// The store has been told so.
    store_told: bool,
    /// While the client does not take what it is sent.
    stalled: Option<Box<StalledClient>>,
}

/// What ends a stretch of plain relaying.
enum Turn {
    Lane,
    End(SessionEnd),
    /// The store takes no more; it may still say why.
    StoreDeaf(SessionEnd),
}

impl Turn {
    fn client_failed(error: io::Error) -> Self {
        Self::End(SessionEnd::client(error))
    }

    fn store_failed(error: io::Error) -> Self {
        Self::End(SessionEnd::store(error))
    }

    fn store_deaf(error: io::Error) -> Self {
        Self::StoreDeaf(SessionEnd::store(error))
    }
}

impl<R: Router> Session<R> {
    fn new(
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
            lane_due: false,
            held: false,
            draining: false,
            client_ended: false,
            store_told: false,
            stalled: None,
        }
    }

    async fn run(&mut self, ahead: ReadAhead) -> SessionEnd {
        if let Err(error) = self.tracker.store_bytes(&ahead.store) {
            return SessionEnd::Protocol(error.0);
        }
        self.to_client.unsplit(ahead.store);
        // Whatever was read ahead is decided by the first poll, before the client is read.
        self.from_client.unsplit(ahead.client);
        self.held = !self.from_client.is_empty();
        let leave = self.record.leaving().clone();
        loop {
            let turn = if self.draining {
                poll_fn(|context| self.poll(context)).await
            } else {
                tokio::select! {
                    biased;
                    turn = poll_fn(|context| self.poll(context)) => turn,
                    () = leave.cancelled() => {
                        self.draining = true;
                        continue;
                    }
                }
            };
            match turn {
                Turn::End(end) => return end,
                Turn::StoreDeaf(end) => return Box::pin(self.hear_out(end)).await,
                Turn::Lane => {
                    if let Err(end) = self.take_over().await {
                        return end;
                    }
                }
            }
        }
    }

    /// Lets the lane answer the command at the start of `from_client`.
    async fn take_over(&mut self) -> Result<(), SessionEnd> {
        let lost = || SessionEnd::Protocol("the lane's command is not whole");
        let &[a, b, c, seq] = self
            .from_client
            .first_chunk::<HEADER_BYTES>()
            .ok_or_else(lost)?;
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if self.from_client.len() < HEADER_BYTES + length {
            return Err(lost());
        }
        self.from_client.advance(HEADER_BYTES);
        let command: Bytes = self.from_client.split_to(length).freeze();
        let mut status: StatusFlags = self.tracker.status();
        self.record.note_lane();
        let handled = Box::pin(self.router.handle(Takeover {
            client: &mut self.client,
            store: &mut self.store,
            command,
            seq,
            capabilities: self.tracker.capabilities(),
            read_ahead: &mut self.from_client,
            prepared: self.tracker.prepared(),
            status: &mut status,
            stop: self.record.stopping(),
            record: &self.record,
        }))
        .await;
        self.tracker.set_status(status);
        self.lane_due = false;
        // What was read ahead is decided before the client is read again.
        self.held = !self.from_client.is_empty();
        if let Handled::Forward(payload) = handled? {
            let (&command, body) = payload.split_first().unwrap_or((&0, &[]));
            self.tracker.forwarded(command, body);
            let mut writer = PacketWriter::new(seq);
            writer.write(&payload);
            self.to_store.unsplit(writer.into_bytes());
        }
        Ok(())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        let turn = self.poll_turn(context);
        let activity = if !self.tracker.idle() {
            Activity::Forwarding
        } else if self.holds_part_of_a_command() {
            self.record.note_received(self.from_client.len());
            Activity::Receiving
        } else if self.in_transaction() {
            Activity::InTransaction
        } else {
            Activity::Idle
        };
        self.record.note(activity, self.tracker.commands());
        turn
    }

    /// Whether the client has sent the start of a command, of which the store knows nothing yet.
    fn holds_part_of_a_command(&self) -> bool {
        !self.from_client.is_empty() && !self.held && !self.lane_due
    }

    fn in_transaction(&self) -> bool {
        let status = self.tracker.status();
        status.contains(StatusFlags::SERVER_STATUS_IN_TRANS)
    }

    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                if let Poll::Ready(Err(turn)) = self.poll_client(context, scratch) {
                    return Poll::Ready(turn);
                }
                if let Poll::Ready(Err(turn)) = self.poll_store(context, scratch) {
                    return Poll::Ready(turn);
                }
                if !self.answer_frees_client() {
                    break;
                }
            }
            let idle = self.tracker.idle() && self.to_client.is_empty() && self.to_store.is_empty();
            if self.lane_due && idle {
                return Poll::Ready(Turn::Lane);
            }
            if (self.draining || self.client_ended)
                && let Some(end) = self.due_end(idle)
            {
                return Poll::Ready(Turn::End(end));
            }
            Poll::Pending
        })
    }

    /// Whether the client's side, which has nothing more to do by itself, can go on after what the store has sent.
    fn answer_frees_client(&mut self) -> bool {
        let turn = self.tracker.client_turn();
        if self.lane_due && (turn == ClientTurn::LocalFile || self.tracker.opaque()) {
            // Not a command after all: the store asked for a file.
            self.lane_due = false;
            self.held = true;
        }
        self.held && turn != ClientTurn::Hold && self.to_store.is_empty()
    }

    /// Moves commands until the client has no more, the store takes no more, or the answer is needed first.
    fn poll_client(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<(), Turn>> {
        loop {
            ready!(poll_drain(&mut self.store, &mut self.to_store, context))
                .map_err(Turn::store_deaf)?;
            if self.lane_due {
                return Poll::Pending;
            }
            if self.held {
                if self.tracker.client_turn() == ClientTurn::Hold {
                    return Poll::Pending;
                }
                self.forward_kept(context)?;
                continue;
            }
            if self.client_ended {
                return self.poll_tell_store(context);
            }
            let read = ready!(poll_read(&mut self.client, scratch, context))
                .map_err(Turn::client_failed)?;
            let bytes = scratch.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                self.client_ended = true;
                continue;
            }
            if !self.from_client.is_empty() {
                self.from_client.extend_from_slice(bytes);
                self.forward_kept(context)?;
                continue;
            }
            let (decided, stop) = self
                .framer
                .decide(bytes, &mut self.tracker, &mut self.router);
            let (now, later) = bytes.split_at(decided);
            self.from_client.extend_from_slice(later);
            self.note(stop);
            forward(&mut self.store, &mut self.to_store, now, context).map_err(Turn::store_deaf)?;
        }
    }

    /// Decides what is kept of the client, and forwards what may be.
    fn forward_kept(&mut self, context: &mut Context<'_>) -> Result<(), Turn> {
        let mut kept = std::mem::take(&mut self.from_client);
        let (decided, stop) = self
            .framer
            .decide(&kept, &mut self.tracker, &mut self.router);
        let now = kept.split_to(decided);
        if !kept.is_empty() {
            self.from_client = kept;
        }
        self.note(stop);
        forward(&mut self.store, &mut self.to_store, &now, context).map_err(Turn::store_deaf)
    }

    fn note(&mut self, stop: Stop) {
        self.held = stop == Stop::Hold;
        self.lane_due = stop == Stop::Lane;
    }

    /// Gives a command, of whose answer the client has seen nothing, to the lane after all.
    fn take_back(&mut self, answer: &[u8]) -> bool {
        let Some(payload) = self.router.take_back(answer) else {
            return false;
        };
        let mut command = PacketWriter::new(0);
        command.write(&payload);
        let mut commands = command.into_bytes();
        commands.unsplit(std::mem::take(&mut self.from_client));
        self.from_client = commands;
        self.lane_due = true;
        self.held = false;
        true
    }

    /// Moves answers until the store has no more or the client takes no more.
    fn poll_store(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<(), Turn>> {
        loop {
            match poll_drain(&mut self.client, &mut self.to_client, context) {
                Poll::Ready(drained) => drained.map_err(Turn::client_failed)?,
                Poll::Pending => return self.poll_stalled(context),
            }
            self.stalled = None;
            let read =
                ready!(poll_read(&mut self.store, scratch, context)).map_err(Turn::store_failed)?;
            let bytes = scratch.get(..read).unwrap_or_default();
            if bytes.is_empty() {
                return Poll::Ready(Err(Turn::End(SessionEnd::StoreClosed)));
            }
            let unseen = self.tracker.owes_whole_result();
            self.tracker
                .store_bytes(bytes)
                .map_err(|error| Turn::End(SessionEnd::Protocol(error.0)))?;
            if unseen && self.tracker.stub_ran() && self.take_back(bytes) {
                return Poll::Pending;
            }
            forward(&mut self.client, &mut self.to_client, bytes, context)
                .map_err(Turn::client_failed)?;
        }
    }
}

#[cfg(test)]
mod tests;

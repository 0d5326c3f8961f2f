//! Both directions of the relay in one future, and the commands that the lane handles.

use super::state::{Session, Turn};
use super::transfer::{forward, poll_drain, poll_read};
use crate::live::Activity;
use crate::relay::framer::Stop;
use crate::relay::handshake::ReadAhead;
use crate::relay::long_command::LongCommand;
use crate::relay::router::{Handled, Router, Takeover};
use crate::relay::tracker::ClientTurn;
use crate::session_end::SessionEnd;
use crate::wire::{HEADER_BYTES, PacketWriter};
use bytes::{Buf, Bytes, BytesMut};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::sleep;

/// Idle timeout for reading from a store that no longer takes data.
const HEAR_OUT_TIME_MAX: Duration = Duration::from_secs(10);
/// Maximum bytes of one read.
const SCRATCH_BYTES: usize = 64 * 1024;

thread_local! {
    /// One per relay thread, used only within one poll: a waiting session holds no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH_BYTES].into_boxed_slice());
}

impl<R: Router> Session<R> {
    /// Relays until the session ends.
    pub(super) async fn run(&mut self, ahead: ReadAhead) -> SessionEnd {
        if let Err(error) = self.tracker.store_bytes(&ahead.store) {
            return SessionEnd::Protocol(error.0);
        }
        self.to_client.unsplit(ahead.store);
        // The first poll processes the read-ahead bytes before it reads the client.
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
                Turn::StoreWriteFailed(end) => return Box::pin(self.drain_store_error(end)).await,
                Turn::Lane => {
                    if let Err(end) = self.take_over().await {
                        return end;
                    }
                }
            }
        }
    }

    /// Calls the lane for the command at the start of `from_client`.
    async fn take_over(&mut self) -> Result<(), SessionEnd> {
        let lost = || SessionEnd::Protocol("the lane's command is not whole");
        let routed = self.lane_due.take().ok_or_else(lost)?;
        let (command, (first_seq, seq)) = match self.lane_long.take() {
            Some(long) => (long.payload, long.seqs),
            None => self.kept_command().ok_or_else(lost)?,
        };
        let mut status = self.tracker.status();
        self.record.note_lane();
        let handled = Box::pin(self.router.handle(Takeover {
            client: &mut self.client,
            store: &mut self.store,
            command,
            routed,
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
        // The read-ahead bytes are processed before the client is read again.
        self.held = !self.from_client.is_empty();
        if let Handled::Forward(payload) = handled? {
            let (&command, body) = payload.split_first().unwrap_or((&0, &[]));
            self.tracker.forwarded(command, body);
            let mut writer = PacketWriter::new(first_seq);
            writer.write(&payload);
            self.to_store.unsplit(writer.into_bytes());
        }
        Ok(())
    }

    /// Takes the command at the start of `from_client`, and its sequence id twice.
    fn kept_command(&mut self) -> Option<(Bytes, (u8, u8))> {
        let &[a, b, c, seq] = self.from_client.first_chunk::<HEADER_BYTES>()?;
        let length = u32::from_le_bytes([a, b, c, 0]) as usize;
        if self.from_client.len() < HEADER_BYTES + length {
            return None;
        }
        self.from_client.advance(HEADER_BYTES);
        Some((self.from_client.split_to(length).freeze(), (seq, seq)))
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        let turn = self.poll_turn(context);
        let activity = if !self.tracker.idle() {
            Activity::Forwarding
        } else if self.holds_part_of_a_command() {
            let long_bytes = self.long.as_ref().map_or(0, |long| long.payload_bytes());
            self.record
                .note_received(long_bytes + self.from_client.len());
            Activity::Receiving
        } else if self.in_transaction() {
            Activity::InTransaction
        } else {
            Activity::Idle
        };
        self.record.note(activity, self.tracker.commands());
        turn
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
            let written = self.to_client.is_empty() && self.to_store.is_empty();
            let idle = self.tracker.idle() && written && !self.is_releasing();
            if self.lane_due.is_some() && idle {
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

    /// Whether the blocked client side can continue after the store's last bytes.
    fn answer_frees_client(&mut self) -> bool {
        let turn = self.tracker.client_turn();
        if turn == ClientTurn::LocalFile || self.tracker.opaque() {
            // Not a command after all: the store asked for a file.
            if self.lane_due.take().is_some() {
                self.put_lane_long_back();
                self.held = true;
            }
            if self.release_as_it_is() {
                return true;
            }
        }
        self.held && turn != ClientTurn::Hold && self.to_store.is_empty()
    }

    /// Forwards client bytes until there are no more, the store takes no more, or an answer is
    /// needed first.
    fn poll_client(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<(), Turn>> {
        loop {
            ready!(poll_drain(&mut self.store, &mut self.to_store, context))
                .map_err(Turn::store_write_failed)?;
            if self.lane_due.is_some() {
                return Poll::Pending;
            }
            if self.long.is_some() {
                ready!(self.poll_long(context, scratch))?;
                continue;
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
            forward(&mut self.store, &mut self.to_store, now, context)
                .map_err(Turn::store_write_failed)?;
        }
    }

    /// Processes the buffered client bytes, and forwards those that may be forwarded.
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
        forward(&mut self.store, &mut self.to_store, &now, context)
            .map_err(Turn::store_write_failed)
    }

    fn note(&mut self, stop: Stop<R::Routed>) {
        self.held = matches!(stop, Stop::Hold);
        self.lane_due = match stop {
            Stop::Lane(routed) => Some(routed),
            Stop::Long(route) => {
                let long = LongCommand::new(route, &self.held_account);
                self.long = Some(Box::new(long));
                None
            }
            Stop::End | Stop::Incomplete | Stop::Hold => None,
        };
    }

    /// Gives a command to the lane after all, if the client has seen nothing of its answer.
    fn take_back(&mut self, answer: &[u8]) -> bool {
        let Some((payload, routed)) = self.router.take_back(answer) else {
            return false;
        };
        let mut command = PacketWriter::new(0);
        command.write(&payload);
        let mut commands = command.into_bytes();
        commands.unsplit(std::mem::take(&mut self.from_client));
        self.from_client = commands;
        self.lane_due = Some(routed);
        self.held = false;
        true
    }

    /// Forwards store bytes until there are no more or the client takes no more.
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
            if self.tracker.stub_ran() {
                if unseen && self.take_back(bytes) {
                    return Poll::Pending;
                }
                if let Some(instead) = self.instead_of_stub(bytes) {
                    forward(&mut self.client, &mut self.to_client, &instead, context)
                        .map_err(Turn::client_failed)?;
                    continue;
                }
            }
            forward(&mut self.client, &mut self.to_client, bytes, context)
                .map_err(Turn::client_failed)?;
        }
    }

    /// Relays the remaining output of a store that takes no more data, such as its error. Returns
    /// `end`, or the client's error if that could not be written.
    async fn drain_store_error(&mut self, end: SessionEnd) -> SessionEnd {
        self.to_store = BytesMut::new();
        let mut patience = pin!(sleep(HEAR_OUT_TIME_MAX));
        poll_fn(|context| {
            let heard = SCRATCH.with_borrow_mut(|scratch| self.poll_store(context, scratch));
            match heard {
                Poll::Ready(Err(Turn::End(
                    client @ (SessionEnd::ClientClosed | SessionEnd::Client(_)),
                ))) => Poll::Ready(Some(client)),
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending if self.to_client.is_empty() => {
                    patience.as_mut().poll(context).map(|()| None)
                }
                Poll::Pending => Poll::Pending,
            }
        })
        .await
        .unwrap_or(end)
    }
}

//! Long commands of a session: received until it is known whose they are, then forwarded or given
//! to the lane.

use super::state::{LaneLong, Session, Turn};
use super::transfer::{forward, poll_read};
use crate::relay::long_command::{LongCommand, Refusal, Stage};
use crate::relay::packet_heads::error_of_stub;
use crate::relay::router::{LongRoute, Route, Router};
use crate::session_end::SessionEnd;
use crate::wire::PacketWriter;
use bytes::{Buf, Bytes};
use std::io;
use std::task::{Context, Poll, ready};

/// What follows from the parts that have been received.
enum Next {
    /// More of them are received.
    Receive,
    /// All are: the command is the store's, as far as is known.
    Forward,
    /// All are: it may be the lane's.
    Gather,
    /// It cannot be looked at any further, and nothing has been found.
    PassUnseen,
    /// It may be the lane's, but is not answered.
    Refuse(Refusal),
}

impl<R: Router> Session<R> {
    /// Whether a long command is being forwarded.
    pub(super) fn is_releasing(&self) -> bool {
        let stage = self.long.as_ref().map(|long| &long.stage);
        matches!(stage, Some(Stage::Releasing))
    }

    /// Goes on with the long command; ready when it should be called again, or has been dealt
    /// with.
    pub(super) fn poll_long(
        &mut self,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<(), Turn>> {
        let Some(mut long) = self.long.take() else {
            return Poll::Ready(Ok(()));
        };
        let done = match &long.stage {
            Stage::Receiving => self.poll_receive(&mut long, context, scratch),
            Stage::Gathering(..) => self.poll_gather(&mut long, context),
            Stage::Releasing => self.poll_release(&mut long, context),
        };
        match done {
            Poll::Ready(Ok(true)) => Poll::Ready(Ok(())),
            Poll::Ready(Ok(false)) => {
                self.long = Some(long);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(turn)) => Poll::Ready(Err(turn)),
            Poll::Pending => {
                self.long = Some(long);
                Poll::Pending
            }
        }
    }

    /// Receives a part of the command; true if the session is through with it.
    fn poll_receive(
        &mut self,
        long: &mut LongCommand,
        context: &mut Context<'_>,
        scratch: &mut [u8],
    ) -> Poll<Result<bool, Turn>> {
        let fed = long.feed(&self.from_client, &mut self.router);
        self.from_client.advance(fed);
        if fed == 0 && !long.is_complete() {
            if ready!(long.poll_room(context)).is_err() {
                return Poll::Ready(Ok(self.decided(long, Self::unkeepable(long))));
            }
            if self.client_ended {
                ready!(self.poll_tell_store(context))?;
                return Poll::Pending;
            }
            let read = ready!(poll_read(&mut self.client, scratch, context))
                .map_err(Turn::client_failed)?;
            let bytes = scratch.get(..read).unwrap_or_default();
            self.client_ended = bytes.is_empty();
            // At most part of a header is left of what came before.
            let fed = match self.from_client.is_empty() {
                true => long.feed(bytes, &mut self.router),
                false => 0,
            };
            let later = bytes.get(fed..).unwrap_or_default();
            self.from_client.extend_from_slice(later);
        }
        let next = self.next(long);
        Poll::Ready(Ok(self.decided(long, next)))
    }

    fn next(&mut self, long: &mut LongCommand) -> Next {
        if long.refusal.is_none() && long.payload_bytes() > self.inspect_bytes_max {
            let bytes_max = self.inspect_bytes_max;
            return match long.route {
                LongRoute::Lane => Next::Refuse(Refusal::TooLong { bytes_max }),
                LongRoute::Look | LongRoute::Forward => Next::PassUnseen,
            };
        }
        if !long.is_complete() {
            return Next::Receive;
        }
        if let Some(refusal) = long.refusal {
            return Next::Refuse(refusal);
        }
        match long.route {
            LongRoute::Look if !self.router.look(b"\n") => Next::Forward,
            LongRoute::Look | LongRoute::Lane => Next::Gather,
            LongRoute::Forward => Next::Forward,
        }
    }

    fn unkeepable(long: &LongCommand) -> Next {
        match long.route {
            LongRoute::Lane => Next::Refuse(Refusal::NoDisk),
            LongRoute::Look | LongRoute::Forward => Next::PassUnseen,
        }
    }

    /// Does what was decided; true if the session is through with the command.
    fn decided(&mut self, long: &mut LongCommand, next: Next) -> bool {
        let (command, head) = long.head();
        match next {
            Next::Receive => {}
            Next::Forward => {
                self.router.looked_in_vain(command);
                self.tracker.forwarded(command, head);
                long.stage = Stage::Releasing;
            }
            Next::PassUnseen => {
                self.router.passed_unseen(command, head);
                self.tracker.forwarded(command, head);
                long.stage = Stage::Releasing;
            }
            Next::Gather => match self.held_account.reserve(long.payload_bytes()) {
                Some(reserved) => long.gather(reserved),
                None => return self.decided(long, Next::Refuse(Refusal::NoMemory)),
            },
            Next::Refuse(why) if !long.is_complete() => long.refuse(why, &self.held_account),
            Next::Refuse(why) => {
                self.lane_due = self.router.refuse(command, head, why);
                if self.lane_due.is_some() {
                    let payload = [&[command], head].concat().into();
                    let seqs = long.seqs();
                    self.lane_long = Some(LaneLong { payload, seqs });
                }
                self.go_on_behind();
                return true;
            }
        }
        false
    }

    /// Reads the command into memory, and routes it.
    fn poll_gather(
        &mut self,
        long: &mut LongCommand,
        context: &mut Context<'_>,
    ) -> Poll<Result<bool, Turn>> {
        let payload = ready!(long.poll_gathered(context)).map_err(lost)?;
        let (&command, body) = payload.split_first().unwrap_or((&0, &[]));
        let seqs = long.seqs();
        match self.router.route(command, body) {
            Route::Lane(routed) => {
                self.lane_due = Some(routed);
                self.lane_long = Some(LaneLong { payload, seqs });
            }
            Route::Forward => {
                self.tracker.forwarded(command, body);
                let mut writer = PacketWriter::new(seqs.0);
                writer.write(&payload);
                self.to_store.unsplit(writer.into_bytes());
            }
        }
        self.go_on_behind();
        Poll::Ready(Ok(true))
    }

    /// Forwards a part of what is held.
    fn poll_release(
        &mut self,
        long: &mut LongCommand,
        context: &mut Context<'_>,
    ) -> Poll<Result<bool, Turn>> {
        match ready!(long.poll_release(context)).map_err(lost)? {
            Some(bytes) => {
                forward(&mut self.store, &mut self.to_store, &bytes, context)
                    .map_err(Turn::store_write_failed)?;
                Poll::Ready(Ok(false))
            }
            None => {
                let (rest_bytes, continues) = long.position();
                self.framer.resume(rest_bytes, continues);
                self.go_on_behind();
                Poll::Ready(Ok(true))
            }
        }
    }

    /// The session is through with the command: what follows it is processed, if not after the
    /// lane.
    fn go_on_behind(&mut self) {
        self.held = self.lane_due.is_none() && !self.from_client.is_empty();
    }

    /// Forwards what has been received of a long command that turns out to be none.
    pub(super) fn release_as_it_is(&mut self) -> bool {
        match &mut self.long {
            Some(long) if matches!(long.stage, Stage::Receiving) => {
                long.stage = Stage::Releasing;
                true
            }
            _ => false,
        }
    }

    /// Puts a long command that turns out to be none back before what follows it.
    pub(super) fn put_lane_long_back(&mut self) {
        if let Some(LaneLong { payload, seqs }) = self.lane_long.take() {
            let mut writer = PacketWriter::new(seqs.0);
            writer.write(&payload);
            let mut packets = writer.into_bytes();
            packets.unsplit(std::mem::take(&mut self.from_client));
            self.from_client = packets;
        }
    }

    /// The store's last bytes with another error in place of a stub's, where the router has one.
    pub(super) fn instead_of_stub(&mut self, bytes: &[u8]) -> Option<Bytes> {
        let (before, seq) = error_of_stub(bytes)?;
        let error = self.router.instead_of_stub()?;
        let mut writer = PacketWriter::new(seq);
        writer.write(&error.encode());
        Some([before, &writer.into_bytes()].concat().into())
    }
}

/// Bytes that were kept cannot be read again.
fn lost(error: io::Error) -> Turn {
    tracing::error!(%error, "a long command that was kept in a file is lost");
    Turn::End(SessionEnd::Protocol("a long command that was kept is lost"))
}

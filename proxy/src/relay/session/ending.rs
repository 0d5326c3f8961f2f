//! End of a session: which data is still owed to a peer, and how long the relay waits for it.
//!
//! A client that has shut down its write side may still read: the store's write side is shut down
//! in turn, as on a direct connection, and the store continues to answer. A store that no longer
//! reads may still send an error. All waits for a peer that has stopped reading are bounded.

use super::state::{Session, StalledClient, Turn};
use crate::admission::LineLimit;
use crate::error::ErrorKind;
use crate::relay::router::Router;
use crate::session_end::SessionEnd;
use crate::wire::{ErrPacket, PacketWriter};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

/// Timeout for writing the last packets to a client.
pub const FAREWELL_TIME_MAX: Duration = Duration::from_secs(2);
/// Interval of checks whether the store connection is still open, while the client does not read.
/// If the client takes nothing between two checks and the store has closed, the client loses what
/// the store had sent. MariaDB itself gives up such a client after the same time
/// (`net_write_timeout`).
const STALL_LOOK_PERIOD: Duration = Duration::from_secs(60);

impl<R: Router> Session<R> {
    /// Why a session that is to end, or whose client has stopped sending, ends now; none while
    /// data is owed. `idle`: store and client have received everything.
    pub(super) fn due_end(&self, idle: bool) -> Option<SessionEnd> {
        if self.client_ended && idle {
            return Some(SessionEnd::ClientClosed);
        }
        if !self.draining {
            return None;
        }
        if self.record.is_overdue() {
            // Also within a transaction, and even if the client does not read.
            let answered = self.tracker.idle() && self.to_store.is_empty();
            return answered.then_some(SessionEnd::Idle);
        }
        let free = self.tracker.opaque() || (idle && !self.in_transaction());
        free.then_some(SessionEnd::Stopped)
    }

    /// Shuts down the store's write side after the client's, unless all commands are answered and
    /// the session ends anyway.
    #[cold]
    pub(super) fn poll_tell_store(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Turn>> {
        if !self.store_told && !self.tracker.idle() {
            ready!(Pin::new(&mut self.store).poll_shutdown(context))
                .map_err(Turn::store_write_failed)?;
            self.store_told = true;
        }
        Poll::Pending
    }

    /// The client does not read. The end of the store connection would go unnoticed, since the
    /// store is not read meanwhile.
    #[cold]
    pub(super) fn poll_stalled(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Turn>> {
        let untaken_bytes = self.to_client.len();
        let stalled = self.stalled.get_or_insert_with(|| {
            Box::new(StalledClient {
                next_look: Box::pin(sleep(STALL_LOOK_PERIOD)),
                untaken_bytes,
            })
        });
        while stalled.next_look.as_mut().poll(context).is_ready() {
            if stalled.untaken_bytes == untaken_bytes && self.store.peer_has_ended() {
                return Poll::Ready(Err(Turn::End(SessionEnd::StoreClosed)));
            }
            stalled.untaken_bytes = untaken_bytes;
            let next_look = Instant::now() + STALL_LOOK_PERIOD;
            stalled.next_look.as_mut().reset(next_look);
        }
        Poll::Pending
    }

    /// Writes the last packet to a client that still waits for an answer, where the protocol
    /// permits one; does not wait for a client that does not read. If the store is lost, only the
    /// store's own error is sent: drivers handle a closed connection correctly, but take an error
    /// packet for an error of the statement and continue.
    pub(super) async fn farewell(&mut self, end: &SessionEnd) {
        let error = match end {
            SessionEnd::ClientClosed | SessionEnd::Client(_) => return,
            // No answer is owed. Like MariaDB, just close the connection: the client would take an
            // unsolicited error for the answer to its next command.
            SessionEnd::Idle | SessionEnd::Displaced => None,
            SessionEnd::StoreClosed | SessionEnd::Store(_) => {
                self.log_loss();
                None
            }
            SessionEnd::Protocol(reason) => Some(
                ErrorKind::StoreMisunderstood
                    .packet(format!("The store's answer cannot be relayed: {reason}")),
            ),
            SessionEnd::Killed => Some(ErrorKind::ConnectionKilled.packet("Connection was killed")),
            SessionEnd::Stopped => Some(ErrorKind::Shutdown.packet("The proxy is shutting down")),
        };
        // An error means that the client is gone.
        let _ = timeout(FAREWELL_TIME_MAX, self.tell_client(error)).await;
    }

    /// Logs a connection that ends in the middle of an answer; the client cannot see why.
    fn log_loss(&self) {
        static LINES: LineLimit = LineLimit::new();
        let expected = self.store_told || self.tracker.ends_with_error() || self.tracker.idle();
        if !expected && let Some(left_out) = LINES.pass() {
            let (client, connection_id) = (self.client.peer(), self.record.connection_id);
            tracing::warn!(
                client,
                connection_id,
                left_out,
                "the store was lost in the middle of a command"
            );
        }
    }

    async fn tell_client(&mut self, error: Option<ErrPacket>) -> io::Result<()> {
        self.client.write_all(&self.to_client).await?;
        if let (Some(error), Some(seq)) = (error, self.tracker.next_answer_seq()) {
            let mut writer = PacketWriter::new(seq);
            writer.write(&error.encode());
            writer.flush(&mut self.client).await?;
        }
        self.client.shutdown().await
    }
}

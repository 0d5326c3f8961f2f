//! The end of a session: what is still owed to whom, and how long it is waited for.
//!
//! A client that sends no more may still read: the store is told so, as it would be on a
//! connection of the client's own, and goes on answering. A store that takes no more may still say
//! why. Nobody who has stopped listening is waited for without end.

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

/// How long the last words to a client may take.
pub const FAREWELL_TIME_MAX: Duration = Duration::from_secs(2);
/// Time between looks at whether the store is still there, while the client does not read. A
/// client that takes nothing from one look to the next loses what a store that has gone had sent:
/// the time after which MariaDB by itself gives such a client up (`net_write_timeout`).
const STALL_LOOK_PERIOD: Duration = Duration::from_secs(60);

impl<R: Router> Session<R> {
    /// Why a session that is to end, or whose client sends no more, ends now; none while something
    /// is owed. `idle` says that the store and the client have all that was for them.
    pub(super) fn due_end(&self, idle: bool) -> Option<SessionEnd> {
        if self.client_ended && idle {
            return Some(SessionEnd::ClientClosed);
        }
        if !self.draining {
            return None;
        }
        if self.record.is_overdue() {
            // Also within a transaction, and when the client does not even read.
            let answered = self.tracker.idle() && self.to_store.is_empty();
            return answered.then_some(SessionEnd::Idle);
        }
        let free = self.tracker.opaque() || (idle && !self.in_transaction());
        free.then_some(SessionEnd::Stopped)
    }

    /// The client sends no more: tells the store, unless all is answered and the session ends
    /// anyway.
    #[cold]
    pub(super) fn poll_tell_store(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Turn>> {
        if !self.store_told && !self.tracker.idle() {
            ready!(Pin::new(&mut self.store).poll_shutdown(context))
                .map_err(Turn::store_write_failed)?;
            self.store_told = true;
        }
        Poll::Pending
    }

    /// The client does not take what it is sent. A store that has ended meanwhile is not seen by
    /// reading it, since it is not read.
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

    /// The last words to a client that still waits for an answer, where the protocol lets them in.
    /// A client that does not read them is not waited for. Of a store that is lost there are none
    /// but its own: drivers take the end of the connection for what it is, and an error for one of
    /// the statement, after which they go on.
    pub(super) async fn farewell(&mut self, end: &SessionEnd) {
        let error = match end {
            SessionEnd::ClientClosed | SessionEnd::Client(_) => return,
            // Nothing is owed. It is told as MariaDB tells it, by the end of the connection: an
            // error that answers no command would be taken for the answer to the next.
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
        // Whoever cannot be told is gone.
        let _ = timeout(FAREWELL_TIME_MAX, self.tell_client(error)).await;
    }

    /// The client cannot know why its connection ends in the middle of an answer.
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

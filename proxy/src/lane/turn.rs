//! One command in the lane: both legs of its session, the answer under way,
//! and the guard over its work.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use crate::lane::store::bounds::Bounds;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::StoreLink;
use crate::live::{self, Session, Statement};
use crate::predict::interrupted;
use crate::relay::{SessionEnd, Takeover};
use crate::wire::{Capabilities, ColumnDefinition, PacketWriter, StatusFlags, Stream, encode_ok};

/// Bytes of pipelined commands that are kept while a statement runs; a client that sends more is
/// no longer watched.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;

/// Both legs for the time of one command, and the answer under way.
pub struct Turn<'a> {
    /// The client's leg.
    pub client: &'a mut Stream,
    /// The store's leg.
    pub store: StoreLink<'a>,
    /// What the session has negotiated, the same on both legs.
    pub capabilities: Capabilities,
    /// The answer, as far as it is not sent.
    pub out: PacketWriter,
    read_ahead: &'a mut BytesMut,
    /// Status flags of the session, as the last answer of the store has them.
    pub status: &'a mut StatusFlags,
    stop: &'a CancellationToken,
    /// What operators see of the session.
    pub record: &'a live::Session,
    /// Another statement of the same text follows.
    pub more: bool,
    /// The client's answer has its last packet, sent or not.
    pub complete: AtomicBool,
    /// FOUND_ROWS() after a refusal of the statement itself by the store,
    /// where the store says another number.
    pub found_rows_if_refused: Option<u64>,
    /// Columns of the client's answer, where they are not those of the statement that runs.
    pub own_columns: Option<Vec<ColumnDefinition>>,
}

impl<'a> Turn<'a> {
    /// The turn of a command that the relay has handed over, and what the command was found to be.
    pub fn new<R>(takeover: Takeover<'a, R>) -> (Self, R) {
        let turn = Self {
            client: takeover.client,
            store: StoreLink::new(takeover.store, takeover.capabilities),
            capabilities: takeover.capabilities,
            out: PacketWriter::new(takeover.seq.wrapping_add(1)),
            read_ahead: takeover.read_ahead,
            status: takeover.status,
            stop: takeover.stop,
            record: takeover.record,
            more: false,
            complete: AtomicBool::new(false),
            found_rows_if_refused: None,
            own_columns: None,
        };
        (turn, takeover.routed)
    }

    /// The flags of the packet that ends an answer in `state`, to be written next.
    pub fn end_status(&self, state: StatusFlags) -> StatusFlags {
        if self.more {
            return state | StatusFlags::SERVER_MORE_RESULTS_EXISTS;
        }
        if !state.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
            self.complete.store(true, Relaxed);
        }
        state
    }

    /// Sends what is written of the answer.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        self.out
            .flush(self.client)
            .await
            .map_err(|e| LinkError::End(SessionEnd::client(e)))
    }

    /// Writes an OK to a statement that the lane ran.
    pub fn write_ok(&mut self, affected_rows: u64, warnings: u16) {
        let status = self.end_status(*self.status);
        self.out
            .write(&encode_ok(affected_rows, 0, status, warnings, b""));
    }

    /// The guard over a statement's work, and the legs that the work may use.
    pub fn guarded(&mut self) -> (Guard<'_>, Legs<'_, 'a>) {
        let (reader, writer) = tokio::io::split(&mut *self.client);
        let guard = Guard {
            reader,
            read_ahead: self.read_ahead,
            stop: self.stop,
        };
        let legs = Legs {
            client: writer,
            store: &mut self.store,
            out: &mut self.out,
        };
        (guard, legs)
    }
}

/// What a statement's work may use while the guard reads from the client.
pub struct Legs<'t, 'a> {
    /// Writes to the client.
    pub client: WriteHalf<&'t mut Stream>,
    /// The store's leg.
    pub store: &'t mut StoreLink<'a>,
    /// The answer, as far as it is not sent.
    pub out: &'t mut PacketWriter,
}

/// Reads what the client sends meanwhile, and notices that it leaves or that the session is to
/// end.
pub struct Guard<'t> {
    reader: ReadHalf<&'t mut Stream>,
    read_ahead: &'t mut BytesMut,
    stop: &'t CancellationToken,
}

/// Work that is finished once it has begun, also where nobody waits for its result any more:
/// a change of the catalog.
pub struct MustFinish<'c, F> {
    /// The work; it ends early, and properly, after `cancel`.
    pub work: F,
    /// Asks the work to end as soon as it can.
    pub cancel: &'c CancellationToken,
}

impl Guard<'_> {
    /// Does the work for as long as the client stays and nothing stops the session;
    /// else it is dropped.
    ///
    /// # Errors
    /// Those of the work; the session's end.
    pub async fn while_client_stays<T>(
        mut self,
        work: impl Future<Output = Result<T, LinkError>>,
    ) -> Result<T, LinkError> {
        tokio::select! {
            biased;
            done = work => done,
            end = self.end() => Err(LinkError::End(end)),
        }
    }

    /// Does the work. Where the client leaves or something stops the session, the work is
    /// cancelled and its end awaited.
    ///
    /// # Errors
    /// Those of the work; the session's end.
    pub async fn until_finished<T>(
        mut self,
        MustFinish { work, cancel }: MustFinish<'_, impl Future<Output = Result<T, LinkError>>>,
    ) -> Result<T, LinkError> {
        let mut work = std::pin::pin!(work);
        let end = tokio::select! {
            biased;
            done = &mut work => return done,
            end = self.end() => end,
        };
        cancel.cancel();
        let _ = work.await;
        Err(LinkError::End(end))
    }

    /// Waits for the client to leave or the session to be stopped;
    /// keeps what the client sends meanwhile.
    async fn end(&mut self) -> SessionEnd {
        tokio::select! {
            biased;
            end = read_ahead(&mut self.reader, self.read_ahead) => end,
            () = self.stop.cancelled() => SessionEnd::Stopped,
        }
    }
}

/// Reads of the client until it leaves.
async fn read_ahead(reader: &mut ReadHalf<&mut Stream>, read_ahead: &mut BytesMut) -> SessionEnd {
    loop {
        if read_ahead.len() >= READ_AHEAD_BYTES_MAX {
            return std::future::pending().await;
        }
        match reader.read_buf(read_ahead).await {
            Ok(0) => return SessionEnd::ClientClosed,
            Ok(_) => {}
            Err(error) => return SessionEnd::client(error),
        }
    }
}

/// Refuses to acknowledge a statement that was to end, though the store has: it may have taken
/// NULL for what it did not evaluate. For statements that change no table. What has changed is
/// acknowledged by whoever changed it.
pub async fn check_not_interrupted(
    session: &Session,
    running: &Statement,
    bounds: &Bounds,
) -> Result<(), LinkError> {
    session.kills_decided().await;
    match running.cancel.is_cancelled() || bounds.are_over() {
        true => Err(interrupted().into()),
        false => Ok(()),
    }
}

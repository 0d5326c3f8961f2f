//! One command in the lane: the client and store connections of its session, the answer being
//! written, and the guard that watches the client meanwhile.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

use crate::lane::store::as_written::AsWritten;
use crate::lane::store::bounds::Bounds;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::StoreLink;
use crate::live::{self, Session, Statement};
use crate::predict::interrupted;
use crate::relay::{SessionEnd, SessionStatus, Takeover};
use crate::wire::{
    Capabilities, ColumnDefinition, HEADER_BYTES, PacketWriter, StatusFlags, Stream, encode_ok,
    packet_header,
};

/// Limit on the pipelined commands buffered while a statement runs, in bytes. Once the buffer is
/// full, the guard stops reading and no longer notices that the client disconnects.
const READ_AHEAD_BYTES_MAX: usize = 64 * 1024;

/// Both connections for the duration of one command, and the answer being written.
pub struct Turn<'a> {
    /// The client connection.
    pub client: &'a mut Stream,
    /// The store's leg.
    pub store: StoreLink<'a>,
    /// The negotiated capabilities, the same on both connections.
    pub capabilities: Capabilities,
    /// The answer, as far as it is not sent.
    pub out: PacketWriter,
    read_ahead: &'a mut BytesMut,
    /// Status of the session, from the store's last answer.
    pub status: &'a mut SessionStatus,
    stop: &'a CancellationToken,
    /// The session's entry in the registry of live sessions.
    pub record: &'a live::Session,
    /// Another statement follows in the same multi-statement text.
    pub more: bool,
    /// The last packet of the client's answer has been written, though perhaps not sent.
    pub complete: AtomicBool,
    /// FOUND_ROWS() if the store refuses the statement itself and would return another number.
    pub found_rows_if_refused: Option<u64>,
    /// Columns of the client's answer, if they differ from those of the statement that runs.
    pub own_columns: Option<Vec<ColumnDefinition>>,
    /// What differs for these columns in the statement as the client wrote it.
    pub as_written: Option<Vec<AsWritten>>,
}

impl<'a> Turn<'a> {
    /// The turn of a command that the relay has handed over, and the command's routing result.
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
            as_written: None,
        };
        (turn, takeover.routed)
    }

    /// The status flags of the packet that ends an answer in `state`. Call it when that packet is
    /// written next: it may mark the answer as complete.
    pub fn end_status(&self, state: StatusFlags) -> StatusFlags {
        if self.more {
            return state | StatusFlags::SERVER_MORE_RESULTS_EXISTS;
        }
        if !state.contains(StatusFlags::SERVER_MORE_RESULTS_EXISTS) {
            self.complete.store(true, Relaxed);
        }
        state
    }

    /// Sends the buffered part of the answer.
    pub async fn flush(&mut self) -> Result<(), LinkError> {
        self.out
            .flush(self.client)
            .await
            .map_err(|e| LinkError::End(SessionEnd::client(e)))
    }

    /// Writes an OK packet for a statement that the lane ran.
    pub fn write_ok(&mut self, affected_rows: u64, warnings: u16) {
        let status = self.end_status(self.status.flags());
        self.out
            .write(&encode_ok(affected_rows, 0, status, warnings, b""));
    }

    /// Passes the store's request for a file of the client on, and the client's packets up to the
    /// empty one that ends the file.
    pub async fn pass_local_file(&mut self, request: &[u8]) -> Result<(), LinkError> {
        self.out.write(request);
        self.flush().await?;
        let mut store_seq = self.store.next_seq();
        loop {
            let &[a, b, c, seq] = self.read_client::<HEADER_BYTES>().await?;
            self.read_ahead.advance(HEADER_BYTES);
            let mut rest = u32::from_le_bytes([a, b, c, 0]) as usize;
            let is_last = rest == 0;
            self.store.send_raw(&packet_header(rest, store_seq)).await?;
            store_seq = store_seq.wrapping_add(1);
            while rest > 0 {
                self.read_client::<1>().await?;
                let part = self.read_ahead.split_to(rest.min(self.read_ahead.len()));
                self.store.send_raw(&part).await?;
                rest -= part.len();
            }
            if is_last {
                self.out.set_next_seq(seq.wrapping_add(1));
                return self.store.flush_raw().await;
            }
        }
    }

    /// The client's next bytes.
    async fn read_client<const BYTES: usize>(&mut self) -> Result<&[u8; BYTES], LinkError> {
        while self.read_ahead.len() < BYTES {
            let read = self.client.read_buf(self.read_ahead).await;
            if read.map_err(|error| LinkError::End(SessionEnd::client(error)))? == 0 {
                return Err(LinkError::End(SessionEnd::ClientClosed));
            }
        }
        let bytes = self.read_ahead.first_chunk::<BYTES>();
        bytes.ok_or(LinkError::End(SessionEnd::ClientClosed))
    }

    /// The guard over a statement's work, and the connections that the work may use.
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

/// The connections that a statement's work may use while the guard reads from the client.
pub struct Legs<'t, 'a> {
    /// Writes to the client.
    pub client: WriteHalf<&'t mut Stream>,
    /// The store's leg.
    pub store: &'t mut StoreLink<'a>,
    /// The answer, as far as it is not sent.
    pub out: &'t mut PacketWriter,
}

/// Buffers what the client sends while a statement runs, and detects that the client disconnects
/// or that the session is stopped.
pub struct Guard<'t> {
    reader: ReadHalf<&'t mut Stream>,
    read_ahead: &'t mut BytesMut,
    stop: &'t CancellationToken,
}

/// Work that must run to its end once it has begun, even if the client has disconnected: a change
/// of the catalog.
pub struct MustFinish<'c, F> {
    /// The work; after `cancel` it ends early and in a consistent state.
    pub work: F,
    /// Asks the work to end as soon as it can.
    pub cancel: &'c CancellationToken,
}

impl Guard<'_> {
    /// Runs the work; drops it if the client disconnects or the session is stopped.
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

    /// Runs the work. If the client disconnects or the session is stopped, it cancels the work and
    /// waits for its end.
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

    /// Waits until the client disconnects or the session is stopped; buffers what the client sends
    /// meanwhile.
    async fn end(&mut self) -> SessionEnd {
        tokio::select! {
            biased;
            end = read_ahead(&mut self.reader, self.read_ahead) => end,
            () = self.stop.cancelled() => SessionEnd::Stopped,
        }
    }
}

/// Reads from the client into the buffer until the client disconnects.
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

/// Fails if the statement was killed or is past its deadline, even if the store has returned a
/// result: the store may have used NULL for expressions it did not evaluate. Only for statements
/// that change no table; a completed change is acknowledged by the code that made it.
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

//! Runs statements on the client's store connection and reads their answers packet by packet.

use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{ErrorKind, SqlError};
use crate::lane::store::answer::Answer;
use crate::lane::store::before::Before;
use crate::lane::store::bounds::Bounds;
use crate::lane::store::error::LinkError;
use crate::lane::store::parameters::Parameters;
use crate::lane::store::rows::{Codec, RowCodec};
use crate::lane::store::text_encoding::TextEncoding;
use crate::predict::interrupted;
use crate::relay::SessionEnd;
use crate::wire::{
    Capabilities, ColumnDefinition, ErrPacket, Malformed, OkPacket, PacketReader, PacketWriter,
    Piece, StatusFlags, Stream, command, lenenc, result_end_status,
};
use predictsql_optimizer::Fragment;
use predictsql_optimizer::materialise::says_interrupted;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

/// Longest payload that the lane accepts from the store, in bytes: a row may be as long as
/// `max_allowed_packet`.
const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// Longest row that is read into memory as a whole, in bytes; longer rows arrive in pieces.
pub const GATHERED_BYTES_MAX: usize = 1 << 20;

/// Default of `max_error_count`: the number of warnings that a session keeps per statement. All
/// warnings are counted.
pub const WARNINGS_KEPT: usize = 64;

/// ER_UNSUPPORTED_PS: the store cannot prepare the statement; it is checked when it runs.
pub const UNPREPARABLE: u16 = 1295;

/// Maximum number of rows in the small answer to a statement of the lane.
const SMALL_ROWS_MAX: usize = 100_000;
/// Maximum size of those rows, in bytes.
const SMALL_BYTES_MAX: usize = 64 << 20;

/// A statement prepared on the store.
#[derive(Debug)]
pub struct Prepared {
    /// The statement id at the store.
    pub id: u32,
    /// Payloads of the parameter definitions, as received.
    pub parameters: Vec<Bytes>,
    /// The columns of the result.
    pub columns: Vec<ColumnDefinition>,
    /// Number of warnings.
    pub warnings: u16,
}

/// The end of a result's rows.
#[derive(Debug, Clone, Copy)]
pub struct ResultEnd {
    /// Status flags of the session.
    pub status: StatusFlags,
    /// Number of warnings.
    pub warnings: u16,
}

/// The next item of a result set.
#[derive(Debug)]
pub enum Next {
    /// A row's payload.
    Row(Bytes),
    /// A piece of a row longer than [`GATHERED_BYTES_MAX`]; pieces arrive in order.
    Part {
        /// The bytes; may be empty.
        bytes: Bytes,
        /// If the piece begins a packet: the packet's length in bytes.
        packet: Option<usize>,
        /// Whether the row ends with this piece.
        last: bool,
    },
    /// No more rows.
    End(ResultEnd),
}

/// The start of the answer to a statement.
#[derive(Debug)]
pub enum Head {
    /// A result set with these columns; [`StoreLink::next`] reads its rows.
    Rows(Vec<ColumnDefinition>),
    /// The payload of an OK packet; nothing follows.
    Done(Bytes),
}

/// The protocol of a statement and its answer.
#[derive(Debug, Clone)]
pub enum Protocol {
    /// COM_QUERY and text rows.
    Text,
    /// COM_STMT_EXECUTE with the client's parameters, and binary rows.
    Binary(Parameters),
}

impl Protocol {
    /// The encoding of rows.
    pub fn codec(&self) -> Codec {
        match self {
            Self::Text => Codec::Text,
            Self::Binary(_) => Codec::Binary,
        }
    }
}

/// The store connection of a session in packet mode, for the duration of one takeover.
#[derive(Debug)]
pub struct StoreLink<'a> {
    stream: &'a mut Stream,
    reader: PacketReader,
    capabilities: Capabilities,
    encoding: TextEncoding,
    /// Values that the client's previous statement left in the session; set by the lane's first
    /// statement.
    pub before: Option<Before>,
    /// Bounds of the client's statement.
    pub bounds: Bounds,
    /// Time at which the client's statement began.
    pub began: Instant,
    /// Number of warnings that the session keeps per statement (`max_error_count`).
    pub warnings_kept: usize,
    /// The session's `character_set_results` is binary: the store describes all text as bytes.
    pub results_binary: bool,
    /// Longest command that the store accepts from the session, in bytes (`max_allowed_packet`):
    /// the store ends a session that sends a longer one.
    pub packet_bytes_max: usize,
    /// Whether the client's statement or its replacement was the last one that the store ran: the
    /// store then holds the statement's effects on the session.
    answering: bool,
    /// `SET STATEMENT ... FOR` of the client's statement: the prefix of the statements derived
    /// from it.
    settings: Option<String>,
}

impl<'a> StoreLink<'a> {
    /// Takes over an idle store connection.
    pub fn new(stream: &'a mut Stream, capabilities: Capabilities) -> Self {
        Self {
            stream,
            reader: PacketReader::new(PAYLOAD_BYTES_MAX),
            capabilities,
            encoding: TextEncoding::default(),
            before: None,
            bounds: Bounds::default(),
            began: Instant::now(),
            warnings_kept: WARNINGS_KEPT,
            results_binary: false,
            packet_bytes_max: usize::MAX,
            answering: false,
            settings: None,
        }
    }

    /// Sets or clears the `SET STATEMENT ... FOR` prefix for the statements sent from here on.
    pub fn set_for_statements(&mut self, settings: Option<String>) {
        self.settings = settings;
    }

    /// Sends the encoded text of a statement, with the prefix. The lane's statements for
    /// transactions, and those that show the diagnostics of the last statement, are sent without
    /// the prefix.
    pub async fn send_text(&mut self, command: u8, sql: &str) -> Result<(), LinkError> {
        const PLAIN: [&str; 5] = ["SHOW ", "SET TRANSACTION", "START ", "COMMIT", "ROLLBACK"];
        let sql = match &self.settings {
            Some(settings) if !PLAIN.iter().any(|p| sql.starts_with(p)) => {
                Cow::Owned(format!("{settings} {sql}"))
            }
            _ => Cow::Borrowed(sql),
        };
        self.check_length(self.encoding.encoded_bytes(&sql))?;
        self.answering = false;
        let mut writer = PacketWriter::new(0);
        writer.write_with(|out| {
            out.put_u8(command);
            self.encoding.encode_into(&sql, out);
        });
        writer
            .flush(self.stream)
            .await
            .map_err(|e| LinkError::End(SessionEnd::store(e)))
    }

    /// Refuses a command that is longer than the store accepts.
    fn check_length(&self, bytes: usize) -> Result<(), LinkError> {
        if bytes < self.packet_bytes_max {
            return Ok(());
        }
        Err(SqlError::unsupported(format_args!(
            "a statement of which one of {bytes} bytes is made for the store: its max_allowed_packet is {} bytes",
            self.packet_bytes_max
        ))
        .into())
    }

    /// Sets the encoding of text sent from here on.
    pub fn encode_as(&mut self, encoding: TextEncoding) {
        self.encoding = encoding;
    }

    /// The encoding of sent text.
    pub fn encoding(&self) -> &TextEncoding {
        &self.encoding
    }

    /// Sends a command. A command longer than the store accepts is refused before any of it is
    /// sent.
    pub async fn send(&mut self, command: u8, body: &[u8]) -> Result<(), LinkError> {
        self.check_length(body.len())?;
        // Closing a prepared statement leaves the session as it is.
        self.answering &= command == command::STMT_CLOSE;
        let mut writer = PacketWriter::new(0);
        writer.write_with(|out| {
            out.put_u8(command);
            out.put_slice(body);
        });
        writer
            .flush(self.stream)
            .await
            .map_err(|e| LinkError::End(SessionEnd::store(e)))
    }

    /// The sequence id that the store expects of a packet that continues its answer.
    pub fn next_seq(&self) -> u8 {
        self.reader.last_seq().wrapping_add(1)
    }

    /// Sends bytes of packets that continue the store's answer.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let sent = self.stream.write_all(bytes).await;
        sent.map_err(|e| LinkError::End(SessionEnd::store(e)))
    }

    /// Sends what [`StoreLink::send_raw`] has left in buffers.
    pub async fn flush_raw(&mut self) -> Result<(), LinkError> {
        let sent = self.stream.flush().await;
        sent.map_err(|e| LinkError::End(SessionEnd::store(e)))
    }

    /// Reads the next payload from the store.
    pub async fn payload(&mut self) -> Result<Bytes, LinkError> {
        self.reader
            .read(self.stream)
            .await
            .map_err(|e| LinkError::End(SessionEnd::store(e)))
    }

    /// Whether [`StoreLink::next`] may block on the store: no packet is buffered.
    pub fn would_wait(&self) -> bool {
        !self.reader.has_buffered()
    }

    /// Prepares a statement; the caller must close it.
    pub async fn prepare(&mut self, sql: &str) -> Result<Prepared, LinkError> {
        self.send_text(command::STMT_PREPARE, sql).await?;
        let first = self.payload().await?;
        if ErrPacket::is_err(&first) {
            return Err(refusal(&first)?);
        }
        let mut input = &first[..];
        lenenc::get_u8(&mut input)?;
        let id = lenenc::get_u32(&mut input)?;
        let (columns, parameters) = (lenenc::get_u16(&mut input)?, lenenc::get_u16(&mut input)?);
        lenenc::get_u8(&mut input)?;
        let warnings = lenenc::get_u16(&mut input).unwrap_or_default();
        let parameters = self.definitions(usize::from(parameters)).await?;
        let columns = self.definitions(usize::from(columns)).await?;
        let columns = self.parse_columns(&columns)?;
        Ok(Prepared {
            id,
            parameters,
            columns,
            warnings,
        })
    }

    /// Closes a prepared statement. The store does not answer.
    pub async fn close(&mut self, id: u32) -> Result<(), LinkError> {
        self.send(command::STMT_CLOSE, &id.to_le_bytes()).await
    }

    /// Prepares and closes a statement, to check it and to get its columns.
    pub async fn describe(&mut self, sql: &str) -> Result<Vec<ColumnDefinition>, LinkError> {
        let prepared = self.prepare(sql).await?;
        self.close(prepared.id).await?;
        Ok(prepared.columns)
    }

    /// Runs a statement that returns a result set, and reads its column definitions;
    /// [`StoreLink::next`] reads the rows. With [`Protocol::Binary`] it also returns the id of the
    /// prepared statement, which the caller must close after the last row.
    pub async fn start(
        &mut self,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<(Vec<ColumnDefinition>, Option<u32>), LinkError> {
        rows_of(self.run(statement, protocol).await?)
    }

    /// Like [`StoreLink::start`], for a statement of any kind.
    pub async fn run(
        &mut self,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<(Head, Option<u32>), LinkError> {
        match protocol {
            Protocol::Text => {
                self.send_text(command::QUERY, &statement.sql).await?;
                Ok((self.head().await?, None))
            }
            Protocol::Binary(parameters) => {
                let id = self.prepare(&statement.sql).await?.id;
                match self.execute(id, statement, parameters).await {
                    Ok(head) => Ok((head, Some(id))),
                    failed => self.finish(Some(id), failed).await.map(|h| (h, None)),
                }
            }
        }
    }

    /// Like [`StoreLink::run`], for a statement that may take long: it runs under the statement's
    /// bounds.
    pub async fn run_bounded(
        &mut self,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<(Head, Option<u32>), LinkError> {
        loop {
            let bounded = Fragment {
                sql: self.bounds.prefix() + &statement.sql,
                parameters: statement.parameters.clone(),
            };
            match self.run(&bounded, protocol).await {
                Err(LinkError::Refused(error)) if self.bounds.without_timestamp(error.code) => {}
                ran => return ran,
            }
        }
    }

    /// Runs the client's statement or its replacement: the store itself then holds the statement's
    /// effects on the session.
    pub async fn run_answering(
        &mut self,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<(Head, Option<u32>), LinkError> {
        let ran = self.run_bounded(statement, protocol).await;
        self.answering = true;
        ran
    }

    /// Resets the state of the current client statement, before the next one.
    pub fn end_statement(&mut self) {
        self.before = None;
        self.bounds = Bounds::default();
        self.began = Instant::now();
        self.answering = false;
    }

    /// Whether the client's statement or its replacement was the last one that the store ran.
    pub fn is_answering(&self) -> bool {
        self.answering
    }

    /// Reads and discards the rest of an answer.
    pub async fn drain(&mut self) -> Result<ResultEnd, LinkError> {
        loop {
            if let Next::End(end) = self.next().await? {
                return Ok(end);
            }
        }
    }

    async fn execute(
        &mut self,
        id: u32,
        statement: &Fragment,
        parameters: &Parameters,
    ) -> Result<Head, LinkError> {
        let body = parameters.execute_body(id, &statement.parameters)?;
        self.send(command::STMT_EXECUTE, &body).await?;
        self.head().await
    }

    /// Closes a prepared statement whose answer has ended, with success or an error; sends nothing
    /// if the session is over.
    pub async fn finish<T>(
        &mut self,
        id: Option<u32>,
        answered: Result<T, LinkError>,
    ) -> Result<T, LinkError> {
        if let Some(id) = id
            && !matches!(answered, Err(LinkError::End(_)))
        {
            self.close(id).await?;
        }
        answered
    }

    /// Reads the next row, a piece of a long row, or the end of the rows.
    pub async fn next(&mut self) -> Result<Next, LinkError> {
        let piece = self.reader.read_piece(self.stream, GATHERED_BYTES_MAX);
        let payload = match piece
            .await
            .map_err(|e| LinkError::End(SessionEnd::store(e)))?
        {
            Piece::Whole(payload) => payload,
            Piece::Part {
                bytes,
                packet,
                last,
            } => {
                return Ok(Next::Part {
                    bytes,
                    packet,
                    last,
                });
            }
        };
        if ErrPacket::is_err(&payload) {
            return Err(refusal(&payload)?);
        }
        match result_end_status(self.capabilities, &payload) {
            None => Ok(Next::Row(payload)),
            Some(end) => {
                let end = end?;
                Ok(Next::End(ResultEnd {
                    status: end.status,
                    warnings: end.warnings,
                }))
            }
        }
    }

    /// Runs a statement whose answer is small, and reads the whole answer.
    pub async fn ask(
        &mut self,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<Answer, LinkError> {
        let (columns, id) = self.start(statement, protocol).await?;
        let codec = RowCodec::new(protocol.codec(), &columns);
        let rows = self.small_rows().await;
        let rows = self.finish(id, rows).await?;
        Ok(Answer {
            columns,
            rows,
            codec,
        })
    }

    async fn small_rows(&mut self) -> Result<Vec<Bytes>, LinkError> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            match self.next().await? {
                Next::Row(row) => {
                    bytes += row.len();
                    if bytes <= SMALL_BYTES_MAX && rows.len() < SMALL_ROWS_MAX {
                        rows.push(row);
                    }
                }
                Next::Part { bytes: part, .. } => bytes += part.len(),
                Next::End(_) if bytes > SMALL_BYTES_MAX => return Err(too_long_answer().into()),
                Next::End(_) => return Ok(rows),
            }
        }
    }

    /// Runs a statement of the lane in the text protocol.
    pub async fn ask_text(&mut self, sql: &str) -> Result<Answer, LinkError> {
        let statement = Fragment {
            sql: sql.to_owned(),
            parameters: Vec::new(),
        };
        self.ask(&statement, &Protocol::Text).await
    }

    /// Reads the start of a statement's answer, or of its next result set.
    pub async fn head(&mut self) -> Result<Head, LinkError> {
        let first = self.payload().await?;
        self.head_from(first).await
    }

    /// The same, after its first payload.
    pub async fn head_from(&mut self, first: Bytes) -> Result<Head, LinkError> {
        if ErrPacket::is_err(&first) {
            return Err(refusal(&first)?);
        }
        match first.first() {
            Some(&OkPacket::HEADER) => return Ok(Head::Done(first)),
            Some(&lenenc::NULL) => {
                return Err(LinkError::End(SessionEnd::Protocol(
                    "the store asked for a file that no statement of the lane names",
                )));
            }
            _ => {}
        }
        let count = usize::try_from(lenenc::get_int(&mut &first[..])?).unwrap_or(usize::MAX);
        let definitions = self.definitions(count).await?;
        Ok(Head::Rows(self.parse_columns(&definitions)?))
    }

    /// Reads `count` definitions and the EOF packet after them, if there is one.
    async fn definitions(&mut self, count: usize) -> Result<Vec<Bytes>, LinkError> {
        let mut definitions = Vec::new();
        for _ in 0..count {
            definitions.push(self.payload().await?);
        }
        if count > 0 && !self.capabilities.has(Capabilities::DEPRECATE_EOF) {
            self.payload().await?;
        }
        Ok(definitions)
    }

    fn parse_columns(&self, payloads: &[Bytes]) -> Result<Vec<ColumnDefinition>, LinkError> {
        Ok(payloads
            .iter()
            .map(|p| ColumnDefinition::parse(p, self.capabilities))
            .collect::<Result<_, _>>()?)
    }
}

/// Converts an error packet of the store. The error of the lane's own interruption expression
/// means that the statement was to end.
fn refusal(payload: &[u8]) -> Result<LinkError, Malformed> {
    let error = ErrPacket::parse(payload)?;
    Ok(match says_interrupted(error.code, &error.message) {
        true => LinkError::Sql(interrupted()),
        false => LinkError::Refused(error),
    })
}

/// ER_OUT_OF_RESOURCES
fn too_long_answer() -> SqlError {
    SqlError::new(
        ErrorKind::OutOfMemory,
        format!(
            "Out of memory: an expression over a prediction has values of more than {SMALL_BYTES_MAX} bytes together"
        ),
    )
}

/// The columns of an answer that must be a result set.
pub fn rows_of(
    (head, id): (Head, Option<u32>),
) -> Result<(Vec<ColumnDefinition>, Option<u32>), LinkError> {
    match head {
        Head::Rows(columns) => Ok((columns, id)),
        Head::Done(_) => Err(LinkError::End(SessionEnd::Protocol(
            "the store answered a SELECT without a result",
        ))),
    }
}

/// The payload of command `command` with `body`.
pub fn command_payload(command: u8, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + body.len());
    out.put_u8(command);
    out.put_slice(body);
    out.freeze()
}

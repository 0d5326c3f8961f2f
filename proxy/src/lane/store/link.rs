//! The lane's own statements on the client's store connection, and their answers packet by packet.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::{ErrorKind, SqlError};
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
use tokio::time::Instant;

/// Longest payload that the lane takes from the store:
/// a row may be as long as `max_allowed_packet`.
const PAYLOAD_BYTES_MAX: usize = 1 << 30;

/// Longest row that is gathered in memory; longer ones come in pieces.
pub const GATHERED_BYTES_MAX: usize = 1 << 20;

/// Warnings that a session keeps of a statement, as `max_error_count` has it by default;
/// all are counted.
pub const WARNINGS_KEPT: usize = 64;

/// ER_UNSUPPORTED_PS: what the store cannot prepare is checked when it runs.
pub const UNPREPARABLE: u16 = 1295;

/// Rows that an own statement with a small answer may have.
const SMALL_ROWS_MAX: usize = 100_000;
/// Their bytes.
const SMALL_BYTES_MAX: usize = 64 << 20;

/// A statement prepared on the store.
#[derive(Debug)]
pub struct Prepared {
    /// The store's id.
    pub id: u32,
    /// Payloads of the parameters' definitions, as sent.
    pub parameters: Vec<Bytes>,
    /// The result's columns.
    pub columns: Vec<ColumnDefinition>,
    /// Number of warnings.
    pub warnings: u16,
}

/// The end of a result's rows.
#[derive(Debug, Clone, Copy)]
pub struct ResultEnd {
    /// The session's state.
    pub status: StatusFlags,
    /// Number of warnings.
    pub warnings: u16,
}

/// What comes where a row may come.
#[derive(Debug)]
pub enum Next {
    /// A row's payload.
    Row(Bytes),
    /// Some of a row that is too long to be gathered, in order.
    Part {
        /// The bytes; may be none.
        bytes: Bytes,
        /// They are the first of a packet of so many bytes.
        packet: Option<usize>,
        /// The row ends.
        last: bool,
    },
    /// No more rows.
    End(ResultEnd),
}

/// How the answer to a statement of any kind begins.
#[derive(Debug)]
pub enum Head {
    /// With rows of these columns; [`StoreLink::next`] gives them.
    Rows(Vec<ColumnDefinition>),
    /// With an OK, whose payload this is: there is no more.
    Done(Bytes),
}

/// How a statement and its answer travel.
#[derive(Debug, Clone)]
pub enum Protocol {
    /// COM_QUERY and text rows.
    Text,
    /// Prepared, with the client's parameters, and binary rows.
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

/// A complete small answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The columns.
    pub columns: Vec<ColumnDefinition>,
    /// The rows' payloads.
    pub rows: Vec<Bytes>,
    codec: RowCodec,
}

impl Answer {
    /// The cells of a row, encoded as in the protocol of the answer.
    pub fn cells(&self, row: usize) -> Result<Vec<Option<&[u8]>>, Malformed> {
        let payload = self.rows.get(row).map_or(&[][..], |r| &r[..]);
        let mut cells = Vec::new();
        self.codec.split(payload, &mut cells)?;
        Ok(cells
            .into_iter()
            .map(|c| c.and_then(|range| payload.get(range)))
            .collect())
    }

    /// Which rows it has.
    pub fn codec(&self) -> Codec {
        self.codec.codec()
    }

    /// The text of a string cell; `None` for NULL.
    pub fn text(&self, row: usize, column: usize) -> Result<Option<String>, Malformed> {
        let cells = self.cells(row)?;
        let Some(Some(mut cell)) = cells.get(column).copied() else {
            return Ok(None);
        };
        Ok(Some(
            String::from_utf8_lossy(lenenc::get_str(&mut cell)?).into_owned(),
        ))
    }
}

/// The store's side of a session in packet mode, for the time of one takeover.
#[derive(Debug)]
pub struct StoreLink<'a> {
    stream: &'a mut Stream,
    reader: PacketReader,
    capabilities: Capabilities,
    encoding: TextEncoding,
    /// What the session was left in before the first statement of the lane,
    /// once that has been sent.
    pub before: Option<Before>,
    /// Bounds of the client's statement.
    pub bounds: Bounds,
    /// When it began.
    pub began: Instant,
    /// Warnings that the session keeps of a statement (`max_error_count`).
    pub warnings_kept: usize,
    /// Longest command that the store takes from the session, in bytes (`max_allowed_packet`): it
    /// ends a session that sends a longer one.
    pub packet_bytes_max: usize,
    answering: bool,
    /// `SET STATEMENT ... FOR` of the client's statement, under which all that is made of it runs.
    settings: Option<String>,
}

impl<'a> StoreLink<'a> {
    /// Takes over an idle store.
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
            packet_bytes_max: usize::MAX,
            answering: false,
            settings: None,
        }
    }

    /// Statements run under `SET STATEMENT ... FOR` from here on, or no more.
    pub fn set_for_statements(&mut self, settings: Option<String>) {
        self.settings = settings;
    }

    /// A statement as it is sent. Those of the lane that keep a transaction, or show what the last
    /// one left, are sent plainly.
    fn as_sent(&self, sql: &str) -> Vec<u8> {
        const PLAIN: [&str; 5] = ["SHOW ", "SET TRANSACTION", "START ", "COMMIT", "ROLLBACK"];
        match &self.settings {
            Some(settings) if !PLAIN.iter().any(|p| sql.starts_with(p)) => self
                .encoding
                .encode(&format!("{settings} {sql}"))
                .into_owned(),
            _ => self.encoding.encode(sql).into_owned(),
        }
    }

    /// Text is sent in this encoding from here on.
    pub fn encode_as(&mut self, encoding: TextEncoding) {
        self.encoding = encoding;
    }

    /// The encoding in which text is sent.
    pub fn encoding(&self) -> TextEncoding {
        self.encoding
    }

    /// Sends a command. One that the store would not take is refused before any of it is sent.
    pub async fn send(&mut self, command: u8, body: &[u8]) -> Result<(), LinkError> {
        if body.len() >= self.packet_bytes_max {
            return Err(SqlError::unsupported(format_args!(
                "a statement of which one of {} bytes is made for the store: its max_allowed_packet is {} bytes",
                body.len(),
                self.packet_bytes_max
            ))
            .into());
        }
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

    /// The next payload of the store.
    pub async fn payload(&mut self) -> Result<Bytes, LinkError> {
        self.reader
            .read(self.stream)
            .await
            .map_err(|e| LinkError::End(SessionEnd::store(e)))
    }

    /// Whether [`StoreLink::next`] may have to wait for the store.
    pub fn would_wait(&self) -> bool {
        !self.reader.has_buffered()
    }

    /// Prepares a statement; the caller closes it.
    pub async fn prepare(&mut self, sql: &str) -> Result<Prepared, LinkError> {
        let sql = self.as_sent(sql);
        self.send(command::STMT_PREPARE, &sql).await?;
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

    /// Prepares a statement only to have it checked and described.
    pub async fn describe(&mut self, sql: &str) -> Result<Vec<ColumnDefinition>, LinkError> {
        let prepared = self.prepare(sql).await?;
        self.close(prepared.id).await?;
        Ok(prepared.columns)
    }

    /// Runs a statement that gives rows up to its column definitions; [`StoreLink::next`] gives
    /// the rows. With [`Protocol::Binary`] the id of the prepared statement is returned, to be
    /// closed after the last row.
    pub async fn start(
        &mut self,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<(Vec<ColumnDefinition>, Option<u32>), LinkError> {
        rows_of(self.run(statement, protocol).await?)
    }

    /// As [`StoreLink::start`], for a statement of any kind.
    pub async fn run(
        &mut self,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<(Head, Option<u32>), LinkError> {
        match protocol {
            Protocol::Text => {
                let sql = self.as_sent(&statement.sql);
                self.send(command::QUERY, &sql).await?;
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

    /// As [`StoreLink::run`], for one that may take long: within the bounds.
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

    /// Runs the client's statement, or what stands for it: what it leaves in the session,
    /// the store says itself.
    pub async fn run_answering(
        &mut self,
        statement: &Fragment,
        protocol: &Protocol,
    ) -> Result<(Head, Option<u32>), LinkError> {
        self.answering = true;
        self.run_bounded(statement, protocol).await
    }

    /// Another statement of the client comes.
    pub fn end_statement(&mut self) {
        self.before = None;
        self.bounds = Bounds::default();
        self.began = Instant::now();
        self.answering = false;
    }

    /// Whether the store was sent the client's statement, or what stands for it.
    pub fn is_answering(&self) -> bool {
        self.answering
    }

    /// Reads the rest of an answer that nobody wants.
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

    /// Closes a prepared statement whose answer has come to its end, well or not; nothing is sent
    /// where the session is over.
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

    /// The next row, or some of it where it is long, or the end of the rows.
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

    /// Runs a statement whose whole answer is small.
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

    /// Runs a statement of the lane's own, in text.
    pub async fn ask_text(&mut self, sql: &str) -> Result<Answer, LinkError> {
        let statement = Fragment {
            sql: sql.to_owned(),
            parameters: Vec::new(),
        };
        self.ask(&statement, &Protocol::Text).await
    }

    /// The head of a statement's answer, or of its next one.
    pub async fn head(&mut self) -> Result<Head, LinkError> {
        let first = self.payload().await?;
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

    /// Reads `count` definitions and the EOF after them.
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

/// The store's refusal. That of an expression of the lane's own says that the statement was to
/// end.
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

/// The columns of an answer that must have rows.
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

/// A payload of command `command` with `body`.
pub fn command_payload(command: u8, body: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(1 + body.len());
    out.put_u8(command);
    out.put_slice(body);
    out.freeze()
}

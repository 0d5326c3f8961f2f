//! Whole answers of a server over both protocols, and when two of them are the same.

use bytes::Bytes;
use predictsql_proxy::wire::{
    Capabilities, ColumnDefinition, EofPacket, ErrPacket, OkPacket, PACKET_BYTES_MAX, command,
    lenenc,
};
use predictsql_tests::Wire;
use predictsql_tests::wire::{Packet, SqlError};

use super::schemas::plain_name;

/// How far two scores may lie apart: a millionth for the rounding, since a model's last bit may
/// depend on the batch that an image is in.
pub const SCORE_TOLERANCE: f64 = 1.5e-6;

const TYPE_DOUBLE: u8 = 5;
const TYPE_BLOB: u8 = 252;
const TYPE_VAR_STRING: u8 = 253;
const TYPE_STRING: u8 = 254;
/// A label of 255 characters. Text of more than 512 becomes a BLOB in a temporary table.
const LONG_TEXT_BYTES: u32 = 1020;
/// NOT NULL and UNSIGNED. Keys and binary depend on how the store sorts.
const FLAGS: u16 = NOT_NULL | 32;
const NOT_NULL: u16 = 1;

/// A parameter of a prepared statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Param {
    Null,
    Int(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Param {
    /// As SQL, for the text protocol.
    pub fn literal(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Int(value) => value.to_string(),
            Self::Double(value) => format!("{value:e}"),
            Self::Text(value) => format!("'{}'", value.replace('\'', "''")),
            Self::Bytes(value) => {
                let hex: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("x'{hex}'")
            }
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Null => 6,
            Self::Int(_) => 8,
            Self::Double(_) => TYPE_DOUBLE,
            Self::Text(_) => 253,
            Self::Bytes(_) => 252,
        }
    }

    fn value(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => {}
            Self::Int(value) => out.extend(value.to_le_bytes()),
            Self::Double(value) => out.extend(value.to_le_bytes()),
            Self::Text(value) => lenenc::put_str(out, value.as_bytes()),
            Self::Bytes(value) => lenenc::put_str(out, value),
        }
    }
}

/// A result with its column definitions. Cells are as they came: text, or encoded by type.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    pub columns: Vec<ColumnDefinition>,
    pub rows: Vec<Vec<Option<Vec<u8>>>>,
    pub warnings: u16,
    /// Of an answer without rows: affected rows, last insert id, text for humans.
    pub done: Option<(u64, u64, Vec<u8>)>,
    binary: bool,
}

/// Runs a text query.
pub fn query(session: &mut Wire, sql: &str) -> Result<Answer, SqlError> {
    let payload = [&[command::QUERY], sql.as_bytes()].concat();
    let packets = session.command(&payload).map_err(|e| lost(&e))?;
    parse(&packets, session.capabilities(), false)
}

/// Prepares, executes once and closes.
pub fn execute_once(session: &mut Wire, sql: &str, params: &[Param]) -> Result<Answer, SqlError> {
    let id = prepare(session, sql)?;
    let answer = execute(session, id, params);
    close(session, id);
    answer
}

/// Prepares a statement: its id.
pub fn prepare(session: &mut Wire, sql: &str) -> Result<u32, SqlError> {
    let payload = [&[command::STMT_PREPARE], sql.as_bytes()].concat();
    let packets = session.command(&payload).map_err(|e| lost(&e))?;
    let first = &packets[0].payload;
    if ErrPacket::is_err(first) {
        return Err(sql_error(first));
    }
    Ok(u32::from_le_bytes(first[1..5].try_into().unwrap()))
}

/// Executes a prepared statement.
pub fn execute(session: &mut Wire, id: u32, params: &[Param]) -> Result<Answer, SqlError> {
    let payload = execute_payload(id, params);
    let packets = session.command(&payload).map_err(|e| lost(&e))?;
    parse(&packets, session.capabilities(), true)
}

/// COM_STMT_EXECUTE.
pub fn execute_payload(id: u32, params: &[Param]) -> Vec<u8> {
    let mut payload = vec![command::STMT_EXECUTE];
    payload.extend(id.to_le_bytes());
    payload.push(0);
    payload.extend(1_u32.to_le_bytes());
    if !params.is_empty() {
        let mut nulls = vec![0_u8; params.len().div_ceil(8)];
        for (i, _) in params
            .iter()
            .enumerate()
            .filter(|(_, p)| **p == Param::Null)
        {
            nulls[i / 8] |= 1 << (i % 8);
        }
        payload.extend(nulls);
        payload.push(1);
        for param in params {
            payload.extend([param.kind(), 0]);
        }
        for param in params {
            param.value(&mut payload);
        }
    }
    payload
}

/// COM_STMT_CLOSE, which has no answer.
pub fn close(session: &mut Wire, id: u32) {
    let payload = [&[command::STMT_CLOSE][..], &id.to_le_bytes()].concat();
    // The connection may have been lost.
    let _ = session.send(&payload);
}

/// What clients make of a connection that ends.
fn lost(error: &std::io::Error) -> SqlError {
    SqlError {
        code: 2013,
        sqlstate: "HY000".to_owned(),
        message: error.to_string(),
    }
}

fn sql_error(payload: &[u8]) -> SqlError {
    let error = ErrPacket::parse(payload).unwrap();
    SqlError {
        code: error.code,
        sqlstate: String::from_utf8_lossy(&error.sqlstate).into_owned(),
        message: String::from_utf8_lossy(&error.message).into_owned(),
    }
}

fn parse(packets: &[Packet], capabilities: Capabilities, binary: bool) -> Result<Answer, SqlError> {
    assert!(!capabilities.has(Capabilities::DEPRECATE_EOF));
    let mut payloads = Vec::new();
    let mut joined = Vec::new();
    for packet in packets {
        joined.extend_from_slice(&packet.payload);
        if packet.payload.len() < PACKET_BYTES_MAX {
            payloads.push(Bytes::from(std::mem::take(&mut joined)));
        }
    }
    let mut payloads = payloads.iter();
    let head = payloads.next().unwrap();
    let mut answer = Answer {
        binary,
        ..Answer::default()
    };
    match head.first() {
        Some(&ErrPacket::HEADER) => return Err(sql_error(head)),
        Some(&OkPacket::HEADER) => {
            let ok = OkPacket::parse(head).unwrap();
            answer.warnings = ok.warnings;
            answer.done = Some((ok.affected_rows, ok.last_insert_id, ok.tail.to_vec()));
            return Ok(answer);
        }
        _ => {}
    }
    for _ in 0..lenenc::get_int(&mut &head[..]).unwrap() {
        let column = ColumnDefinition::parse(payloads.next().unwrap(), capabilities);
        answer.columns.push(column.unwrap());
    }
    payloads.next();
    for payload in payloads {
        match payload.first() {
            Some(&ErrPacket::HEADER) => return Err(sql_error(payload)),
            Some(&EofPacket::HEADER) if payload.len() < 9 => {
                answer.warnings = u16::from_le_bytes([payload[1], payload[2]]);
            }
            _ => answer.rows.push(cells(payload, &answer.columns, binary)),
        }
    }
    Ok(answer)
}

fn cells(mut row: &[u8], columns: &[ColumnDefinition], binary: bool) -> Vec<Option<Vec<u8>>> {
    if !binary {
        let cell = |_| lenenc::get_cell(&mut row).unwrap().map(<[u8]>::to_vec);
        return columns.iter().map(cell).collect();
    }
    let bitmap = &row[1..1 + (columns.len() + 2).div_ceil(8)];
    let mut rest = &row[1 + bitmap.len()..];
    let cells = columns.iter().enumerate().map(|(i, column)| {
        if bitmap[(i + 2) / 8] >> ((i + 2) % 8) & 1 == 1 {
            return None;
        }
        let bytes = match column.column_type {
            1 => 1,
            2 | 13 => 2,
            3 | 4 | 9 => 4,
            TYPE_DOUBLE | 8 => 8,
            7 | 10 | 11 | 12 => usize::from(lenenc::get_u8(&mut rest).unwrap()),
            _ => usize::try_from(lenenc::get_int(&mut rest).unwrap()).unwrap(),
        };
        Some(lenenc::get_bytes(&mut rest, bytes).unwrap().to_vec())
    });
    let cells = cells.collect();
    assert!(rest.is_empty(), "bytes are left over in a row");
    cells
}

/// What may be a score: a number from 0 to 1 with up to six decimals.
fn score_in_text(cell: &[u8]) -> Option<f64> {
    const BYTES_MAX: usize = "0.123456".len();
    let text = std::str::from_utf8(cell).ok()?;
    let number: f64 = text.parse().ok()?;
    (text.len() <= BYTES_MAX && (0.0..=1.0).contains(&number)).then_some(number)
}

impl Answer {
    /// Names of the columns.
    pub fn names(&self) -> Vec<String> {
        let names = self.columns.iter().map(|c| &c.name);
        names
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .collect()
    }

    fn same_cell(&self, column: usize, a: &Option<Vec<u8>>, b: &Option<Vec<u8>>) -> bool {
        match (a, b) {
            (Some(a), Some(b)) if self.columns[column].column_type == TYPE_DOUBLE => {
                let number = |cell: &[u8]| match self.binary {
                    true => f64::from_le_bytes(cell.try_into().unwrap()),
                    false => std::str::from_utf8(cell).unwrap().parse().unwrap(),
                };
                (number(a) - number(b)).abs() <= SCORE_TOLERANCE
            }
            (Some(a), Some(b)) if a != b => {
                // A score in a column of text, as CREATE TABLE t (k VARCHAR(40)) SELECT makes one.
                let apart = score_in_text(a)
                    .zip(score_in_text(b))
                    .map(|(a, b)| (a - b).abs());
                apart.is_some_and(|apart| apart <= SCORE_TOLERANCE)
            }
            _ => a == b,
        }
    }

    fn same_row(&self, a: &[Option<Vec<u8>>], b: &[Option<Vec<u8>>]) -> bool {
        a.len() == b.len()
            && (a.iter().zip(b).enumerate()).all(|(column, (a, b))| self.same_cell(column, a, b))
    }

    /// The same with the names of functions' schemas made equal, which columns without an alias
    /// are called by.
    pub fn plain(mut self) -> Self {
        for cell in self.rows.iter_mut().flatten().flatten() {
            if let Ok(text) = std::str::from_utf8(cell)
                && text.starts_with("CREATE")
            {
                *cell = plain_name(text).into();
            }
        }
        self
    }

    /// Lets those columns be NULL that `found` lets be NULL.
    pub fn allow_null_as(&mut self, found: &Self) {
        for (column, found) in self.columns.iter_mut().zip(&found.columns) {
            column.flags &= found.flags | !NOT_NULL;
        }
    }

    /// What is different from `expected`; rows in any order unless `ordered`.
    pub fn difference(&self, expected: &Self, ordered: bool) -> Option<String> {
        let facts = |answer: &Self| -> Vec<_> {
            let columns = answer.columns.iter();
            columns
                .map(|c| match c.column_type {
                    // Long text is a BLOB where it went through a temporary table, as it does out
                    // of a derived table with lookups in it: the store does not merge one with
                    // sub-queries.
                    TYPE_BLOB | TYPE_VAR_STRING if c.length > LONG_TEXT_BYTES => {
                        (TYPE_VAR_STRING, c.charset, 0, 0)
                    }
                    // Text of no length becomes CHAR(0) there.
                    TYPE_STRING | TYPE_VAR_STRING if c.length == 0 => {
                        (TYPE_VAR_STRING, c.charset, 0, 0)
                    }
                    // A score is described by an expression over the stub of its task.
                    TYPE_DOUBLE => (c.column_type, c.charset, 0, 0),
                    // What a parameter adds to a text is known only when it is bound.
                    _ if self.binary => (c.column_type, c.charset, c.flags & FLAGS, 0),
                    _ => (c.column_type, c.charset, c.flags & FLAGS, c.length),
                })
                .collect()
        };
        // Own names depend on how the store sorts; the lane's names for its columns must not show.
        if self.columns.iter().any(|c| c.org_name.starts_with(b"ml ")) {
            return Some("a column has a name of the lane's for its own".to_owned());
        }
        if facts(self) != facts(expected) {
            return Some(format!(
                "columns (type, charset, flags, length) {:?}, expected {:?}",
                facts(self),
                facts(expected)
            ));
        }
        if self.rows.len() != expected.rows.len() {
            let (found, expected) = (self.rows.len(), expected.rows.len());
            return Some(format!("{found} rows, expected {expected}"));
        }
        let mut left: Vec<_> = expected.rows.iter().collect();
        for (number, row) in self.rows.iter().enumerate() {
            let place = match ordered {
                true => (self.same_row(row, left[0])).then_some(0),
                false => left.iter().position(|other| self.same_row(row, other)),
            };
            match place {
                Some(place) => left.remove(place),
                None => {
                    let (row, next) = (shown(row), shown(left[0]));
                    return Some(format!("row {number} is {row}, expected such as {next}"));
                }
            };
        }
        None
    }
}

fn shown(row: &[Option<Vec<u8>>]) -> String {
    let cells = row.iter().map(|cell| match cell {
        Some(cell) => format!("'{}'", cell[..cell.len().min(60)].escape_ascii()),
        None => "NULL".to_owned(),
    });
    cells.collect::<Vec<_>>().join(", ")
}

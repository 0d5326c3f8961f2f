//! Commands as bytes: their bodies are made here, right or wrong, as clients make them.

use predictsql_proxy::wire::{command, lenenc};

/// Types of parameters, by their numbers in the protocol.
pub mod kind {
    pub const TINY: u8 = 1;
    pub const SHORT: u8 = 2;
    pub const LONG: u8 = 3;
    pub const FLOAT: u8 = 4;
    pub const DOUBLE: u8 = 5;
    pub const NULL: u8 = 6;
    pub const TIMESTAMP: u8 = 7;
    pub const LONGLONG: u8 = 8;
    pub const INT24: u8 = 9;
    pub const DATE: u8 = 10;
    pub const TIME: u8 = 11;
    pub const DATETIME: u8 = 12;
    pub const YEAR: u8 = 13;
    pub const VARCHAR: u8 = 15;
    pub const BIT: u8 = 16;
    pub const NEWDECIMAL: u8 = 246;
    pub const ENUM: u8 = 247;
    pub const SET: u8 = 248;
    pub const TINY_BLOB: u8 = 249;
    pub const MEDIUM_BLOB: u8 = 250;
    pub const LONG_BLOB: u8 = 251;
    pub const BLOB: u8 = 252;
    pub const VAR_STRING: u8 = 253;
    pub const STRING: u8 = 254;
    pub const GEOMETRY: u8 = 255;
}

/// Flag of a parameter's type.
pub const UNSIGNED: u8 = 0x80;

/// A parameter of a prepared statement.
#[derive(Clone, Copy)]
pub enum Parameter<'a> {
    Null,
    Int(i64),
    Double(f64),
    Text(&'a str),
    /// A type, its flags, and a value as the type has it on the wire.
    Value(u8, u8, &'a [u8]),
    /// A type whose value has a length before it.
    Counted(u8, &'a [u8]),
    /// Its value was sent ahead by SEND_LONG_DATA.
    Long,
}

impl Parameter<'_> {
    fn kind(&self) -> [u8; 2] {
        match *self {
            Self::Null => [kind::NULL, 0],
            Self::Int(_) => [kind::LONGLONG, 0],
            Self::Double(_) => [kind::DOUBLE, 0],
            Self::Text(_) => [kind::VAR_STRING, 0],
            Self::Long => [kind::LONG_BLOB, 0],
            Self::Value(kind, flags, _) => [kind, flags],
            Self::Counted(kind, _) => [kind, 0],
        }
    }

    fn put(&self, values: &mut Vec<u8>) {
        match self {
            Self::Null | Self::Long => {}
            Self::Int(value) => values.extend(value.to_le_bytes()),
            Self::Double(value) => values.extend(value.to_le_bytes()),
            Self::Text(text) => lenenc::put_str(values, text.as_bytes()),
            Self::Value(_, _, value) => values.extend(*value),
            Self::Counted(_, value) => lenenc::put_str(values, value),
        }
    }
}

pub fn query(sql: &str) -> Vec<u8> {
    text(command::QUERY, sql.as_bytes())
}

pub fn prepare(sql: &str) -> Vec<u8> {
    text(command::STMT_PREPARE, sql.as_bytes())
}

/// A command and its body.
pub fn text(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], body].concat()
}

/// A command about a prepared statement: kind, id, rest.
pub fn about(kind: u8, id: u32, rest: &[u8]) -> Vec<u8> {
    [&[kind], &id.to_le_bytes()[..], rest].concat()
}

pub fn fetch(id: u32, rows: u32) -> Vec<u8> {
    about(command::STMT_FETCH, id, &rows.to_le_bytes())
}

pub fn close(id: u32) -> Vec<u8> {
    about(command::STMT_CLOSE, id, &[])
}

pub fn long_data(id: u32, parameter: u16, data: &[u8]) -> Vec<u8> {
    let rest = [&parameter.to_le_bytes()[..], data].concat();
    about(command::STMT_SEND_LONG_DATA, id, &rest)
}

pub fn execute(id: u32, flags: u8, parameters: &[Parameter<'_>]) -> Vec<u8> {
    execution(id, flags, parameters, true)
}

/// With the types of the last execution.
pub fn execute_again(id: u32, parameters: &[Parameter<'_>]) -> Vec<u8> {
    execution(id, 0, parameters, false)
}

fn execution(id: u32, flags: u8, parameters: &[Parameter<'_>], with_types: bool) -> Vec<u8> {
    let mut payload = about(command::STMT_EXECUTE, id, &[flags, 1, 0, 0, 0]);
    if parameters.is_empty() {
        return payload;
    }
    let mut nulls = vec![0_u8; parameters.len().div_ceil(8)];
    let (mut types, mut values) = (Vec::new(), Vec::new());
    for (index, parameter) in parameters.iter().enumerate() {
        types.extend(parameter.kind());
        if matches!(parameter, Parameter::Null) {
            nulls[index / 8] |= 1 << (index % 8);
        }
        parameter.put(&mut values);
    }
    payload.extend(nulls);
    payload.push(u8::from(with_types));
    if with_types {
        payload.extend(types);
    }
    payload.extend(values);
    payload
}

/// A cell of MariaDB's bulk execution.
#[derive(Clone, Copy)]
pub enum Cell<'a> {
    Is(Parameter<'a>),
    Null,
    Default,
    /// Leaves the column as it is.
    Ignore,
    /// Leaves the row out.
    IgnoreRow,
}

/// One execution of a statement with many rows of parameters, of these types.
pub fn bulk(id: u32, types: &[u8], rows: &[Vec<Cell<'_>>]) -> Vec<u8> {
    const SEND_TYPES: u16 = 128;
    let mut payload = about(command::STMT_BULK_EXECUTE, id, &SEND_TYPES.to_le_bytes());
    types.iter().for_each(|&kind| payload.extend([kind, 0]));
    for cell in rows.iter().flatten() {
        let indicator = match cell {
            Cell::Is(_) => 0,
            Cell::Null => 1,
            Cell::Default => 2,
            Cell::Ignore => 3,
            Cell::IgnoreRow => 4,
        };
        payload.push(indicator);
        if let Cell::Is(value) = cell {
            value.put(&mut payload);
        }
    }
    payload
}

/// A date and time as the binary protocol has it: 4, 7 or 11 bytes after their number, or none.
pub fn datetime(year: u16, rest: &[u8], microseconds: Option<u32>) -> Vec<u8> {
    let mut value = year.to_le_bytes().to_vec();
    value.extend(rest);
    value.extend(microseconds.iter().flat_map(|part| part.to_le_bytes()));
    [&[value.len() as u8], &value[..]].concat()
}

/// A duration as the binary protocol has it.
pub fn duration(negative: bool, days: u32, rest: [u8; 3], microseconds: Option<u32>) -> Vec<u8> {
    let mut value = vec![u8::from(negative)];
    value.extend(days.to_le_bytes());
    value.extend(rest);
    value.extend(microseconds.iter().flat_map(|part| part.to_le_bytes()));
    [&[value.len() as u8], &value[..]].concat()
}

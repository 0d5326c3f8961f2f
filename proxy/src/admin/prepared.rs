//! Prepared statements of a session, and the parameters that a client binds to them.

use super::refusal::Refusal;
use super::statement::Statement;
use super::value::Value;
use crate::wire::{Malformed, lenenc};
use mysql_common::constants::ColumnType;
use std::collections::HashMap;

/// Maximum number of prepared statements of a session.
const STATEMENTS_MAX: usize = 1000;
/// Maximum length of their texts together, in bytes.
const TEXTS_BYTES_MAX: usize = 1 << 20;

/// A prepared statement.
pub struct Prepared {
    /// The statement.
    pub statement: Statement,
    /// Types of the last execution: clients send them once.
    kinds: Vec<u16>,
    /// Whether a parameter was sent as long data.
    has_long_data: bool,
    text_bytes: usize,
}

/// The statements of a session.
#[derive(Default)]
pub struct Statements {
    by_id: HashMap<u32, Prepared>,
    last_id: u32,
    text_bytes: usize,
}

impl Statements {
    /// Keeps a statement and returns its id.
    pub fn add(&mut self, statement: Statement, text: &str) -> Result<u32, Refusal> {
        let text_bytes = self.text_bytes.saturating_add(text.len());
        if self.by_id.len() >= STATEMENTS_MAX || text_bytes > TEXTS_BYTES_MAX {
            return Err(Refusal::too_many_prepared(STATEMENTS_MAX));
        }
        self.text_bytes = text_bytes;
        self.last_id = self.last_id.wrapping_add(1);
        let prepared = Prepared {
            statement,
            kinds: Vec::new(),
            has_long_data: false,
            text_bytes: text.len(),
        };
        self.by_id.insert(self.last_id, prepared);
        Ok(self.last_id)
    }

    /// The statement of an id.
    pub fn get(&mut self, id: u32) -> Option<&mut Prepared> {
        self.by_id.get_mut(&id)
    }

    /// Forgets a statement.
    pub fn close(&mut self, id: u32) {
        if let Some(prepared) = self.by_id.remove(&id) {
            self.text_bytes = self.text_bytes.saturating_sub(prepared.text_bytes);
        }
    }

    /// Forgets all statements.
    pub fn clear(&mut self) {
        self.by_id.clear();
        self.text_bytes = 0;
    }
}

impl Prepared {
    /// Notes that a parameter comes as long data, which no statement here takes.
    pub fn note_long_data(&mut self) {
        self.has_long_data = true;
    }

    /// Forgets long data.
    pub fn reset(&mut self) {
        self.has_long_data = false;
    }

    /// The values in the body of COM_STMT_EXECUTE, after the statement's id.
    pub fn bind(&mut self, body: &[u8]) -> Result<Vec<Value>, Refusal> {
        if std::mem::take(&mut self.has_long_data) {
            return Err(Refusal::unsupported(
                "parameters are not taken as long data",
            ));
        }
        self.read(body).map_err(|_| Refusal::wrong_arguments())
    }

    fn read(&mut self, body: &[u8]) -> Result<Vec<Value>, Malformed> {
        let count = self.statement.parameters();
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut input = body;
        lenenc::get_bytes(&mut input, 1 + 4)?; // cursor, iterations
        let nulls = lenenc::get_bytes(&mut input, count.div_ceil(8))?;
        if lenenc::get_u8(&mut input)? == 1 {
            let kinds = (0..count).map(|_| lenenc::get_u16(&mut input));
            self.kinds = kinds.collect::<Result<_, _>>()?;
        }
        if self.kinds.len() != count {
            return Err(Malformed("parameters without types"));
        }
        let value = |(at, kind): (usize, &u16)| {
            let null = nulls
                .get(at / 8)
                .is_some_and(|byte| byte >> (at % 8) & 1 == 1);
            match null {
                true => Ok(Value::Null),
                false => value(*kind, &mut input),
            }
        };
        self.kinds.iter().enumerate().map(value).collect()
    }
}

/// Reads a value of a type; times are no parameters of any statement here.
fn value(kind: u16, input: &mut &[u8]) -> Result<Value, Malformed> {
    use ColumnType as T;
    let [column_type, flags] = kind.to_le_bytes();
    let unsigned = flags & 0x80 != 0;
    let int = |signed: i64, unsigned_value: u64| match unsigned {
        true => Value::Int(unsigned_value.into()),
        false => Value::Int(signed.into()),
    };
    let column_type = T::try_from(column_type).map_err(|_| Malformed("a type of parameter"))?;
    Ok(match column_type {
        T::MYSQL_TYPE_NULL => Value::Null,
        T::MYSQL_TYPE_TINY => {
            let byte = lenenc::get_u8(input)?;
            int(byte.cast_signed().into(), byte.into())
        }
        T::MYSQL_TYPE_SHORT | T::MYSQL_TYPE_YEAR => {
            let short = lenenc::get_u16(input)?;
            int(short.cast_signed().into(), short.into())
        }
        T::MYSQL_TYPE_LONG | T::MYSQL_TYPE_INT24 => {
            let long = lenenc::get_u32(input)?;
            int(long.cast_signed().into(), long.into())
        }
        T::MYSQL_TYPE_LONGLONG => {
            let long = lenenc::get_u64(input)?;
            int(long.cast_signed(), long)
        }
        T::MYSQL_TYPE_FLOAT => Value::Real(f32::from_bits(lenenc::get_u32(input)?).into()),
        T::MYSQL_TYPE_DOUBLE => Value::Real(f64::from_bits(lenenc::get_u64(input)?)),
        T::MYSQL_TYPE_DATE
        | T::MYSQL_TYPE_TIME
        | T::MYSQL_TYPE_DATETIME
        | T::MYSQL_TYPE_TIMESTAMP => return Err(Malformed("a time as parameter")),
        _ => Value::Text(String::from_utf8_lossy(lenenc::get_str(input)?).into_owned()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn prepared() -> Prepared {
        let mut statements = Statements::default();
        let statement = Statement::parse("SELECT ?, ?, ?").unwrap();
        let id = statements.add(statement, "").unwrap();
        statements.by_id.remove(&id).unwrap()
    }

    #[test]
    fn values_are_read_by_their_types_which_are_sent_once() {
        let mut prepared = prepared();
        let mut body = b"\0\x01\0\0\0\x02\x01\x08\0\x06\0\xfd\0".to_vec();
        body.extend((-7_i64).to_le_bytes());
        body.extend(b"\x02ab");
        let expected = [Value::Int(-7), Value::Null, Value::text("ab")];
        assert_eq!(prepared.bind(&body).unwrap(), expected);
        let mut again = b"\0\x01\0\0\0\x02\0".to_vec();
        again.extend(5_i64.to_le_bytes());
        again.extend(b"\0");
        let expected = [Value::Int(5), Value::Null, Value::text("")];
        assert_eq!(prepared.bind(&again).unwrap(), expected);
        prepared.note_long_data();
        assert!(prepared.bind(&again).is_err());
    }

    #[test]
    fn what_a_session_prepares_is_bounded() {
        let mut statements = Statements::default();
        let add = |statements: &mut Statements, text: &str| {
            statements.add(Statement::parse("SELECT 1").unwrap(), text)
        };
        let long = "x".repeat(TEXTS_BYTES_MAX);
        let id = add(&mut statements, &long).unwrap();
        assert!(add(&mut statements, "x").is_err());
        statements.close(id);
        for _ in 0..STATEMENTS_MAX {
            add(&mut statements, "x").unwrap();
        }
        assert!(add(&mut statements, "").is_err());
    }

    proptest! {
        #[test]
        fn any_body_is_read_or_refused(body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = prepared().bind(&body);
        }
    }
}

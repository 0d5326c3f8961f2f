//! Result sets as packets, of text or binary rows.

use super::table::{Column, Kind, Table};
use super::value::Value;
use crate::wire::{
    Capabilities, ColumnDefinition, PacketWriter, StatusFlags, encode_eof, encode_result_end,
    lenenc,
};
use bytes::{BufMut, Bytes, BytesMut};
use mysql_common::constants::{ColumnFlags, ColumnType};

/// Status of every session: no transaction is ever open.
pub const STATUS: StatusFlags = StatusFlags::SERVER_STATUS_AUTOCOMMIT;

/// Collation ids of text and of numbers.
const UTF8MB4: u16 = 45;
const BINARY: u16 = 63;
/// Bytes of text that a column may have, as clients are told.
const TEXT_BYTES_MAX: u32 = 65_535 * 4;
const NUMBER_BYTES_MAX: u32 = 21;
/// Digits after the point of a number that has any.
const ANY_DECIMALS: u8 = 31;

/// How rows are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rows {
    /// The answer to a query.
    Text,
    /// The answer to the execution of a prepared statement.
    Binary,
}

/// Writes a result set.
pub fn write_table(
    writer: &mut PacketWriter,
    table: &Table,
    rows: Rows,
    capabilities: Capabilities,
) {
    let count = table.columns.len() as u64;
    writer.write_with(|payload| lenenc::put_int(payload, count));
    write_columns(writer, &table.columns, capabilities);
    for row in &table.rows {
        writer.write_with(|payload| match rows {
            Rows::Text => put_text_row(payload, row),
            Rows::Binary => put_binary_row(payload, &table.columns, row),
        });
    }
    writer.write(&encode_result_end(capabilities, STATUS, 0));
}

/// Writes column definitions and what follows them.
pub fn write_columns(writer: &mut PacketWriter, columns: &[Column], capabilities: Capabilities) {
    for column in columns {
        writer.write(&definition(column).encode());
    }
    if !columns.is_empty() && !capabilities.has(Capabilities::DEPRECATE_EOF) {
        writer.write(&encode_eof(STATUS, 0));
    }
}

fn definition(column: &Column) -> ColumnDefinition {
    let text = column.kind == Kind::Text;
    let mut flags = if text {
        ColumnFlags::empty()
    } else {
        ColumnFlags::BINARY_FLAG
    };
    if column.kind == Kind::Unsigned {
        flags |= ColumnFlags::UNSIGNED_FLAG;
    }
    let column_type = match column.kind {
        Kind::Text => ColumnType::MYSQL_TYPE_VAR_STRING,
        Kind::Signed | Kind::Unsigned => ColumnType::MYSQL_TYPE_LONGLONG,
        Kind::Real => ColumnType::MYSQL_TYPE_DOUBLE,
    };
    ColumnDefinition {
        catalog: Bytes::from_static(b"def"),
        schema: Bytes::new(),
        table: Bytes::new(),
        org_table: Bytes::new(),
        name: Bytes::from(column.name.clone()),
        org_name: Bytes::new(),
        extended: None,
        charset: if text { UTF8MB4 } else { BINARY },
        length: if text {
            TEXT_BYTES_MAX
        } else {
            NUMBER_BYTES_MAX
        },
        column_type: column_type as u8,
        flags: flags.bits(),
        decimals: if column.kind == Kind::Real {
            ANY_DECIMALS
        } else {
            0
        },
        tail: Bytes::from_static(&[0, 0]),
    }
}

fn put_text_row(payload: &mut BytesMut, row: &[Value]) {
    for value in row {
        let cell = value.shown();
        lenenc::put_cell(payload, cell.as_deref().map(str::as_bytes));
    }
}

fn put_binary_row(payload: &mut BytesMut, columns: &[Column], row: &[Value]) {
    payload.put_u8(0);
    // The bitmap begins with two bits that are not used.
    let mut nulls = vec![0_u8; (row.len() + 2).div_ceil(8)];
    let bits = (2_usize..).map(|bit| (bit / 8, 1_u8 << (bit % 8)));
    for ((byte, bit), _) in bits.zip(row).filter(|(_, value)| **value == Value::Null) {
        if let Some(byte) = nulls.get_mut(byte) {
            *byte |= bit;
        }
    }
    payload.put_slice(&nulls);
    for (column, value) in columns.iter().zip(row) {
        match (column.kind, value) {
            (_, Value::Null) => {}
            (Kind::Real, value) => payload.put_f64_le(value.number().unwrap_or_default()),
            (Kind::Signed, value) => payload.put_i64_le(clamped(value)),
            (Kind::Unsigned, value) => payload.put_u64_le(clamped(value)),
            (Kind::Text, value) => {
                lenenc::put_str(payload, value.shown().unwrap_or_default().as_bytes());
            }
        }
    }
}

fn clamped<I: TryFrom<i128> + Default>(value: &Value) -> I {
    let int = match value {
        Value::Int(int) => *int,
        other => other.number().unwrap_or_default() as i128,
    };
    I::try_from(int).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_row_has_its_nulls_two_bits_later() {
        let columns = ["a", "b!", "c"];
        let row = vec![Value::Null, Value::Int(-1), Value::text("xy")];
        let table = Table::new(&columns, vec![row]);
        let mut payload = BytesMut::new();
        put_binary_row(&mut payload, &table.columns, &table.rows[0]);
        assert_eq!(&payload[..2], [0, 0b100]);
        // Not a number of this type: 0, and the length stays right.
        assert_eq!(&payload[2..10], [0; 8]);
        assert_eq!(&payload[10..], b"\x02xy");
    }
}

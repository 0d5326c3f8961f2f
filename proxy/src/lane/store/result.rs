//! Result sets that the proxy itself creates: small text results.

use bytes::Bytes;
use mysql_common::constants::{ColumnFlags, ColumnType};
use predictsql_optimizer::stream::CELL_MARK;

use crate::lane::store::rows::{Codec, put_row, string_cell};
use crate::lane::store::text_encoding::TextEncoding;
use crate::wire::{
    Capabilities, ColumnDefinition, PacketWriter, StatusFlags, encode_eof, encode_result_end,
    lenenc,
};

/// Collation id of utf8mb4_general_ci.
const UTF8MB4: u16 = 45;
/// Collation id of binary.
const BINARY: u16 = 63;

/// A result of text columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextResult {
    /// The columns.
    pub columns: Vec<ColumnDefinition>,
    /// The cells of each row, as text.
    pub rows: Vec<Vec<Bytes>>,
}

/// A VARCHAR column that holds up to `chars` characters.
pub fn text_column(name: &'static str, chars: u32) -> ColumnDefinition {
    ColumnDefinition {
        catalog: Bytes::from_static(b"def"),
        schema: Bytes::new(),
        table: Bytes::new(),
        org_table: Bytes::new(),
        name: Bytes::from_static(name.as_bytes()),
        org_name: Bytes::new(),
        extended: None,
        charset: UTF8MB4,
        length: chars * 4,
        column_type: ColumnType::MYSQL_TYPE_VAR_STRING as u8,
        flags: 0,
        decimals: 0,
        tail: Bytes::from_static(&[0, 0]),
    }
}

/// A column of numbers.
pub fn number_column(name: &'static str, column_type: ColumnType) -> ColumnDefinition {
    const BINARY: u16 = 63;
    // The number of decimals is not fixed.
    const ANY_DECIMALS: u8 = 31;
    ColumnDefinition {
        charset: BINARY,
        length: 22,
        column_type: column_type as u8,
        decimals: match column_type {
            ColumnType::MYSQL_TYPE_DOUBLE => ANY_DECIMALS,
            _ => 0,
        },
        ..text_column(name, 0)
    }
}

/// The column with NOT_NULL_FLAG set.
pub fn not_null(column: ColumnDefinition) -> ColumnDefinition {
    ColumnDefinition {
        flags: column.flags | ColumnFlags::NOT_NULL_FLAG.bits(),
        ..column
    }
}

/// A column of unsigned numbers of up to `digits` digits.
pub fn count_column(name: &'static str, kind: ColumnType, digits: u32) -> ColumnDefinition {
    ColumnDefinition {
        charset: BINARY,
        length: digits,
        column_type: kind as u8,
        flags: ColumnFlags::UNSIGNED_FLAG.bits(),
        ..text_column(name, digits)
    }
}

/// Renames the columns of predicted cells, which the described statement names by a mark and the
/// cell's index; returns the cell index of each column, `None` for other columns.
pub(in crate::lane) fn name_cells(
    columns: &mut [ColumnDefinition],
    names: &[&str],
    encoding: &TextEncoding,
) -> Vec<Option<usize>> {
    columns
        .iter_mut()
        .map(|column| {
            let marked = std::str::from_utf8(&column.name)
                .ok()?
                .strip_prefix(CELL_MARK)?;
            let cell: usize = marked.parse().ok()?;
            let name = Bytes::copy_from_slice(&encoding.encode_name(names.get(cell)?));
            // The result of a function has its alias as its original name too.
            if column.org_name == column.name {
                column.org_name = name.clone();
            }
            column.name = name;
            Some(cell)
        })
        .collect()
}

/// Writes the start of a result set: the column count, the column definitions and, without
/// DEPRECATE_EOF, the EOF packet.
pub fn write_head(
    out: &mut PacketWriter,
    capabilities: Capabilities,
    columns: &[ColumnDefinition],
    status: StatusFlags,
) {
    out.write_with(|buffer| lenenc::put_int(buffer, columns.len() as u64));
    for column in columns {
        out.write(&with_negotiated_metadata(column, capabilities).encode());
    }
    if !capabilities.has(Capabilities::DEPRECATE_EOF) {
        out.write(&encode_eof(status, 0));
    }
}

/// Adds empty extended type information to a definition that has none, if it was negotiated:
/// definitions made by the proxy have none.
pub fn with_negotiated_metadata(
    column: &ColumnDefinition,
    capabilities: Capabilities,
) -> ColumnDefinition {
    let mut column = column.clone();
    if capabilities.has(Capabilities::MARIADB_EXTENDED_METADATA) {
        column.extended.get_or_insert_with(Bytes::new);
    }
    column
}

impl TextResult {
    /// Writes the whole result set in the protocol of the statement.
    pub fn write(
        &self,
        out: &mut PacketWriter,
        capabilities: Capabilities,
        codec: Codec,
        status: StatusFlags,
        warnings: u16,
    ) {
        write_head(out, capabilities, &self.columns, status);
        for row in &self.rows {
            let cells: Vec<Vec<u8>> = row.iter().map(|c| string_cell(c)).collect();
            out.write_with(|buffer| {
                put_row(buffer, codec, cells.iter().map(|c| Some(c.as_slice())))
            });
        }
        out.write(&encode_result_end(capabilities, status, warnings));
    }
}

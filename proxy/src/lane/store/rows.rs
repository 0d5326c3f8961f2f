//! Rows of the text and binary protocols: splits them into cells, and builds rows from cells.

use std::ops::Range;

use bytes::{BufMut, BytesMut};
use mysql_common::constants::ColumnType;

use crate::wire::{ColumnDefinition, Malformed, lenenc};

/// The row encoding of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Cells are length-encoded strings.
    #[default]
    Text,
    /// A NULL bitmap, then cells by type.
    Binary,
}

/// The layout of a cell in a binary row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellLayout {
    /// A fixed number of bytes.
    Fixed(usize),
    /// A length byte, then as many bytes: dates and times.
    Short,
    /// A length-encoded string.
    String,
    /// No bytes: the NULL type.
    Null,
}

impl CellLayout {
    /// The layout of a column type's cells in binary rows. Unknown types are strings.
    pub fn of(column_type: u8) -> Self {
        use ColumnType::*;
        match ColumnType::try_from(column_type) {
            Ok(MYSQL_TYPE_TINY) => Self::Fixed(1),
            Ok(MYSQL_TYPE_SHORT | MYSQL_TYPE_YEAR) => Self::Fixed(2),
            Ok(MYSQL_TYPE_LONG | MYSQL_TYPE_INT24 | MYSQL_TYPE_FLOAT) => Self::Fixed(4),
            Ok(MYSQL_TYPE_LONGLONG | MYSQL_TYPE_DOUBLE) => Self::Fixed(8),
            Ok(
                MYSQL_TYPE_DATE
                | MYSQL_TYPE_NEWDATE
                | MYSQL_TYPE_DATETIME
                | MYSQL_TYPE_DATETIME2
                | MYSQL_TYPE_TIMESTAMP
                | MYSQL_TYPE_TIMESTAMP2
                | MYSQL_TYPE_TIME
                | MYSQL_TYPE_TIME2,
            ) => Self::Short,
            Ok(MYSQL_TYPE_NULL) => Self::Null,
            _ => Self::String,
        }
    }

    /// Length of an encoded cell in bytes. `start` holds its first nine bytes, or fewer if the row
    /// ends.
    fn length(self, mut start: &[u8]) -> Result<u64, Malformed> {
        let before = start.len();
        Ok(match self {
            Self::Fixed(bytes) => bytes as u64,
            Self::Short => 1 + u64::from(lenenc::get_u8(&mut start)?),
            Self::String => {
                let value = lenenc::get_int(&mut start)?;
                value.saturating_add((before - start.len()) as u64)
            }
            Self::Null => 0,
        })
    }

    /// Consumes one encoded cell from the front of `input`; returns its length in bytes.
    pub fn take(self, input: &mut &[u8]) -> Result<usize, Malformed> {
        let before = input.len();
        match self {
            Self::Fixed(bytes) => {
                lenenc::get_bytes(input, bytes)?;
            }
            Self::Short => {
                let bytes = lenenc::get_u8(input)?;
                lenenc::get_bytes(input, usize::from(bytes))?;
            }
            Self::String => {
                lenenc::get_str(input)?;
            }
            Self::Null => {}
        }
        Ok(before - input.len())
    }
}

/// Whether values of a column type are strings (text or binary), which image inputs must be.
pub fn is_string(column_type: u8) -> bool {
    use ColumnType::*;
    matches!(
        ColumnType::try_from(column_type),
        Ok(MYSQL_TYPE_VARCHAR
            | MYSQL_TYPE_VAR_STRING
            | MYSQL_TYPE_STRING
            | MYSQL_TYPE_TINY_BLOB
            | MYSQL_TYPE_MEDIUM_BLOB
            | MYSQL_TYPE_LONG_BLOB
            | MYSQL_TYPE_BLOB
            | MYSQL_TYPE_ENUM
            | MYSQL_TYPE_SET
            | MYSQL_TYPE_JSON
            | MYSQL_TYPE_NULL)
    )
}

/// Ranges of the encoded cells in a row's payload; `None` for NULL.
pub type Cells = Vec<Option<Range<usize>>>;

/// Splits the rows of one result set.
#[derive(Debug, Clone, Default)]
pub struct RowCodec {
    codec: Codec,
    layouts: Vec<CellLayout>,
}

impl RowCodec {
    /// For rows of these columns.
    pub fn new(codec: Codec, columns: &[ColumnDefinition]) -> Self {
        Self {
            codec,
            layouts: columns
                .iter()
                .map(|c| CellLayout::of(c.column_type))
                .collect(),
        }
    }

    /// The protocol.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Replaces `cells` with the ranges of a row's encoded cells, including length prefixes.
    pub fn split(&self, row: &[u8], cells: &mut Cells) -> Result<(), Malformed> {
        cells.clear();
        match self.codec {
            Codec::Text => self.split_text(row, cells),
            Codec::Binary => self.split_binary(row, cells),
        }
    }

    fn split_text(&self, row: &[u8], cells: &mut Cells) -> Result<(), Malformed> {
        let mut rest = row;
        for _ in &self.layouts {
            let start = row.len() - rest.len();
            let cell = lenenc::get_cell(&mut rest)?;
            cells.push(cell.map(|_| start..row.len() - rest.len()));
        }
        Ok(())
    }

    fn split_binary(&self, row: &[u8], cells: &mut Cells) -> Result<(), Malformed> {
        let mut rest = row;
        lenenc::get_u8(&mut rest)?;
        let bitmap = lenenc::get_bytes(&mut rest, bitmap_bytes(self.layouts.len()))?;
        for (i, layout) in self.layouts.iter().enumerate() {
            if is_null(bitmap, i) {
                cells.push(None);
                continue;
            }
            let start = row.len() - rest.len();
            let bytes = layout.take(&mut rest)?;
            cells.push(Some(start..start + bytes));
        }
        Ok(())
    }
}

/// Ranges of the encoded cells in a long row's payload; `None` for NULL.
pub type LongCells = Vec<Option<Range<u64>>>;

impl RowCodec {
    /// Finds the encoded cells of a row of `bytes` bytes, of which `read` returns ranges.
    pub fn split_long(
        &self,
        bytes: u64,
        read: &dyn Fn(Range<u64>) -> std::io::Result<Vec<u8>>,
    ) -> std::io::Result<Result<LongCells, Malformed>> {
        const START_BYTES: u64 = 9;
        let (mut at, mut nulls) = (0, Vec::new());
        if self.codec == Codec::Binary {
            at = 1 + bitmap_bytes(self.layouts.len()) as u64;
            nulls = read(1..at)?;
        }
        let mut cells = LongCells::new();
        for (i, layout) in self.layouts.iter().enumerate() {
            let start = read(at..at + START_BYTES)?;
            let is_null = match self.codec {
                Codec::Text => start.first() == Some(&lenenc::NULL),
                Codec::Binary => is_null(&nulls, i),
            };
            if is_null {
                at += u64::from(self.codec == Codec::Text);
                cells.push(None);
                continue;
            }
            let layout = match self.codec {
                Codec::Text => CellLayout::String,
                Codec::Binary => *layout,
            };
            let end = layout.length(&start).map(|length| at.checked_add(length));
            match end {
                Ok(Some(end)) if end <= bytes => cells.push(Some(at..end)),
                Ok(_) => return Ok(Err(Malformed("a field is longer than its packet"))),
                Err(error) => return Ok(Err(error)),
            }
            at = cells.last().cloned().flatten().map_or(at, |cell| cell.end);
        }
        Ok(Ok(cells))
    }
}

/// Number of unused bits at the start of the NULL bitmap of a binary row.
const BITMAP_OFFSET: usize = 2;

fn is_null(bitmap: &[u8], column: usize) -> bool {
    let bit = column + BITMAP_OFFSET;
    bitmap.get(bit / 8).is_some_and(|b| b >> (bit % 8) & 1 == 1)
}

fn bitmap_bytes(columns: usize) -> usize {
    (columns + BITMAP_OFFSET).div_ceil(8)
}

/// The payload of a row before its cells, where `nulls` marks the NULL cells, and the encoding of
/// a NULL cell.
pub fn row_start(
    codec: Codec,
    nulls: impl ExactSizeIterator<Item = bool>,
) -> (Vec<u8>, &'static [u8]) {
    match codec {
        Codec::Text => (Vec::new(), &[lenenc::NULL]),
        Codec::Binary => {
            let mut start = vec![0; 1 + bitmap_bytes(nulls.len())];
            for (i, _) in nulls.enumerate().filter(|(_, null)| *null) {
                let bit = i + BITMAP_OFFSET;
                if let Some(byte) = start.get_mut(1 + bit / 8) {
                    *byte |= 1 << (bit % 8);
                }
            }
            (start, &[])
        }
    }
}

/// Appends the payload of a row with these encoded cells.
pub fn put_row<'c>(
    out: &mut BytesMut,
    codec: Codec,
    cells: impl ExactSizeIterator<Item = Option<&'c [u8]>>,
) {
    match codec {
        Codec::Text => {
            for cell in cells {
                match cell {
                    Some(cell) => out.put_slice(cell),
                    None => out.put_u8(lenenc::NULL),
                }
            }
        }
        Codec::Binary => {
            out.put_u8(0);
            let bitmap_at = out.len();
            out.put_bytes(0, bitmap_bytes(cells.len()));
            for (i, cell) in cells.enumerate() {
                match cell {
                    Some(cell) => out.put_slice(cell),
                    None => {
                        if let Some(byte) = out.get_mut(bitmap_at + (i + BITMAP_OFFSET) / 8) {
                            *byte |= 1 << ((i + BITMAP_OFFSET) % 8);
                        }
                    }
                }
            }
        }
    }
}

/// Encodes a string as a cell, the same in both protocols.
pub fn string_cell(text: &[u8]) -> Vec<u8> {
    let mut cell = Vec::with_capacity(text.len() + 9);
    lenenc::put_str(&mut cell, text);
    cell
}

/// Encodes a double as a cell.
pub fn double_cell(codec: Codec, value: f64) -> Vec<u8> {
    match codec {
        Codec::Text => string_cell(double_text(value).as_bytes()),
        Codec::Binary => value.to_le_bytes().to_vec(),
    }
}

/// Formats a finite double as the store does: the shortest digits that parse to the same number,
/// with an exponent if the decimal point is far from them (`my_gcvt` in MariaDB's
/// `strings/dtoa.c`).
fn double_text(value: f64) -> String {
    /// Maximum number of digits before the point, or zeros after it, without an exponent.
    const POINT_MAX: i32 = 15;
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let point = exponent + 1; // digits before it
    let count = digits.bytes().filter(u8::is_ascii_digit).count();
    let fits = point <= POINT_MAX || i32::try_from(count).is_ok_and(|count| count > point);
    match value == 0.0 || (point > -POINT_MAX && fits) {
        true => format!("{value}"),
        false => scientific,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn columns(types: &[ColumnType]) -> Vec<ColumnDefinition> {
        let column = |t: &ColumnType| ColumnDefinition {
            catalog: Bytes::from_static(b"def"),
            schema: Bytes::new(),
            table: Bytes::new(),
            org_table: Bytes::new(),
            name: Bytes::new(),
            org_name: Bytes::new(),
            extended: None,
            charset: 63,
            length: 0,
            column_type: *t as u8,
            flags: 0,
            decimals: 0,
            tail: Bytes::from_static(&[0, 0]),
        };
        types.iter().map(column).collect()
    }

    const TYPES: [ColumnType; 7] = [
        ColumnType::MYSQL_TYPE_TINY,
        ColumnType::MYSQL_TYPE_SHORT,
        ColumnType::MYSQL_TYPE_LONG,
        ColumnType::MYSQL_TYPE_LONGLONG,
        ColumnType::MYSQL_TYPE_DATETIME,
        ColumnType::MYSQL_TYPE_VAR_STRING,
        ColumnType::MYSQL_TYPE_DOUBLE,
    ];

    fn encoded(layout: CellLayout, seed: &[u8]) -> Vec<u8> {
        match layout {
            CellLayout::Fixed(bytes) => seed
                .iter()
                .copied()
                .cycle()
                .chain([0; 8])
                .take(bytes)
                .collect(),
            CellLayout::Short => vec![4, 1, 2, 3, 4],
            _ => string_cell(seed),
        }
    }

    #[test]
    fn doubles_are_written_as_the_store_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.5, "-0.5"),
            (1.0 / 3.0, "0.3333333333333333"),
            (1e14, "100000000000000"),
            (1e15, "1e15"),
            (1.5e15, "1.5e15"),
            (9_007_199_254_740_992.0, "9.007199254740992e15"),
            (1_234_567_890_123_456.5, "1234567890123456.5"),
            (1e-5, "0.00001"),
            (1e-14, "0.00000000000001"),
            (1e-15, "0.000000000000001"),
            (1e-16, "1e-16"),
            (1.5e-300, "1.5e-300"),
            (f64::MAX, "1.7976931348623157e308"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(double_text(value), text);
        }
    }

    proptest! {
        #[test]
        fn rows_come_apart_as_they_were_put_together(
            cells in prop::collection::vec((0_usize..7, prop::option::of(prop::collection::vec(any::<u8>(), 1..300))), 1..40),
            binary: bool,
        ) {
            let types: Vec<_> = cells.iter().map(|(t, _)| TYPES[*t]).collect();
            let codec = if binary { Codec::Binary } else { Codec::Text };
            let whole: Vec<Option<Vec<u8>>> = cells.iter().zip(&types).map(|((_, seed), t)| {
                let layout = if binary { CellLayout::of(*t as u8) } else { CellLayout::String };
                seed.as_ref().map(|s| encoded(layout, s))
            }).collect();
            let mut row = BytesMut::new();
            put_row(&mut row, codec, whole.iter().map(Option::as_deref));
            let mut found = Vec::new();
            let row_codec = RowCodec::new(codec, &columns(&types));
            row_codec.split(&row, &mut found).unwrap();
            let part = |range: Range<u64>| {
                let end = row.len().min(range.end as usize);
                Ok(row.get(range.start as usize..end).unwrap_or_default().to_vec())
            };
            let long = row_codec.split_long(row.len() as u64, &part).unwrap().unwrap();
            let same = |c: Option<Range<u64>>| c.map(|r| r.start as usize..r.end as usize);
            prop_assert_eq!(long.into_iter().map(same).collect::<Cells>(), found.clone());
            let nulls: Vec<bool> = whole.iter().map(Option::is_none).collect();
            let (mut again, null) = row_start(codec, nulls.into_iter());
            for cell in &whole {
                again.extend_from_slice(cell.as_deref().unwrap_or(null));
            }
            prop_assert_eq!(&again[..], &row[..]);
            let found: Vec<_> = found.into_iter().map(|c| c.map(|r| row[r].to_vec())).collect();
            prop_assert_eq!(found, whole);
        }

        #[test]
        fn any_bytes_are_cut_or_refused(row in prop::collection::vec(any::<u8>(), 0..60), binary: bool) {
            let codec = if binary { Codec::Binary } else { Codec::Text };
            let _ = RowCodec::new(codec, &columns(&TYPES)).split(&row, &mut Vec::new());
        }
    }
}

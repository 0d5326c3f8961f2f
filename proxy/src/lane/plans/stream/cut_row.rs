//! Rows split into cells. Of rows on disk, only the short cells are in memory.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use predictsql_catalog::Column;
use predictsql_executor::Input;
use predictsql_optimizer::plan::InputKind;

use crate::error::SqlError;
use crate::lane::plans::inputs::{read_input, short_name};
use crate::lane::store::error::LinkError;
use crate::lane::store::rows::{Cells, LongCells, RowCodec};
use crate::lane::store::spool::{LongRow, Row};
use crate::wire::{Malformed, lenenc};

/// Cells of a long row up to this length, in bytes, are read into memory when it is split.
const SHORT_CELL_BYTES: u64 = 64 * 1024;
/// Cells up to this length, in bytes, are always read into memory: these include all cells that
/// the lane itself needs.
const TINY_CELL_BYTES: u64 = 1024;
/// Limit on the cells of a long row in memory together, in bytes; tiny cells may exceed it.
const SHORT_CELLS_BYTES_MAX: u64 = 1024 * 1024;
/// Longest length prefix of a length-encoded string, in bytes.
const PREFIX_BYTES: u64 = 9;

/// A row with its cells.
#[derive(Debug)]
pub struct CutRow {
    payload: Bytes,
    cells: Cells,
    long: Option<LongCut>,
}

#[derive(Debug)]
struct LongCut {
    row: LongRow,
    cells: LongCells,
    /// One element per cell; `None` for NULL and for cells that are on disk only.
    short: Vec<Option<Bytes>>,
}

/// An encoded cell.
#[derive(Debug)]
pub enum CellBytes<'c> {
    /// In memory.
    Here(Cow<'c, [u8]>),
    /// On disk.
    Far(FarCell),
}

impl CellBytes<'_> {
    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Here(cell) => cell.len() as u64,
            Self::Far(cell) => cell.bytes(),
        }
    }
}

/// A range of bytes in a row on disk.
#[derive(Debug, Clone)]
pub struct FarCell {
    row: LongRow,
    range: Range<u64>,
}

impl FarCell {
    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Reads up to `bytes` bytes from offset `at`.
    pub async fn read(&self, at: u64, bytes: u64) -> Result<Vec<u8>, SqlError> {
        let start = self.range.start.saturating_add(at);
        let end = start.saturating_add(bytes).min(self.range.end);
        self.row.read(start..end).await
    }
}

/// The value of a string cell.
#[derive(Debug)]
pub enum StringValue {
    /// In memory.
    Here(Bytes),
    /// On disk.
    Far(FarCell),
}

impl CutRow {
    /// Splits a row into cells.
    pub async fn cut(row: Row, codec: &RowCodec) -> Result<Self, LinkError> {
        match row {
            Row::Held(payload) => {
                let mut cells = Cells::new();
                codec.split(&payload, &mut cells)?;
                Ok(Self {
                    payload,
                    cells,
                    long: None,
                })
            }
            Row::Long(row) => Ok(Self {
                payload: Bytes::new(),
                cells: Cells::new(),
                long: Some(cut_long(row, codec.clone()).await?),
            }),
        }
    }

    /// Number of bytes that it holds in memory.
    pub fn held_bytes(&self) -> usize {
        match &self.long {
            None => self.payload.len(),
            Some(long) => long.short.iter().flatten().map(Bytes::len).sum(),
        }
    }

    /// Whether it is on disk.
    pub fn is_long(&self) -> bool {
        self.long.is_some()
    }

    /// An encoded cell; `None` for NULL.
    pub fn encoded(&self, column: usize) -> Option<CellBytes<'_>> {
        let Some(long) = &self.long else {
            let range = self.cells.get(column)?.clone()?;
            return Some(CellBytes::Here(Cow::Borrowed(self.payload.get(range)?)));
        };
        let range = long.cells.get(column)?.clone()?;
        Some(match long.short.get(column)? {
            Some(cell) => CellBytes::Here(Cow::Borrowed(cell)),
            None => CellBytes::Far(FarCell {
                row: long.row.clone(),
                range,
            }),
        })
    }

    /// An encoded cell that must be in memory; `None` for NULL.
    pub fn short(&self, column: usize) -> Result<Option<&[u8]>, Malformed> {
        match self.encoded(column) {
            None => Ok(None),
            Some(CellBytes::Here(Cow::Borrowed(cell))) => Ok(Some(cell)),
            Some(_) => Err(Malformed("a cell of the lane's own is too long")),
        }
    }

    /// The value of a string cell; `None` for NULL.
    pub fn string(&self, column: usize) -> Result<Option<StringValue>, Malformed> {
        let here = |cell: &mut &[u8], whole: &Bytes| {
            let value = lenenc::get_str(cell)?;
            Ok(Some(StringValue::Here(whole.slice_ref(value))))
        };
        let Some(long) = &self.long else {
            let cell = self.cells.get(column).cloned().flatten();
            return match cell.and_then(|range| self.payload.get(range)) {
                Some(mut cell) => here(&mut cell, &self.payload),
                None => Ok(None),
            };
        };
        let Some(Some(range)) = long.cells.get(column) else {
            return Ok(None);
        };
        if let Some(Some(cell)) = long.short.get(column) {
            return here(&mut &cell[..], cell);
        }
        // The cell's length includes the prefix: find the prefix length that matches. It is 4
        // bytes for strings from 64 KiB on, 9 bytes from 16 MiB on.
        let bytes = range.end.saturating_sub(range.start);
        let fits = |prefix: &u64| bytes.checked_sub(*prefix).map(prefix_of) == Some(*prefix);
        let prefix = [1, 3, 4, PREFIX_BYTES].into_iter().find(fits);
        let prefix = prefix.ok_or(Malformed("a string's length is not written shortly"))?;
        Ok(Some(StringValue::Far(FarCell {
            row: long.row.clone(),
            range: range.start + prefix..range.end,
        })))
    }
}

/// Length of the length prefix of a string, in bytes.
fn prefix_of(bytes: u64) -> u64 {
    match bytes {
        0..=0xfa => 1,
        0xfb..=0xffff => 3,
        0x1_0000..=0xff_ffff => 4,
        _ => PREFIX_BYTES,
    }
}

async fn cut_long(row: LongRow, codec: RowCodec) -> Result<LongCut, LinkError> {
    let bytes = row.bytes();
    let cut = row.on_disk_thread(move |read| {
        let cells = match codec.split_long(bytes, read)? {
            Ok(cells) => cells,
            Err(error) => return Ok(Err(error)),
        };
        let (mut short, mut together) = (Vec::with_capacity(cells.len()), 0);
        for range in &cells {
            let length = range.as_ref().map_or(0, |r| r.end - r.start);
            let is_short = length <= TINY_CELL_BYTES
                || length <= SHORT_CELL_BYTES && together + length <= SHORT_CELLS_BYTES_MAX;
            short.push(match range.clone().filter(|_| is_short) {
                Some(range) => {
                    together += length;
                    Some(Bytes::from(read(range)?))
                }
                None => None,
            });
        }
        Ok(Ok((cells, short)))
    });
    let (cells, short) = cut.await??;
    Ok(LongCut { row, cells, short })
}

/// The input of a prediction in a row.
#[derive(Debug, Clone)]
pub enum RowInput {
    /// In memory.
    Here(Input),
    /// On disk: must be read before it is predicted.
    Far(FarInput),
}

/// An input on disk.
#[derive(Debug, Clone)]
pub struct FarInput {
    cell: FarCell,
    kind: InputKind,
    columns: Vec<Column>,
    bytes_max: u64,
}

impl RowInput {
    /// The input in a string value; `columns` are the task's input columns. An image on disk
    /// longer than `bytes_max` is not read.
    pub fn of(
        kind: &InputKind,
        columns: &[Column],
        value: Option<StringValue>,
        bytes_max: u64,
    ) -> Result<Self, Malformed> {
        let cell = match value {
            Some(StringValue::Far(cell)) => cell,
            Some(StringValue::Here(value)) => {
                return read_input(kind, columns, Some(value), bytes_max).map(Self::Here);
            }
            None => return Ok(Self::Here(Input::Null)),
        };
        let bytes = cell.bytes();
        if !matches!(kind, InputKind::Columns(_)) && bytes > bytes_max {
            return Ok(Self::Here(Input::TooLarge { bytes, bytes_max }));
        }
        Ok(Self::Far(FarInput {
            cell,
            kind: kind.clone(),
            columns: columns.to_vec(),
            bytes_max,
        }))
    }

    /// Number of bytes to read from disk.
    pub fn far_bytes(&self) -> u64 {
        match self {
            Self::Here(_) => 0,
            Self::Far(input) => input.cell.bytes(),
        }
    }

    /// Returns the input; reads it from disk if it is not in memory.
    pub async fn read(self) -> Result<Input, LinkError> {
        let input = match self {
            Self::Here(input) => return Ok(input),
            Self::Far(input) => input,
        };
        let value = input.cell.read(0, input.cell.bytes()).await?;
        let value = Some(Bytes::from(value));
        Ok(read_input(
            &input.kind,
            &input.columns,
            value,
            input.bytes_max,
        )?)
    }

    /// The text that identifies the input in a warning.
    pub fn short_name(&self) -> String {
        match self {
            Self::Here(input) => short_name(input),
            Self::Far(input) => format!("Image of {} bytes", input.cell.bytes()),
        }
    }
}

//! A small answer of the store, read as a whole.

use bytes::Bytes;

use crate::lane::store::rows::{Codec, RowCodec};
use crate::wire::{ColumnDefinition, Malformed, lenenc};

/// A complete small answer.
#[derive(Debug, Default)]
pub struct Answer {
    /// The columns.
    pub columns: Vec<ColumnDefinition>,
    /// The rows' payloads.
    pub rows: Vec<Bytes>,
    /// How the rows are divided into cells.
    pub codec: RowCodec,
}

impl Answer {
    /// The cells of a row, encoded in the answer's protocol; `None` for NULL.
    pub fn cells(&self, row: usize) -> Result<Vec<Option<&[u8]>>, Malformed> {
        let payload = self.rows.get(row).map_or(&[][..], |r| &r[..]);
        let mut cells = Vec::new();
        self.codec.split(payload, &mut cells)?;
        Ok(cells
            .into_iter()
            .map(|c| c.and_then(|range| payload.get(range)))
            .collect())
    }

    /// The encoding of the rows.
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

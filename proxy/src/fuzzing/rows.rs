//! Fuzzing of rows of both protocols, split into cells and joined again.

use super::input::Input;
use crate::lane::store::rows::{Cells, Codec, RowCodec, put_row};
use crate::wire::ColumnDefinition;
use bytes::{Bytes, BytesMut};

/// Any row with columns of any types: split or rejected, and its cells give the same row again.
pub fn rows(data: &[u8]) {
    let mut input = Input::new(data);
    let codec = if input.byte() & 1 == 1 {
        Codec::Binary
    } else {
        Codec::Text
    };
    let columns: Vec<_> = (0..input.byte() % 20)
        .map(|_| column(input.byte()))
        .collect();
    let row = input.rest();
    let cutter = RowCodec::new(codec, &columns);
    let mut cells = Cells::new();
    if cutter.split(row, &mut cells).is_err() {
        return;
    }
    assert_eq!(cells.len(), columns.len());
    let cell = |range: &Option<std::ops::Range<usize>>| range.clone().map(|range| row.get(range));
    let found: Vec<Option<&[u8]>> = cells
        .iter()
        .map(|range| cell(range).map(Option::unwrap_or_default))
        .collect();
    let mut again = BytesMut::new();
    put_row(&mut again, codec, found.iter().copied());
    let mut second = Cells::new();
    assert_eq!(cutter.split(&again, &mut second), Ok(()));
    let cells_again: Vec<_> = second
        .iter()
        .map(|range| range.clone().and_then(|range| again.get(range)))
        .collect();
    assert_eq!(found, cells_again);
}

fn column(column_type: u8) -> ColumnDefinition {
    ColumnDefinition {
        catalog: Bytes::from_static(b"def"),
        schema: Bytes::new(),
        table: Bytes::new(),
        org_table: Bytes::new(),
        name: Bytes::new(),
        org_name: Bytes::new(),
        extended: None,
        charset: 63,
        length: 0,
        column_type,
        flags: 0,
        decimals: 0,
        tail: Bytes::new(),
    }
}

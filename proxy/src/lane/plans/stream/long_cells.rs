//! Sends rows whose cells are on disk: copies them to the client in parts.

use tokio::io::AsyncWrite;

use crate::error::SqlError;
use crate::lane::plans::stream::CellBytes;
use crate::lane::store::error::LinkError;
use crate::lane::store::rows::{Codec, put_row, row_start};
use crate::lane::store::spool::LongRow;
use crate::relay::SessionEnd;
use crate::wire::PacketWriter;

/// Number of buffered answer bytes at which the answer is flushed before more is written.
pub const UNSENT_BYTES_MAX: usize = 256 * 1024;

/// Number of bytes copied at a time.
const COPIED_BYTES: u64 = 256 * 1024;

/// Writes a row with these cells; cells on disk are copied in parts.
pub async fn write_row(
    codec: Codec,
    cells: &[Option<CellBytes<'_>>],
    out: &mut PacketWriter,
    client: &mut (impl AsyncWrite + Unpin),
) -> Result<(), LinkError> {
    let is_far = |cell: &Option<CellBytes<'_>>| matches!(cell, Some(CellBytes::Far(_)));
    if !cells.iter().any(is_far) {
        let encoded = cells.iter().map(|cell| match cell {
            Some(CellBytes::Here(cell)) => Some(&cell[..]),
            _ => None,
        });
        out.write_with(|buffer| put_row(buffer, codec, encoded));
        return Ok(());
    }
    let (start, null) = row_start(codec, cells.iter().map(Option::is_none));
    let bytes = |cell: &Option<CellBytes<'_>>| cell.as_ref().map(CellBytes::bytes);
    let bytes = cells.iter().map(|c| bytes(c).unwrap_or(null.len() as u64));
    let mut parts = out.begin_parts(start.len() as u64 + bytes.sum::<u64>());
    out.put_part(&mut parts, &start);
    for cell in cells {
        match cell {
            None => out.put_part(&mut parts, null),
            Some(CellBytes::Here(cell)) => out.put_part(&mut parts, cell),
            Some(CellBytes::Far(cell)) => {
                let mut at = 0;
                while at < cell.bytes() {
                    let read = cell.read(at, COPIED_BYTES).await;
                    out.put_part(&mut parts, &read.map_err(broken_off)?);
                    at += COPIED_BYTES;
                    flush(out, client).await?;
                }
            }
        }
    }
    Ok(())
}

/// Copies the payload of a row on disk.
pub async fn copy_row(
    row: &LongRow,
    out: &mut PacketWriter,
    client: &mut (impl AsyncWrite + Unpin),
) -> Result<(), LinkError> {
    let mut parts = out.begin_parts(row.bytes());
    let mut at = 0;
    while at < row.bytes() {
        let read = row.read(at..at + COPIED_BYTES).await;
        out.put_part(&mut parts, &read.map_err(broken_off)?);
        at += COPIED_BYTES;
        flush(out, client).await?;
    }
    Ok(())
}

/// An error packet cannot be sent in the middle of a row, so the session ends.
fn broken_off(_: SqlError) -> LinkError {
    LinkError::End(SessionEnd::Protocol("a row could not be read from disk"))
}

async fn flush(
    out: &mut PacketWriter,
    client: &mut (impl AsyncWrite + Unpin),
) -> Result<(), LinkError> {
    if out.buffered_bytes() < UNSENT_BYTES_MAX {
        return Ok(());
    }
    let flushed = out.flush(client).await;
    flushed.map_err(|e| LinkError::End(SessionEnd::client(e)))
}

//! Parses a BMP's header, and checks that its run-length data are complete.

use super::header::{Header, SMALL_BUFFERS_BYTES};

/// Size of the oldest header, which has 16-bit numbers.
const CORE_HEADER: u32 = 12;
/// Compression: run-length encoding of 8-bit and of 4-bit pixels, and bit masks.
const RUNS_8: u32 = 1;
const RUNS_4: u32 = 2;
const BIT_FIELDS: u32 = 3;

fn long(encoded: &[u8], at: usize) -> Result<u32, String> {
    let bytes = encoded.get(at..).and_then(|rest| rest.first_chunk::<4>());
    let bytes = bytes.ok_or("is a BMP that is cut off")?;
    Ok(u32::from_le_bytes(*bytes))
}

/// The compression; none for the oldest header.
fn compression(encoded: &[u8]) -> Result<u32, String> {
    match long(encoded, 14)? {
        CORE_HEADER => Ok(0),
        _ => long(encoded, 30),
    }
}

/// Parses the header.
pub(super) fn header(encoded: &[u8]) -> Result<Header, String> {
    let (width, height) = if long(encoded, 14)? == CORE_HEADER {
        let sides = long(encoded, 18)?;
        (sides & 0xffff, sides >> 16)
    } else {
        // A negative height means that rows start at the top.
        let height = i32::from_le_bytes(long(encoded, 22)?.to_le_bytes());
        (long(encoded, 18)?, height.unsigned_abs())
    };
    let (width, height) = (u64::from(width), u64::from(height));
    // Only bit masks may define an alpha channel.
    let samples = match compression(encoded)? {
        BIT_FIELDS => 4,
        _ => 3,
    };
    let kept = (samples * width).saturating_mul(height);
    Ok(Header {
        width,
        height,
        decode_bytes: kept.saturating_add(4 * width + SMALL_BUFFERS_BYTES),
        kept_bytes: kept,
        transparent: samples == 4,
    })
}

/// Rejects run-length data that end before the last row: the decoder would fill the missing pixels
/// with black.
pub(super) fn check_runs(encoded: &[u8], header: &Header) -> Result<(), String> {
    let compression = compression(encoded)?;
    if !matches!(compression, RUNS_8 | RUNS_4) {
        return Ok(());
    }
    let mut bytes = encoded.iter().copied().skip(long(encoded, 10)? as usize);
    let mut next = || bytes.next().ok_or("is a BMP that is cut off");
    let (mut row, mut row_is_empty) = (1, true);
    loop {
        match (next()?, next()?) {
            (0, 0) if row >= header.height => return Ok(()),
            (0, 0) => (row, row_is_empty) = (row + 1, true),
            (0, 1) if row < header.height || row_is_empty => {
                return Err("is a BMP that is cut off".to_string());
            }
            (0, 1) => return Ok(()),
            (0, 2) => {
                let (across, down) = (next()?, next()?);
                row += u64::from(down);
                row_is_empty &= across == 0;
            }
            (0, count) => {
                let length = match compression {
                    RUNS_4 => u16::from(count).div_ceil(2),
                    _ => count.into(),
                };
                for _ in 0..length.next_multiple_of(2) {
                    next()?;
                }
                row_is_empty = false;
            }
            _ => row_is_empty = false,
        }
    }
}

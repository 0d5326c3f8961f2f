//! Parses a BMP's header, and checks that its run-length data are complete.

use std::borrow::Cow;

use super::header::{Header, SMALL_BUFFERS_BYTES};
use super::zeroed;

/// Sizes of headers: OS/2 1, OS/2 2 (short and long), Windows 3, with masks, 4 and 5.
const HEADERS: [u32; 8] = [CORE_HEADER, 16, 64, 40, 52, 56, 108, 124];
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

/// Width and height.
fn header_size(encoded: &[u8]) -> Result<(u64, u64), String> {
    let (width, height) = if long(encoded, 14)? == CORE_HEADER {
        let sides = long(encoded, 18)?;
        (sides & 0xffff, sides >> 16)
    } else {
        // A negative height means that rows start at the top.
        let height = i32::from_le_bytes(long(encoded, 22)?.to_le_bytes());
        (long(encoded, 18)?, height.unsigned_abs())
    };
    Ok((u64::from(width), u64::from(height)))
}

/// Parses the header.
pub(super) fn header(encoded: &[u8]) -> Result<Header, String> {
    let (width, height) = header_size(encoded)?;
    // Only bit masks may define an alpha channel.
    let samples = match compression(encoded)? {
        BIT_FIELDS => 4,
        _ => 3,
    };
    let kept = (samples * width).saturating_mul(height);
    let mended = match Faults::of(encoded) {
        Faults::NONE => 0,
        faults => (encoded.len() + faults.missing) as u64,
    };
    Ok(Header {
        width,
        height,
        decode_bytes: kept.saturating_add(4 * width + mended + SMALL_BUFFERS_BYTES),
        kept_bytes: kept,
        transparent: samples == 4,
    })
}

/// Whether a header follows the two letters that a BMP begins with.
pub(super) fn has_header(encoded: &[u8]) -> bool {
    long(encoded, 14).is_ok_and(|size| HEADERS.contains(&size))
}

/// What the decoder does not accept, though the image is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Faults {
    /// Offset of a number of planes other than 1.
    planes_at: Option<usize>,
    /// Number of missing bytes of the last row's padding.
    missing: usize,
}

impl Faults {
    const NONE: Self = Self {
        planes_at: None,
        missing: 0,
    };

    fn of(encoded: &[u8]) -> Self {
        let at = match long(encoded, 14) {
            Ok(CORE_HEADER) => 22,
            _ => 26,
        };
        let planes = encoded.get(at..at + 2);
        Self {
            planes_at: (planes != Some(&[1, 0])).then_some(at),
            missing: missing_padding(encoded).unwrap_or(0),
        }
    }
}

/// Number of bytes missing at the end, if they only pad the last row.
fn missing_padding(encoded: &[u8]) -> Option<usize> {
    let is_core = long(encoded, 14).ok()? == CORE_HEADER;
    if !matches!(compression(encoded).ok()?, 0 | BIT_FIELDS) {
        return None;
    }
    let header = header_size(encoded).ok()?;
    let depth = long(encoded, if is_core { 24 } else { 28 }).ok()? & 0xffff;
    let used = header.0.checked_mul(depth.into())?.div_ceil(8);
    let row = used.next_multiple_of(4);
    let data = u64::from(long(encoded, 10).ok()?);
    let end = row.checked_mul(header.1)?.checked_add(data)?;
    let missing = end.checked_sub(encoded.len() as u64)?;
    (missing <= row - used).then(|| usize::try_from(missing).ok())?
}

/// The file without its faults.
pub(super) fn mended(encoded: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let faults = Faults::of(encoded);
    if faults == Faults::NONE {
        return Ok(Cow::Borrowed(encoded));
    }
    let mut mended = zeroed(encoded.len() + faults.missing)?;
    for (target, byte) in mended.iter_mut().zip(encoded) {
        *target = *byte;
    }
    let planes = faults.planes_at.and_then(|at| mended.get_mut(at..at + 2));
    if let Some(planes) = planes {
        planes.copy_from_slice(&[1, 0]);
    }
    Ok(Cow::Owned(mended))
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

//! Parses a GIF's header and its first frame's descriptor.

use super::header::{Header, SMALL_BUFFERS_BYTES};

const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2c;

fn number(encoded: &[u8], at: usize) -> Option<u64> {
    let bytes = encoded.get(at..)?.first_chunk::<2>()?;
    Some(u16::from_le_bytes(*bytes).into())
}

/// Length of the palette, according to the flags.
fn palette_bytes(flags: u8) -> usize {
    match flags & 0x80 {
        0 => 0,
        _ => 3 << ((flags & 7) + 1),
    }
}

/// Offset of the fields of the first image descriptor.
fn first_image(encoded: &[u8]) -> Option<usize> {
    let mut at = 13 + palette_bytes(*encoded.get(10)?);
    loop {
        match *encoded.get(at)? {
            IMAGE => return Some(at + 1),
            EXTENSION => {
                at += 2;
                loop {
                    let length = usize::from(*encoded.get(at)?);
                    at += 1 + length;
                    if length == 0 {
                        break;
                    }
                }
            }
            _ => return None,
        }
    }
}

/// Parses the header.
pub(super) fn header(encoded: &[u8]) -> Result<Header, String> {
    let cut = || "is a GIF that is cut off".to_string();
    let side = |at| number(encoded, at).ok_or_else(cut);
    let (width, height) = (side(6)?, side(8)?);
    let at = first_image(encoded).ok_or("is a GIF without an image, or cut off")?;
    let (frame_width, frame_height) = (side(at + 4)?, side(at + 6)?);
    let frame = frame_width * frame_height;
    let kept = 4 * width * height;
    // A frame narrower than the screen is decoded separately and copied.
    let own = if (side(at)?, frame_width) == (0, width) && side(at + 2)? + frame_height <= height {
        0
    } else {
        4 * frame
    };
    // Profiles and texts before it are kept, in buffers that double.
    let metadata = 3 * at as u64;
    Ok(Header {
        width,
        height,
        decode_bytes: kept + own + frame + metadata + SMALL_BUFFERS_BYTES,
        kept_bytes: kept,
        transparent: true,
    })
}

//! PNG, decoded by the png crate directly: profiles and texts, which may be small in the file and
//! large in memory, are not read.

use std::io::Cursor;

use png::{BitDepth, ColorType, Transformations};

use super::header::{Header, SMALL_BUFFERS_BYTES};
use super::raster::{broken, drop_alpha, scale_to_eight_bits};
use super::{Channels, Pixels, zeroed};

/// Rows of data that the decoder holds while it reverses their filters, as a multiple of one row:
/// it collects four before it moves the rest, and its buffer doubles when it grows.
const FILTER_ROWS: u64 = 24;
/// Minimum of these buffers, in bytes.
const FILTER_BYTES: u64 = 1 << 20;

/// Fields of the header chunk, at fixed offsets.
struct Fields {
    width: u32,
    height: u32,
    depth: u64,
    colour: u8,
}

impl Fields {
    fn read(encoded: &[u8]) -> Option<Self> {
        let side = |at: usize| {
            let bytes = encoded.get(at..)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*bytes))
        };
        Some(Self {
            width: side(16)?,
            height: side(20)?,
            depth: u64::from(*encoded.get(24)?),
            colour: *encoded.get(25)?,
        })
    }

    /// Samples per pixel in the file, and as decoded; a transparent colour adds one.
    fn samples(&self, transparent: bool) -> (u64, u64) {
        let extra = u64::from(transparent);
        match self.colour {
            0 => (1, 1 + extra),
            2 => (3, 3 + extra),
            3 => (1, 3 + extra),
            4 => (2, 2),
            _ => (4, 4),
        }
    }
}

/// Offset of the image's data, and whether there is a transparent colour.
fn before_data(encoded: &[u8]) -> (u64, bool) {
    let mut at = 8usize;
    let mut transparent = false;
    while let Some(&[a, b, c, d, ref kind @ ..]) =
        encoded.get(at..).and_then(<[u8]>::first_chunk::<8>)
    {
        transparent |= kind == b"tRNS";
        if kind == b"IDAT" {
            break;
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let next = at.checked_add(length).and_then(|end| end.checked_add(12));
        at = next.unwrap_or(usize::MAX).min(encoded.len());
    }
    (at as u64, transparent)
}

/// Parses the header.
pub(super) fn header(encoded: &[u8]) -> Result<Header, String> {
    let fields = Fields::read(encoded).ok_or("is a PNG that is cut off")?;
    let (data_at, transparent) = before_data(encoded);
    let (stored, decoded) = fields.samples(transparent);
    let (width, height) = (u64::from(fields.width), u64::from(fields.height));
    let row = (width * stored * fields.depth.min(16)).div_ceil(8) + 1;
    let sample_bytes = if fields.depth > 8 { 2 } else { 1 };
    let line = width * decoded * sample_bytes;
    let kept = line.saturating_mul(height);
    // A chunk is collected in a buffer that doubles, and some chunks are kept.
    let metadata = 4 * data_at;
    let work = line + FILTER_ROWS * row + FILTER_BYTES + metadata + SMALL_BUFFERS_BYTES;
    Ok(Header {
        width,
        height,
        decode_bytes: kept.saturating_add(work),
        kept_bytes: kept,
    })
}

/// Decodes the default image.
pub(super) fn decode(encoded: &[u8], header: &Header) -> Result<Pixels, String> {
    let failed = |error: &png::DecodingError| broken("PNG", error);
    let limits = png::Limits {
        bytes: usize::try_from(header.decode_bytes).unwrap_or(usize::MAX),
    };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(encoded), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(|error| failed(&error))?;
    let (width, height) = reader.info().size();
    if (u64::from(width), u64::from(height)) != (header.width, header.height) {
        return Err("is a damaged PNG (its header)".to_string());
    }
    let size = reader.output_buffer_size().ok_or("is too large a PNG")?;
    if size as u64 > header.kept_bytes {
        return Err("is a damaged PNG (a transparent colour in a wrong place)".to_string());
    }
    let (colour, depth) = reader.output_color_type();
    let mut samples = zeroed(size)?;
    let read = reader
        .next_frame(&mut samples)
        .map_err(|error| failed(&error))?;
    // The first frame of an animation may have a smaller size in its own header.
    if (read.width, read.height) != (width, height) {
        return Err("is a damaged PNG (its first frame is not the whole image)".to_string());
    }
    if depth == BitDepth::Sixteen {
        scale_to_eight_bits(&mut samples, u16::from_be_bytes);
    }
    let channels = match colour {
        ColorType::Grayscale => Channels::Grey,
        ColorType::Rgb => Channels::Rgb,
        ColorType::GrayscaleAlpha => drop_alpha::<2, 1>(&mut samples, Channels::Grey),
        ColorType::Rgba => drop_alpha::<4, 3>(&mut samples, Channels::Rgb),
        ColorType::Indexed => return Err("is a PNG with an unsupported colour type".to_string()),
    };
    Ok(Pixels {
        width,
        height,
        channels,
        samples,
    })
}

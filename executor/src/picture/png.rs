//! PNG, decoded by the png crate directly: profiles and texts, which may be small in the file and
//! large in memory, are not read.

use std::io::{Cursor, ErrorKind};

use png::{BitDepth, ColorType, Transformations};

use predictsql_catalog::Background;

use super::header::{Header, SMALL_BUFFERS_BYTES};
use super::orientation::Orientation;
use super::raster::{broken, is_grey_over, lay_grey_over, lay_over, scale_to_eight_bits};
use super::{Channels, Pixels, exif, zeroed};

/// Rows of data that the decoder holds while it reverses their filters, as a multiple of one row:
/// it collects four before it moves the rest, and its buffer doubles when it grows.
const FILTER_ROWS: u64 = 24;
/// Minimum of these buffers, in bytes.
const FILTER_BYTES: u64 = 1 << 20;

/// Maximum size of a chunk of the header or a palette, with its name, in bytes.
const CHECKED_BYTES_MAX: usize = 4 + 3 * 256;

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

/// A chunk: its kind, and where its data begin.
struct Chunk<'a> {
    kind: &'a [u8],
    at: usize,
    length: usize,
}

/// The chunks, of which the last may exceed the file.
fn chunks(encoded: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let mut at = 8usize;
    std::iter::from_fn(move || {
        let &[a, b, c, d, ..] = encoded.get(at..)?.first_chunk::<8>()?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let kind = encoded.get(at + 4..at + 8)?;
        let data = at + 8;
        at = data.checked_add(length)?.checked_add(4)?;
        Some(Chunk {
            kind,
            at: data,
            length,
        })
    })
}

/// Offset of the image's data, and whether there is a transparent colour.
fn before_data(encoded: &[u8]) -> (u64, bool) {
    let mut transparent = false;
    for chunk in chunks(encoded) {
        transparent |= chunk.kind == b"tRNS";
        if chunk.kind == b"IDAT" {
            return (chunk.at as u64, transparent);
        }
    }
    (encoded.len() as u64, transparent)
}

/// The orientation that the EXIF chunk says, before or behind the image's data.
pub(super) fn orientation(encoded: &[u8]) -> Option<Orientation> {
    let chunk = chunks(encoded).find(|chunk| chunk.kind == b"eXIf")?;
    exif::orientation(encoded.get(chunk.at..chunk.at.checked_add(chunk.length)?)?)
}

/// Parses the header.
pub(super) fn header(encoded: &[u8]) -> Result<Header, String> {
    let fields = Fields::read(encoded).ok_or("is a PNG that is cut off")?;
    let (data_at, transparent) = before_data(encoded);
    let (stored, decoded) = fields.samples(transparent);
    let (width, height) = (u64::from(fields.width), u64::from(fields.height));
    let row = (width * stored * fields.depth.min(16)).div_ceil(8) + 1;
    let sample_bytes = if fields.depth > 8 { 2 } else { 1 };
    let transparent = transparent || matches!(fields.colour, 4 | 6);
    // Grey and alpha may become colour.
    let least = if transparent { 3 } else { 1 };
    let line = width * (decoded * sample_bytes).max(least);
    let kept = line.saturating_mul(height);
    // A chunk is collected in a buffer that doubles, and some chunks are kept.
    let metadata = 4 * data_at;
    let work = line + FILTER_ROWS * row + FILTER_BYTES + metadata + SMALL_BUFFERS_BYTES;
    Ok(Header {
        width,
        height,
        decode_bytes: kept.saturating_add(work),
        kept_bytes: kept,
        transparent,
    })
}

/// Compares the checksums of the chunks that decide how the image's data are read. Those of the
/// data themselves need not be right: the data have a checksum of their own, and some programs
/// that change a file forget the others.
fn check_sums(encoded: &[u8]) -> Result<(), String> {
    for chunk in chunks(encoded).take_while(|chunk| chunk.kind != b"IDAT") {
        if !matches!(chunk.kind, b"IHDR" | b"PLTE" | b"tRNS") {
            continue;
        }
        let end = chunk.at.saturating_add(chunk.length);
        let sum = encoded.get(end..).and_then(<[u8]>::first_chunk::<4>);
        let summed = encoded.get(chunk.at - 4..end).unwrap_or_default();
        if summed.len() > CHECKED_BYTES_MAX || sum != Some(&checksum(summed).to_be_bytes()) {
            return Err("is a damaged PNG (its header or palette)".to_string());
        }
    }
    Ok(())
}

/// The CRC of PNG.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| match sum & 1 {
            1 => 0xedb8_8320 ^ (sum >> 1),
            _ => sum >> 1,
        })
    })
}

/// Reads all rows. What follows the last one may be missing: the end of the compressed data, the
/// end of the file.
fn read_rows(
    reader: &mut png::Reader<Cursor<&[u8]>>,
    samples: &mut [u8],
) -> Result<(), png::DecodingError> {
    let (colour, depth) = reader.output_color_type();
    let bits = colour.samples() as u8 * depth as u8;
    let (width, height) = reader.info().size();
    let line = reader.output_line_size(width);
    let line = line.ok_or(png::DecodingError::LimitsExceeded)?;
    let mut missing = match reader.info().interlaced {
        true => interlaced_rows(width, height),
        false => u64::from(height),
    };
    let mut number = 0usize;
    loop {
        let row = match reader.next_interlaced_row() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(()),
            Err(png::DecodingError::IoError(error))
                if missing == 0 && error.kind() == ErrorKind::UnexpectedEof =>
            {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let png::InterlaceInfo::Adam7(place) = row.interlace() {
            png::expand_interlaced_row(samples, line, row.data(), place, bits);
        } else if let Some(target) = samples.get_mut(number * line..) {
            for (target, sample) in target.iter_mut().zip(row.data()) {
                *target = *sample;
            }
        }
        missing = missing.saturating_sub(1);
        number += 1;
    }
}

/// Number of rows in all passes of an interlaced image.
fn interlaced_rows(width: u32, height: u32) -> u64 {
    // Of each pass: first column and row, and steps.
    let passes = [
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ];
    let rows = passes.map(|(left, top, _, down)| match width > left {
        true => u64::from(height.saturating_sub(top).div_ceil(down)),
        false => 0,
    });
    rows.into_iter().sum()
}

/// Decodes the default image.
pub(super) fn decode(
    encoded: &[u8],
    header: &Header,
    background: Background,
) -> Result<Pixels, String> {
    let failed = |error: &png::DecodingError| broken("PNG", error);
    let limits = png::Limits {
        bytes: usize::try_from(header.decode_bytes).unwrap_or(usize::MAX),
    };
    check_sums(encoded)?;
    let mut options = png::DecodeOptions::default();
    options.set_ignore_crc(true);
    options.set_ignore_adler32(false);
    let mut decoder = png::Decoder::new_with_options(Cursor::new(encoded), options);
    decoder.set_limits(limits);
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
    let pixels = width as usize * height as usize;
    let mut samples = match colour {
        ColorType::GrayscaleAlpha if !is_grey_over(background) => zeroed(size.max(3 * pixels))?,
        _ => zeroed(size)?,
    };
    samples.truncate(size);
    // The first frame of an animation may have a smaller size in its own header.
    let frame = reader.info().frame_control();
    if frame.is_some_and(|frame| (frame.width, frame.height) != (width, height)) {
        return Err("is a damaged PNG (its first frame is not the whole image)".to_string());
    }
    read_rows(&mut reader, &mut samples).map_err(|error| failed(&error))?;
    if depth == BitDepth::Sixteen {
        scale_to_eight_bits(&mut samples, u16::from_be_bytes);
    }
    let channels = match colour {
        ColorType::Grayscale => Channels::Grey,
        ColorType::Rgb => Channels::Rgb,
        ColorType::GrayscaleAlpha => lay_grey_over(&mut samples, background),
        ColorType::Rgba => lay_over(&mut samples, background),
        ColorType::Indexed => return Err("is a PNG with an unsupported colour type".to_string()),
    };
    Ok(Pixels {
        width,
        height,
        channels,
        samples,
    })
}

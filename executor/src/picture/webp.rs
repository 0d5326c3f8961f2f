//! Parses a WebP's chunks for its first frame.

mod lossless;

use std::ops::Range;

use super::exif;
use super::header::{Header, Limits, SMALL_BUFFERS_BYTES};
use super::orientation::Orientation;

/// Bytes per macroblock that the lossy decoder keeps, in a buffer that doubles.
const MACROBLOCK_BYTES: u64 = 3 * 40;

/// A partition's length has 24 bits, and its buffer is allocated before its data are checked.
const PARTITION_BYTES: u64 = 1 << 24;

/// Flags of what an extended file has.
const ALPHA_FLAG: u8 = 0x10;
const EXIF_FLAG: u8 = 8;

const CUT: &str = "is a WebP that is cut off";
const DAMAGED: &str = "is a damaged WebP (its chunks)";

/// Type of a chunk and the range of its data, which may exceed the file.
#[derive(Debug, Clone)]
struct Chunk {
    kind: [u8; 4],
    data: Range<usize>,
}

impl Chunk {
    fn read(encoded: &[u8], at: usize) -> Option<Self> {
        let &[a, b, c, d, e, f, g, h] = encoded.get(at..)?.first_chunk()?;
        let length = u32::from_le_bytes([e, f, g, h]) as usize;
        Some(Self {
            kind: [a, b, c, d],
            data: at + 8..at + 8 + length,
        })
    }

    /// Offset of the next chunk: chunks are padded to even lengths.
    fn next(&self) -> usize {
        self.data.end + self.data.len() % 2
    }

    fn bytes<'a>(&self, encoded: &'a [u8]) -> Result<&'a [u8], String> {
        encoded
            .get(self.data.clone())
            .ok_or_else(|| CUT.to_string())
    }
}

/// The chunks of one picture, and its size.
#[derive(Debug, Default)]
struct Picture {
    width: u64,
    height: u64,
    lossy: Option<Chunk>,
    lossless: Option<Chunk>,
    alpha: Option<Chunk>,
}

impl Picture {
    /// Stores a chunk, unless there is one of that type.
    fn take(&mut self, chunk: Chunk) {
        let place = match &chunk.kind {
            b"VP8 " => &mut self.lossy,
            b"VP8L" => &mut self.lossless,
            b"ALPH" => &mut self.alpha,
            _ => return,
        };
        if place.is_none() {
            *place = Some(chunk);
        }
    }

    /// Memory for decoding besides the pixels of the picture.
    fn bytes(&self, encoded: &[u8]) -> Result<u64, String> {
        let mut bytes = 0;
        if let Some(chunk) = &self.lossless {
            let data = chunk.bytes(encoded)?;
            bytes += lossless::bytes(data, self.width, self.height, false).ok_or(DAMAGED)?;
        } else if let Some(chunk) = &self.lossy {
            let data = chunk.bytes(encoded)?;
            let (width, height) = lossy_size(data).ok_or(DAMAGED)?;
            let blocks = width.div_ceil(16) * height.div_ceil(16);
            // Luma and two halves of chroma; the file's bytes are copied, to a buffer that
            // doubles.
            bytes += blocks * (384 + MACROBLOCK_BYTES) + 4 * width;
            bytes += 4 * data.len() as u64 + PARTITION_BYTES;
        } else {
            return Err(DAMAGED.to_string());
        }
        if let Some(chunk) = &self.alpha {
            let data = chunk.bytes(encoded)?;
            bytes += 5 * self.width * self.height;
            if let Some((head, data)) = data.split_first()
                && head & 3 == 1
            {
                bytes += lossless::bytes(data, self.width, self.height, true).ok_or(DAMAGED)?;
            }
        }
        Ok(bytes)
    }
}

fn lossy_size(data: &[u8]) -> Option<(u64, u64)> {
    let &[a, b, c, d] = data.get(6..)?.first_chunk()?;
    let side = |low, high| u64::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Some((side(a, b), side(c, d)))
}

/// Dimensions of a lossless picture and whether it has an alpha channel.
fn lossless_size(data: &[u8]) -> Option<(u64, u64, bool)> {
    let bits = u32::from_le_bytes(*data.get(1..)?.first_chunk()?);
    // Same as the decoder: the longest side becomes 0.
    let side = |bits: u32| u64::from(bits.wrapping_add(1) & 0x3fff);
    Some((side(bits), side(bits >> 14), bits >> 28 & 1 == 1))
}

/// A 24-bit little-endian number.
fn triple(bytes: &[u8], at: usize) -> Option<u64> {
    let &[a, b, c] = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes([a, b, c, 0]).into())
}

/// The orientation that the EXIF chunk says.
pub(super) fn orientation(encoded: &[u8]) -> Option<Orientation> {
    let first = Chunk::read(encoded, 12)?;
    let flags = encoded.get(first.data.start)?;
    if &first.kind != b"VP8X" || flags & EXIF_FLAG == 0 {
        return None;
    }
    let mut at = first.next();
    while let Some(chunk) = Chunk::read(encoded, at) {
        if &chunk.kind == b"EXIF" {
            return exif::orientation(encoded.get(chunk.data)?);
        }
        at = chunk.next();
    }
    None
}

/// Parses the chunks up to those of the first frame. Dimensions beyond the limits are rejected
/// before the data of a lossless picture are parsed.
pub(super) fn header(encoded: &[u8], limits: Limits) -> Result<Header, String> {
    // What is cut off may be what says how the picture is turned.
    let length = encoded.get(4..).and_then(<[u8]>::first_chunk);
    let length = u32::from_le_bytes(*length.ok_or(CUT)?) as usize;
    if encoded.len() < length.saturating_add(8) {
        return Err(CUT.to_string());
    }
    let first = Chunk::read(encoded, 12).ok_or(CUT)?;
    let head = encoded.get(first.data.start..).unwrap_or_default();
    match &first.kind {
        b"VP8 " => {
            let (width, height) = lossy_size(head).ok_or(CUT)?;
            limits.check(width, height)?;
            let mut picture = Picture {
                width,
                height,
                ..Picture::default()
            };
            picture.take(first);
            let kept = Kept::new(&picture, false);
            still(encoded, &picture, kept, kept.bytes)
        }
        b"VP8L" => {
            let (width, height, alpha) = lossless_size(head).ok_or(CUT)?;
            limits.check(width, height)?;
            let mut picture = Picture {
                width,
                height,
                ..Picture::default()
            };
            picture.take(first);
            let kept = Kept::new(&picture, alpha);
            still(encoded, &picture, kept, kept.bytes + 4 * width * height)
        }
        b"VP8X" => extended(encoded, &first, head, limits),
        _ => Err(DAMAGED.to_string()),
    }
}

/// Decoded samples.
#[derive(Clone, Copy)]
struct Kept {
    bytes: u64,
    transparent: bool,
}

impl Kept {
    fn new(picture: &Picture, transparent: bool) -> Self {
        let samples = if transparent { 4 } else { 3 };
        Self {
            bytes: samples * picture.width * picture.height,
            transparent,
        }
    }
}

fn still(encoded: &[u8], picture: &Picture, kept: Kept, pixels: u64) -> Result<Header, String> {
    Ok(Header {
        width: picture.width,
        height: picture.height,
        decode_bytes: pixels + picture.bytes(encoded)? + SMALL_BUFFERS_BYTES,
        kept_bytes: kept.bytes,
        transparent: kept.transparent,
    })
}

/// A picture of several chunks, or an animation.
fn extended(encoded: &[u8], first: &Chunk, head: &[u8], limits: Limits) -> Result<Header, String> {
    let flags = *head.first().ok_or(CUT)?;
    let (width, height) = triple(head, 4).zip(triple(head, 7)).ok_or(CUT)?;
    let (width, height) = (width + 1, height + 1);
    limits.check(width, height)?;
    let pixels = width * height;
    let is_animated = flags & 2 != 0;
    let mut picture = Picture {
        width,
        height,
        ..Picture::default()
    };
    let kept = Kept::new(&picture, flags & ALPHA_FLAG != 0);
    let mut frame = None;
    let mut at = first.next();
    while let Some(chunk) = Chunk::read(encoded, at) {
        at = chunk.next();
        if &chunk.kind == b"ANMF" {
            frame = frame.or(Some(chunk));
        } else if !is_animated {
            picture.take(chunk);
        }
    }
    if let Some(frame) = frame {
        let data = frame.bytes(encoded)?;
        if is_animated {
            let (width, height) = triple(data, 6).zip(triple(data, 9)).ok_or(CUT)?;
            (picture.width, picture.height) = (width + 1, height + 1);
        }
        let mut at = frame.data.start + 16;
        for _ in 0..2 {
            let Some(chunk) = Chunk::read(encoded, at) else {
                break;
            };
            at = chunk.next();
            picture.take(chunk);
            if at + 8 > frame.data.end {
                break;
            }
        }
    }
    // A frame of an animation is decoded separately and drawn on a canvas.
    let own = 4 * picture.width * picture.height;
    let canvas = if is_animated { 4 * pixels } else { 0 };
    let bytes = picture.bytes(encoded)?;
    Ok(Header {
        width,
        height,
        decode_bytes: kept.bytes + own + canvas + bytes + SMALL_BUFFERS_BYTES,
        kept_bytes: kept.bytes,
        transparent: kept.transparent,
    })
}

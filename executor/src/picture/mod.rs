//! From an encoded image to the numbers that a model reads: decode, convert, resize, normalise.
//!
//! The steps are those of the usual training code over Pillow, and give its numbers up to
//! rounding: `Image.open(f).convert("L" or "RGB").resize((w, h), BILINEAR)`, then
//! `(x / 255 - mean) / std`. In words: the first frame of an animation; an alpha channel is
//! dropped, not blended; 16-bit samples are scaled to 8; colour becomes grey by the luma of ITU-R
//! BT.601; the whole image is stretched to the input size; orientation tags are ignored. An image
//! that has the input size already is not resampled.

mod bmp;
mod decode;
mod gif;
mod header;
mod jpeg;
mod memory;
mod png;
mod preprocess;
mod raster;
mod resize;
#[cfg(test)]
mod tests;
mod webp;

pub(crate) use decode::DecodePlan;
pub(crate) use header::Limits;
pub(crate) use memory::DecodeMemory;
pub(crate) use preprocess::{InputSpec, Preprocessor};
#[cfg(any(test, fuzzing))]
pub(crate) use resize::Bytes as ResizeBytes;

/// Clause of a warning for an image that there is no memory for.
const OUT_OF_MEMORY: &str = "needs more memory than the server has";
/// A buffer of a thread that is larger is not kept from image to image, in bytes.
const KEPT_BUFFER_BYTES_MAX: usize = 4 << 20;

/// A buffer of zeros, or a clause for a warning.
fn zeroed(size: usize) -> Result<Vec<u8>, String> {
    let mut buffer = Vec::new();
    grow(&mut buffer, size)?;
    Ok(buffer)
}

/// Makes a buffer as long as `size` at least, of any content.
fn grow(buffer: &mut Vec<u8>, size: usize) -> Result<(), String> {
    if buffer.len() < size {
        if buffer.capacity() < size {
            // Growing would hold the old and the new for a moment.
            *buffer = Vec::new();
        }
        let got = buffer.try_reserve_exact(size - buffer.len());
        got.map_err(|_| OUT_OF_MEMORY.to_string())?;
        buffer.resize(size, 0);
    }
    Ok(())
}

/// Gives a large buffer's memory back.
fn shrink(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT_BUFFER_BYTES_MAX {
        *buffer = Vec::new();
    }
}

/// Number of samples per pixel of a [`Pixels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channels {
    /// Luma.
    Grey,
    /// Red, green, blue.
    Rgb,
}

impl Channels {
    /// Samples per pixel.
    pub(crate) fn count(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }
}

/// A decoded image: rows from the top, 8 bits a sample, samples of a pixel side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    /// Pixels in a row.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
    /// Samples per pixel.
    pub(crate) channels: Channels,
    /// `width * height * channels.count()` bytes.
    pub(crate) samples: Vec<u8>,
}

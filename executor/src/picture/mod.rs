//! Converts an encoded image to the input numbers of a model: decode, convert, resize, normalise.
//!
//! The steps are those of common training code using Pillow, with the same results except for
//! rounding: `Image.open(f).convert("L" or "RGB").resize((w, h), BILINEAR)`, then `(x / 255 -
//! mean) / std`. In detail: the first frame of an animation is used; an alpha channel is dropped,
//! not blended; 16-bit samples are scaled to 8; colour is converted to grey by the luma of ITU-R
//! BT.601; the whole image is stretched to the input size; orientation tags are ignored. An image
//! that already has the input size is not resampled.

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

/// Warning clause for an image that does not fit into memory.
const OUT_OF_MEMORY: &str = "needs more memory than the server has";
/// Maximum size of a thread's buffer that is kept between images, in bytes.
const KEPT_BUFFER_BYTES_MAX: usize = 4 << 20;

/// A zeroed buffer, or a clause for a warning.
fn zeroed(size: usize) -> Result<Vec<u8>, String> {
    let mut buffer = Vec::new();
    grow(&mut buffer, size)?;
    Ok(buffer)
}

/// Makes a buffer at least `size` long, with arbitrary content.
fn grow(buffer: &mut Vec<u8>, size: usize) -> Result<(), String> {
    if buffer.len() < size {
        if buffer.capacity() < size {
            // Growing would keep the old and the new buffer for a moment.
            *buffer = Vec::new();
        }
        let got = buffer.try_reserve_exact(size - buffer.len());
        got.map_err(|_| OUT_OF_MEMORY.to_string())?;
        buffer.resize(size, 0);
    }
    Ok(())
}

/// Frees a large buffer.
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

/// A decoded image: rows from the top, 8 bits per sample, samples interleaved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pixels {
    /// Number of pixels in a row.
    pub(crate) width: u32,
    /// Number of rows.
    pub(crate) height: u32,
    /// Samples per pixel.
    pub(crate) channels: Channels,
    /// `width * height * channels.count()` bytes.
    pub(crate) samples: Vec<u8>,
}

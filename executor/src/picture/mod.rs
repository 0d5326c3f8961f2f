//! Converts an encoded image to the input numbers of a model: decode, convert, resize, normalise.
//!
//! The steps are those of common training code using Pillow, with the same results except for
//! rounding: `exif_transpose(Image.open(f)).convert("L" or "RGB").resize((w, h), BILINEAR)`, then
//! `(x * scale - mean) / std`. In detail: the first frame of an animation is used; transparency is
//! laid over a colour; 16-bit samples are scaled to 8; colour is converted to grey by the luma of
//! ITU-R BT.601; by default the whole image is stretched to the input size (`geometry.rs` has the
//! other ways). An image that already has the input size is not resampled. A large JPEG may be
//! decoded to a part of its size first, never below twice the size that it is scaled to.

mod bmp;
mod convolve;
mod decode;
mod exif;
#[cfg(test)]
mod expected;
mod foreign;
mod geometry;
mod gif;
mod header;
mod jpeg;
mod memory;
mod orientation;
mod placing;
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

/// Luma of ITU-R BT.601 in Pillow's 16-bit fixed point.
fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000;
    u8::try_from(sum >> 16).unwrap_or(u8::MAX)
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

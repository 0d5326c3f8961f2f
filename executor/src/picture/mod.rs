//! From an encoded image to the numbers that a model reads: decode, convert, resize, normalise.
//!
//! The steps are those of the usual training code over Pillow, and give its numbers up to rounding:
//! `Image.open(f).convert("L" or "RGB").resize((w, h), BILINEAR)`, then `(x / 255 - mean) / std`.
//! In words: the first frame of an animation; an alpha channel is dropped, not blended; 16-bit samples
//! are scaled to 8; colour becomes grey by the luma of ITU-R BT.601; the whole image is stretched to
//! the input size; orientation tags are ignored. An image that has the input size already is not
//! resampled.

mod decode;
mod jpeg;
mod preprocess;
mod raster;
#[cfg(test)]
mod tests;

#[cfg(test)]
pub(crate) use decode::decode;
pub(crate) use decode::{Limits, decode_for};
pub(crate) use preprocess::{InputSpec, Preprocessor};

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

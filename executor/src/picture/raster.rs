//! PNG, GIF, WebP and BMP, through the `image` crate.

use crate::message::one_line;
use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{ColorType, ImageDecoder, ImageError};

use super::decode::Limits;
use super::{Channels, Pixels};

/// Bytes that a decoder may use besides the pixels themselves.
const DECODER_BYTES_MAX: u64 = 16 << 20;
/// Bytes per pixel at most: four samples of 16 bits.
const PIXEL_BYTES_MAX: u64 = 8;
/// Characters of a decoder's message that are passed on.
pub(super) const MESSAGE_CHARS_MAX: usize = 120;

pub(super) fn decode_png(encoded: &[u8], limits: Limits) -> Result<Pixels, String> {
    // Without this the decoder would allocate a row for a forged header before it tells its size.
    let side = |at: usize| {
        let bytes = encoded
            .get(at..at + 4)
            .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
        bytes.map(|bytes| u64::from(u32::from_be_bytes(bytes)))
    };
    let (width, height) = side(16).zip(side(20)).ok_or("is a PNG that is cut off")?;
    limits.check(width, height)?;
    let decoder = PngDecoder::with_limits(Cursor::new(encoded), limits.for_decoder());
    finish("PNG", decoder, limits)
}

pub(super) fn decode_gif(encoded: &[u8], limits: Limits) -> Result<Pixels, String> {
    finish("GIF", GifDecoder::new(Cursor::new(encoded)), limits)
}

pub(super) fn decode_webp(encoded: &[u8], limits: Limits) -> Result<Pixels, String> {
    finish("WebP", WebPDecoder::new(Cursor::new(encoded)), limits)
}

pub(super) fn decode_bmp(encoded: &[u8], limits: Limits) -> Result<Pixels, String> {
    finish("BMP", BmpDecoder::new(Cursor::new(encoded)), limits)
}

/// Decodes the first frame, once its dimensions are known to be within limits.
fn finish<D: ImageDecoder>(
    format: &str,
    decoder: Result<D, ImageError>,
    limits: Limits,
) -> Result<Pixels, String> {
    let broken = |error: &ImageError| {
        format!(
            "is a damaged or unsupported {format} ({})",
            one_line(&error.to_string(), MESSAGE_CHARS_MAX)
        )
    };
    let mut decoder = decoder.map_err(|error| broken(&error))?;
    let (width, height) = decoder.dimensions();
    limits.check(width.into(), height.into())?;
    decoder
        .set_limits(limits.for_decoder())
        .map_err(|error| broken(&error))?;
    let color = decoder.color_type();
    let size =
        usize::try_from(decoder.total_bytes()).map_err(|_| format!("is too large a {format}"))?;
    let mut samples = vec![0; size];
    decoder
        .read_image(&mut samples)
        .map_err(|error| broken(&error))?;
    let (channels, samples) = to_eight_bits(color, samples)
        .ok_or_else(|| format!("is a {format} with an unsupported colour type"))?;
    Ok(Pixels {
        width,
        height,
        channels,
        samples,
    })
}

impl Limits {
    fn for_decoder(self) -> image::Limits {
        let mut limits = image::Limits::no_limits();
        let bytes = self.image_pixels_max.saturating_mul(PIXEL_BYTES_MAX);
        limits.max_alloc = Some(bytes.saturating_add(DECODER_BYTES_MAX));
        limits
    }
}

/// Drops alpha and scales 16-bit samples (native byte order) to 8 bits.
fn to_eight_bits(color: ColorType, samples: Vec<u8>) -> Option<(Channels, Vec<u8>)> {
    Some(match color {
        ColorType::L8 => (Channels::Grey, samples),
        ColorType::Rgb8 => (Channels::Rgb, samples),
        ColorType::La8 => (Channels::Grey, keep::<2, 1>(samples)),
        ColorType::Rgba8 => (Channels::Rgb, keep::<4, 3>(samples)),
        ColorType::L16 => (Channels::Grey, scale(&samples)),
        ColorType::Rgb16 => (Channels::Rgb, scale(&samples)),
        ColorType::La16 => (Channels::Grey, keep::<2, 1>(scale(&samples))),
        ColorType::Rgba16 => (Channels::Rgb, keep::<4, 3>(scale(&samples))),
        _ => return None,
    })
}

/// Keeps the first `K` of every `N` samples, in place.
fn keep<const N: usize, const K: usize>(mut samples: Vec<u8>) -> Vec<u8> {
    let pixels = samples.len() / N;
    for pixel in 0..pixels {
        samples.copy_within(pixel * N..pixel * N + K, pixel * K);
    }
    samples.truncate(pixels * K);
    samples
}

/// 16 bits to 8 by rounding `x / 257`, so that 0 and the full scale are kept.
fn scale(samples: &[u8]) -> Vec<u8> {
    let scaled = |pair: &[u8]| match pair {
        &[a, b] => {
            u8::try_from((u32::from(u16::from_ne_bytes([a, b])) + 128) / 257).unwrap_or(u8::MAX)
        }
        _ => 0,
    };
    samples.chunks_exact(2).map(scaled).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_dropped_and_sixteen_bits_scale_to_the_ends() {
        assert_eq!(
            keep::<4, 3>(vec![1, 2, 3, 0, 4, 5, 6, 255]),
            [1, 2, 3, 4, 5, 6]
        );
        assert_eq!(keep::<2, 1>(vec![9, 0, 8, 1]), [9, 8]);
        let sixteen: Vec<u8> = [0u16, 128, 129, 257, 65535]
            .iter()
            .flat_map(|v| v.to_ne_bytes())
            .collect();
        assert_eq!(scale(&sixteen), [0, 0, 1, 1, 255]);
    }
}

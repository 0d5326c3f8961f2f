//! GIF, WebP and BMP, decoded by the `image` crate, and helpers shared with the PNG decoder.

use crate::message::one_line;
use std::fmt::Display;
use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, webp::WebPDecoder};
use image::{ColorType, ImageDecoder, ImageError};

use super::header::Header;
use super::{Channels, Pixels, bmp, zeroed};

/// Maximum length of a decoder's message that is passed on, in characters.
pub(super) const MESSAGE_CHARS_MAX: usize = 120;

pub(super) fn decode_gif(encoded: &[u8], header: &Header) -> Result<Pixels, String> {
    finish("GIF", GifDecoder::new(Cursor::new(encoded)), header)
}

pub(super) fn decode_webp(encoded: &[u8], header: &Header) -> Result<Pixels, String> {
    finish("WebP", WebPDecoder::new(Cursor::new(encoded)), header)
}

pub(super) fn decode_bmp(encoded: &[u8], header: &Header) -> Result<Pixels, String> {
    bmp::check_runs(encoded, header)?;
    finish("BMP", BmpDecoder::new(Cursor::new(encoded)), header)
}

pub(super) fn broken(format: &str, error: &dyn Display) -> String {
    format!(
        "is a damaged or unsupported {format} ({})",
        one_line(&error.to_string(), MESSAGE_CHARS_MAX)
    )
}

/// Decodes the first frame, whose size must match the header.
fn finish<D: ImageDecoder>(
    format: &str,
    decoder: Result<D, ImageError>,
    header: &Header,
) -> Result<Pixels, String> {
    let decoder = decoder.map_err(|error| broken(format, &error))?;
    let (width, height) = decoder.dimensions();
    let bytes = decoder.total_bytes();
    if (u64::from(width), u64::from(height)) != (header.width, header.height)
        || bytes > header.kept_bytes
    {
        return Err(format!("is a damaged {format} (its header)"));
    }
    let color = decoder.color_type();
    let size = usize::try_from(bytes).map_err(|_| format!("is too large a {format}"))?;
    let mut samples = zeroed(size)?;
    decoder
        .read_image(&mut samples)
        .map_err(|error| broken(format, &error))?;
    let channels = match color {
        ColorType::Rgb8 => Channels::Rgb,
        ColorType::Rgba8 => drop_alpha::<4, 3>(&mut samples, Channels::Rgb),
        _ => return Err(format!("is a {format} with an unsupported colour type")),
    };
    Ok(Pixels {
        width,
        height,
        channels,
        samples,
    })
}

/// Keeps the first `K` of every `N` samples, in place.
pub(super) fn drop_alpha<const N: usize, const K: usize>(
    samples: &mut Vec<u8>,
    channels: Channels,
) -> Channels {
    let pixels = samples.len() / N;
    for pixel in 0..pixels {
        samples.copy_within(pixel * N..pixel * N + K, pixel * K);
    }
    samples.truncate(pixels * K);
    channels
}

/// Converts 16 bits to 8 in place by rounding `x / 257`, which maps 0 to 0 and full scale to full
/// scale.
pub(super) fn scale_to_eight_bits(samples: &mut Vec<u8>, number: fn([u8; 2]) -> u16) {
    let count = samples.len() / 2;
    for place in 0..count {
        if let Some(&[a, b]) = samples.get(2 * place..2 * place + 2) {
            let scaled = (u32::from(number([a, b])) + 128) / 257;
            if let Some(sample) = samples.get_mut(place) {
                *sample = u8::try_from(scaled).unwrap_or(u8::MAX);
            }
        }
    }
    samples.truncate(count);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_dropped_and_sixteen_bits_scale_to_the_ends() {
        let mut samples = vec![1, 2, 3, 0, 4, 5, 6, 255];
        assert_eq!(
            drop_alpha::<4, 3>(&mut samples, Channels::Rgb),
            Channels::Rgb
        );
        assert_eq!(samples, [1, 2, 3, 4, 5, 6]);
        let mut samples = vec![9, 0, 8, 1];
        drop_alpha::<2, 1>(&mut samples, Channels::Grey);
        assert_eq!(samples, [9, 8]);
        let mut sixteen: Vec<u8> = [0u16, 128, 129, 257, 65535]
            .iter()
            .flat_map(|v| v.to_be_bytes())
            .collect();
        scale_to_eight_bits(&mut sixteen, u16::from_be_bytes);
        assert_eq!(sixteen, [0, 0, 1, 1, 255]);
    }
}

//! GIF, WebP and BMP, decoded by the `image` crate, and helpers shared with the PNG decoder.

use crate::message::one_line;
use std::fmt::Display;
use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, webp::WebPDecoder};
use image::{ColorType, ImageDecoder, ImageError};

use predictsql_catalog::{Background, Colour};

use super::header::Header;
use super::{Channels, Pixels, bmp, zeroed};

/// Maximum length of a decoder's message that is passed on, in characters.
pub(super) const MESSAGE_CHARS_MAX: usize = 120;

pub(super) fn decode_gif(
    encoded: &[u8],
    header: &Header,
    background: Background,
) -> Result<Pixels, String> {
    let decoder = GifDecoder::new(Cursor::new(encoded));
    finish("GIF", decoder, header, background)
}

pub(super) fn decode_webp(
    encoded: &[u8],
    header: &Header,
    background: Background,
) -> Result<Pixels, String> {
    let decoder = WebPDecoder::new(Cursor::new(encoded));
    finish("WebP", decoder, header, background)
}

pub(super) fn decode_bmp(
    encoded: &[u8],
    header: &Header,
    background: Background,
) -> Result<Pixels, String> {
    bmp::check_runs(encoded, header)?;
    let encoded = bmp::mended(encoded)?;
    let decoder = BmpDecoder::new(Cursor::new(&encoded[..]));
    finish("BMP", decoder, header, background)
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
    background: Background,
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
        ColorType::Rgba8 => lay_over(&mut samples, background),
        _ => return Err(format!("is a {format} with an unsupported colour type")),
    };
    Ok(Pixels {
        width,
        height,
        channels,
        samples,
    })
}

/// Lays pixels of red, green, blue and alpha over a background, in place.
pub(super) fn lay_over(samples: &mut Vec<u8>, background: Background) -> Channels {
    match background {
        Background::None => drop_alpha::<4, 3>(samples),
        Background::Colour(Colour(colour)) => blend::<4, 3>(samples, colour),
    }
    Channels::Rgb
}

/// Lays pixels of grey and alpha over a background, in place if the vector has room for three
/// samples a pixel. Over a grey one they stay grey.
pub(super) fn lay_grey_over(samples: &mut Vec<u8>, background: Background) -> Channels {
    match background {
        Background::None => drop_alpha::<2, 1>(samples),
        Background::Colour(Colour([grey, ..])) if is_grey_over(background) => {
            blend::<2, 1>(samples, [grey]);
        }
        Background::Colour(Colour(colour)) => {
            let pixels = samples.len() / 2;
            samples.resize(3 * pixels, 0);
            // From the last pixel: each is written behind what is still to be read.
            for pixel in (0..pixels).rev() {
                let Some(&[grey, alpha]) = samples.get(2 * pixel..).and_then(<[u8]>::first_chunk)
                else {
                    break;
                };
                let target = samples.iter_mut().skip(3 * pixel);
                for (target, below) in target.zip(colour) {
                    *target = mixed(grey, below, alpha);
                }
            }
            return Channels::Rgb;
        }
    }
    Channels::Grey
}

/// Whether grey pixels stay grey over a background.
pub(super) fn is_grey_over(background: Background) -> bool {
    match background {
        Background::None => true,
        Background::Colour(colour) => colour.is_grey(),
    }
}

/// A sample over another one.
fn mixed(above: u8, below: u8, alpha: u8) -> u8 {
    let (above, below, alpha) = (u32::from(above), u32::from(below), u32::from(alpha));
    let sum = above * alpha + below * (255 - alpha);
    u8::try_from((sum + 127) / 255).unwrap_or(u8::MAX)
}

/// Replaces every `N` samples, the last of which is alpha, by `K` over a colour, in place.
fn blend<const N: usize, const K: usize>(samples: &mut Vec<u8>, colour: [u8; K]) {
    let pixels = samples.len() / N;
    for pixel in 0..pixels {
        let Some(above) = samples.get(pixel * N..).and_then(<[u8]>::first_chunk::<N>) else {
            break;
        };
        let above = *above;
        let alpha = above.last().copied().unwrap_or(u8::MAX);
        if let Some(target) = samples.get_mut(pixel * K..pixel * K + K) {
            for ((target, above), below) in target.iter_mut().zip(above).zip(colour) {
                *target = mixed(above, below, alpha);
            }
        }
    }
    samples.truncate(pixels * K);
}

/// Keeps the first `K` of every `N` samples, in place.
fn drop_alpha<const N: usize, const K: usize>(samples: &mut Vec<u8>) {
    let pixels = samples.len() / N;
    for pixel in 0..pixels {
        samples.copy_within(pixel * N..pixel * N + K, pixel * K);
    }
    samples.truncate(pixels * K);
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
    fn transparency_is_laid_over_a_colour_or_dropped() {
        let over = |samples: &[u8], background: &str| {
            let mut samples = samples.to_vec();
            let background = background.parse().expect("a background");
            let channels = match samples.len() % 4 {
                0 => lay_over(&mut samples, background),
                _ => lay_grey_over(&mut samples, background),
            };
            (samples, channels)
        };
        let rgba = [1, 2, 3, 0, 4, 5, 6, 255, 0, 100, 200, 51];
        let rgb = |samples: &[u8]| (samples.to_vec(), Channels::Rgb);
        assert_eq!(over(&rgba, "none"), rgb(&[1, 2, 3, 4, 5, 6, 0, 100, 200]));
        assert_eq!(
            over(&rgba, "white"),
            rgb(&[255, 255, 255, 4, 5, 6, 204, 224, 244])
        );
        assert_eq!(
            over(&rgba, "#0a1400"),
            rgb(&[10, 20, 0, 4, 5, 6, 8, 36, 40])
        );
        let grey = [9, 0, 8, 255, 100, 51];
        let of_grey = |samples: &[u8]| (samples.to_vec(), Channels::Grey);
        assert_eq!(over(&grey, "none"), of_grey(&[9, 8, 100]));
        assert_eq!(over(&grey, "white"), of_grey(&[255, 8, 224]));
        let coloured = [10, 20, 0, 8, 8, 8, 28, 36, 20];
        assert_eq!(over(&grey, "#0a1400"), rgb(&coloured));
    }

    #[test]
    fn sixteen_bits_scale_to_the_ends() {
        let mut sixteen: Vec<u8> = [0u16, 128, 129, 257, 65535]
            .iter()
            .flat_map(|v| v.to_be_bytes())
            .collect();
        scale_to_eight_bits(&mut sixteen, u16::from_be_bytes);
        assert_eq!(sixteen, [0, 0, 1, 1, 255]);
    }
}

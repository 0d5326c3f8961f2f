//! JPEG, baseline and progressive, through zune-jpeg.

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::decode::Limits;
use super::{Channels, Pixels};

/// Marker of the start of a scan: after its header come entropy-coded data.
const SOS: u8 = 0xda;
/// Marker of the end of the image.
const EOI: u8 = 0xd9;

/// Decodes a JPEG to what is wanted: a grey one is always left grey, since repeating its only
/// channel is cheaper later.
pub(super) fn decode(encoded: &[u8], wanted: Channels, limits: Limits) -> Result<Pixels, String> {
    let side_max = usize::from(u16::MAX);
    let options = DecoderOptions::default()
        .set_max_width(side_max)
        .set_max_height(side_max);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(encoded), options);
    decoder.decode_headers().map_err(|error| broken(&error))?;
    let (width, height) = decoder
        .dimensions()
        .ok_or("is a damaged JPEG (no dimensions)")?;
    limits.check(width as u64, height as u64)?;
    // The decoder fills what is missing with grey; a label for half an image would be a wrong answer.
    if !is_complete(encoded) {
        return Err("is a JPEG that is cut off".to_string());
    }
    let channels = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => Channels::Grey,
        // From YCbCr, luma is there without conversion.
        Some(ColorSpace::YCbCr) => wanted,
        _ => Channels::Rgb,
    };
    let colorspace = match channels {
        Channels::Grey => ColorSpace::Luma,
        Channels::Rgb => ColorSpace::RGB,
    };
    decoder.set_options(options.jpeg_set_out_colorspace(colorspace));
    let samples = decoder.decode().map_err(|error| broken(&error))?;
    if samples.len() != width * height * channels.count() {
        return Err("is a JPEG with an unsupported colour space".to_string());
    }
    let side = |pixels: usize| u32::try_from(pixels).map_err(|_| "is too large a JPEG".to_string());
    Ok(Pixels {
        width: side(width)?,
        height: side(height)?,
        channels,
        samples,
    })
}

fn broken(error: &zune_jpeg::errors::DecodeErrors) -> String {
    format!(
        "is a damaged or unsupported JPEG ({})",
        crate::message::one_line(&format!("{error:?}"), super::raster::MESSAGE_CHARS_MAX)
    )
}

/// Whether the end marker comes after the first scan's start. It cannot occur inside entropy-coded
/// data, where 0xff is followed by a zero or a restart marker; thumbnails with end markers of their
/// own lie in segments before the scan, which are stepped over. Bytes after the end do no harm.
fn is_complete(encoded: &[u8]) -> bool {
    let Some(scan) = first_scan(encoded) else {
        return false;
    };
    encoded
        .get(scan..)
        .is_some_and(|data| data.windows(2).rev().any(|pair| pair == [0xff, EOI]))
}

/// Offset of the first scan's marker, found by stepping over the segments before it.
fn first_scan(encoded: &[u8]) -> Option<usize> {
    let mut at = 2;
    loop {
        let [first, marker] = *encoded.get(at..at + 2)? else {
            return None;
        };
        match (first, marker) {
            (0xff, SOS) => return Some(at),
            // Fill bytes before a marker, and the markers without a segment.
            (0xff, 0xff) => at += 1,
            (0xff, 0x01 | 0xd0..=0xd7) => at += 2,
            (0xff, _) => {
                let [high, low] = *encoded.get(at + 2..at + 4)? else {
                    return None;
                };
                at += 2 + usize::from(u16::from_be_bytes([high, low])).max(2);
            }
            // Stray bytes between segments, which decoders skip too.
            _ => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_marker_inside_a_thumbnail_does_not_count() {
        let app1 = [0xff, 0xd8, 0xff, 0xe1, 0, 6, 0xff, 0xd9, 1, 2];
        let scan = [0xff, SOS, 0, 2, 1, 2, 3];
        let cut = [&app1[..], &scan].concat();
        assert!(!is_complete(&cut));
        assert!(is_complete(&[&cut[..], &[0xff, EOI, 7, 7]].concat()));
        assert!(!is_complete(&[0xff, 0xd8, 0xff]));
        assert!(!is_complete(&[0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff]));
    }
}

//! JPEG, baseline and progressive, decoded by zune-jpeg; baseline to a part of its size by
//! `reduced.rs`.

mod colour;
mod entropy;
mod planes;
mod reduced;
mod scans;
mod segments;
mod standard;
#[cfg(test)]
mod tests;
mod transform;

use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::header::{Header, SMALL_BUFFERS_BYTES};
use super::orientation::Orientation;
use super::{Channels, Pixels, exif, zeroed};
use segments::Frame;

/// Parses the header.
pub(super) fn header(encoded: &[u8]) -> Result<Header, String> {
    let header = segments::Header::read(encoded)?;
    let frame = &header.frame;
    let channels = if frame.components.len() == 1 {
        Channels::Grey
    } else {
        // Also if grey is wanted: some colour spaces can be converted to grey only through RGB.
        Channels::Rgb
    };
    let pixels = frame.width as u64 * frame.height as u64;
    let kept = pixels * channels.count() as u64;
    let whole = frame.progressive || header.first_scan_components < frame.components.len();
    let coefficients = if whole { coefficient_bytes(frame) } else { 0 };
    let work = match planes::is_needed(frame) {
        true => planes::bytes(frame),
        false => coefficients + line_bytes(frame),
    };
    // Application segments are copied, extended XMP twice.
    let metadata = 2 * encoded.len() as u64;
    Ok(Header {
        width: frame.width as u64,
        height: frame.height as u64,
        decode_bytes: kept + work + metadata + SMALL_BUFFERS_BYTES,
        kept_bytes: kept,
        transparent: false,
    })
}

/// Memory of decoding to so many eighths of the sides and of the pixels kept, in bytes; `None` if
/// the image cannot be decoded so.
pub(super) fn reduced_bytes(encoded: &[u8], eighths: u8) -> Option<(u64, u64)> {
    let header = segments::Header::read(encoded).ok()?;
    if !reduced::is_possible(encoded, &header, eighths) {
        return None;
    }
    let frame = &header.frame;
    let side = |pixels| reduced::side(pixels, eighths) as u64;
    let kept = side(frame.width) * side(frame.height) * frame.components.len() as u64;
    let decoding = kept + reduced::bytes(frame, eighths) + SMALL_BUFFERS_BYTES;
    Some((decoding, kept))
}

/// Decodes to the wanted channels and so many eighths of the sides, rounded up.
pub(super) fn decode_reduced(
    encoded: &[u8],
    wanted: Channels,
    eighths: u8,
) -> Result<Pixels, String> {
    let frame = segments::Header::read(encoded)?.frame;
    reduced::decode(encoded, &frame, wanted, eighths)
}

/// The orientation that the first EXIF segment with one says.
pub(super) fn orientation(encoded: &[u8]) -> Option<Orientation> {
    let mut at = 2;
    while let Some(segment) = segments::next_segment(encoded, at) {
        at = segment.end;
        match segment.marker {
            segments::SOS | segments::EOI => return None,
            segments::APP1 if segment.payload.starts_with(exif::PREFIX) => {
                let tagged = exif::orientation(segment.payload);
                if tagged.is_some() {
                    return tagged;
                }
            }
            _ => {}
        }
    }
    None
}

/// Memory of the coefficients of all blocks, 16 bits each, which the decoder keeps if the image
/// has several scans.
fn coefficient_bytes(frame: &Frame) -> u64 {
    let (columns, rows) = frame.units();
    let blocks: usize = frame
        .components
        .iter()
        .map(|c| c.horizontal * c.vertical)
        .sum();
    // Grey from colour that is sampled only vertically uses twice the rows.
    let rows = match (frame.horizontal_max(), frame.vertical_max()) {
        (1, 2) => 2 * rows,
        _ => rows,
    };
    128 * columns as u64 * rows as u64 * blocks as u64
}

/// Buffers of a few rows of each component: samples, and those needed for upsampling.
fn line_bytes(frame: &Frame) -> u64 {
    let (horizontal_max, vertical_max) = (frame.horizontal_max(), frame.vertical_max());
    // The decoder uses the greatest sampling factor of the components so far.
    let mut so_far = 1;
    let mut bytes = 0;
    let mut stride_max = 0;
    for component in &frame.components {
        so_far = so_far.max(component.horizontal);
        let stride = component.horizontal * 8 * frame.width.div_ceil(8 * so_far);
        let ratio = (horizontal_max / component.horizontal) * (vertical_max / component.vertical);
        let vertical = component.vertical;
        let samples = 8 * vertical + 2 * vertical + vertical * ratio + 2 * 8 * ratio;
        bytes += 2 * stride as u64 * samples as u64;
        stride_max = stride_max.max(stride);
    }
    bytes + 2 * 8 * stride_max as u64
}

/// Decodes a JPEG to the wanted channels: a grey image always stays grey, since repeating its only
/// channel later is cheaper.
pub(super) fn decode(encoded: &[u8], wanted: Channels) -> Result<Pixels, String> {
    let frame = segments::Header::read(encoded)?.frame;
    if planes::is_needed(&frame) {
        scans::check(encoded, &frame)?;
        return planes::decode(encoded, &frame, wanted);
    }
    let side_max = usize::from(u16::MAX);
    let options = DecoderOptions::default()
        .set_max_width(side_max)
        .set_max_height(side_max);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(encoded), options);
    decoder.decode_headers().map_err(|error| broken(&error))?;
    // The computed memory is valid for this frame only.
    let components = decoder.info().map(|info| usize::from(info.components));
    if decoder.dimensions() != Some((frame.width, frame.height))
        || components != Some(frame.components.len())
    {
        return Err("is a damaged JPEG (its frame header)".to_string());
    }
    scans::check(encoded, &frame)?;
    let channels = match decoder.input_colorspace() {
        Some(ColorSpace::Luma) => Channels::Grey,
        // From YCbCr, luma is available without conversion.
        Some(ColorSpace::YCbCr) => wanted,
        _ => Channels::Rgb,
    };
    let colorspace = match channels {
        Channels::Grey => ColorSpace::Luma,
        Channels::Rgb => ColorSpace::RGB,
    };
    // Strict mode: otherwise the decoder silently fills unreadable data with grey.
    let options = options.set_strict_mode(true);
    decoder.set_options(options.jpeg_set_out_colorspace(colorspace));
    let size = frame.width * frame.height * channels.count();
    if decoder.output_buffer_size() != Some(size) {
        return Err("is a JPEG with an unsupported colour space".to_string());
    }
    let mut samples = zeroed(size)?;
    let decoded = decoder.decode_into(&mut samples);
    decoded.map_err(|error| broken(&error))?;
    let side = |pixels: usize| u32::try_from(pixels).map_err(|_| "is too large a JPEG".to_string());
    Ok(Pixels {
        width: side(frame.width)?,
        height: side(frame.height)?,
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

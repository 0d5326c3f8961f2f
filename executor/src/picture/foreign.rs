//! Names formats that are recognised but not read, so that a warning says what a file is.

/// The formats that are read.
const READ: &str = "PNG, JPEG, WebP, BMP, GIF";

/// A clause for a warning about a file in none of the formats that are read.
pub(super) fn refusal(encoded: &[u8]) -> String {
    match name(encoded) {
        Some(name) => format!("is in the format {name}, which is not read ({READ} are)"),
        None => format!("is not an image in a known format ({READ})"),
    }
}

/// Name of a format that people also have images in.
fn name(encoded: &[u8]) -> Option<&'static str> {
    match encoded {
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Some("TIFF"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => boxed(encoded),
        [0xff, 0x0a, ..] | [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] => Some("JPEG XL"),
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => {
            Some("JPEG 2000")
        }
        [b'I', b'I', 0xbc, ..] => Some("JPEG XR"),
        [b'8', b'B', b'P', b'S', ..] => Some("Photoshop"),
        [b'%', b'P', b'D', b'F', b'-', ..] => Some("PDF"),
        [0, 0, 1, 0, ..] => Some("ICO"),
        [b'q', b'o', b'i', b'f', ..] => Some("QOI"),
        [b'P', b'1'..=b'7', b' ' | b'\n' | b'\r' | b'\t', ..] => Some("Netpbm"),
        _ => text(encoded),
    }
}

/// A file of ISO boxes, by its brands.
fn boxed(encoded: &[u8]) -> Option<&'static str> {
    let length = u32::from_be_bytes(*encoded.first_chunk()?) as usize;
    let brands = encoded.get(8..length.clamp(8, 256).min(encoded.len()))?;
    let has = |names: &[&[u8; 4]]| {
        let (brands, _) = brands.as_chunks::<4>();
        brands.iter().any(|brand| names.contains(&brand))
    };
    if has(&[b"avif", b"avis"]) {
        Some("AVIF")
    } else if has(&[
        b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1",
    ]) {
        Some("HEIC")
    } else {
        Some("video (MP4)")
    }
}

/// A drawing in XML.
fn text(encoded: &[u8]) -> Option<&'static str> {
    let start = encoded.get(..encoded.len().min(512))?;
    let start = start.trim_ascii_start();
    let is_drawing = start.starts_with(b"<svg")
        || start.starts_with(b"<?xml") && start.windows(4).any(|part| part == b"<svg");
    is_drawing.then_some("SVG")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_named() {
        for (start, expected) in [
            (&b"II*\0\x08\0\0\0"[..], Some("TIFF")),
            (b"MM\0*\0\0\0\x08", Some("TIFF")),
            (b"II+\0\x08\0\0\0", Some("TIFF")),
            (b"\0\0\0\x1cftypavif\0\0\0\0mif1avifmiaf", Some("AVIF")),
            (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", Some("AVIF")),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", Some("HEIC")),
            (b"\0\0\0\x18ftypisom\0\0\0\0isommp41", Some("video (MP4)")),
            (b"\xff\x0a\xfa\x1f", Some("JPEG XL")),
            (b"%PDF-1.7", Some("PDF")),
            (b"P6\n3 2\n255\n", Some("Netpbm")),
            (b" <svg xmlns='http://www.w3.org/2000/svg'/>", Some("SVG")),
            (b"<?xml version='1.0'?>\n<svg/>", Some("SVG")),
            (b"<?xml version='1.0'?>\n<html/>", None),
            (b"P600 is a car", None),
            (b"\0\0\0\xffftyp", Some("video (MP4)")),
            (b"", None),
            (b"some text", None),
        ] {
            assert_eq!(name(start), expected, "{}", start.escape_ascii());
            assert_eq!(refusal(start).contains("known format"), expected.is_none());
        }
    }
}

//! Recognises an image by its first bytes, never by its name, and decodes it within limits.

use super::{Channels, Pixels, jpeg, raster};

/// What a header may claim before anything is allocated for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Width times height.
    pub(crate) image_pixels_max: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Png,
    Jpeg,
    Gif,
    WebP,
    Bmp,
}

/// Decodes the first frame of an image. `wanted` is what the caller will convert to: a decoder
/// that can do so cheaply gives it, else what the file has. The error is a clause for a warning.
pub(crate) fn decode(encoded: &[u8], wanted: Channels, limits: Limits) -> Result<Pixels, String> {
    let format = recognise(encoded)
        .ok_or("is not an image in a known format (PNG, JPEG, WebP, BMP, GIF)")?;
    match format {
        Format::Jpeg => jpeg::decode(encoded, wanted, limits),
        Format::Png => raster::decode_png(encoded, limits),
        Format::Gif => raster::decode_gif(encoded, limits),
        Format::WebP => raster::decode_webp(encoded, limits),
        Format::Bmp => raster::decode_bmp(encoded, limits),
    }
}

/// An image in the channels that its users asked for.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// As decoded for the first user.
    pixels: Pixels,
    wanted: Channels,
    /// As decoded for users of the other number of channels, where that makes a difference.
    other: Option<Pixels>,
}

impl Decoded {
    /// What [`decode`] gives for a user who wants those channels.
    pub(crate) fn of(&self, wanted: Channels) -> &Pixels {
        match &self.other {
            Some(other) if wanted != self.wanted => other,
            _ => &self.pixels,
        }
    }
}

/// Decodes an image for several users, each of whom gets the same pixels as if it were alone: once,
/// or twice if that cannot be had from one decoding.
pub(crate) fn decode_for(
    encoded: &[u8],
    users: impl IntoIterator<Item = Channels>,
    limits: Limits,
) -> Result<Decoded, String> {
    let mut users = users.into_iter();
    let wanted = users.next().unwrap_or(Channels::Rgb);
    let pixels = decode(encoded, wanted, limits)?;
    let other = match users.find(|channels| *channels != wanted) {
        Some(channels) if recognise(encoded) == Some(Format::Jpeg) => {
            Some(decode(encoded, channels, limits)?)
        }
        _ => None,
    };
    Ok(Decoded {
        pixels,
        wanted,
        other,
    })
}

/// Signatures of the formats' own specifications.
fn recognise(encoded: &[u8]) -> Option<Format> {
    match encoded {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Format::Png),
        [0xff, 0xd8, 0xff, ..] => Some(Format::Jpeg),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some(Format::WebP),
        // Two letters begin many a text: the four reserved bytes are zero in every real BMP.
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some(Format::Bmp),
        _ => None,
    }
}

impl Limits {
    /// Checks a header's dimensions.
    pub(super) fn check(self, width: u64, height: u64) -> Result<(), String> {
        let pixels = width.saturating_mul(height);
        if pixels == 0 {
            return Err("is an image without pixels".to_string());
        }
        if pixels > self.image_pixels_max {
            return Err(format!(
                "is too large an image ({width} x {height} pixels, limit {} pixels)",
                self.image_pixels_max
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_not_an_image_whatever_its_first_letters() {
        assert_eq!(recognise(b"BM is how this text starts"), None);
        assert_eq!(recognise(b"GIF is a word"), None);
        assert_eq!(recognise(b""), None);
        assert_eq!(recognise(b"\xff\xd8"), None);
        assert_eq!(recognise(b"RIFF1234WAVE"), None);
    }

    #[test]
    fn limits_do_not_overflow() {
        let limits = Limits {
            image_pixels_max: 100,
        };
        assert!(limits.check(10, 10).is_ok());
        assert!(limits.check(u64::MAX, u64::MAX).is_err());
        assert!(limits.check(0, 10).is_err());
    }
}

//! Detects an image's format by its first bytes, never by its name, and decodes it within limits.

use super::header::{Header, Limits};
use super::{Channels, InputSpec, Pixels, bmp, gif, jpeg, png, raster, resize, webp};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Png,
    Jpeg,
    Gif,
    WebP,
    Bmp,
}

impl Format {
    /// Parses the header, and checks dimensions against the limits before more expensive work.
    fn header(self, encoded: &[u8], limits: Limits) -> Result<Header, String> {
        let header = match self {
            Self::Jpeg => jpeg::header(encoded),
            Self::Png => png::header(encoded),
            Self::Gif => gif::header(encoded),
            Self::WebP => webp::header(encoded, limits),
            Self::Bmp => bmp::header(encoded),
        }?;
        limits.check(header.width, header.height)?;
        Ok(header)
    }

    /// Decodes the first frame. `wanted` is the format that the caller converts to: a decoder that
    /// can produce it cheaply does, otherwise it returns the file's format.
    fn decode(self, encoded: &[u8], header: &Header, wanted: Channels) -> Result<Pixels, String> {
        match self {
            Self::Jpeg => jpeg::decode(encoded, wanted),
            Self::Png => png::decode(encoded, header),
            Self::Gif => raster::decode_gif(encoded, header),
            Self::WebP => raster::decode_webp(encoded, header),
            Self::Bmp => raster::decode_bmp(encoded, header),
        }
    }
}

/// An image with parsed header and a plan for decoding it: within limits, with nothing allocated
/// yet.
#[derive(Debug)]
pub(crate) struct DecodePlan<'a> {
    encoded: &'a [u8],
    format: Format,
    header: Header,
    wanted: Channels,
    /// The other number of channels, if some user wants it and it needs separate decoding.
    other: Option<Channels>,
    bytes: u64,
}

impl<'a> DecodePlan<'a> {
    /// Plans decoding for several users, each of which gets the same pixels as if it were the only
    /// one. The error is a clause for a warning.
    pub(crate) fn new<'s>(
        encoded: &'a [u8],
        users: impl IntoIterator<Item = &'s InputSpec>,
        limits: Limits,
    ) -> Result<Self, String> {
        let format = recognise(encoded)
            .ok_or("is not an image in a known format (PNG, JPEG, WebP, BMP, GIF)")?;
        let header = format.header(encoded, limits)?;
        let mut users = users.into_iter().peekable();
        let wanted = users.peek().map_or(Channels::Rgb, |spec| spec.channels());
        let mut other = None;
        let (mut grey, mut resizing) = (0, resize::Bytes::default());
        for spec in users {
            if format == Format::Jpeg && spec.channels() != wanted {
                other = Some(spec.channels());
            }
            let work = spec.work(header.width, header.height);
            (grey, resizing) = (work.0.max(grey), resizing.with(work.1));
        }
        let work = grey + resizing.total();
        let (decode, kept) = (header.decode_bytes, header.kept_bytes);
        let bytes = match other {
            None => decode.max(kept.saturating_add(work)),
            Some(_) => kept.saturating_add(decode.max(kept.saturating_add(work))),
        };
        limits.check_bytes(bytes)?;
        Ok(Self {
            encoded,
            format,
            header,
            wanted,
            other,
            bytes,
        })
    }

    /// Maximum peak memory in bytes of decoding and of the subsequent
    /// [`Preprocessor`](super::Preprocessor) work for any of the users.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Decodes once, or twice if the users' formats cannot be derived from one decoding.
    pub(crate) fn decode(&self) -> Result<Decoded, String> {
        let decode = |wanted| self.format.decode(self.encoded, &self.header, wanted);
        let pixels = decode(self.wanted)?;
        let other = self.other.map(decode);
        Ok(Decoded {
            pixels,
            wanted: self.wanted,
            other: other.transpose()?,
        })
    }
}

/// An image in the channels that its users want.
#[derive(Debug)]
pub(crate) struct Decoded {
    /// Decoded for the first user.
    pixels: Pixels,
    wanted: Channels,
    /// Decoded for users of the other number of channels, if that makes a difference.
    other: Option<Pixels>,
}

impl Decoded {
    /// The pixels for a user who wants these channels.
    pub(crate) fn of(&self, wanted: Channels) -> &Pixels {
        match &self.other {
            Some(other) if wanted != self.wanted => other,
            _ => &self.pixels,
        }
    }
}

/// Detects the format by the signatures of the formats' specifications.
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
        // Many texts begin with these two letters; the four reserved bytes are zero in every real
        // BMP.
        [b'B', b'M', _, _, _, _, 0, 0, 0, 0, ..] => Some(Format::Bmp),
        _ => None,
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
}

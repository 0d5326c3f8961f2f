//! Detects an image's format by its first bytes, never by its name, and decodes it within limits.

use predictsql_catalog::Background;

use super::geometry::WHOLE;
use super::header::{Header, Limits};
use super::orientation::Orientation;
use super::preprocess::{Picture, Stored, Work};
use super::{Channels, InputSpec, Pixels, bmp, foreign, gif, jpeg, png, raster, webp};

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

    /// Decodes the first frame. The form is what the caller converts to: a decoder that can
    /// produce its channels cheaply does, otherwise it returns the file's channels.
    fn decode(self, encoded: &[u8], header: &Header, form: Form) -> Result<Pixels, String> {
        let background = form.background;
        match self {
            Self::Jpeg if form.eighths < WHOLE => {
                jpeg::decode_reduced(encoded, form.channels, form.eighths)
            }
            Self::Jpeg => jpeg::decode(encoded, form.channels),
            Self::Png => png::decode(encoded, header, background),
            Self::Gif => raster::decode_gif(encoded, header, background),
            Self::WebP => raster::decode_webp(encoded, header, background),
            Self::Bmp => raster::decode_bmp(encoded, header, background),
        }
    }

    /// How the pixels are to be turned.
    fn orientation(self, encoded: &[u8]) -> Orientation {
        let tagged = match self {
            Self::Jpeg => jpeg::orientation(encoded),
            Self::Png => png::orientation(encoded),
            Self::WebP => webp::orientation(encoded),
            Self::Gif | Self::Bmp => None,
        };
        tagged.unwrap_or_default()
    }
}

/// What decoders distinguish among the wishes of users.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Form {
    channels: Channels,
    background: Background,
    /// Eighths of the sides.
    eighths: u8,
}

/// What is known of an image before it is decoded.
#[derive(Debug, Clone, Copy)]
struct Image<'a> {
    encoded: &'a [u8],
    format: Format,
    header: Header,
    size: (u32, u32),
    orientation: Orientation,
}

impl Image<'_> {
    /// What a user's wish means for the file: users with equal forms share the decoded pixels.
    fn form(&self, spec: &InputSpec) -> Form {
        let is_jpeg = self.format == Format::Jpeg;
        let least = match is_jpeg {
            true => spec.eighths(self.size, self.orientation),
            false => WHOLE,
        };
        Form {
            channels: match is_jpeg {
                true => spec.channels(),
                false => Channels::Rgb,
            },
            background: match self.header.transparent {
                true => spec.background(),
                false => Background::None,
            },
            eighths: match least < WHOLE && self.reduced_bytes(least).is_some() {
                true => least,
                false => WHOLE,
            },
        }
    }

    /// Memory of decoding to so many eighths of the sides, and of the pixels kept.
    fn reduced_bytes(&self, eighths: u8) -> Option<(u64, u64)> {
        match (self.format, eighths) {
            (_, WHOLE) => Some((self.header.decode_bytes, self.header.kept_bytes)),
            (Format::Jpeg, _) => jpeg::reduced_bytes(self.encoded, eighths),
            _ => None,
        }
    }
}

/// An image with parsed header and a plan for decoding it: within limits, with nothing allocated
/// yet.
#[derive(Debug)]
pub(crate) struct DecodePlan<'a> {
    image: Image<'a>,
    /// The forms that users want, each decoded separately.
    forms: Vec<Form>,
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
        let format = recognise(encoded).ok_or_else(|| foreign::refusal(encoded))?;
        let header = format.header(encoded, limits)?;
        let side = |pixels: u64| u32::try_from(pixels).map_err(|_| "is too large an image");
        let image = Image {
            encoded,
            format,
            header,
            size: (side(header.width)?, side(header.height)?),
            orientation: format.orientation(encoded),
        };
        let (mut forms, mut work) = (Vec::new(), Work::default());
        // A form is decoded while those before it are kept.
        let (mut decode, mut kept) = (0, 0u64);
        for spec in users {
            let form = image.form(spec);
            if !forms.contains(&form) {
                let bytes = image.reduced_bytes(form.eighths);
                let (decoding, keeping) = bytes.ok_or("cannot be decoded to a smaller size")?;
                decode = decode.max(kept.saturating_add(decoding));
                kept = kept.saturating_add(keeping);
                forms.push(form);
            }
            let stored = Stored {
                size: image.size,
                eighths: form.eighths,
            };
            work = work.with(spec.work(stored, image.orientation));
        }
        let bytes = match forms.is_empty() {
            true => header.decode_bytes,
            false => decode.max(kept.saturating_add(work.total())),
        };
        limits.check_bytes(bytes)?;
        Ok(Self {
            image,
            forms,
            bytes,
        })
    }

    /// Maximum peak memory in bytes of decoding and of the subsequent
    /// [`Preprocessor`](super::Preprocessor) work for any of the users.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Decodes once, or several times if the users' forms cannot be derived from one decoding.
    pub(crate) fn decode(&self) -> Result<Decoded<'a>, String> {
        let decode = |form: &Form| {
            let image = &self.image;
            let pixels = image.format.decode(image.encoded, &image.header, *form)?;
            Ok((*form, pixels))
        };
        Ok(Decoded {
            image: self.image,
            forms: self
                .forms
                .iter()
                .map(decode)
                .collect::<Result<_, String>>()?,
        })
    }
}

/// An image in the forms that its users want.
#[derive(Debug)]
pub(crate) struct Decoded<'a> {
    image: Image<'a>,
    forms: Vec<(Form, Pixels)>,
}

impl Decoded<'_> {
    /// The pixels for a user; the error, that it was not among those of the plan.
    pub(crate) fn of(&self, spec: &InputSpec) -> Result<Picture<'_>, String> {
        let wanted = self.image.form(spec);
        let found = self.forms.iter().find(|(form, _)| *form == wanted);
        let (_, pixels) = found.ok_or("was decoded for other models")?;
        Ok(Picture {
            pixels,
            stored: Stored {
                size: self.image.size,
                eighths: wanted.eighths,
            },
            orientation: self.image.orientation,
        })
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
        // Many texts begin with these two letters, but none has a header's length behind them.
        [b'B', b'M', ..] if bmp::has_header(encoded) => Some(Format::Bmp),
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

//! Detects an image's format by its first bytes, never by its name, and decodes it within limits.

use predictsql_catalog::Background;

use super::header::{Header, Limits};
use super::orientation::Orientation;
use super::preprocess::{Picture, Work};
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
}

impl Form {
    /// What a user's wish means for a file: users with equal forms share the decoded pixels.
    fn new(spec: &InputSpec, format: Format, header: &Header) -> Self {
        Self {
            channels: match format {
                Format::Jpeg => spec.channels(),
                _ => Channels::Rgb,
            },
            background: match header.transparent {
                true => spec.background(),
                false => Background::None,
            },
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
    orientation: Orientation,
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
        let stored = (side(header.width)?, side(header.height)?);
        let orientation = format.orientation(encoded);
        let mut forms = Vec::new();
        let mut work = Work::default();
        for spec in users {
            let form = Form::new(spec, format, &header);
            if !forms.contains(&form) {
                forms.push(form);
            }
            work = work.with(spec.work(stored, orientation));
        }
        let (decode, kept) = (header.decode_bytes, header.kept_bytes);
        // The last form is decoded while the others are kept.
        let before = kept.saturating_mul(forms.len().saturating_sub(1) as u64);
        let bytes = before.saturating_add(decode.max(kept.saturating_add(work.total())));
        limits.check_bytes(bytes)?;
        Ok(Self {
            encoded,
            format,
            header,
            orientation,
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
    pub(crate) fn decode(&self) -> Result<Decoded, String> {
        let decode = |form: &Form| {
            let pixels = self.format.decode(self.encoded, &self.header, *form)?;
            Ok((*form, pixels))
        };
        Ok(Decoded {
            format: self.format,
            header: self.header,
            orientation: self.orientation,
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
pub(crate) struct Decoded {
    format: Format,
    header: Header,
    orientation: Orientation,
    forms: Vec<(Form, Pixels)>,
}

impl Decoded {
    /// The pixels for a user; the error, that it was not among those of the plan.
    pub(crate) fn of(&self, spec: &InputSpec) -> Result<Picture<'_>, String> {
        let wanted = Form::new(spec, self.format, &self.header);
        let found = self.forms.iter().find(|(form, _)| *form == wanted);
        let (_, pixels) = found.ok_or("was decoded for other models")?;
        Ok(Picture {
            pixels,
            orientation: self.orientation,
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

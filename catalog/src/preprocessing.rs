//! How an image becomes the pixels of a model's input: the options besides size and normalisation.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

/// Factor of pixel values by default: 0..=255 becomes 0..=1.
const SCALE_DEFAULT: f64 = 1.0 / 255.0;

/// How an image is fitted to the input's size.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    IntoStaticStr,
    EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum Resize {
    /// The whole image, with another aspect ratio if need be.
    #[default]
    Stretch,
    /// The middle of the image, scaled until it covers the input.
    Crop,
    /// The whole image in the middle of the input, sizes rounded as by Pillow's `ImageOps.pad`.
    Pad,
    /// The whole image in the middle of the input, sizes rounded as by ultralytics.
    Letterbox,
}

impl Resize {
    /// Name in options.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the image may leave parts of the input empty.
    pub fn pads(self) -> bool {
        matches!(self, Self::Pad | Self::Letterbox)
    }

    /// Colour of empty parts, unless an option says another.
    pub fn pad_default(self) -> Colour {
        match self {
            Self::Letterbox => Colour([114; 3]),
            Self::Stretch | Self::Crop | Self::Pad => Colour::BLACK,
        }
    }
}

/// Filter of resizing, as in Pillow's `Image.resize`: when shrinking, its support is widened.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    IntoStaticStr,
    EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum Interpolation {
    /// Triangle.
    #[default]
    Bilinear,
    /// Cubic convolution with a = -0.5.
    Bicubic,
    /// The nearest pixel.
    Nearest,
    /// Lanczos of three lobes.
    Lanczos,
}

impl Interpolation {
    /// Name in options.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Order of the channels of a colour input.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    IntoStaticStr,
    EnumString,
)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE", ascii_case_insensitive)]
pub enum ChannelOrder {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as in Caffe and OpenCV.
    Bgr,
}

impl ChannelOrder {
    /// Name in options.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// What becomes of an image's orientation tag.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    IntoStaticStr,
    EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum OrientationTag {
    /// The image is turned as its EXIF tag says, as viewers do.
    #[default]
    Exif,
    /// The pixels are taken as stored.
    Ignore,
}

impl OrientationTag {
    /// Name in options.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// At what size an image is decoded.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    IntoStaticStr,
    EnumString,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase", ascii_case_insensitive)]
pub enum Decode {
    /// A large photo may be decoded to a part of its size, at least twice the size that it is
    /// scaled to, where its format makes that cheap.
    #[default]
    Scaled,
    /// Always at its own size.
    Exact,
}

impl Decode {
    /// Name in options.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A colour: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Colour(pub [u8; 3]);

impl Colour {
    /// Black.
    pub const BLACK: Self = Self([0; 3]);
    /// White.
    pub const WHITE: Self = Self([255; 3]);

    /// Whether its channels are equal.
    pub fn is_grey(self) -> bool {
        let Self([red, green, blue]) = self;
        red == green && green == blue
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([red, green, blue]) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

/// The text is no colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("'white', 'black' or '#rrggbb' is expected")]
pub struct NoColour;

impl FromStr for Colour {
    type Err = NoColour;

    fn from_str(text: &str) -> Result<Self, NoColour> {
        match text.trim() {
            name if name.eq_ignore_ascii_case("white") => Ok(Self::WHITE),
            name if name.eq_ignore_ascii_case("black") => Ok(Self::BLACK),
            code => {
                let digits = code.strip_prefix('#').filter(|digits| digits.len() == 6);
                let mut colour = [0; 3];
                hex::decode_to_slice(digits.ok_or(NoColour)?, &mut colour).map_err(|_| NoColour)?;
                Ok(Self(colour))
            }
        }
    }
}

impl TryFrom<String> for Colour {
    type Error = NoColour;

    fn try_from(text: String) -> Result<Self, NoColour> {
        text.parse()
    }
}

impl From<Colour> for String {
    fn from(colour: Colour) -> Self {
        colour.to_string()
    }
}

/// What transparent pixels are laid over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Background {
    /// A colour.
    Colour(Colour),
    /// Nothing: transparency is dropped, and the colours below it appear.
    None,
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Colour(colour) => colour.fmt(f),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Background {
    type Err = NoColour;

    fn from_str(text: &str) -> Result<Self, NoColour> {
        match text.trim() {
            name if name.eq_ignore_ascii_case("none") => Ok(Self::None),
            colour => colour.parse().map(Self::Colour),
        }
    }
}

impl TryFrom<String> for Background {
    type Error = NoColour;

    fn try_from(text: String) -> Result<Self, NoColour> {
        text.parse()
    }
}

impl From<Background> for String {
    fn from(background: Background) -> Self {
        background.to_string()
    }
}

/// How an image becomes the pixels of a model's input, besides size and normalisation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Preprocessing {
    /// How the image is fitted to the input's size.
    pub resize: Resize,
    /// Part of each side of the scaled image that the input shows, in 0..=1 without 0. Less than
    /// 1 only for [`Resize::Stretch`] and [`Resize::Crop`].
    pub crop_fraction: f64,
    /// Filter of resizing.
    pub interpolation: Interpolation,
    /// At what size images are decoded.
    pub decode: Decode,
    /// Order of the channels; mean and std are in this order.
    pub channel_order: ChannelOrder,
    /// Factor of pixel values of 0..=255, before mean and std.
    pub scale: f64,
    /// What becomes of an orientation tag.
    pub orientation: OrientationTag,
    /// What transparent pixels are laid over.
    pub background: Background,
    /// Colour of the parts that the image leaves empty.
    pub pad: Colour,
}

impl Default for Preprocessing {
    fn default() -> Self {
        Self {
            resize: Resize::Stretch,
            crop_fraction: 1.0,
            interpolation: Interpolation::Bilinear,
            decode: Decode::Scaled,
            channel_order: ChannelOrder::Rgb,
            scale: SCALE_DEFAULT,
            orientation: OrientationTag::Exif,
            background: Background::Colour(Colour::WHITE),
            pad: Resize::Stretch.pad_default(),
        }
    }
}

impl Preprocessing {
    /// Whether no option was given; then it is left out where options are written, so that models
    /// without such options are the same as before there were any.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_read_as_they_are_shown() {
        for (text, shown) in [
            ("white", "#ffffff"),
            ("Black", "#000000"),
            ("#0aF9c0", "#0af9c0"),
        ] {
            let colour: Colour = text.parse().expect(text);
            assert_eq!(colour.to_string(), shown);
            assert_eq!(shown.parse(), Ok(colour));
        }
        for text in ["", "#fff", "#12345", "#1234567", "#gg0000", "red", "0a0b0c"] {
            assert_eq!(text.parse::<Colour>(), Err(NoColour), "{text}");
        }
        assert_eq!("none".parse(), Ok(Background::None));
        assert!("None of it".parse::<Background>().is_err());
    }
}

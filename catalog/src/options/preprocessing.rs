//! Options of image models that say how an image becomes the pixels of the input.

use std::str::FromStr;

use crate::option_value::{OptionError, OptionValue, find, value_error};
use crate::preprocessing::{ChannelOrder, Preprocessing, Resize};

/// Names of the options.
pub(super) const KEYS: [&str; 9] = [
    "resize",
    "crop_fraction",
    "interpolation",
    "decode",
    "channel_order",
    "scale",
    "orientation",
    "background",
    "pad",
];
/// Least part of a side that the input shows.
const CROP_FRACTION_MIN: f64 = 0.1;
/// Least and greatest factor of pixel values.
const SCALES: std::ops::RangeInclusive<f64> = 1e-6..=1000.0;

/// Parses these options, for an input of so many channels.
pub(super) fn read(
    options: &[(String, OptionValue)],
    channels: u8,
) -> Result<Preprocessing, OptionError> {
    let default = Preprocessing::default();
    let crop_fraction = crop_fraction(options)?;
    let resize = resize(options, crop_fraction)?;
    let channel_order = named(options, "channel_order", "'RGB' or 'BGR' is expected")?;
    if channels == 1 && channel_order == Some(ChannelOrder::Bgr) {
        let reason = "'BGR' is for models of 3 channels, and this one has 1";
        return Err(value_error("channel_order", reason));
    }
    let filters = "'bilinear', 'bicubic', 'nearest' or 'lanczos' is expected";
    let background = "'white', 'black', '#rrggbb' or 'none' is expected";
    Ok(Preprocessing {
        resize,
        crop_fraction,
        interpolation: named(options, "interpolation", filters)?.unwrap_or(default.interpolation),
        decode: named(options, "decode", "'scaled' or 'exact' is expected")?
            .unwrap_or(default.decode),
        channel_order: channel_order.unwrap_or(default.channel_order),
        scale: scale(options)?.unwrap_or(default.scale),
        orientation: named(options, "orientation", "'exif' or 'ignore' is expected")?
            .unwrap_or(default.orientation),
        background: named(options, "background", background)?.unwrap_or(default.background),
        pad: pad(options, resize)?,
    })
}

/// A value that is one of some names.
fn named<T: FromStr>(
    options: &[(String, OptionValue)],
    key: &'static str,
    expected: &str,
) -> Result<Option<T>, OptionError> {
    let Some(value) = find(options, key) else {
        return Ok(None);
    };
    let named = value.text().and_then(|name| name.trim().parse().ok());
    named.map(Some).ok_or_else(|| value_error(key, expected))
}

fn crop_fraction(options: &[(String, OptionValue)]) -> Result<f64, OptionError> {
    let Some(value) = find(options, "crop_fraction") else {
        return Ok(Preprocessing::default().crop_fraction);
    };
    let fraction = value.number();
    fraction
        .filter(|fraction| (CROP_FRACTION_MIN..=1.0).contains(fraction))
        .ok_or_else(|| {
            value_error(
                "crop_fraction",
                format!("a number from {CROP_FRACTION_MIN} to 1 is expected"),
            )
        })
}

/// A fraction without a way to resize is one of an image that keeps its aspect ratio: as in the
/// recipes that have a fraction.
fn resize(options: &[(String, OptionValue)], crop_fraction: f64) -> Result<Resize, OptionError> {
    let ways = "'stretch', 'crop', 'pad' or 'letterbox' is expected";
    let resize: Option<Resize> = named(options, "resize", ways)?;
    match resize {
        None if crop_fraction < 1.0 => Ok(Resize::Crop),
        None => Ok(Preprocessing::default().resize),
        Some(resize) if resize.pads() && crop_fraction < 1.0 => Err(value_error(
            "crop_fraction",
            format!(
                "resize = '{}' shows the whole image and crops nothing",
                resize.name()
            ),
        )),
        Some(resize) => Ok(resize),
    }
}

/// A number, or a quotient of two in quotes.
fn scale(options: &[(String, OptionValue)]) -> Result<Option<f64>, OptionError> {
    let Some(value) = find(options, "scale") else {
        return Ok(None);
    };
    let quotient = || {
        let (above, below) = value.text()?.split_once('/')?;
        let number = |text: &str| text.trim().parse::<f64>().ok();
        Some(number(above)? / number(below)?)
    };
    let scale = value.number().or_else(quotient);
    let scale = scale.filter(|scale| SCALES.contains(scale));
    scale.map(Some).ok_or_else(|| {
        value_error(
            "scale",
            format!(
                "the factor of pixel values is expected, {} to {}: '1/255' for a range of 0 to 1, \
                 1 for a range of 0 to 255",
                SCALES.start(),
                SCALES.end()
            ),
        )
    })
}

fn pad(options: &[(String, OptionValue)], resize: Resize) -> Result<crate::Colour, OptionError> {
    let pad = named(options, "pad", "'white', 'black' or '#rrggbb' is expected")?;
    if pad.is_some() && !resize.pads() {
        let reason = "it is the colour beside the image, for resize = 'pad' or 'letterbox'";
        return Err(value_error("pad", reason));
    }
    Ok(pad.unwrap_or(resize.pad_default()))
}

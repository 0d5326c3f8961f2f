//! Options of image models.

use super::preprocessing;
use crate::model::{ImageOptions, Layout, Normalisation};
use crate::option_value::{OptionError, OptionValue, find, value_error};

/// Maximum input height or width, in pixels.
const INPUT_SIDE_PIXELS_MAX: u32 = 4096;

/// Names of the options that are read here.
const OWN_KEYS: [&str; 5] = ["layout", "size", "channels", "mean", "std"];

/// Names of the options.
pub(super) fn keys() -> Vec<&'static str> {
    [&OWN_KEYS[..], &preprocessing::KEYS].concat()
}

/// Parses these options.
pub(super) fn read(options: &[(String, OptionValue)]) -> Result<ImageOptions, OptionError> {
    let (height, width) = size(options)?;
    let channels = channels(options)?;
    let normalisation = Normalisation {
        mean: per_channel(options, "mean", channels, 0.0)?,
        std: per_channel(options, "std", channels, 1.0)?,
    };
    if normalisation.std.iter().any(|s| *s <= 0.0) {
        return Err(value_error("std", "each value must be greater than 0"));
    }
    Ok(ImageOptions {
        layout: layout(options)?,
        height,
        width,
        channels,
        normalisation,
        preprocessing: preprocessing::read(options, channels)?,
    })
}

fn size(options: &[(String, OptionValue)]) -> Result<(u32, u32), OptionError> {
    let value = find(options, "size").ok_or(OptionError::Missing {
        key: "size",
        hint: "give the model's input size as size = 'HEIGHTxWIDTH' in pixels",
    })?;
    let expected = || {
        value_error(
            "size",
            format!("'HEIGHTxWIDTH' in pixels is expected, each 1 to {INPUT_SIDE_PIXELS_MAX}"),
        )
    };
    let side = |text: &str| {
        text.trim()
            .parse()
            .ok()
            .filter(|n| (1..=INPUT_SIDE_PIXELS_MAX).contains(n))
    };
    let sides = match value {
        OptionValue::Number(n) => side(&n.to_string()).map(|n| (n, n)),
        other => other
            .text()
            .and_then(|text| match text.split_once(['x', 'X']) {
                Some((height, width)) => Some((side(height)?, side(width)?)),
                None => side(text).map(|n| (n, n)),
            }),
    };
    sides.ok_or_else(expected)
}

fn channels(options: &[(String, OptionValue)]) -> Result<u8, OptionError> {
    let Some(value) = find(options, "channels") else {
        return Ok(3);
    };
    match value.number() {
        Some(1.0) => Ok(1),
        Some(3.0) => Ok(3),
        _ => Err(value_error("channels", "1 (grey) or 3 (RGB) is expected")),
    }
}

fn per_channel(
    options: &[(String, OptionValue)],
    key: &'static str,
    channels: u8,
    default: f32,
) -> Result<Vec<f32>, OptionError> {
    let channels = usize::from(channels);
    let Some(value) = find(options, key) else {
        return Ok(vec![default; channels]);
    };
    let numbers: Vec<f32> = value
        .elements()
        .iter()
        .map(|v| v.number().map(|n| n as f32).filter(|n| n.is_finite()))
        .collect::<Option<_>>()
        .ok_or_else(|| value_error(key, "a number, or a list of one a channel, is expected"))?;
    match *numbers.as_slice() {
        [all] => Ok(vec![all; channels]),
        _ if numbers.len() == channels => Ok(numbers),
        _ => Err(value_error(
            key,
            format!("{} values given for {channels} channels", numbers.len()),
        )),
    }
}

fn layout(options: &[(String, OptionValue)]) -> Result<Layout, OptionError> {
    let Some(value) = find(options, "layout") else {
        return Ok(Layout::Nchw);
    };
    let named = value.text().and_then(|name| name.parse().ok());
    named.ok_or_else(|| value_error("layout", "'NCHW' or 'NHWC' is expected"))
}

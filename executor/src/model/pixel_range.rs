//! Finds normalisations that cannot fit the range of pixel values.

use crate::ModelWarning;
use crate::picture::InputSpec;

/// Normalised values of all pixels within less than this look alike to a model.
const SPREAD_MIN: f32 = 0.05;
/// Recipes with the greatest spread keep the values 0..255.
const SPREAD_MAX: f32 = 300.0;
/// Part of the range by which a mean may be outside of it.
const SLACK: f32 = 0.05;
/// Greatest pixel value from which on a mean of up to 1 is one of values of 0..1.
const LARGE_RANGE_MIN: f32 = 100.0;

/// A warning if mean or deviation are those of another range of pixel values.
pub(super) fn check(spec: &InputSpec) -> Option<ModelWarning> {
    let normalisation = spec.normalisation();
    let (mean, std) = (&normalisation.mean, &normalisation.std);
    let channels = spec.ranges().zip(mean).zip(std);
    let found = channels.filter_map(|(((low, high), mean), std)| {
        let spread = high - low;
        let pixel_max = spread * std;
        let is_outside = high < -SLACK * spread || low > spread;
        let is_of_ones = pixel_max >= LARGE_RANGE_MIN && *mean > 0.0 && *mean <= 1.0;
        let option = match () {
            () if is_outside || is_of_ones => "mean",
            () if !(SPREAD_MIN..=SPREAD_MAX).contains(&spread) => "std",
            () => return None,
        };
        Some((option, pixel_max))
    });
    let (option, pixel_max) = found.last()?;
    let values = if option == "mean" { mean } else { std };
    let values: Vec<String> = values.iter().map(f32::to_string).collect();
    let remedy = match pixel_max >= LARGE_RANGE_MIN {
        true => "give mean and std of that range, or leave out scale for values of 0..1",
        false => "divide mean and std by 255, or give scale = 1 for values of 0..255",
    };
    Some(ModelWarning::PixelRange {
        option: option.to_string(),
        values: values.join(", "),
        pixel_max: format!("{}", (pixel_max * 100.0).round() / 100.0),
        remedy: remedy.to_string(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use predictsql_catalog::{ImageOptions, Layout, Normalisation, Preprocessing};

    use super::*;

    fn said(scale: f64, mean: [f32; 3], std: [f32; 3]) -> Option<String> {
        let options = ImageOptions {
            layout: Layout::Nchw,
            height: 8,
            width: 8,
            channels: 3,
            normalisation: Normalisation {
                mean: mean.to_vec(),
                std: std.to_vec(),
            },
            preprocessing: Preprocessing {
                scale,
                ..Preprocessing::default()
            },
        };
        check(&InputSpec::new(&options).unwrap()).map(|warning| warning.to_string())
    }

    #[test]
    fn recipes_of_another_range_are_told_and_usual_ones_are_not() {
        const ONES: f64 = 1.0 / 255.0;
        for (scale, mean, std) in [
            (ONES, [0.0; 3], [1.0; 3]),
            (ONES, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            (ONES, [0.5; 3], [0.5; 3]),
            (ONES, [0.286; 3], [0.353; 3]),
            (ONES, [0.0; 3], [1.0 / 255.0; 3]),
            (ONES, [0.406, 0.456, 0.485], [1.0; 3]),
            (1.0, [0.0; 3], [1.0; 3]),
            (1.0, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
            (1.0, [103.939, 116.779, 123.68], [1.0; 3]),
            (1.0, [127.5; 3], [127.5; 3]),
            (1.0, [0.0; 3], [255.0; 3]),
            (1.0 / 127.5, [1.0; 3], [1.0; 3]),
        ] {
            assert_eq!(said(scale, mean, std), None, "{scale} {mean:?} {std:?}");
        }
        for (scale, mean, std, option) in [
            (
                ONES,
                [123.675, 116.28, 103.53],
                [58.395, 57.12, 57.375],
                "mean",
            ),
            (ONES, [127.5; 3], [127.5; 3], "mean"),
            (ONES, [123.68, 116.779, 103.939], [1.0; 3], "mean"),
            (ONES, [0.0; 3], [255.0; 3], "std"),
            (ONES, [0.0; 3], [58.395, 57.12, 57.375], "std"),
            (
                ONES,
                [0.0; 3],
                [0.229 / 255.0, 0.224 / 255.0, 0.225 / 255.0],
                "std",
            ),
            (1.0, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], "mean"),
            (1.0, [0.5; 3], [1.0; 3], "mean"),
            (1.0, [0.0; 3], [0.5; 3], "std"),
        ] {
            let said = said(scale, mean, std).unwrap();
            assert!(said.starts_with(&format!("{option} = (")), "{said}");
            let range = if scale == 1.0 { "0..255:" } else { "0..1:" };
            assert!(said.contains(range), "{said}");
        }
    }
}

//! Compares images with what Pillow makes of them: the scripts beside the files made both.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use predictsql_catalog::{
    Background, ChannelOrder, Colour, ImageOptions, Interpolation, Layout, Normalisation,
    OrientationTag, Preprocessing, Resize,
};
use serde::Deserialize;

use super::tests::{LIMITS, spec_of, tensor_of};
use super::{Channels, DecodePlan, InputSpec};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/images")
        .join(name)
}

/// Files of a folder by name, without scripts.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let images = paths.filter(|path| path.is_file() && path.extension().unwrap() != "py");
    let read = images.map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        (name, std::fs::read(path).unwrap())
    });
    read.collect()
}

/// An input whose numbers are samples, in NHWC order.
fn spec(width: u32, height: u32, channels: u8, preprocessing: Preprocessing) -> InputSpec {
    let count = usize::from(channels);
    InputSpec::new(&ImageOptions {
        layout: Layout::Nhwc,
        height,
        width,
        channels,
        normalisation: Normalisation {
            mean: vec![0.0; count],
            std: vec![1.0; count],
        },
        preprocessing: Preprocessing {
            scale: 1.0,
            ..preprocessing
        },
    })
    .unwrap()
}

/// Greatest and mean difference.
fn differences(found: &[f32], expected: &[u8]) -> (f32, f32) {
    assert_eq!(found.len(), expected.len());
    let pairs = found.iter().zip(expected);
    let each = pairs.map(|(found, expected)| (found - f32::from(*expected)).abs());
    let (greatest, sum) = each.fold((0.0f32, 0.0), |(max, sum), d| (max.max(d), sum + d));
    (greatest, sum / found.len() as f32)
}

/// A case of `preprocessing/cases.json`.
#[derive(Deserialize)]
struct Case {
    file: String,
    size: (u32, u32),
    channels: u8,
    expected: String,
    preprocessing: Preprocessing,
}

#[test]
fn every_way_to_resize_gives_the_pixels_of_its_recipe() {
    let folder = folder("preprocessing");
    let cases = std::fs::read(folder.join("cases.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_slice(&cases).unwrap();
    assert!(cases.len() > 200);
    for case in cases {
        let options = case.preprocessing;
        let what = format!("{} {} {options:?}", case.file, case.channels);
        let encoded = std::fs::read(folder.join(&case.file)).unwrap();
        let spec = spec(case.size.0, case.size.1, case.channels, options);
        let found = tensor_of(&encoded, &spec).unwrap();
        let (greatest, _) = differences(&found, &hex::decode(case.expected).unwrap());
        let most = match options.interpolation {
            Interpolation::Bilinear => 1.0,
            _ => 0.0,
        };
        assert!(greatest <= most, "{what}: {greatest}");
    }
}

#[test]
fn images_are_opened_as_pillow_opens_them_or_refused() {
    let folder = folder("unusual");
    let expected = files(&folder.join("expected"));
    let images = files(&folder);
    assert!(images.len() > 60 && expected.keys().all(|name| images.contains_key(name)));
    for (name, encoded) in &images {
        let Some(expected) = expected.get(name) else {
            let refused = DecodePlan::new(encoded, [&spec_of(9, 9, Channels::Grey)], LIMITS);
            let refused = refused.and_then(|plan| plan.decode().map(|_| ()));
            assert!(refused.is_err(), "{name}");
            continue;
        };
        let side = |at: usize| u32::from(u16::from_le_bytes([expected[at], expected[at + 1]]));
        let (width, height) = (side(0), side(2));
        let found = tensor_of(encoded, &spec_of(width, height, Channels::Rgb));
        let found = found.unwrap_or_else(|reason| panic!("{name} {reason}"));
        let (greatest, mean) = differences(&found, &expected[4..]);
        let (greatest_max, mean_max) = match name.rsplit_once('.').unwrap().1 {
            "jpg" => (3.01, 0.5),
            "webp" => (4.01, 0.5),
            _ => (1.01, 0.5),
        };
        assert!(
            greatest <= greatest_max && mean <= mean_max,
            "{name}: greatest {greatest}, mean {mean}"
        );
        // A model of one channel sees the luma of the same.
        let grey = tensor_of(encoded, &spec_of(width, height, Channels::Grey)).unwrap();
        let (pixels, _) = expected[4..].as_chunks::<3>();
        let luma: Vec<u8> = pixels.iter().map(|pixel| super::luma(*pixel)).collect();
        let (greatest, _) = differences(&grey, &luma);
        assert!(greatest <= 5.0, "{name} in grey: {greatest}");
    }
}

fn image(name: &str) -> Vec<u8> {
    std::fs::read(folder("unusual").join(name)).unwrap()
}

fn tensor(name: &str, channels: u8, preprocessing: Preprocessing) -> Vec<f32> {
    tensor_of(&image(name), &spec(21, 14, channels, preprocessing)).unwrap()
}

#[test]
fn formats_that_are_not_read_are_named() {
    for (name, format) in [("named.tif", "TIFF"), ("named.avif", "AVIF")] {
        let refused = DecodePlan::new(&image(name), [], LIMITS).map(|_| ());
        let expected =
            format!("is in the format {format}, which is not read (PNG, JPEG, WebP, BMP, GIF are)");
        assert_eq!(refused, Err(expected));
    }
}

#[test]
fn an_orientation_can_be_ignored() {
    let ignoring = Preprocessing {
        orientation: OrientationTag::Ignore,
        ..Preprocessing::default()
    };
    let stored = tensor("orientation_1.jpg", 3, ignoring);
    for tag in 0..10 {
        let name = format!("orientation_{tag}.jpg");
        assert_eq!(tensor(&name, 3, ignoring), stored, "{tag}");
        let heeded = tensor(&name, 3, Preprocessing::default());
        assert_eq!(heeded == stored, !(2..=8).contains(&tag), "{tag}");
    }
}

#[test]
fn transparency_is_laid_over_the_background_that_is_told() {
    let over = |name: &str, channels, background| {
        let preprocessing = Preprocessing {
            background,
            ..Preprocessing::default()
        };
        tensor(name, channels, preprocessing)
    };
    let green = Background::Colour(Colour([0, 255, 0]));
    // Transparent to the left, opaque to the right.
    for name in [
        "transparent.png",
        "transparent.webp",
        "transparent_grey.png",
    ] {
        let first = |background| over(name, 3, background)[..3].to_vec();
        assert_eq!(first(green), [0.0, 255.0, 0.0], "{name}");
        assert_eq!(
            first(Background::Colour(Colour::WHITE)),
            [255.0; 3],
            "{name}"
        );
        let luma = f32::from(super::luma([0, 255, 0]));
        assert_eq!(over(name, 1, green)[0], luma, "{name}");
    }
    let opaque = tensor("orientation_1.jpg", 3, Preprocessing::default());
    let dropped = over("transparent.png", 3, Background::None);
    let pairs = dropped.iter().zip(&opaque);
    assert!(pairs.into_iter().all(|(d, o)| (d - o).abs() < 8.0));
    assert_eq!(over("sixteen_bits_alpha.png", 3, Background::None), dropped);
}

#[test]
fn channels_are_in_the_order_of_the_model() {
    let rgb = tensor("sixteen_bits.png", 3, Preprocessing::default());
    let bgr = Preprocessing {
        channel_order: ChannelOrder::Bgr,
        ..Preprocessing::default()
    };
    let bgr = tensor("sixteen_bits.png", 3, bgr);
    let pixels = rgb.as_chunks::<3>().0.iter().zip(bgr.as_chunks::<3>().0);
    assert!(
        pixels
            .into_iter()
            .all(|([r, g, b], bgr)| *bgr == [*b, *g, *r])
    );
    assert_ne!(rgb, bgr);
}

#[test]
fn users_of_one_image_get_what_each_would_get_alone() {
    let encoded = image("orientation_prefixed.webp");
    let mut specs = Vec::new();
    for (number, resize) in [Resize::Stretch, Resize::Crop, Resize::Pad]
        .into_iter()
        .enumerate()
    {
        for background in [Background::None, Background::Colour(Colour([9, 99, 200]))] {
            let orientation = [OrientationTag::Exif, OrientationTag::Ignore][number % 2];
            let preprocessing = Preprocessing {
                resize,
                background,
                orientation,
                ..Preprocessing::default()
            };
            specs.push(spec(12, 17, [1, 3][number % 2], preprocessing));
        }
    }
    let decoded = DecodePlan::new(&encoded, &specs, LIMITS).unwrap();
    let decoded = decoded.decode().unwrap();
    let mut preprocessor = super::Preprocessor::new();
    for spec in &specs {
        let mut together = Vec::new();
        let picture = decoded.of(spec).unwrap();
        preprocessor.append(picture, spec, &mut together).unwrap();
        assert_eq!(together, tensor_of(&encoded, spec).unwrap());
    }
}

#[test]
fn scaled_values_are_those_of_a_division() {
    for sample in 0..=255u8 {
        let scaled = (f64::from(sample) * Preprocessing::default().scale) as f32;
        assert_eq!(scaled, f32::from(sample) / 255.0, "{sample}");
    }
}

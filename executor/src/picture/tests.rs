//! Decodes real files of every format and compares the result with Pillow's.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;
use std::time::Instant;

use predictsql_catalog::{Decode, ImageOptions, Layout, Normalisation, Preprocessing};

use super::{Channels, DecodePlan, InputSpec, Limits, Pixels, Preprocessor};

pub(super) const LIMITS: Limits = Limits {
    image_pixels_max: 64 << 20,
    image_side_pixels_max: 65_535,
    image_decode_bytes_max: 512 << 20,
};

/// An input of that size whose numbers are the unnormalised samples, in NHWC order.
pub(super) fn spec_of(width: u32, height: u32, channels: Channels) -> InputSpec {
    decoding_spec_of(width, height, channels, Decode::default())
}

fn decoding_spec_of(width: u32, height: u32, channels: Channels, decode: Decode) -> InputSpec {
    let count = channels.count();
    InputSpec::new(&ImageOptions {
        layout: Layout::Nhwc,
        height,
        width,
        channels: u8::try_from(count).unwrap(),
        normalisation: Normalisation {
            mean: vec![0.0; count],
            std: vec![1.0 / 255.0; count],
        },
        preprocessing: Preprocessing {
            decode,
            ..Default::default()
        },
    })
    .unwrap()
}

fn decode(encoded: &[u8], wanted: Channels, limits: Limits) -> Result<Pixels, String> {
    let spec = spec_of(28, 28, wanted);
    let decoded = DecodePlan::new(encoded, [&spec], limits)?.decode()?;
    Ok(decoded.of(&spec)?.pixels.clone())
}

fn read(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/images")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A file's pixels at the given size, as 0..=255, in NHWC order.
fn load(name: &str, width: u32, height: u32, channels: Channels) -> Vec<f32> {
    let spec = spec_of(width, height, channels);
    tensor_of(&read(name), &spec).unwrap_or_else(|e| panic!("{name} {e}"))
}

/// The input that is made of an image.
pub(super) fn tensor_of(encoded: &[u8], spec: &InputSpec) -> Result<Vec<f32>, String> {
    let mut tensor = Vec::new();
    let decoded = DecodePlan::new(encoded, [spec], LIMITS)?.decode()?;
    Preprocessor::new().append(decoded.of(spec)?, spec, &mut tensor)?;
    Ok(tensor)
}

/// Mean and maximum difference to Pillow's pixels.
fn difference(found: &[f32], expected: &[u8]) -> (f32, f32) {
    assert_eq!(found.len(), expected.len());
    let differences = found
        .iter()
        .zip(expected)
        .map(|(f, e)| (f - f32::from(*e)).abs());
    let (sum, max) = differences.fold((0.0, 0.0f32), |(sum, max), d| (sum + d, max.max(d)));
    (sum / found.len() as f32, max)
}

fn compare(name: &str, width: u32, height: u32, mean_max: f32, max_max: f32) {
    let expected = read(&format!("expected/{name}.{width}x{height}"));
    let (grey, rgb) = expected.split_at((width * height) as usize);
    for (channels, expected) in [(Channels::Grey, grey), (Channels::Rgb, rgb)] {
        let (mean, max) = difference(&load(name, width, height, channels), expected);
        assert!(
            mean <= mean_max && max <= max_max,
            "{name} as {channels:?}: mean {mean}, max {max}"
        );
    }
}

#[test]
fn lossless_formats_give_pillows_pixels() {
    for name in [
        "rgb.png",
        "rgba.png",
        "grey.png",
        "grey_alpha.png",
        "palette.png",
        "one_bit.png",
        "rgb.bmp",
        "rgb.gif",
        "animated.gif",
        "lossless.webp",
        "exact.png",
    ] {
        compare(name, 28, 28, 0.25, 1.01);
    }
    compare("rgb.png", 90, 70, 0.25, 1.01);
    compare("grey.png", 90, 70, 0.25, 1.01);
}

#[test]
fn lossy_formats_are_close_to_pillows_pixels() {
    for name in [
        "rgb.jpg",
        "subsampled.jpg",
        "progressive.jpg",
        "grey.jpg",
        "cmyk.jpg",
        "lossy.webp",
    ] {
        compare(name, 28, 28, 1.0, 6.0);
    }
}

#[test]
fn sixteen_bits_give_the_same_as_eight() {
    for channels in [Channels::Grey, Channels::Rgb] {
        assert_eq!(
            load("rgb16.png", 28, 28, channels),
            load("rgb.png", 28, 28, channels)
        );
        assert_eq!(
            load("grey16.png", 28, 28, channels),
            load("grey.png", 28, 28, channels)
        );
    }
}

#[test]
fn exact_size_is_not_resampled() {
    let Pixels { samples, .. } = decode(&read("exact.png"), Channels::Rgb, LIMITS).unwrap();
    let expected: Vec<f32> = samples.iter().map(|sample| f32::from(*sample)).collect();
    let found = load("exact.png", 8, 8, Channels::Rgb);
    assert!(
        found
            .iter()
            .zip(&expected)
            .all(|(f, e)| (f - e).abs() < 1e-4),
        "{found:?} {expected:?}"
    );
}

fn refusal(name: &str) -> String {
    decode(&read(name), Channels::Rgb, LIMITS).expect_err(name)
}

#[test]
fn broken_files_are_refused_with_the_reason() {
    assert_eq!(
        refusal("text.png"),
        "is not an image in a known format (PNG, JPEG, WebP, BMP, GIF)"
    );
    assert_eq!(refusal("cut_off.jpg"), "is a JPEG that is cut off");
    assert!(refusal("cut_off.png").starts_with("is a damaged or unsupported PNG"));
}

#[test]
fn a_huge_header_is_refused_before_anything_is_allocated_for_it() {
    for name in [
        "huge_header.png",
        "huge_header.jpg",
        "huge_header.gif",
        "huge_header.bmp",
    ] {
        let reason = refusal(name);
        assert!(
            reason.starts_with("is too large an image (50000 x 50000 pixels"),
            "{name}: {reason}"
        );
    }
    let reason = refusal("huge_header.webp");
    assert!(
        reason.starts_with("is too large an image (16383 x 16383 pixels"),
        "{reason}"
    );
}

/// For any bytes, decoding returns pixels of the declared size or an error, within limits.
#[test]
fn damaged_files_never_panic_or_break_the_promise() {
    let limits = Limits {
        image_pixels_max: 1 << 16,
        ..LIMITS
    };
    let start = Instant::now();
    for name in [
        "rgb.png",
        "palette.png",
        "rgb16.png",
        "rgb.jpg",
        "progressive.jpg",
        "cmyk.jpg",
        "rgb.gif",
        "animated.gif",
        "rgb.bmp",
        "lossless.webp",
        "lossy.webp",
    ] {
        let whole = read(name);
        let mut state = 7u64;
        for round in 0..150 {
            let mut bytes = whole.clone();
            for _ in 0..=round % 4 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let at = (state >> 33) as usize % bytes.len();
                bytes[at] = (state >> 20) as u8;
            }
            if round % 5 == 0 {
                bytes.truncate((state >> 40) as usize % whole.len());
            }
            // Like in the pipeline, a decoder's panic counts as a damaged image.
            let decoded = std::panic::catch_unwind(|| decode(&bytes, Channels::Grey, limits));
            if let Ok(Ok(pixels)) = decoded {
                let count =
                    pixels.width as usize * pixels.height as usize * pixels.channels.count();
                assert_eq!(pixels.samples.len(), count, "{name} round {round}");
            }
        }
    }
    // The time is not checked, but printed to explain a long run.
    println!("damaged files took {:?}", start.elapsed());
}

#[test]
fn users_of_both_kinds_get_what_each_would_get_alone() {
    for name in ["rgb.jpg", "grey.jpg", "cmyk.jpg", "rgb.png", "grey.png"] {
        let encoded = read(name);
        for users in [
            [Channels::Grey, Channels::Rgb],
            [Channels::Rgb, Channels::Grey],
        ] {
            let specs = users.map(|channels| spec_of(28, 28, channels));
            let plan = DecodePlan::new(&encoded, &specs, LIMITS).unwrap();
            let decoded = plan.decode().unwrap();
            for (spec, wanted) in specs.iter().zip(users) {
                let alone = decode(&encoded, wanted, LIMITS).unwrap();
                let together = decoded.of(spec).unwrap().pixels;
                assert_eq!(together, &alone, "{name} as {wanted:?}");
            }
        }
    }
}

/// An input as [`spec_of`] makes it, whose images are decoded at their own size.
fn exact_spec_of(width: u32, height: u32, channels: Channels) -> InputSpec {
    decoding_spec_of(width, height, channels, Decode::Exact)
}

/// JPEG files of the tests.
fn jpegs() -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/images");
    let names = std::fs::read_dir(folder).unwrap().map(|entry| {
        let name = entry.unwrap().file_name();
        name.to_string_lossy().into_owned()
    });
    let names = names.filter(|name| name.ends_with(".jpg"));
    let files = names.map(|name| (name.clone(), read(&name)));
    files.collect()
}

#[test]
fn a_part_of_the_size_gives_nearly_the_same_input() {
    let mut reduced = 0;
    for (name, encoded) in jpegs() {
        for (width, height) in [(1, 1), (2, 1), (3, 2), (5, 3), (8, 8)] {
            for channels in [Channels::Grey, Channels::Rgb] {
                let spec = spec_of(width, height, channels);
                let exact = exact_spec_of(width, height, channels);
                let (found, expected) =
                    match (tensor_of(&encoded, &spec), tensor_of(&encoded, &exact)) {
                        (Ok(found), Ok(expected)) => (found, expected),
                        (found, expected) => {
                            assert_eq!(found.is_ok(), expected.is_ok(), "{name}");
                            continue;
                        }
                    };
                let sizes = [&spec, &exact].map(|spec| {
                    let decoded = DecodePlan::new(&encoded, [spec], LIMITS).unwrap();
                    let decoded = decoded.decode().unwrap();
                    let pixels = decoded.of(spec).unwrap().pixels;
                    (pixels.width, pixels.height)
                });
                reduced += usize::from(sizes[0] != sizes[1]);
                assert!(sizes[0] == sizes[1] || sizes[0] >= (2 * width, 2 * height));
                let pairs = found.iter().zip(&expected);
                let most = pairs.map(|(f, e)| (f - e).abs()).fold(0.0f32, f32::max);
                assert!(most <= 12.0, "{name} {width}x{height} {channels:?}: {most}");
                if sizes[0] == sizes[1] {
                    assert_eq!(found, expected, "{name}");
                }
            }
        }
    }
    assert!(reduced > 10, "{reduced}");
}

#[test]
fn a_jpeg_that_is_cut_off_is_refused_at_any_size() {
    for (name, encoded) in jpegs() {
        for length in (encoded.len() / 2..encoded.len()).step_by(7) {
            let cut = encoded.get(..length).unwrap();
            for closed in [cut.to_vec(), [cut, &[0xff, 0xd9]].concat()] {
                let found = tensor_of(&closed, &spec_of(1, 1, Channels::Rgb)).is_ok();
                let expected = tensor_of(&closed, &exact_spec_of(1, 1, Channels::Rgb)).is_ok();
                assert_eq!(found, expected, "{name} {length}");
            }
        }
    }
}

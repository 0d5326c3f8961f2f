//! Which part of an image becomes which part of an input: computed exactly as the libraries do
//! from which recipes come, since one pixel more or less moves the whole picture.

use predictsql_catalog::{Preprocessing, Resize};

use super::orientation::Orientation;

/// Shortfall that a quotient may have for rounding alone: 224 / (224 / 235) is 235.
const QUOTIENT_ERROR: f64 = 1e-6;

/// Eighths of an image that is decoded at its own size.
pub(super) const WHOLE: u8 = 8;

/// One direction: `source` pixels are scaled to `scaled`, and of these `taken` from `skipped` on
/// are put into the input from `at` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Axis {
    /// Pixels of the image.
    pub(super) source: u32,
    /// The image was decoded to so many eighths of them; 8: as it is.
    pub(super) eighths: u8,
    /// Pixels after scaling.
    pub(super) scaled: u64,
    /// Scaled pixels before those that are shown.
    pub(super) skipped: u64,
    /// Scaled pixels that are shown.
    pub(super) taken: u32,
    /// Place of the first shown pixel in the input.
    pub(super) at: u32,
}

impl Axis {
    /// The whole direction, scaled.
    pub(super) fn whole(source: u32, target: u32) -> Self {
        Self {
            source,
            eighths: WHOLE,
            scaled: target.into(),
            skipped: 0,
            taken: target,
            at: 0,
        }
    }

    /// Whether every pixel stays what it is.
    pub(super) fn is_identity(self) -> bool {
        self.eighths == WHOLE && self.scaled == u64::from(self.source) && self.taken == self.source
    }

    /// Decoded pixels; the last one may be beyond the image.
    pub(super) fn decoded(self) -> u32 {
        let eighths = u64::from(self.source) * u64::from(self.eighths);
        u32::try_from(eighths.div_ceil(WHOLE.into())).unwrap_or(u32::MAX)
    }

    /// Length of the image in decoded pixels.
    pub(super) fn length(self) -> f64 {
        f64::from(self.source) * f64::from(self.eighths) / f64::from(WHOLE)
    }

    /// Whether so many eighths are at least twice the scaled pixels.
    pub(super) fn is_twice_at(self, eighths: u8) -> bool {
        let decoded = u64::from(self.source) * u64::from(eighths);
        decoded >= self.scaled.saturating_mul(2 * u64::from(WHOLE))
    }

    /// Start and length of the shown part in the image, in decoded pixels.
    pub(super) fn window(self) -> (f64, f64) {
        let source = self.length();
        let step = source / self.scaled as f64;
        let start = self.skipped as f64 * step;
        let length = f64::from(self.taken) * step;
        (start, length.min(source - start))
    }

    /// The direction in which pixels are stored.
    fn stored(self, is_reversed: bool) -> Self {
        let shown = self.skipped.saturating_add(u64::from(self.taken));
        match is_reversed {
            true => Self {
                skipped: self.scaled.saturating_sub(shown),
                ..self
            },
            false => self,
        }
    }
}

/// The two directions of an upright image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    pub(super) across: Axis,
    pub(super) down: Axis,
}

impl Geometry {
    /// How an image of a size, width and height, is fitted to an input.
    pub(super) fn new(image: (u32, u32), input: (u32, u32), options: &Preprocessing) -> Self {
        match options.resize {
            Resize::Stretch => Self {
                across: cropped(image.0, scaled_side(input.0, options), input.0),
                down: cropped(image.1, scaled_side(input.1, options), input.1),
            },
            Resize::Crop => covering(image, input, options),
            Resize::Pad => padded(image, input, contained(image, input)),
            Resize::Letterbox => letterboxed(image, input),
        }
    }

    /// The same for an image that was decoded to so many eighths of its sides.
    pub(super) fn decoded_to(self, eighths: u8) -> Self {
        let axis = |axis: Axis| Axis { eighths, ..axis };
        Self {
            across: axis(self.across),
            down: axis(self.down),
        }
    }

    /// The directions in which the pixels are stored: columns, rows.
    pub(super) fn stored(&self, orientation: Orientation) -> (Axis, Axis) {
        let (columns, rows) = orientation.pair((self.across, self.down));
        (
            columns.stored(orientation.columns_reversed),
            rows.stored(orientation.rows_reversed),
        )
    }
}

/// Side that the image is scaled to before it is cropped to the input's side: timm's
/// `floor(size / crop_pct)`.
fn scaled_side(input: u32, options: &Preprocessing) -> u64 {
    let side = f64::from(input) / options.crop_fraction;
    // At most 8192 / 0.1, and at least the input's side.
    ((side + QUOTIENT_ERROR).floor() as u64).max(u64::from(input))
}

/// The middle of a scaled direction: torchvision's `round((scaled - taken) / 2)`.
fn cropped(source: u32, scaled: u64, taken: u32) -> Axis {
    Axis {
        source,
        eighths: WHOLE,
        scaled,
        skipped: half_to_even(scaled.saturating_sub(u64::from(taken))),
        taken,
        at: 0,
    }
}

/// Half of a number; what is between two numbers becomes the even one.
fn half_to_even(number: u64) -> u64 {
    let half = number / 2;
    half + (number % 2) * (half % 2)
}

/// Scales one side to the least that covers the input, and the other in proportion, rounded down:
/// for a square input torchvision's `Resize(size)` and `CenterCrop`.
fn covering(image: (u32, u32), input: (u32, u32), options: &Preprocessing) -> Geometry {
    let (width, height) = (u64::from(image.0), u64::from(image.1));
    let across = scaled_side(input.0, options);
    let down = scaled_side(input.1, options);
    // At most 81,920 times 65,535 each.
    let (across, down) = if width * down <= height * across {
        (across, (across * height / width.max(1)).max(down))
    } else {
        ((down * width / height.max(1)).max(across), down)
    };
    Geometry {
        across: cropped(image.0, across, input.0),
        down: cropped(image.1, down, input.1),
    }
}

/// Size within the input, of the image's aspect ratio: Pillow's `ImageOps.contain`.
fn contained(image: (u32, u32), input: (u32, u32)) -> (u32, u32) {
    let (width, height) = (f64::from(image.0), f64::from(image.1));
    let (across, down) = (f64::from(input.0), f64::from(input.1));
    let (image_ratio, input_ratio) = (width / height, across / down);
    if image_ratio > input_ratio {
        (input.0, side(height / width * across, input.1))
    } else if image_ratio < input_ratio {
        (side(width / height * down, input.0), input.1)
    } else {
        input
    }
}

/// A computed side as a number of pixels, 1 to `most`.
fn side(computed: f64, most: u32) -> u32 {
    (computed.round_ties_even() as u32).clamp(1, most)
}

/// The whole image of a size in the middle of the input.
fn padded(image: (u32, u32), input: (u32, u32), size: (u32, u32)) -> Geometry {
    let axis = |source, scaled: u32, target: u32| Axis {
        at: u32::try_from(half_to_even(target.saturating_sub(scaled).into())).unwrap_or(0),
        ..Axis::whole(source, scaled)
    };
    Geometry {
        across: axis(image.0, size.0, input.0),
        down: axis(image.1, size.1, input.1),
    }
}

/// The letterbox of ultralytics: sides are rounded, and an odd rest is smaller above and to the
/// left.
fn letterboxed(image: (u32, u32), input: (u32, u32)) -> Geometry {
    let ratio = f64::from(input.0) / f64::from(image.0);
    let ratio = ratio.min(f64::from(input.1) / f64::from(image.1));
    let axis = |source: u32, target: u32| {
        let scaled = side(f64::from(source) * ratio, target);
        Axis {
            at: target.saturating_sub(scaled) / 2,
            ..Axis::whole(source, scaled)
        }
    };
    Geometry {
        across: axis(image.0, input.0),
        down: axis(image.1, input.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn options(resize: Resize, crop_fraction: f64) -> Preprocessing {
        Preprocessing {
            resize,
            crop_fraction,
            ..Preprocessing::default()
        }
    }

    fn scaled(geometry: &Geometry) -> [(u64, u64); 2] {
        [geometry.across, geometry.down].map(|axis| (axis.scaled, axis.skipped))
    }

    #[test]
    fn crops_are_those_of_torchvision() {
        // Scaled sides and offsets that torchvision 0.24 prints for Resize(n), CenterCrop(224).
        for (image, fraction, expected) in [
            ((640, 480), 0.875, [(341, 58), (256, 16)]),
            ((480, 640), 0.875, [(256, 16), (341, 58)]),
            ((500, 375), 1.0, [(298, 37), (224, 0)]),
            ((333, 500), 0.875, [(256, 16), (384, 80)]),
            ((100, 100), 0.9, [(248, 12), (248, 12)]),
            ((224, 227), 1.0, [(224, 0), (227, 2)]),
            ((224, 225), 1.0, [(224, 0), (225, 0)]),
            ((1, 5000), 1.0, [(224, 0), (1_120_000, 559_888)]),
        ] {
            let found = Geometry::new(image, (224, 224), &options(Resize::Crop, fraction));
            assert_eq!(scaled(&found), expected, "{image:?} {fraction}");
        }
    }

    #[test]
    fn a_fraction_means_the_side_that_it_was_made_of() {
        for size in [96, 160, 224, 256, 299, 380, 518] {
            for larger in size..=size * 2 {
                let fraction = f64::from(size) / f64::from(larger);
                let side = scaled_side(size, &options(Resize::Crop, fraction));
                assert_eq!(side, u64::from(larger), "{size} of {larger}");
            }
        }
        assert_eq!(scaled_side(224, &options(Resize::Crop, 0.95)), 235);
    }

    #[test]
    fn padding_is_that_of_pillow_and_letterboxes_those_of_ultralytics() {
        let at = |resize, image: (u32, u32)| {
            let geometry = Geometry::new(image, (100, 100), &options(resize, 1.0));
            [geometry.across, geometry.down].map(|axis| (axis.taken, axis.at))
        };
        // ImageOps.pad: 200 * 71 / 142 and so on; a rest of 29 is 14 before, one of 31 is 16.
        assert_eq!(at(Resize::Pad, (200, 142)), [(100, 0), (71, 14)]);
        assert_eq!(at(Resize::Pad, (200, 138)), [(100, 0), (69, 16)]);
        assert_eq!(at(Resize::Pad, (1000, 3)), [(100, 0), (1, 50)]);
        assert_eq!(at(Resize::Letterbox, (200, 142)), [(100, 0), (71, 14)]);
        assert_eq!(at(Resize::Letterbox, (200, 138)), [(100, 0), (69, 15)]);
        assert_eq!(at(Resize::Letterbox, (3, 1000)), [(1, 49), (100, 0)]);
        assert_eq!(at(Resize::Letterbox, (30, 30)), [(100, 0), (100, 0)]);
    }

    proptest! {
        #[test]
        fn the_shown_part_is_within_the_image_and_within_the_input(
            image in (1..=65_535_u32, 1..=65_535_u32),
            input in (1..=4096_u32, 1..=4096_u32),
            fraction in 0.1..=1.0_f64,
            tag in 1..=8_u32,
        ) {
            let orientation = Orientation::of_tag(tag).unwrap_or_default();
            for resize in [Resize::Stretch, Resize::Crop, Resize::Pad, Resize::Letterbox] {
                let fraction = if resize.pads() { 1.0 } else { fraction };
                let upright = orientation.pair(image);
                let geometry = Geometry::new(upright, input, &options(resize, fraction));
                let (columns, rows) = geometry.stored(orientation);
                prop_assert_eq!((columns.source, rows.source), image);
                for (axis, target) in [(geometry.across, input.0), (geometry.down, input.1)] {
                    prop_assert!(axis.taken >= 1 && axis.at + axis.taken <= target);
                    prop_assert!(resize.pads() || axis.taken == target);
                    prop_assert!(axis.skipped + u64::from(axis.taken) <= axis.scaled);
                }
                for axis in [columns, rows] {
                    let (start, length) = axis.window();
                    prop_assert!(start >= 0.0 && length > 0.0);
                    prop_assert!(start + length <= f64::from(axis.source));
                }
            }
        }
    }
}

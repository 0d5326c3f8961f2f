//! Resizes samples by two passes, one per direction, with bounded memory for any dimensions.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer as Convolution};

use super::{Channels, Pixels, grow, shrink};

/// Maximum intermediate buffer for doing the vertical pass first, which is faster and the usual
/// order for photos. An image of 48 million pixels, 8,000 wide, resized to 1,024 rows stays below
/// it.
const BETWEEN_BYTES_MAX: u64 = 32 << 20;

/// Resizes on one thread; keeps small buffers between images.
#[derive(Debug)]
pub(super) struct Resizer {
    convolution: Convolution,
    options: ResizeOptions,
    between: Vec<u8>,
    resized: Vec<u8>,
}

/// Width and height, in pixels.
type Size = (u32, u32);

/// Whether the vertical pass is first (the intermediate image has the source's width and the
/// target's height, otherwise the reverse), and the size of that image in bytes.
fn between(source: (u64, u64), target: (u64, u64), channels: u64) -> (bool, u64) {
    let vertical_first = source.0 * target.1 * channels;
    let horizontal_first = target.0 * source.1 * channels;
    if vertical_first <= BETWEEN_BYTES_MAX || vertical_first <= horizontal_first {
        (true, vertical_first)
    } else {
        (false, horizontal_first)
    }
}

/// Memory for resizing besides the source, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bytes {
    /// The result.
    resized: u64,
    /// The intermediate image.
    between: u64,
    /// Coefficient tables, proportional to the dimensions.
    tables: u64,
}

impl Bytes {
    /// Memory for resizing one image once.
    ///
    /// The intermediate image is at most 32 MiB, or the smaller of `source width * target height`
    /// and `target width * source height` pixels. The latter is at most `sqrt(source pixels *
    /// target pixels)`, since the product of the two is the value under the root.
    pub(crate) fn new(source: (u64, u64), target: (u64, u64), channels: Channels) -> Self {
        let channels = channels.count() as u64;
        let (_, between) = between(source, target, channels);
        // A coefficient is first a float, then a 16-bit number; there are two for each pixel of
        // the longer dimension, and some more for each of the target.
        let table = |source: u64, target: u64| 2 * 10 * source.max(target) + 128 * target;
        let tables = table(source.0, target.0).max(table(source.1, target.1));
        Self {
            resized: target.0 * target.1 * channels,
            between,
            tables: 2 * tables,
        }
    }

    /// Memory for both, one after the other: each buffer keeps the larger size.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            resized: self.resized.max(other.resized),
            between: self.between.max(other.between),
            tables: self.tables.max(other.tables),
        }
    }

    /// Sum of all parts.
    pub(crate) fn total(self) -> u64 {
        self.resized + self.between + self.tables
    }
}

impl Resizer {
    /// Creates one without buffers.
    pub(super) fn new() -> Self {
        // Bilinear over the area that is mapped to one pixel, like Pillow.
        let algorithm = ResizeAlg::Convolution(FilterType::Bilinear);
        Self {
            convolution: Convolution::new(),
            options: ResizeOptions::new().resize_alg(algorithm).use_alpha(false),
            between: Vec::new(),
            resized: Vec::new(),
        }
    }

    /// The resized image. The error is a clause for a warning.
    pub(super) fn resize(&mut self, pixels: &Pixels, target: Size) -> Result<&[u8], String> {
        let source = (pixels.width, pixels.height);
        let channels = pixels.channels.count();
        let length = |(width, height): Size| width as usize * height as usize * channels;
        let wide = |(width, height): Size| (u64::from(width), u64::from(height));
        let (vertical_first, _) = between(wide(source), wide(target), channels as u64);
        let middle = if vertical_first {
            (source.0, target.1)
        } else {
            (target.0, source.1)
        };
        let (convolution, options) = (&mut self.convolution, &self.options);
        let mut pass = |from: &[u8], size: Size, to: &mut [u8], new: Size| {
            one_direction(
                convolution,
                options,
                pixels.channels,
                (from, size),
                (to, new),
            )
        };
        grow(&mut self.resized, length(target))?;
        let resized = self.resized.get_mut(..length(target)).unwrap_or_default();
        // One pass is enough if the other dimension is unchanged.
        if middle == source || middle == target {
            pass(&pixels.samples, source, resized, target)?;
        } else {
            grow(&mut self.between, length(middle))?;
            let between = self.between.get_mut(..length(middle)).unwrap_or_default();
            pass(&pixels.samples, source, between, middle)?;
            pass(between, middle, resized, target)?;
        }
        Ok(self.resized.get(..length(target)).unwrap_or_default())
    }

    /// Frees large buffers.
    pub(super) fn shrink(&mut self) {
        shrink(&mut self.between);
        shrink(&mut self.resized);
    }
}

fn one_direction(
    convolution: &mut Convolution,
    options: &ResizeOptions,
    channels: Channels,
    (from, from_size): (&[u8], Size),
    (to, to_size): (&mut [u8], Size),
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("could not be resized ({error})");
    let kind = match channels {
        Channels::Grey => PixelType::U8,
        Channels::Rgb => PixelType::U8x3,
    };
    let source =
        ImageRef::new(from_size.0, from_size.1, from, kind).map_err(|error| failed(&error))?;
    let mut target =
        Image::from_slice_u8(to_size.0, to_size.1, to, kind).map_err(|error| failed(&error))?;
    convolution
        .resize(&source, &mut target, options)
        .map_err(|error| failed(&error))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn picture(width: u32, height: u32, channels: Channels) -> Pixels {
        let mut state = 1u32;
        let samples = (0..width as usize * height as usize * channels.count()).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Pixels {
            width,
            height,
            channels,
            samples: samples.collect(),
        }
    }

    /// Result of the library's single call, which uses its own intermediate buffer.
    fn by_one_call(pixels: &Pixels, target: Size) -> Vec<u8> {
        let mut resizer = Resizer::new();
        let mut resized = vec![0; (target.0 * target.1) as usize * pixels.channels.count()];
        let size = (pixels.width, pixels.height);
        let (from, to) = (
            (pixels.samples.as_slice(), size),
            (resized.as_mut_slice(), target),
        );
        one_direction(
            &mut resizer.convolution,
            &resizer.options,
            pixels.channels,
            from,
            to,
        )
        .unwrap();
        resized
    }

    #[test]
    fn pixels_are_those_of_one_call() {
        let sides = [1, 2, 7, 28, 60, 224, 301];
        let mut resizer = Resizer::new();
        for (number, width) in sides.into_iter().enumerate() {
            for height in sides {
                for channels in [Channels::Grey, Channels::Rgb] {
                    let pixels = picture(width, height, channels);
                    for target in [(28, 28), (width, 9), (9, height), (64, 33), (224, 17)] {
                        let found = resizer.resize(&pixels, target).unwrap();
                        let expected = by_one_call(&pixels, target);
                        assert!(found == expected, "{number} {width} x {height} {target:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_wide_and_low_image_takes_the_pass_with_less_between() {
        let (wide, square) = ((65_535, 3), (224, 224));
        assert!(Bytes::new(wide, square, Channels::Rgb).total() < 8 << 20);
        let (vertical_first, size) = between(wide, square, 3);
        assert!(!vertical_first);
        assert_eq!(size, 224 * 3 * 3);
        // Within one level of the result with the other order.
        let pixels = picture(65_535, 3, Channels::Rgb);
        let mut resizer = Resizer::new();
        let found = resizer.resize(&pixels, (224, 224)).unwrap();
        let expected = by_one_call(&pixels, (224, 224));
        let greatest = found
            .iter()
            .zip(&expected)
            .map(|(f, e)| f.abs_diff(*e))
            .max();
        assert!(greatest <= Some(1), "{greatest:?}");
    }

    #[test]
    fn photos_have_their_vertical_pass_first() {
        for (source, target) in [
            ((8_000, 6_000), 1_024),
            ((4_000, 3_000), 224),
            ((500, 375), 224),
        ] {
            assert!(between(source, (target, target), 3).0, "{source:?}");
        }
    }

    #[test]
    fn between_the_passes_is_the_root_of_the_product_at_most() {
        for source in [
            (65_535, 1),
            (1, 65_535),
            (65_535, 1_024),
            (8_192, 8_192),
            (9, 60_000),
        ] {
            for target in [(1, 1), (224, 224), (8_192, 8_192), (8_192, 1), (1, 8_192)] {
                let (_, size) = between(source, target, 3);
                let product = source.0 * source.1 * target.0 * target.1;
                let bound = 3.0 * (product as f64).sqrt();
                assert!(
                    size <= BETWEEN_BYTES_MAX || size as f64 <= bound,
                    "{source:?} {target:?}"
                );
            }
        }
    }

    #[test]
    fn large_buffers_are_not_kept() {
        let mut resizer = Resizer::new();
        resizer
            .resize(&picture(3_000, 500, Channels::Rgb), (1_500, 1_400))
            .unwrap();
        assert!(resizer.between.capacity() + resizer.resized.capacity() > 8 << 20);
        resizer.shrink();
        assert_eq!(resizer.between.capacity() + resizer.resized.capacity(), 0);
        resizer
            .resize(&picture(500, 375, Channels::Rgb), (224, 224))
            .unwrap();
        resizer.shrink();
        assert!(resizer.between.capacity() > 0 && resizer.resized.capacity() > 0);
    }
}

//! Resizes samples by two passes, one per direction, with bounded memory for any dimensions.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer as Convolution};
use predictsql_catalog::Interpolation;

use super::convolve::{Filter, Table};
use super::geometry::Axis;
use super::orientation::Orientation;
use super::{Channels, Pixels, grow, shrink};

/// Maximum intermediate buffer of the preferred order of passes, unless the other order needs
/// more. An image of 48 million pixels, 8,000 wide, resized to 1,024 rows stays below it.
const BETWEEN_BYTES_MAX: u64 = 32 << 20;
/// Steps up to which the places of the nearest pixels are summed up as Pillow does.
const NEAREST_STEPS_MAX: u64 = 1 << 20;

/// Resizes on one thread; keeps small buffers between images.
#[derive(Debug)]
pub(super) struct Resizer {
    convolution: Convolution,
    between: Vec<u8>,
    resized: Vec<u8>,
}

/// Width and height, in pixels.
type Size = (u32, u32);

/// What becomes of an image: of its columns and its rows, in the order in which they are stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Resizing {
    pub(super) columns: Axis,
    pub(super) rows: Axis,
    pub(super) interpolation: Interpolation,
    /// From these to upright pixels.
    pub(super) orientation: Orientation,
}

impl Resizing {
    fn target(&self) -> Size {
        (self.columns.taken, self.rows.taken)
    }

    /// Whether the rows are resized first (the intermediate image has the source's width and the
    /// target's height, otherwise the reverse), and the size of that image in bytes.
    ///
    /// The order makes no difference but for rounding, unless a filter overshoots: what is beyond
    /// black or white is cut off after each pass. So filters that do are applied in Pillow's
    /// order, and the others in the order which is faster for photos.
    fn between(&self, channels: u64) -> (bool, u64) {
        let wide = |axis: Axis| (u64::from(axis.decoded()), u64::from(axis.taken));
        let ((width, across), (height, down)) = (wide(self.columns), wide(self.rows));
        let rows_first = width * down * channels;
        let columns_first = across * height * channels;
        let prefers_rows = match self.interpolation {
            Interpolation::Bilinear | Interpolation::Nearest => true,
            Interpolation::Bicubic | Interpolation::Lanczos => self.takes_rows_first_in_pillow(),
        };
        let (preferred, other) = match prefers_rows {
            true => (rows_first, columns_first),
            false => (columns_first, rows_first),
        };
        if preferred <= BETWEEN_BYTES_MAX || preferred <= other {
            (prefers_rows, preferred)
        } else {
            (!prefers_rows, other)
        }
    }

    /// The order of Pillow 13: upright rows come first if they become fewer, and lose more than
    /// twice as many as the columns.
    fn takes_rows_first_in_pillow(&self) -> bool {
        let (across, down) = self.orientation.pair((self.columns, self.rows));
        let lost = |axis: Axis| i64::from(axis.decoded()).saturating_sub_unsigned(axis.scaled);
        let is_down_first = lost(down) > lost(across).saturating_mul(2).max(0);
        is_down_first != self.orientation.swapped
    }
}

/// Pixels that a filter reaches to each side, on one scale with its pixels.
fn reach(interpolation: Interpolation) -> u64 {
    match interpolation {
        Interpolation::Nearest => 0,
        Interpolation::Bilinear => 1,
        Interpolation::Bicubic => 2,
        Interpolation::Lanczos => 3,
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
    pub(super) fn new(resizing: &Resizing, channels: Channels) -> Self {
        let channels = channels.count() as u64;
        let (_, between) = resizing.between(channels);
        // A coefficient is first a float, then a number of 16 bits or of 32. Those of one pixel of
        // the target are the pixels that the filter reaches to both sides, and some more.
        let reach = reach(resizing.interpolation);
        let table = |axis: Axis| {
            let source = u64::from(axis.decoded()).max(axis.scaled);
            let coefficients = 2 * (reach * source).div_ceil(axis.scaled.max(1)) + 1;
            u64::from(axis.taken) * (10 * coefficients + 128) + 8 * coefficients
        };
        let tables = table(resizing.columns).max(table(resizing.rows));
        let (width, height) = resizing.target();
        // Sums of a row.
        let sums = 4 * channels * u64::from(resizing.columns.decoded().max(width));
        Self {
            resized: u64::from(width) * u64::from(height) * channels,
            between,
            tables: 2 * tables + sums,
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
        Self {
            convolution: Convolution::new(),
            between: Vec::new(),
            resized: Vec::new(),
        }
    }

    /// The resized image, or the image itself if nothing changes. The error is a clause for a
    /// warning.
    pub(super) fn resize<'a>(
        &'a mut self,
        pixels: &'a Pixels,
        resizing: &Resizing,
    ) -> Result<&'a [u8], String> {
        let (columns, rows) = (resizing.columns, resizing.rows);
        if columns.is_identity() && rows.is_identity() {
            return Ok(&pixels.samples);
        }
        let target = resizing.target();
        let channels = pixels.channels.count();
        let length = |(width, height): Size| width as usize * height as usize * channels;
        grow(&mut self.resized, length(target))?;
        let resized = self.resized.get_mut(..length(target)).unwrap_or_default();
        let filter = match resizing.interpolation {
            Interpolation::Nearest => {
                pick(pixels, resizing, resized);
                return Ok(resized);
            }
            Interpolation::Bilinear => None,
            Interpolation::Bicubic => Some(Filter::Bicubic),
            Interpolation::Lanczos => Some(Filter::Lanczos),
        };
        let source = (pixels.width, pixels.height);
        let (rows_first, _) = resizing.between(channels as u64);
        let middle = if rows_first {
            (source.0, target.1)
        } else {
            (target.0, source.1)
        };
        let convolution = &mut self.convolution;
        let mut pass = |from: &[u8], size: Size, to: &mut [u8], new: Size, of_rows: bool| {
            let way = Way {
                channels: pixels.channels,
                columns: (!of_rows).then_some(columns),
                rows: of_rows.then_some(rows),
            };
            match filter {
                None => one_direction(convolution, &way, (from, size), (to, new)),
                Some(filter) => {
                    overshooting(filter, &way, (from, size), to);
                    Ok(())
                }
            }
        };
        // One pass is enough if the other dimension is unchanged.
        if columns.is_identity() || rows.is_identity() {
            pass(
                &pixels.samples,
                source,
                resized,
                target,
                columns.is_identity(),
            )?;
        } else {
            grow(&mut self.between, length(middle))?;
            let between = self.between.get_mut(..length(middle)).unwrap_or_default();
            pass(&pixels.samples, source, between, middle, rows_first)?;
            pass(between, middle, resized, target, !rows_first)?;
        }
        Ok(resized)
    }

    /// Frees large buffers.
    pub(super) fn shrink(&mut self) {
        shrink(&mut self.between);
        shrink(&mut self.resized);
    }
}

/// A pass: which directions are resized.
struct Way {
    channels: Channels,
    columns: Option<Axis>,
    rows: Option<Axis>,
}

fn overshooting(filter: Filter, way: &Way, (from, size): (&[u8], Size), to: &mut [u8]) {
    let width = size.0 as usize;
    if let Some(rows) = way.rows {
        Table::new(rows, filter).rows(from, width * way.channels.count(), to);
    } else if let Some(columns) = way.columns {
        let table = Table::new(columns, filter);
        match way.channels {
            Channels::Grey => table.columns::<1>(from, width, to),
            Channels::Rgb => table.columns::<3>(from, width, to),
        }
    }
}

/// Bilinear over the area that is mapped to one pixel, like Pillow.
fn one_direction(
    convolution: &mut Convolution,
    way: &Way,
    (from, from_size): (&[u8], Size),
    (to, to_size): (&mut [u8], Size),
) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("could not be resized ({error})");
    let kind = match way.channels {
        Channels::Grey => PixelType::U8,
        Channels::Rgb => PixelType::U8x3,
    };
    let source =
        ImageRef::new(from_size.0, from_size.1, from, kind).map_err(|error| failed(&error))?;
    let mut target =
        Image::from_slice_u8(to_size.0, to_size.1, to, kind).map_err(|error| failed(&error))?;
    let whole = |side: u32| (0.0, f64::from(side));
    let (left, width) = way.columns.map_or(whole(from_size.0), Axis::window);
    let (top, height) = way.rows.map_or(whole(from_size.1), Axis::window);
    // The filter reaches beyond the window, like Pillow's `box`.
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false)
        .crop(left, top, width, height);
    convolution
        .resize(&source, &mut target, &options)
        .map_err(|error| failed(&error))
}

/// Copies the nearest pixel of each.
fn pick(pixels: &Pixels, resizing: &Resizing, resized: &mut [u8]) {
    let channels = pixels.channels.count();
    let columns = nearest(resizing.columns, resizing.orientation.columns_reversed);
    let rows = nearest(resizing.rows, resizing.orientation.rows_reversed);
    let row_bytes = channels * pixels.width as usize;
    let targets = resized.chunks_exact_mut(channels * columns.len().max(1));
    for (target, row) in targets.zip(&rows) {
        let at = *row as usize * row_bytes;
        let Some(row) = pixels.samples.get(at..at + row_bytes) else {
            return;
        };
        for (pixel, column) in target.chunks_exact_mut(channels).zip(&columns) {
            let at = *column as usize * channels;
            if let Some(nearest) = row.get(at..at + channels) {
                pixel.copy_from_slice(nearest);
            }
        }
    }
}

/// Place of the nearest pixel of each: below the middle of the scaled pixel. The direction is that
/// of the upright image, since a middle between two pixels takes the latter.
fn nearest(axis: Axis, is_reversed: bool) -> Vec<u32> {
    let step = axis.length() / axis.scaled as f64;
    let last = axis.decoded().saturating_sub(1);
    let shown = axis.skipped.saturating_add(u64::from(axis.taken));
    let before = match is_reversed {
        true => axis.scaled.saturating_sub(shown),
        false => axis.skipped,
    };
    let mut middle = step * 0.5;
    // Pillow sums up, and its rounding errors decide between two pixels.
    if before <= NEAREST_STEPS_MAX {
        (0..before).for_each(|_| middle += step);
    } else {
        middle += step * before as f64;
    }
    let places = (0..axis.taken).map(|_| {
        let place = (middle as u32).min(last);
        middle += step;
        place
    });
    let mut places: Vec<u32> = places.collect();
    if is_reversed {
        places.reverse();
        places.iter_mut().for_each(|place| *place = last - *place);
    }
    places
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

    fn whole(pixels: &Pixels, target: Size, interpolation: Interpolation) -> Resizing {
        Resizing {
            columns: Axis::whole(pixels.width, target.0),
            rows: Axis::whole(pixels.height, target.1),
            interpolation,
            orientation: Orientation::default(),
        }
    }

    /// Result of the library's single call, which uses its own intermediate buffer.
    fn by_one_call(pixels: &Pixels, target: Size) -> Vec<u8> {
        let mut resized = vec![0; (target.0 * target.1) as usize * pixels.channels.count()];
        let size = (pixels.width, pixels.height);
        let (from, to) = (
            (pixels.samples.as_slice(), size),
            (resized.as_mut_slice(), target),
        );
        let way = Way {
            channels: pixels.channels,
            columns: Some(Axis::whole(size.0, target.0)),
            rows: Some(Axis::whole(size.1, target.1)),
        };
        one_direction(&mut Convolution::new(), &way, from, to).unwrap();
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
                        let resizing = whole(&pixels, target, Interpolation::Bilinear);
                        let found = resizer.resize(&pixels, &resizing).unwrap();
                        let expected = by_one_call(&pixels, target);
                        assert!(found == expected, "{number} {width} x {height} {target:?}");
                    }
                }
            }
        }
    }

    fn order(source: Size, target: Size, interpolation: Interpolation) -> (bool, u64) {
        let resizing = Resizing {
            columns: Axis::whole(source.0, target.0),
            rows: Axis::whole(source.1, target.1),
            interpolation,
            orientation: Orientation::default(),
        };
        resizing.between(3)
    }

    #[test]
    fn a_wide_and_low_image_takes_the_pass_with_less_between() {
        let (wide, square) = ((65_535, 3), (224, 224));
        let pixels = picture(65_535, 3, Channels::Rgb);
        let resizing = whole(&pixels, square, Interpolation::Bilinear);
        assert!(Bytes::new(&resizing, Channels::Rgb).total() < 8 << 20);
        let (rows_first, size) = order(wide, square, Interpolation::Bilinear);
        assert!(!rows_first);
        assert_eq!(size, 224 * 3 * 3);
        // Within one level of the result with the other order.
        let mut resizer = Resizer::new();
        let found = resizer.resize(&pixels, &resizing).unwrap();
        let expected = by_one_call(&pixels, square);
        let greatest = found
            .iter()
            .zip(&expected)
            .map(|(f, e)| f.abs_diff(*e))
            .max();
        assert!(greatest <= Some(1), "{greatest:?}");
    }

    #[test]
    fn photos_have_their_rows_resized_first_unless_the_filter_overshoots() {
        for (source, target) in [
            ((8_000, 6_000), 1_024),
            ((4_000, 3_000), 224),
            ((500, 375), 224),
        ] {
            let first = |interpolation| order(source, (target, target), interpolation).0;
            assert!(first(Interpolation::Bilinear), "{source:?}");
            assert!(!first(Interpolation::Bicubic), "{source:?}");
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
                for interpolation in [Interpolation::Bilinear, Interpolation::Lanczos] {
                    let (_, size) = order(source, target, interpolation);
                    let sides = [source.0, source.1, target.0, target.1].map(u64::from);
                    let bound = 3.0 * (sides.into_iter().product::<u64>() as f64).sqrt();
                    assert!(
                        size <= BETWEEN_BYTES_MAX || size as f64 <= bound,
                        "{source:?} {target:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn large_buffers_are_not_kept() {
        let mut resizer = Resizer::new();
        let mut resize = |width, height, target| {
            let pixels = picture(width, height, Channels::Rgb);
            let resizing = whole(&pixels, target, Interpolation::Bilinear);
            resizer.resize(&pixels, &resizing).unwrap();
            let held = resizer.between.capacity() + resizer.resized.capacity();
            resizer.shrink();
            (held, resizer.between.capacity(), resizer.resized.capacity())
        };
        let (held, between, resized) = resize(3_000, 500, (1_500, 1_400));
        assert!(held > 8 << 20 && between + resized == 0);
        let (_, between, resized) = resize(500, 375, (224, 224));
        assert!(between > 0 && resized > 0);
    }
}

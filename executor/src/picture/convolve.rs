//! The filters bicubic and lanczos, in the fixed-point numbers of Pillow: the results are equal.
//!
//! They overshoot beside edges and cut off what is beyond black and white, which magnifies what
//! two implementations differ in.

use std::ops::Range;

use super::geometry::Axis;

/// Bits of a coefficient behind the point: two less than are left beside a sample, for sums beyond
/// black and white.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// A filter that overshoots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filter {
    Bicubic,
    Lanczos,
}

impl Filter {
    /// How far it reaches, in pixels of the coarser image.
    pub(super) fn reach(self) -> f64 {
        match self {
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        match self {
            Self::Bicubic => cubic(distance.abs()),
            Self::Lanczos if (-3.0..3.0).contains(&distance) => {
                sinc(distance) * sinc(distance / 3.0)
            }
            Self::Lanczos => 0.0,
        }
    }
}

/// Keys' cubic convolution with a = -0.5.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    if distance < 1.0 {
        ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
    } else if distance < 2.0 {
        (((distance - 5.0) * distance + 8.0) * distance - 4.0) * A
    } else {
        0.0
    }
}

fn sinc(distance: f64) -> f64 {
    if distance == 0.0 {
        return 1.0;
    }
    let angle = distance * std::f64::consts::PI;
    angle.sin() / angle
}

/// The pixels that make up one pixel of the result, and their shares.
struct Shares {
    first: usize,
    shares: Range<usize>,
}

/// Shares of all pixels of a direction.
pub(super) struct Table {
    pixels: Vec<Shares>,
    shares: Vec<i32>,
}

impl Table {
    pub(super) fn new(axis: Axis, filter: Filter) -> Self {
        let scale = axis.length() / axis.scaled as f64;
        let widened = scale.max(1.0);
        let reach = filter.reach() * widened;
        let mut table = Self {
            pixels: Vec::with_capacity(axis.taken as usize),
            shares: Vec::with_capacity(axis.taken as usize * (2 * reach.ceil() as usize + 1)),
        };
        let mut weights = Vec::new();
        for pixel in 0..axis.taken {
            let centre = ((axis.skipped + u64::from(pixel)) as f64 + 0.5) * scale;
            // Casts of floats saturate: below 0 is 0.
            let first = (centre - reach + 0.5) as u32;
            let end = ((centre + reach + 0.5) as u32).min(axis.decoded());
            weights.clear();
            let places = first..end;
            weights.extend(
                places.map(|place| filter.weight((f64::from(place) - centre + 0.5) / widened)),
            );
            let sum: f64 = weights.iter().sum();
            let sum = if sum == 0.0 { 1.0 } else { sum };
            let start = table.shares.len();
            table
                .shares
                .extend(weights.iter().map(|weight| fixed(weight / sum)));
            table.pixels.push(Shares {
                first: first as usize,
                shares: start..table.shares.len(),
            });
        }
        table
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.pixels.iter().map(|pixel| {
            let shares = self.shares.get(pixel.shares.clone());
            (pixel.first, shares.unwrap_or_default())
        })
    }

    /// Resizes the columns of rows of pixels of `N` samples.
    pub(super) fn columns<const N: usize>(&self, from: &[u8], width: usize, to: &mut [u8]) {
        let rows = from.chunks_exact((width * N).max(1));
        let targets = to.chunks_exact_mut((self.pixels.len() * N).max(1));
        for (row, target) in rows.zip(targets) {
            let (pixels, _) = row.as_chunks::<N>();
            let (targets, _) = target.as_chunks_mut::<N>();
            for (target, (first, shares)) in targets.iter_mut().zip(self.iter()) {
                let mut sums = [1i32 << (PRECISION_BITS - 1); N];
                let pixels = pixels.get(first..).unwrap_or_default();
                for (pixel, share) in pixels.iter().zip(shares) {
                    for (sum, sample) in sums.iter_mut().zip(pixel) {
                        *sum = sum.wrapping_add(i32::from(*sample).wrapping_mul(*share));
                    }
                }
                *target = sums.map(clipped);
            }
        }
    }

    /// Resizes rows of so many samples.
    pub(super) fn rows(&self, from: &[u8], length: usize, to: &mut [u8]) {
        let targets = to.chunks_exact_mut(length.max(1));
        let mut sums = vec![0i32; length];
        for (target, (first, shares)) in targets.zip(self.iter()) {
            sums.fill(1 << (PRECISION_BITS - 1));
            let rows = from.chunks_exact(length.max(1)).skip(first);
            for (row, share) in rows.zip(shares) {
                for (sum, sample) in sums.iter_mut().zip(row) {
                    *sum = sum.wrapping_add(i32::from(*sample).wrapping_mul(*share));
                }
            }
            for (target, sum) in target.iter_mut().zip(&sums) {
                *target = clipped(*sum);
            }
        }
    }
}

/// A share as a fixed-point number, rounded away from 0.
fn fixed(share: f64) -> i32 {
    let scaled = share * f64::from(1 << PRECISION_BITS);
    if share < 0.0 {
        (scaled - 0.5) as i32
    } else {
        (scaled + 0.5) as i32
    }
}

fn clipped(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

//! Turns a resized image upright, and puts it into an input that it does not fill.
//!
//! Images are turned after they are resized: the resized image is small, and a photo of a phone
//! would need as much memory again.

use predictsql_catalog::Colour;

use super::geometry::{Axis, Geometry};
use super::orientation::Orientation;
use super::{Channels, grow, luma};

/// Where the pixels of a resized image come in an input.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placing {
    across: Axis,
    down: Axis,
    orientation: Orientation,
    /// Width and height of the input.
    input: (u32, u32),
    /// Colour of the input beside the image.
    pad: Colour,
}

impl Placing {
    pub(super) fn new(
        geometry: &Geometry,
        orientation: Orientation,
        input: (u32, u32),
        pad: Colour,
    ) -> Self {
        Self {
            across: geometry.across,
            down: geometry.down,
            orientation,
            input,
            pad,
        }
    }

    /// Whether anything is to be done.
    pub(super) fn is_needed(&self) -> bool {
        !self.orientation.is_upright() || !self.is_filled()
    }

    fn is_filled(&self) -> bool {
        (self.across.taken, self.down.taken) == self.input
    }

    /// Memory of the input's samples, in bytes.
    pub(super) fn bytes(&self, channels: Channels) -> u64 {
        match self.is_needed() {
            // And where the rows begin.
            true => {
                let pixels = u64::from(self.input.0) * u64::from(self.input.1);
                let rows = self.across.taken.max(self.down.taken);
                pixels * channels.count() as u64 + 16 * u64::from(rows)
            }
            false => 0,
        }
    }

    /// The input's samples: of the image's channels, or in colour where the empty parts are.
    pub(super) fn place<'p>(
        &self,
        samples: &[u8],
        channels: Channels,
        wanted: Channels,
        placed: &'p mut Vec<u8>,
    ) -> Result<(&'p [u8], Channels), String> {
        let pad = self.pad;
        let is_coloured = wanted == Channels::Rgb && !pad.is_grey() && !self.is_filled();
        let result = if is_coloured { Channels::Rgb } else { channels };
        let (width, height) = (self.input.0 as usize, self.input.1 as usize);
        let size = width * height * result.count();
        grow(placed, size)?;
        let placed = placed.get_mut(..size).unwrap_or_default();
        if !self.is_filled() {
            match result {
                Channels::Grey => placed.fill(luma(pad.0)),
                Channels::Rgb => {
                    for pixel in placed.as_chunks_mut::<3>().0 {
                        *pixel = pad.0;
                    }
                }
            }
        }
        let across = Row {
            at: self.across.at as usize,
            length: self.across.taken as usize,
        };
        let top = self.down.at as usize * width * result.count();
        let targets = placed.get_mut(top..).unwrap_or_default();
        let targets = targets.chunks_exact_mut(width * result.count());
        let sides = (self.across.taken as usize, self.down.taken as usize);
        let starts = self.orientation.rows(self.orientation.pair(sides));
        for (target, start) in targets.zip(starts) {
            match (channels, result) {
                (Channels::Grey, Channels::Grey) => across.copy::<1, 1>(samples, target, start),
                (Channels::Grey, Channels::Rgb) => across.copy::<1, 3>(samples, target, start),
                (Channels::Rgb, _) => across.copy::<3, 3>(samples, target, start),
            }
        }
        Ok((placed, result))
    }
}

/// Where a row of an image comes in a row of the input, in pixels.
#[derive(Clone, Copy)]
struct Row {
    at: usize,
    length: usize,
}

impl Row {
    /// Copies pixels of `N` samples, from the first on in steps, to pixels of `M`.
    fn copy<const N: usize, const M: usize>(
        self,
        samples: &[u8],
        target: &mut [u8],
        (first, step): (usize, isize),
    ) {
        let (pixels, _) = samples.as_chunks::<N>();
        let (targets, _) = target.as_chunks_mut::<M>();
        let mut from = first;
        for target in targets.iter_mut().skip(self.at).take(self.length) {
            let pixel = pixels.get(from).copied().unwrap_or([0; N]);
            for (target, sample) in target.iter_mut().zip(pixel.iter().cycle()) {
                *target = *sample;
            }
            from = from.wrapping_add_signed(step);
        }
    }
}

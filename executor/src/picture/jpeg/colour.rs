//! Rows of a JPEG's components become rows of pixels: upsampling and colours.

use super::super::Channels;
use super::segments::{APP0, APP14, Component, Frame, SOS, next_segment};

/// What the components mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    YCbCr,
    Rgb,
    /// Inverted, as Adobe's programs write it.
    Cmyk,
    Ycck,
}

impl Colours {
    /// Whether all decoders take the components for luma and chroma: no segment says otherwise.
    pub(super) fn is_plain(encoded: &[u8], frame: &Frame) -> bool {
        let (names, adobe) = (frame.components.iter().map(|c| c.id), adobe(encoded));
        names.ne(*b"RGB") && matches!(adobe, None | Some(1)) && frame.components.len() == 3
    }

    /// By the rules of libjpeg: application segments, then the names of the components.
    pub(super) fn read(encoded: &[u8], frame: &Frame) -> Option<Self> {
        let (mut is_jfif, mut adobe) = (false, None);
        let mut at = 2;
        while let Some(segment) = next_segment(encoded, at) {
            at = segment.end;
            match segment.marker {
                SOS => break,
                APP0 => is_jfif |= segment.payload.starts_with(b"JFIF\0"),
                APP14 if segment.payload.starts_with(b"Adobe") => {
                    adobe = segment.payload.get(11).copied();
                }
                _ => {}
            }
        }
        let names: Vec<u8> = frame.components.iter().map(|c| c.id).collect();
        match (names.len(), is_jfif, adobe) {
            (3, true, _) => Some(Self::YCbCr),
            (3, _, Some(0)) => Some(Self::Rgb),
            (3, _, None) if names == *b"RGB" => Some(Self::Rgb),
            (3, ..) => Some(Self::YCbCr),
            (4, _, Some(2)) => Some(Self::Ycck),
            (4, ..) => Some(Self::Cmyk),
            _ => None,
        }
    }

    /// The channels that pixels are decoded to.
    pub(super) fn channels(self, wanted: Channels) -> Channels {
        match self {
            Self::YCbCr => wanted,
            Self::Rgb | Self::Cmyk | Self::Ycck => Channels::Rgb,
        }
    }

    /// A row of pixels from the rows of the components.
    pub(super) fn convert(self, rows: &[Row], channels: Channels, target: &mut [u8]) {
        let sample = |component: usize, x: usize| {
            let row = rows.get(component).and_then(|row| row.samples.get(x));
            row.copied().unwrap_or_default()
        };
        if let (Self::YCbCr, Channels::Rgb, [y, cb, cr]) = (self, channels, rows) {
            let chroma = cb.samples.iter().zip(&cr.samples);
            let pixels = target.as_chunks_mut::<3>().0.iter_mut();
            for (pixel, (y, (cb, cr))) in pixels.zip(y.samples.iter().zip(chroma)) {
                *pixel = rgb([*y, *cb, *cr]);
            }
            return;
        }
        for (x, pixel) in target.chunks_exact_mut(channels.count()).enumerate() {
            let three = [sample(0, x), sample(1, x), sample(2, x)];
            match (self, channels) {
                (_, Channels::Grey) => pixel.copy_from_slice(&three[..1]),
                (Self::Rgb, _) => pixel.copy_from_slice(&three),
                (Self::YCbCr, _) => pixel.copy_from_slice(&rgb(three)),
                // Inverted ink is light, and what is not inked black shines through.
                (Self::Cmyk, _) => pixel.copy_from_slice(&inked(three, sample(3, x))),
                (Self::Ycck, _) => {
                    let inverted = rgb(three).map(|ink| 255 - ink);
                    pixel.copy_from_slice(&inked(inverted, sample(3, x)));
                }
            }
        }
    }
}

/// The colour transform that Adobe's segment names.
fn adobe(encoded: &[u8]) -> Option<u8> {
    let mut at = 2;
    while let Some(segment) = next_segment(encoded, at) {
        at = segment.end;
        match segment.marker {
            SOS => return None,
            APP14 if segment.payload.starts_with(b"Adobe") => {
                return segment.payload.get(11).copied();
            }
            _ => {}
        }
    }
    None
}

fn inked(colour: [u8; 3], black: u8) -> [u8; 3] {
    colour.map(|light| ((u32::from(light) * u32::from(black) + 127) / 255) as u8)
}

/// Of YCbCr, by the factors of JFIF.
fn rgb([y, cb, cr]: [u8; 3]) -> [u8; 3] {
    let (y, cb, cr) = (f32::from(y), f32::from(cb) - 128.0, f32::from(cr) - 128.0);
    [
        y + 1.402 * cr,
        y - 0.344_136_3 * cb - 0.714_136_3 * cr,
        y + 1.772 * cb,
    ]
    // A cast of a float saturates.
    .map(|value| (value + 0.5) as u8)
}

/// A row of one component at full width.
pub(super) struct Row {
    samples: Vec<u8>,
}

impl Row {
    pub(super) fn new(width: usize) -> Self {
        Self {
            samples: vec![0; width],
        }
    }

    /// Copies the row from samples of full width.
    pub(super) fn copy(&mut self, samples: &[u8]) {
        for (target, sample) in self.samples.iter_mut().zip(samples) {
            *target = *sample;
        }
    }

    /// Fills the row from a plane. Samples are interpolated between the two nearest where there
    /// are half as many as pixels, and the nearest is repeated for other ratios, as libjpeg does.
    pub(super) fn fill(
        &mut self,
        plane: &[u8],
        stride: usize,
        component: &Component,
        frame: &Frame,
        y: usize,
    ) {
        let (horizontal_max, vertical_max) = (frame.horizontal_max(), frame.vertical_max());
        let width = (frame.width * component.horizontal).div_ceil(horizontal_max);
        let height = (frame.height * component.vertical).div_ceil(vertical_max);
        let doubles = |own: usize, max: usize| max == own || max == 2 * own;
        let blends = doubles(component.horizontal, horizontal_max)
            && doubles(component.vertical, vertical_max);
        let vertical = (component.vertical, vertical_max);
        let horizontal = (component.horizontal, horizontal_max);
        let down = Nearest::of(y, vertical, height, blends);
        let line = |row: usize| {
            let line = plane.get(row * stride..).unwrap_or_default();
            line.get(..width).unwrap_or_default()
        };
        let (near, far) = (line(down.near), line(down.far));
        for (x, target) in self.samples.iter_mut().enumerate() {
            let across = Nearest::of(x, horizontal, width, blends);
            let at = |column: usize| {
                let sample = |line: &[u8]| u32::from(line.get(column).copied().unwrap_or_default());
                3 * sample(near) + sample(far)
            };
            let sum = 3 * at(across.near) + at(across.far);
            *target = ((sum + 8) / 16) as u8;
        }
    }
}

/// The two samples that a pixel lies between: the nearer counts three quarters.
struct Nearest {
    near: usize,
    far: usize,
}

impl Nearest {
    fn of(place: usize, (own, max): (usize, usize), count: usize, blends: bool) -> Self {
        let last = count.saturating_sub(1);
        let near = (place * own / max.max(1)).min(last);
        let far = match (blends && max == 2 * own, place % 2) {
            (true, 0) => near.saturating_sub(1),
            (true, _) => (near + 1).min(last),
            _ => near,
        };
        Self { near, far }
    }
}

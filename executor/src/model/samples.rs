//! Generated inputs on which a model is tried: unlike each other, so that what depends on the
//! neighbours in a batch, or on no input at all, shows.

use super::contract::Feed;
use super::runs::Batch;
use crate::ColumnValue;
use crate::picture::InputSpec;

/// What a trial image shows. Names are used in warnings.
const PICTURES: [(&str, Picture); 5] = [
    ("noise", Picture::Noise(255)),
    ("a plain blue image", Picture::Plain([30, 90, 200])),
    ("a plain black image", Picture::Plain([0; 3])),
    ("a plain light image", Picture::Plain([250, 249, 248])),
    ("dark, reddish noise", Picture::Noise(40)),
];

/// Scales of the numbers of trial rows; 0 is the row of zeros.
const ROW_SCALES: [f64; 4] = [10.0, 0.0, 1.0, 0.1];

#[derive(Debug, Clone, Copy)]
enum Picture {
    Plain([u8; 3]),
    /// Samples of up to this size, and more of red.
    Noise(u8),
}

/// A generated input.
pub(super) enum Sample {
    Image(Vec<f32>),
    Row(Vec<ColumnValue>),
}

/// Number of different samples.
pub(super) fn count(feed: &Feed) -> usize {
    match feed {
        Feed::Image(_) => PICTURES.len(),
        Feed::Columns(_) => ROW_SCALES.len(),
    }
}

/// What the sample at this index is, in words.
pub(super) fn name(feed: &Feed, index: usize) -> &'static str {
    match feed {
        Feed::Image(_) => PICTURES.get(index).map_or("", |(name, _)| name),
        Feed::Columns(_) => "a generated row",
    }
}

impl Sample {
    /// The sample at this index, the same every time. Sample 0 is noise.
    pub(super) fn at(feed: &Feed, index: usize) -> Self {
        match feed {
            Feed::Image(spec) => {
                let picture = PICTURES.get(index).map(|(_, picture)| *picture);
                let samples = samples(spec, picture.unwrap_or(Picture::Plain([0; 3])));
                Self::Image(spec.tensor_of(&samples))
            }
            Feed::Columns(spec) => {
                let scale = ROW_SCALES.get(index).copied().unwrap_or(0.0);
                let mut noise = noise();
                let number = || f64::from(noise()) * scale;
                Self::Row(spec.row(number))
            }
        }
    }
}

impl Sample {
    /// Passes a batch of so many copies of it to `run`.
    pub(super) fn repeated<T>(&self, inputs: usize, run: impl FnOnce(Batch<'_>) -> T) -> T {
        match self {
            Self::Image(image) => run(Batch::Images(&image.repeat(inputs))),
            Self::Row(row) => run(Batch::Rows(&vec![row.as_slice(); inputs])),
        }
    }
}

/// The samples of an image of the input's size.
fn samples(spec: &InputSpec, picture: Picture) -> Vec<u8> {
    let channels = spec.channels().count();
    let mut noise = noise();
    let sample = |index: usize| match picture {
        Picture::Plain(colour) => colour.get(index % channels).copied().unwrap_or(0),
        Picture::Noise(255) => (noise() * 255.0) as u8,
        Picture::Noise(most) => {
            let part = if index.is_multiple_of(channels) {
                1.0
            } else {
                0.5
            };
            (noise() * f32::from(most) * part) as u8
        }
    };
    (0..spec.image_len()).map(sample).collect()
}

/// Pseudo-random numbers in 0..1 that are the same every time (a linear congruential generator,
/// constants of Numerical Recipes).
pub(super) fn noise() -> impl FnMut() -> f32 {
    let mut state = 1u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16) / f32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_in_range_and_not_constant() {
        let mut noise = noise();
        let numbers: Vec<f32> = (0..1000).map(|_| noise()).collect();
        assert!(numbers.iter().all(|n| (0.0..=1.0).contains(n)));
        let mean = numbers.iter().sum::<f32>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }
}

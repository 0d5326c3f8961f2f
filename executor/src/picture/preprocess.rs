//! Converts, resizes and normalises pixels directly into a batch buffer.

use std::borrow::Cow;

use predictsql_catalog::{ImageOptions, Layout, Normalisation};

use super::resize::{self, Resizer};
use super::{Channels, OUT_OF_MEMORY, Pixels};

/// Maximum height and width of a model's input, in pixels.
const INPUT_SIDE_MAX: u32 = 8192;

/// Input format of a model: derived once from [`ImageOptions`].
#[derive(Debug, Clone)]
pub(crate) struct InputSpec {
    layout: Layout,
    height: u32,
    width: u32,
    channels: Channels,
    normalisation: Normalisation,
    /// For each channel, the normalised values of the 256 sample values.
    normalised: Vec<[f32; 256]>,
}

/// Equal if both produce the same numbers for every image.
impl PartialEq for InputSpec {
    fn eq(&self, other: &Self) -> bool {
        (self.layout, self.height, self.width, self.channels)
            == (other.layout, other.height, other.width, other.channels)
            && self.normalisation == other.normalisation
    }
}

impl InputSpec {
    /// Converts options. The error names the invalid one.
    pub(crate) fn new(options: &ImageOptions) -> Result<Self, String> {
        let channels = match options.channels {
            1 => Channels::Grey,
            3 => Channels::Rgb,
            other => return Err(format!("channels is {other}, but must be 1 or 3")),
        };
        for (name, side) in [("height", options.height), ("width", options.width)] {
            if side == 0 || side > INPUT_SIDE_MAX {
                return Err(format!(
                    "{name} is {side}, but must be 1 to {INPUT_SIDE_MAX} pixels"
                ));
            }
        }
        let (mean, std) = (&options.normalisation.mean, &options.normalisation.std);
        for (name, values) in [("mean", mean), ("std", std)] {
            if values.len() != channels.count() {
                return Err(format!(
                    "{name} has {} values for {} channels",
                    values.len(),
                    channels.count()
                ));
            }
        }
        if !mean.iter().chain(std).all(|v| v.is_finite()) || std.iter().any(|v| *v <= 0.0) {
            return Err("mean must be finite and std greater than 0".to_string());
        }
        let normalised = mean.iter().zip(std).map(|(mean, std)| {
            let mut values = [0.0; 256];
            for (sample, value) in (0u8..=255).zip(&mut values) {
                *value = (f32::from(sample) / 255.0 - mean) / std;
            }
            values
        });
        Ok(Self {
            layout: options.layout,
            height: options.height,
            width: options.width,
            channels,
            normalisation: options.normalisation.clone(),
            normalised: normalised.collect(),
        })
    }

    /// Channels of the model's input.
    pub(crate) fn channels(&self) -> Channels {
        self.channels
    }

    /// Length of one image in the input tensor.
    pub(crate) fn image_len(&self) -> usize {
        // At most 8192 * 8192 * 3: no overflow.
        self.height as usize * self.width as usize * self.channels.count()
    }

    /// Memory that [`Preprocessor::append`] needs besides image and tensor for an image of that
    /// size: a grey copy, in bytes, and the buffers of resizing.
    pub(super) fn work(&self, width: u64, height: u64) -> (u64, resize::Bytes) {
        let target = (u64::from(self.width), u64::from(self.height));
        let grey = match self.channels {
            Channels::Grey => width * height,
            Channels::Rgb => 0,
        };
        let resizing = resize::Bytes::new((width, height), target, self.channels);
        (grey, resizing)
    }

    /// Shape of the input tensor for a batch: NCHW or NHWC.
    pub(crate) fn shape(&self, batch: usize) -> [usize; 4] {
        let (height, width) = (self.height as usize, self.width as usize);
        match self.layout {
            Layout::Nchw => [batch, self.channels.count(), height, width],
            Layout::Nhwc => [batch, height, width, self.channels.count()],
        }
    }
}

/// Preprocesses images on one thread; keeps small buffers between images.
#[derive(Debug)]
pub(crate) struct Preprocessor {
    resizer: Resizer,
}

impl Preprocessor {
    /// Creates one without buffers.
    pub(crate) fn new() -> Self {
        Self {
            resizer: Resizer::new(),
        }
    }

    /// Appends one image, [`InputSpec::image_len`] numbers, to `tensor`. The error is a clause for
    /// a warning; `tensor` is unchanged then.
    pub(crate) fn append(
        &mut self,
        pixels: &Pixels,
        spec: &InputSpec,
        tensor: &mut Vec<f32>,
    ) -> Result<(), String> {
        let pixels = match spec.channels {
            Channels::Grey => to_grey(pixels)?,
            Channels::Rgb => Cow::Borrowed(pixels),
        };
        let fits = (pixels.width, pixels.height) == (spec.width, spec.height);
        let samples = if fits {
            pixels.samples.as_slice()
        } else {
            self.resizer.resize(&pixels, (spec.width, spec.height))?
        };
        let source_channels = pixels.channels;
        let pixel_count = spec.height as usize * spec.width as usize;
        if samples.len() != pixel_count * source_channels.count() {
            return Err("could not be resized".to_string());
        }
        normalise(samples, source_channels, spec, tensor);
        self.resizer.shrink();
        Ok(())
    }

    /// The samples of an image, resized.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn resized(&mut self, pixels: &Pixels, size: (u32, u32)) -> Result<Vec<u8>, String> {
        self.resizer.resize(pixels, size).map(<[u8]>::to_vec)
    }
}

/// Luma of ITU-R BT.601 in Pillow's 16-bit fixed point.
fn to_grey(pixels: &Pixels) -> Result<Cow<'_, Pixels>, String> {
    if pixels.channels == Channels::Grey {
        return Ok(Cow::Borrowed(pixels));
    }
    let luma = |rgb: &[u8]| match rgb {
        &[r, g, b] => {
            let sum = u32::from(r) * 19595 + u32::from(g) * 38470 + u32::from(b) * 7471 + 0x8000;
            u8::try_from(sum >> 16).unwrap_or(u8::MAX)
        }
        _ => 0,
    };
    let mut samples = Vec::new();
    let got = samples.try_reserve_exact(pixels.samples.len() / 3);
    got.map_err(|_| OUT_OF_MEMORY.to_string())?;
    samples.extend(pixels.samples.chunks_exact(3).map(luma));
    Ok(Cow::Owned(Pixels {
        channels: Channels::Grey,
        samples,
        ..*pixels
    }))
}

/// Normalises each sample by table lookup, in the order of the layout. Grey samples are used for
/// every channel.
fn normalise(samples: &[u8], source: Channels, spec: &InputSpec, tensor: &mut Vec<f32>) {
    tensor.reserve(spec.image_len());
    match (spec.layout, source) {
        (Layout::Nchw, Channels::Grey) => {
            for values in &spec.normalised {
                tensor.extend(samples.iter().map(|sample| values[usize::from(*sample)]));
            }
        }
        (Layout::Nchw, Channels::Rgb) => {
            for (channel, values) in spec.normalised.iter().enumerate() {
                let of_channel = samples.iter().skip(channel).step_by(3);
                tensor.extend(of_channel.map(|sample| values[usize::from(*sample)]));
            }
        }
        (Layout::Nhwc, Channels::Grey) => {
            for sample in samples {
                tensor.extend(
                    spec.normalised
                        .iter()
                        .map(|values| values[usize::from(*sample)]),
                );
            }
        }
        (Layout::Nhwc, Channels::Rgb) => {
            for pixel in samples.chunks_exact(3) {
                let pairs = pixel.iter().zip(&spec.normalised);
                tensor.extend(pairs.map(|(sample, values)| values[usize::from(*sample)]));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn options(layout: Layout, side: u32, channels: u8) -> ImageOptions {
        ImageOptions {
            layout,
            height: side,
            width: side,
            channels,
            normalisation: Normalisation {
                mean: (0..channels).map(|c| 0.1 * f32::from(c)).collect(),
                std: (0..channels).map(|c| 0.5 + f32::from(c)).collect(),
            },
            preprocessing: Default::default(),
        }
    }

    fn rgb(width: u32, height: u32, samples: &[u8]) -> Pixels {
        Pixels {
            width,
            height,
            channels: Channels::Rgb,
            samples: samples.to_vec(),
        }
    }

    fn run(options: &ImageOptions, pixels: Pixels) -> Vec<f32> {
        let mut tensor = Vec::new();
        let spec = InputSpec::new(options).unwrap();
        Preprocessor::new()
            .append(&pixels, &spec, &mut tensor)
            .unwrap();
        assert_eq!(tensor.len(), spec.image_len());
        tensor
    }

    const SAMPLES: [u8; 12] = [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 255];

    fn normal(sample: u8, channel: u8) -> f32 {
        (f32::from(sample) / 255.0 - 0.1 * f32::from(channel)) / (0.5 + f32::from(channel))
    }

    #[test]
    fn exact_size_is_only_normalised_and_reordered() {
        let nhwc = run(&options(Layout::Nhwc, 2, 3), rgb(2, 2, &SAMPLES));
        let nchw = run(&options(Layout::Nchw, 2, 3), rgb(2, 2, &SAMPLES));
        for pixel in 0..4usize {
            for channel in 0..3u8 {
                let at = usize::from(channel);
                let expected = normal(SAMPLES[pixel * 3 + at], channel);
                assert_eq!(nhwc[pixel * 3 + at], expected);
                assert_eq!(nchw[at * 4 + pixel], expected);
            }
        }
    }

    #[test]
    fn grey_serves_all_channels() {
        let pixels = || Pixels {
            width: 1,
            height: 1,
            channels: Channels::Grey,
            samples: vec![77],
        };
        for layout in [Layout::Nchw, Layout::Nhwc] {
            let expected: Vec<f32> = (0..3).map(|c| normal(77, c)).collect();
            assert_eq!(run(&options(layout, 1, 3), pixels()), expected);
        }
    }

    #[test]
    fn colour_becomes_luma() {
        let tensor = run(&options(Layout::Nchw, 1, 1), rgb(1, 1, &[255, 0, 0]));
        assert_eq!(tensor, [normal(76, 0)]);
    }

    #[test]
    fn shrinking_averages_the_whole_area() {
        let samples: Vec<u8> = (0..16u32 * 16)
            .flat_map(|i| [if i % 2 == 0 { 0 } else { 200 }; 3])
            .collect();
        let tensor = run(&options(Layout::Nchw, 1, 1), rgb(16, 16, &samples));
        assert!((tensor[0] - normal(100, 0)).abs() < 0.01, "{tensor:?}");
    }

    #[test]
    fn options_that_contradict_themselves_are_refused() {
        let mut wrong = options(Layout::Nchw, 8, 3);
        wrong.normalisation.std.pop();
        assert_eq!(
            InputSpec::new(&wrong).unwrap_err(),
            "std has 2 values for 3 channels"
        );
        assert!(
            InputSpec::new(&options(Layout::Nchw, 8, 2))
                .unwrap_err()
                .contains("1 or 3")
        );
        assert!(
            InputSpec::new(&options(Layout::Nchw, 0, 3))
                .unwrap_err()
                .contains("height")
        );
        let mut wrong = options(Layout::Nchw, 8, 1);
        wrong.normalisation.std = vec![0.0];
        assert!(InputSpec::new(&wrong).is_err());
    }
}

//! Converts, resizes and normalises pixels directly into a batch buffer.

use std::borrow::Cow;

use predictsql_catalog::{
    Background, ChannelOrder, Decode, ImageOptions, Interpolation, Layout, Normalisation,
    OrientationTag, Preprocessing,
};

use super::geometry::{Geometry, WHOLE};
use super::orientation::Orientation;
use super::placing::Placing;
use super::resize::{self, Resizer, Resizing};
use super::{Channels, OUT_OF_MEMORY, Pixels, luma, shrink};

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
    preprocessing: Preprocessing,
    /// For each channel of the input, the normalised values of the 256 sample values.
    normalised: Vec<[f32; 256]>,
}

/// Equal if both produce the same numbers for every image.
impl PartialEq for InputSpec {
    fn eq(&self, other: &Self) -> bool {
        (self.layout, self.height, self.width, self.channels)
            == (other.layout, other.height, other.width, other.channels)
            && self.normalisation == other.normalisation
            && self.preprocessing == other.preprocessing
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
        let Preprocessing {
            scale,
            crop_fraction,
            ..
        } = options.preprocessing;
        let fits = scale.is_finite() && scale > 0.0 && crop_fraction > 0.0 && crop_fraction <= 1.0;
        if !fits {
            return Err("scale must be greater than 0, and crop_fraction 0 to 1".to_string());
        }
        let normalised = mean.iter().zip(std).map(|(mean, std)| {
            let mut values = [0.0; 256];
            for (sample, value) in (0u8..=255).zip(&mut values) {
                *value = ((f64::from(sample) * scale) as f32 - mean) / std;
            }
            values
        });
        Ok(Self {
            layout: options.layout,
            height: options.height,
            width: options.width,
            channels,
            normalisation: options.normalisation.clone(),
            preprocessing: options.preprocessing,
            normalised: normalised.collect(),
        })
    }

    /// The same input with the sample values 0..255 unchanged, for models that normalise them
    /// themselves. The error says which option prevents it.
    pub(crate) fn of_samples(&self) -> Result<Self, String> {
        let (mean, std) = (&self.normalisation.mean, &self.normalisation.std);
        let is_plain = self.normalised.iter().all(|values| {
            let last = values[255];
            values[0] == 0.0 && ((last - 1.0).abs() < 1e-3 || (last - 255.0).abs() < 0.1)
        });
        if !is_plain {
            return Err(format!(
                "the model takes uint8 pixels, which are given to it as they are, 0..255; leave out \
                 mean ({mean:?}), std ({std:?}) and scale"
            ));
        }
        let mut values = [0.0; 256];
        for (sample, value) in (0u8..=255).zip(&mut values) {
            *value = f32::from(sample);
        }
        let channels = self.channels.count();
        Ok(Self {
            normalisation: Normalisation {
                mean: vec![0.0; channels],
                std: vec![1.0; channels],
            },
            preprocessing: Preprocessing {
                scale: 1.0,
                ..self.preprocessing
            },
            normalised: vec![values; channels],
            ..self.clone()
        })
    }

    /// For each channel, the numbers that the samples 0 and 255 become.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (f32, f32)> + '_ {
        self.normalised
            .iter()
            .map(|values| (values[0], values[255]))
    }

    /// Mean and deviation of each channel.
    pub(crate) fn normalisation(&self) -> &Normalisation {
        &self.normalisation
    }

    /// The input tensor of an image of the input's size, whose samples are in the image's order.
    pub(crate) fn tensor_of(&self, samples: &[u8]) -> Vec<f32> {
        let mut tensor = Vec::new();
        normalise(samples, self.channels, self, &mut tensor);
        tensor
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

    /// What transparent pixels are laid over.
    pub(super) fn background(&self) -> Background {
        self.preprocessing.background
    }

    /// The orientation of an image that counts for this model.
    fn heeded(&self, tagged: Orientation) -> Orientation {
        match self.preprocessing.orientation {
            OrientationTag::Exif => tagged,
            OrientationTag::Ignore => Orientation::default(),
        }
    }

    /// The least eighths of its sides that an image may be decoded to: at least twice as many
    /// pixels as it is scaled to, in either direction.
    pub(super) fn eighths(&self, size: (u32, u32), tagged: Orientation) -> u8 {
        let is_exact = self.preprocessing.decode == Decode::Exact
            || self.preprocessing.interpolation == Interpolation::Nearest;
        if is_exact {
            return WHOLE;
        }
        let image = self.heeded(tagged).pair(size);
        let input = (self.width, self.height);
        let geometry = Geometry::new(image, input, &self.preprocessing);
        let axes = [geometry.across, geometry.down];
        let fits = |eighths: &u8| axes.iter().all(|axis| axis.is_twice_at(*eighths));
        [1, 2, 4].into_iter().find(fits).unwrap_or(WHOLE)
    }

    /// What becomes of an image whose pixels are stored in that size and orientation.
    fn plan(&self, stored: Stored, tagged: Orientation) -> (Resizing, Placing) {
        let orientation = self.heeded(tagged);
        let input = (self.width, self.height);
        let image = orientation.pair(stored.size);
        let geometry = Geometry::new(image, input, &self.preprocessing);
        let geometry = geometry.decoded_to(stored.eighths);
        let (columns, rows) = geometry.stored(orientation);
        let resizing = Resizing {
            columns,
            rows,
            interpolation: self.preprocessing.interpolation,
            orientation,
        };
        (
            resizing,
            Placing::new(&geometry, orientation, input, self.preprocessing.pad),
        )
    }

    /// Memory that [`Preprocessor::append`] needs besides image and tensor for an image of that
    /// size and orientation.
    pub(super) fn work(&self, stored: Stored, tagged: Orientation) -> Work {
        let (resizing, placing) = self.plan(stored, tagged);
        let (columns, rows) = (resizing.columns.decoded(), resizing.rows.decoded());
        let grey = match self.channels {
            Channels::Grey => u64::from(columns) * u64::from(rows),
            Channels::Rgb => 0,
        };
        Work {
            grey,
            resizing: resize::Bytes::new(&resizing, self.channels),
            placed: placing.bytes(self.channels),
        }
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

/// Memory of preprocessing one image for one model, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Work {
    /// A grey copy.
    grey: u64,
    resizing: resize::Bytes,
    /// The whole input, if the resized image is turned or leaves parts of it empty.
    placed: u64,
}

impl Work {
    /// Memory for both, one after the other: each buffer keeps the larger size.
    pub(super) fn with(self, other: Self) -> Self {
        Self {
            grey: self.grey.max(other.grey),
            resizing: self.resizing.with(other.resizing),
            placed: self.placed.max(other.placed),
        }
    }

    /// Sum of all parts.
    pub(super) fn total(self) -> u64 {
        self.grey + self.resizing.total() + self.placed
    }
}

/// Size of an image's pixels as they are stored, and to what part of it they are decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored {
    /// Width and height in the file.
    pub(super) size: (u32, u32),
    /// Eighths of the sides; [`WHOLE`]: as in the file.
    pub(super) eighths: u8,
}

/// Decoded pixels, and how they are turned for looking at them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picture<'a> {
    pub(super) pixels: &'a Pixels,
    pub(super) stored: Stored,
    pub(super) orientation: Orientation,
}

/// Preprocesses images on one thread; keeps small buffers between images.
#[derive(Debug)]
pub(crate) struct Preprocessor {
    resizer: Resizer,
    placed: Vec<u8>,
}

impl Preprocessor {
    /// Creates one without buffers.
    pub(crate) fn new() -> Self {
        Self {
            resizer: Resizer::new(),
            placed: Vec::new(),
        }
    }

    /// Appends one image, [`InputSpec::image_len`] numbers, to `tensor`. The error is a clause for
    /// a warning; `tensor` is unchanged then.
    pub(crate) fn append(
        &mut self,
        picture: Picture<'_>,
        spec: &InputSpec,
        tensor: &mut Vec<f32>,
    ) -> Result<(), String> {
        let pixels = match spec.channels {
            Channels::Grey => to_grey(picture.pixels)?,
            Channels::Rgb => Cow::Borrowed(picture.pixels),
        };
        let (resizing, placing) = spec.plan(picture.stored, picture.orientation);
        let expected = (resizing.columns.decoded(), resizing.rows.decoded());
        if (pixels.width, pixels.height) != expected {
            return Err("was decoded to another size".to_string());
        }
        let samples = self.resizer.resize(&pixels, &resizing)?;
        let (samples, channels) = match placing.is_needed() {
            true => placing.place(samples, pixels.channels, spec.channels, &mut self.placed)?,
            false => (samples, pixels.channels),
        };
        let pixel_count = spec.height as usize * spec.width as usize;
        if samples.len() != pixel_count * channels.count() {
            return Err("could not be resized".to_string());
        }
        normalise(samples, channels, spec, tensor);
        self.resizer.shrink();
        shrink(&mut self.placed);
        Ok(())
    }

    /// The samples of an image, resized, and the memory that may take besides the image.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn resized(
        &mut self,
        pixels: &Pixels,
        size: (u32, u32),
        interpolation: predictsql_catalog::Interpolation,
    ) -> Result<(Vec<u8>, u64), String> {
        use super::geometry::Axis;
        let resizing = Resizing {
            columns: Axis::whole(pixels.width, size.0),
            rows: Axis::whole(pixels.height, size.1),
            interpolation,
            orientation: Orientation::default(),
        };
        let bytes = resize::Bytes::new(&resizing, pixels.channels).total();
        let resized = self.resizer.resize(pixels, &resizing)?;
        Ok((resized.to_vec(), bytes))
    }
}

/// The luma of each pixel.
fn to_grey(pixels: &Pixels) -> Result<Cow<'_, Pixels>, String> {
    if pixels.channels == Channels::Grey {
        return Ok(Cow::Borrowed(pixels));
    }
    let luma = |rgb: &[u8]| rgb.first_chunk().map_or(0, |rgb| luma(*rgb));
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

/// Normalises each sample by table lookup, in the order of the layout and of the channels. Grey
/// samples are used for every channel.
fn normalise(samples: &[u8], source: Channels, spec: &InputSpec, tensor: &mut Vec<f32>) {
    tensor.reserve(spec.image_len());
    let order = match spec.preprocessing.channel_order {
        ChannelOrder::Rgb => [0, 1, 2],
        ChannelOrder::Bgr => [2, 1, 0],
    };
    match (spec.layout, source) {
        (Layout::Nchw, Channels::Grey) => {
            for values in &spec.normalised {
                tensor.extend(samples.iter().map(|sample| values[usize::from(*sample)]));
            }
        }
        (Layout::Nchw, Channels::Rgb) => {
            for (channel, values) in order.into_iter().zip(&spec.normalised) {
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
            for pixel in samples.as_chunks::<3>().0 {
                let pairs = order.into_iter().zip(&spec.normalised);
                tensor.extend(pairs.map(|(channel, values)| values[usize::from(pixel[channel])]));
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
        let picture = Picture {
            pixels: &pixels,
            stored: Stored {
                size: (pixels.width, pixels.height),
                eighths: WHOLE,
            },
            orientation: Orientation::default(),
        };
        Preprocessor::new()
            .append(picture, &spec, &mut tensor)
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

//! Arbitrary bytes as an image, and images of any size resized to inputs of any size.

use crate::picture::{Channels, DecodePlan, InputSpec, Limits, Pixels, Preprocessor};
use predictsql_catalog::{
    Background, ChannelOrder, Colour, ImageOptions, Interpolation, Layout, Normalisation,
    OrientationTag, Preprocessing, Resize,
};

use super::peak;

/// Small limits, so that many runs are possible.
const LIMITS: Limits = Limits {
    image_pixels_max: 1 << 18,
    image_side_pixels_max: 65_535,
    image_decode_bytes_max: 32 << 20,
};
/// Maximum memory for parsing a header, in bytes, in addition to the file's size.
const HEADER_BYTES_MAX: u64 = 256 << 10;
/// Sides of inputs.
const SIDES: [u32; 8] = [1, 2, 7, 28, 64, 97, 224, 300];
/// Pixels of source and target of a resize.
const RESIZED_PIXELS_MAX: u32 = 1 << 14;

/// Choices derived from a hash of the data: the same data give the same choices.
struct Choices(u64);

impl Choices {
    fn new(data: &[u8]) -> Self {
        // FNV-1a.
        let hash = data.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self(hash)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % end
    }

    fn side(&mut self) -> u32 {
        SIDES[self.below(SIDES.len())]
    }

    fn interpolation(&mut self) -> Interpolation {
        [
            Interpolation::Bilinear,
            Interpolation::Bicubic,
            Interpolation::Nearest,
            Interpolation::Lanczos,
        ][self.below(4)]
    }

    fn preprocessing(&mut self) -> Preprocessing {
        let colour = [Colour::WHITE, Colour::BLACK, Colour([9, 200, 90])][self.below(3)];
        Preprocessing {
            resize: [
                Resize::Stretch,
                Resize::Crop,
                Resize::Pad,
                Resize::Letterbox,
            ][self.below(4)],
            crop_fraction: [1.0, 0.875, 0.1][self.below(3)],
            interpolation: self.interpolation(),
            channel_order: [ChannelOrder::Rgb, ChannelOrder::Bgr][self.below(2)],
            orientation: [OrientationTag::Exif, OrientationTag::Ignore][self.below(2)],
            background: [Background::Colour(colour), Background::None][self.below(2)],
            pad: colour,
            ..Preprocessing::default()
        }
    }

    fn spec(&mut self) -> InputSpec {
        let channels = [1u8, 3][self.below(2)];
        let options = ImageOptions {
            layout: [Layout::Nchw, Layout::Nhwc][self.below(2)],
            height: self.side(),
            width: self.side(),
            channels,
            normalisation: Normalisation {
                mean: vec![0.5; channels.into()],
                std: vec![0.25; channels.into()],
            },
            preprocessing: self.preprocessing(),
        };
        InputSpec::new(&options).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Tensors made from an image.
type Tensors = Vec<Vec<f32>>;

/// Arbitrary bytes as an image for one or two models: stays within the memory computed from the
/// header, returns the declared count of numbers, and is deterministic; the same bytes truncated
/// are rejected, or give the same image.
pub fn images(data: &[u8]) {
    let mut choices = Choices::new(data);
    let specs: Vec<InputSpec> = (0..=choices.below(2)).map(|_| choices.spec()).collect();
    let Ok(tensors) = tensors(data, &specs) else {
        return;
    };
    for (tensor, spec) in tensors.iter().zip(&specs) {
        assert_eq!(tensor.len(), spec.image_len());
    }
    if choices.below(4) == 0 {
        let again = self::tensors(data, &specs);
        assert!(
            again.as_ref() == Ok(&tensors),
            "another image the second time"
        );
    }
    let mut cut = data[..choices.below(data.len())].to_vec();
    if data.starts_with(&[0xff, 0xd8]) {
        cut.extend([0xff, 0xd9]);
    }
    // A PNG may say behind its data how it is turned, and need not have an end.
    let has_tag = |png: &[u8]| png.windows(4).any(|kind| kind == b"eXIf");
    if has_tag(data) != has_tag(&cut) {
        return;
    }
    if let Ok(of_cut) = self::tensors(&cut, &specs) {
        assert!(
            of_cut == tensors,
            "{} of {} bytes are another image",
            cut.len(),
            data.len()
        );
    }
}

fn tensors(data: &[u8], specs: &[InputSpec]) -> Result<Tensors, String> {
    let (plan, header) = peak(|| DecodePlan::new(data, specs, LIMITS));
    let most = HEADER_BYTES_MAX + data.len() as u64;
    assert!(header <= most, "the header took {header} bytes, not {most}");
    let plan = plan?;
    let mut tensors: Tensors = specs
        .iter()
        .map(|spec| Vec::with_capacity(spec.image_len()))
        .collect();
    let (done, took) = peak(|| {
        let decoded = plan.decode()?;
        let mut preprocessor = Preprocessor::new();
        let mut all = specs.iter().zip(&mut tensors);
        all.try_for_each(|(spec, tensor)| preprocessor.append(decoded.of(spec)?, spec, tensor))
    });
    assert!(
        took <= plan.bytes(),
        "decoding took {took} bytes, not {}",
        plan.bytes()
    );
    done.map(|()| tensors)
}

/// An image of any size resized to an input of any size, both given by the first bytes.
pub fn resizes(data: &[u8]) {
    let side = |at: usize| {
        let bytes = data.get(at..).and_then(<[u8]>::first_chunk::<2>);
        u32::from(bytes.map_or(7, |bytes| u16::from_le_bytes(*bytes))).max(1)
    };
    let (width, height) = (side(0), side(2));
    let height = height.min((RESIZED_PIXELS_MAX / width).max(1));
    let mut choices = Choices::new(data);
    let channels = [Channels::Grey, Channels::Rgb][choices.below(2)];
    let target_width = side(4) % 256 + 1;
    let target = (
        target_width,
        (side(6) % 256 + 1).min((RESIZED_PIXELS_MAX / target_width).max(1)),
    );
    let size = width as usize * height as usize * channels.count();
    let pixels = Pixels {
        width,
        height,
        channels,
        samples: data.iter().copied().chain([0]).cycle().take(size).collect(),
    };
    let interpolation = choices.interpolation();
    let (result, took) = peak(|| Preprocessor::new().resized(&pixels, target, interpolation));
    let (resized, bytes) = result.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        resized.len(),
        target.0 as usize * target.1 as usize * channels.count()
    );
    let most = bytes + resized.len() as u64;
    assert!(took <= most, "resizing took {took} bytes, not {most}");
    if matches!(
        interpolation,
        Interpolation::Bicubic | Interpolation::Lanczos
    ) {
        return;
    }
    // The filter is a mean: its results are within the range of its inputs.
    let range = |samples: &[u8]| (samples.iter().min().copied(), samples.iter().max().copied());
    let ((low, high), (least, most)) = (range(&pixels.samples), range(&resized));
    assert!(
        least
            .zip(low)
            .is_none_or(|(least, low)| least.saturating_add(1) >= low)
    );
    assert!(
        most.zip(high)
            .is_none_or(|(most, high)| most <= high.saturating_add(1))
    );
}

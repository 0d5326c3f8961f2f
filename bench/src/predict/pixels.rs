//! Decodes and normalises the images of the bare loop, knowing beforehand what they are.
//!
//! A photo goes through the libraries that the product uses, called directly: whole samples by
//! zune-jpeg, strict as in the product, and two passes of fast_image_resize over the middle only.

use std::io::Cursor;
use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use png::{BitDepth, ColorType};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::error::BenchError;
use super::job::Recipe;
use crate::photo;

/// Makes tensors, on one thread.
pub struct Decoder {
    recipe: Recipe,
    /// For each channel of the input, the numbers that samples become.
    normalised: Vec<[f32; 256]>,
    resizer: Resizer,
    decoded: Vec<u8>,
    between: Vec<u8>,
    resized: Vec<u8>,
}

impl Decoder {
    /// Its tables and buffers.
    pub fn new(recipe: &Recipe) -> Self {
        let table = |number: &dyn Fn(f32) -> f32| {
            let mut values = [0.0; 256];
            for (sample, value) in (0u8..=255).zip(&mut values) {
                *value = number(f32::from(sample));
            }
            values
        };
        let normalised = match recipe {
            Recipe::Grey { mean, std, .. } => {
                let (mean, std) = (*mean as f32, *std as f32);
                vec![table(&|sample| (sample / 255.0 - mean) / std)]
            }
            Recipe::Photo => {
                let channels = photo::MEAN.iter();
                channels.map(|mean| table(&|s| s - mean)).collect()
            }
        };
        Self {
            recipe: recipe.clone(),
            normalised,
            resizer: Resizer::new(),
            decoded: Vec::new(),
            between: Vec::new(),
            resized: Vec::new(),
        }
    }

    /// Appends the input of one image. `path` is for the error only.
    ///
    /// # Errors
    /// The image is not what the recipe says.
    pub fn append(
        &mut self,
        path: &Path,
        encoded: &[u8],
        tensor: &mut Vec<f32>,
    ) -> Result<(), BenchError> {
        let done = match self.recipe {
            Recipe::Grey { size, .. } => self.append_grey(encoded, size, tensor),
            Recipe::Photo => self.append_photo(encoded, tensor),
        };
        done.map_err(|reason| BenchError::Image {
            path: path.into(),
            reason,
        })
    }

    fn append_grey(
        &mut self,
        encoded: &[u8],
        (height, width): (u32, u32),
        tensor: &mut Vec<f32>,
    ) -> Result<(), String> {
        let mut reader = png::Decoder::new(Cursor::new(encoded))
            .read_info()
            .map_err(|error| error.to_string())?;
        let info = reader.info();
        let is = (info.height, info.width, info.color_type, info.bit_depth);
        if is != (height, width, ColorType::Grayscale, BitDepth::Eight) {
            return Err(format!("is no grey image of {width} x {height}"));
        }
        self.decoded.resize(height as usize * width as usize, 0);
        reader
            .next_frame(&mut self.decoded)
            .map_err(|error| error.to_string())?;
        if let Some(table) = self.normalised.first() {
            tensor.extend(self.decoded.iter().map(|s| table[usize::from(*s)]));
        }
        Ok(())
    }

    fn append_photo(&mut self, encoded: &[u8], tensor: &mut Vec<f32>) -> Result<(), String> {
        let options = DecoderOptions::default()
            .set_strict_mode(true)
            .jpeg_set_out_colorspace(ColorSpace::RGB);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(encoded), options);
        decoder.decode_headers().map_err(|e| format!("{e:?}"))?;
        let (Some((width, height)), Some(bytes)) =
            (decoder.dimensions(), decoder.output_buffer_size())
        else {
            return Err("has no size".to_owned());
        };
        self.decoded.resize(bytes, 0);
        decoder
            .decode_into(&mut self.decoded)
            .map_err(|error| format!("{error:?}"))?;
        let side = |pixels: usize| u32::try_from(pixels).map_err(|error| error.to_string());
        self.resize_photo(side(width)?, side(height)?)?;
        let [blue, green, red] = self.normalised.as_slice() else {
            return Err("needs three channels".to_owned());
        };
        tensor.reserve(self.resized.len());
        for pixel in self.resized.chunks_exact(3) {
            if let [r, g, b] = *pixel {
                tensor.extend([
                    blue[usize::from(b)],
                    green[usize::from(g)],
                    red[usize::from(r)],
                ]);
            }
        }
        Ok(())
    }

    /// The middle of the photo, rows first.
    fn resize_photo(&mut self, width: u32, height: u32) -> Result<(), String> {
        let side = photo::SIDE;
        let bytes = |width: u32| 3 * width as usize * side as usize;
        self.between.resize(bytes(width), 0);
        self.resized.resize(bytes(side), 0);
        let middle = |pixels: u32| {
            let step = f64::from(pixels) / f64::from(photo::SCALED);
            let skipped = f64::from((photo::SCALED - side) / 2);
            (step * skipped, step * f64::from(side))
        };
        let (top, rows) = middle(height);
        let (left, columns) = middle(width);
        let resizer = &mut self.resizer;
        let whole = f64::from(width);
        let window = (0.0, top, whole, rows);
        one_pass(
            resizer,
            (&self.decoded, (width, height)),
            (&mut self.between, (width, side)),
            window,
        )?;
        let window = (left, 0.0, columns, f64::from(side));
        one_pass(
            resizer,
            (&self.between, (width, side)),
            (&mut self.resized, (side, side)),
            window,
        )
    }
}

/// Width and height, in pixels.
type Size = (u32, u32);

/// Resizes a part, given as left, top, width and height in pixels of the source.
fn one_pass(
    resizer: &mut Resizer,
    (from, from_size): (&[u8], Size),
    (to, to_size): (&mut [u8], Size),
    (left, top, width, height): (f64, f64, f64, f64),
) -> Result<(), String> {
    let kind = PixelType::U8x3;
    let source = ImageRef::new(from_size.0, from_size.1, from, kind).map_err(|e| e.to_string())?;
    let mut target =
        Image::from_slice_u8(to_size.0, to_size.1, to, kind).map_err(|e| e.to_string())?;
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Bilinear))
        .use_alpha(false)
        .crop(left, top, width, height);
    resizer
        .resize(&source, &mut target, &options)
        .map_err(|error| error.to_string())
}

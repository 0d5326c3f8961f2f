//! Writes the demo's images as PNG files below the image root.

use std::fs;
use std::path::Path;

use super::dataset::{SIDE, Split};
use super::error::DemoError;
use super::progress::Progress;

/// Written last into a complete folder of images; its text is the version of the layout.
const COMPLETE: &str = ".complete";
const LAYOUT_VERSION: &str = "1";

/// Path of image `id` (from 1) in a folder, relative to the image root.
pub fn relative_path(folder: &str, id: usize) -> String {
    format!("{folder}/{id:05}.png")
}

/// Writes every image of `split` to `root/folder`, unless they exist already.
///
/// # Errors
/// A file cannot be written.
pub fn write_all(root: &Path, folder: &str, split: &Split) -> Result<(), DemoError> {
    let dir = root.join(folder);
    let complete = dir.join(COMPLETE);
    if fs::read_to_string(&complete).is_ok_and(|version| version == LAYOUT_VERSION) {
        return Ok(());
    }
    fs::create_dir_all(&dir).map_err(DemoError::io("create", &dir))?;
    let mut progress = Progress::begin(format!("images/{folder}: PNG files"), split.count());
    for (index, (pixels, _)) in split.iter().enumerate() {
        let path = root.join(relative_path(folder, index + 1));
        let file = encode(pixels, &path)?;
        fs::write(&path, file).map_err(DemoError::io("write", path))?;
        progress.add(1);
    }
    progress.finish();
    fs::write(&complete, LAYOUT_VERSION).map_err(DemoError::io("write", complete))
}

/// A grey image as a PNG file; `path` is for the error only.
pub(crate) fn encode(pixels: &[u8], path: &Path) -> Result<Vec<u8>, DemoError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, SIDE, SIDE);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| {
            writer.write_image_data(pixels)?;
            writer.finish()
        })
        .map_err(|error| DemoError::Data {
            path: path.into(),
            reason: error.to_string(),
        })?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_written_image_reads_back() {
        let pixels: Vec<u8> = (0..784_u32).map(|i| (i % 251) as u8).collect();
        let file = encode(&pixels, Path::new("x")).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        let mut read = vec![0; 784];
        let info = reader.next_frame(&mut read).unwrap();
        assert_eq!((info.width, info.height), (28, 28));
        assert_eq!(read, pixels);
    }

    #[test]
    fn an_image_of_the_wrong_size_is_an_error() {
        assert!(encode(&[0; 3], Path::new("x")).is_err());
    }
}

//! Fashion-MNIST as installed by Debian's package `dataset-fashion-mnist`: gzipped IDX files.
//!
//! IDX (<http://yann.lecun.com/exdb/mnist/>): a big-endian magic number `0x0000_08DD`, where `DD`
//! is the number of dimensions, the sizes of the dimensions as `u32`, and the values as bytes.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use super::error::DemoError;

/// Directory of the package's files.
pub const DATASET_DIR: &str = "/usr/share/datasets/fashion-mnist";

/// The classes, by label.
pub const CLASSES: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// Height and width of an image in pixels.
pub const SIDE: u32 = 28;
const IMAGE_BYTES: usize = (SIDE * SIDE) as usize;
/// Exceeds the size of the largest file (60,000 images); limits memory for unexpected files.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// Images and their labels, in the order of the files.
pub struct Split {
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Split {
    /// Reads the files `<name>-images-idx3-ubyte.gz` and `<name>-labels-idx1-ubyte.gz` of `dir`.
    ///
    /// # Errors
    /// [`DemoError::NoImages`] if they are missing, otherwise what is wrong with them.
    pub fn read(dir: &Path, name: &str) -> Result<Self, DemoError> {
        let path = dir.join(format!("{name}-images-idx3-ubyte.gz"));
        if !path.exists() {
            return Err(DemoError::NoImages { dir: dir.into() });
        }
        let pixels = read_idx(&path, &[SIDE, SIDE])?;
        let path = dir.join(format!("{name}-labels-idx1-ubyte.gz"));
        let labels = read_idx(&path, &[])?;
        if labels.len() * IMAGE_BYTES != pixels.len() || class_names(&labels).is_none() {
            return Err(DemoError::Data {
                path,
                reason: "its labels do not belong to the images".to_owned(),
            });
        }
        Ok(Self { pixels, labels })
    }

    /// The last `count` images, or all if there are fewer.
    #[must_use]
    pub fn last(mut self, count: usize) -> Self {
        let drop = self.labels.len().saturating_sub(count);
        self.labels.drain(..drop);
        self.pixels.drain(..drop * IMAGE_BYTES);
        self
    }

    /// Number of images.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// Each image's pixels (rows from the top, one byte of grey each) and its class.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &'static str)> {
        let classes = class_names(&self.labels).unwrap_or_default();
        self.pixels.chunks_exact(IMAGE_BYTES).zip(classes)
    }
}

fn class_names(labels: &[u8]) -> Option<Vec<&'static str>> {
    let name = |label: &u8| CLASSES.get(usize::from(*label)).copied();
    labels.iter().map(name).collect()
}

/// The values of an IDX file whose items have the dimensions `item`.
fn read_idx(path: &Path, item: &[u32]) -> Result<Vec<u8>, DemoError> {
    let file = File::open(path).map_err(DemoError::io("open", path))?;
    let mut bytes = Vec::new();
    GzDecoder::new(file)
        .take(FILE_BYTES_MAX)
        .read_to_end(&mut bytes)
        .map_err(DemoError::io("read", path))?;
    let values = parse_idx(&bytes, item).ok_or_else(|| DemoError::Data {
        path: path.into(),
        reason: "is not the IDX file that was expected".to_owned(),
    })?;
    Ok(values.to_vec())
}

fn parse_idx<'a>(bytes: &'a [u8], item: &[u32]) -> Option<&'a [u8]> {
    let mut words = bytes
        .chunks_exact(4)
        .filter_map(|word| Some(u32::from_be_bytes(word.try_into().ok()?)));
    let dimensions = item.len() + 1;
    if words.next()? != 0x0800 + u32::try_from(dimensions).ok()? {
        return None;
    }
    let count = usize::try_from(words.next()?).ok()?;
    if !item.iter().all(|size| words.next() == Some(*size)) {
        return None;
    }
    let values = bytes.get(4 * (dimensions + 1)..)?;
    let item_bytes: usize = item.iter().map(|size| *size as usize).product();
    (Some(values.len()) == count.checked_mul(item_bytes)).then_some(values)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write;

    fn write_gz(path: &Path, bytes: &[u8]) {
        let mut encoder = GzEncoder::new(File::create(path).unwrap(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap();
    }

    fn idx(sizes: &[u32], values: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0, 0, 8, u8::try_from(sizes.len()).unwrap()];
        for size in sizes {
            bytes.extend(size.to_be_bytes());
        }
        bytes.extend(values);
        bytes
    }

    fn split(labels: &[u8]) -> Result<Split, DemoError> {
        let dir = tempfile::tempdir().unwrap();
        let count = u32::try_from(labels.len()).unwrap();
        let pixels: Vec<u8> = labels
            .iter()
            .flat_map(|label| [*label; IMAGE_BYTES])
            .collect();
        let images = dir.path().join("x-images-idx3-ubyte.gz");
        write_gz(&images, &idx(&[count, SIDE, SIDE], &pixels));
        write_gz(
            &dir.path().join("x-labels-idx1-ubyte.gz"),
            &idx(&[count], labels),
        );
        Split::read(dir.path(), "x")
    }

    #[test]
    fn images_come_with_their_classes_and_the_last_are_the_last() {
        let split = split(&[1, 9, 4]).unwrap().last(2);
        assert_eq!(split.count(), 2);
        let read: Vec<_> = split
            .iter()
            .map(|(p, class)| (p[0], p.len(), class))
            .collect();
        assert_eq!(read, [(9, 784, "Ankle boot"), (4, 784, "Coat")]);
    }

    #[test]
    fn a_label_without_a_class_is_refused() {
        assert!(matches!(split(&[1, 10]), Err(DemoError::Data { .. })));
    }

    #[test]
    fn missing_images_say_how_to_get_them() {
        let dir = tempfile::tempdir().unwrap();
        let error = Split::read(dir.path(), "t10k").err().unwrap().to_string();
        assert!(error.contains("dataset-fashion-mnist"), "{error}");
    }

    #[test]
    fn an_idx_file_must_be_whole_and_of_the_right_kind() {
        let good = idx(&[2, 1, 3], &[1, 2, 3, 4, 5, 6]);
        assert_eq!(parse_idx(&good, &[1, 3]), Some(&[1, 2, 3, 4, 5, 6][..]));
        assert_eq!(parse_idx(&good, &[3, 1]), None);
        assert_eq!(parse_idx(&good, &[]), None);
        for end in 0..good.len() {
            assert_eq!(parse_idx(&good[..end], &[1, 3]), None);
        }
        assert_eq!(parse_idx(&idx(&[u32::MAX, 28, 28], &[]), &[28, 28]), None);
    }
}

//! Labelled pictures of Fashion-MNIST, as installed by Debian's package `dataset-fashion-mnist`.

use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;

const FOLDER: &str = "/usr/share/datasets/fashion-mnist";
/// Height and width in pixels.
const SIDE: usize = 28;

/// The classes, by label.
pub(super) const CLASSES: [&str; 10] = [
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

/// The pictures of the test split: PNG files, with their labels.
pub(super) fn pictures() -> impl Iterator<Item = (Vec<u8>, usize)> {
    let pixels = idx("t10k-images-idx3-ubyte.gz", 16);
    let labels = idx("t10k-labels-idx1-ubyte.gz", 8);
    (0..labels.len()).map(move |n| {
        let picture = &pixels[n * SIDE * SIDE..(n + 1) * SIDE * SIDE];
        (encode(picture), usize::from(labels[n]))
    })
}

/// The values of an IDX file after a header of `head` bytes.
fn idx(name: &str, head: usize) -> Vec<u8> {
    let file = std::fs::File::open(Path::new(FOLDER).join(name)).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes.split_off(head)
}

/// A grey image as a PNG file.
fn encode(pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let side = u32::try_from(SIDE).unwrap();
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    file
}

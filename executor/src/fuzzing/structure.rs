//! Mutations that pass the first checks of a format: changed sides and kinds in headers, correct
//! checksums.

use super::mutation::{Random, mutated};

/// Sides at which buffers change their sizes.
const SIDES: [u16; 12] = [1, 2, 7, 8, 9, 16, 17, 100, 255, 512, 4000, 65_535];

/// An input derived from the corpus, with a mostly intact container.
pub(super) fn image(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut image = match random.below(4) {
        0 => corpus[random.below(corpus.len())].clone(),
        _ => mutated(corpus, random),
    };
    if random.below(3) == 0 {
        change_header(&mut image, random);
    }
    if image.starts_with(b"\x89PNG") && random.below(4) != 0 {
        mend_png(&mut image);
    }
    if image.starts_with(b"RIFF") && random.below(2) == 0 {
        let length = u32::try_from(image.len())
            .unwrap_or(u32::MAX)
            .saturating_sub(8);
        put(&mut image, 4, &length.to_le_bytes());
    }
    image
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    for (place, byte) in image.iter_mut().skip(at).zip(bytes) {
        *place = *byte;
    }
}

fn find(image: &[u8], pattern: &[u8]) -> Option<usize> {
    image
        .windows(pattern.len())
        .position(|window| window == pattern)
}

/// Changes the sides in a header, or another byte near them: depth, sampling, kind.
fn change_header(image: &mut [u8], random: &mut Random) {
    let side = SIDES[random.below(SIDES.len())];
    let (low, high) = (side.to_le_bytes(), side.to_be_bytes());
    let second = random.below(2);
    let near = random.byte();
    match image {
        [0x89, ..] => match random.below(3) {
            0 => put(
                image,
                24 + random.below(5),
                &[[1, 2, 3, 4, 6, 8, 16, 0][usize::from(near % 8)]],
            ),
            _ => put(image, 18 + 4 * second, &high),
        },
        [0xff, ..] => {
            let frame = (0xc0..=0xc2).find_map(|kind| find(image, &[0xff, kind, 0]));
            let Some(frame) = frame else { return };
            match random.below(4) {
                0 => put(image, frame + 11 + 3 * random.below(4), &[near & 0x33]),
                1 => put(
                    image,
                    frame + 1,
                    &[[0xc0, 0xc1, 0xc2, 0xc2][usize::from(near % 4)]],
                ),
                _ => put(image, frame + 5 + 2 * second, &high),
            }
        }
        [b'G', ..] => {
            let frame = find(image, &[0x2c]).map_or(6, |at| at + 1);
            put(
                image,
                [6, frame, frame + 4][random.below(3)] + 2 * second,
                &low,
            );
        }
        [b'B', ..] => match random.below(3) {
            0 => put(image, 28 + 2 * random.below(2), &[near % 33]),
            _ => put(image, 18 + 4 * second, &low),
        },
        [b'R', ..] => {
            let kinds: [&[u8]; 4] = [b"VP8 ", b"VP8L", b"VP8X", b"ANMF"];
            let kind = random.below(4);
            if let Some(chunk) = find(image, kinds[kind]) {
                let at = chunk + 8 + [6, 1, 4, 6][kind];
                put(image, at + [2, 2, 3, 3][kind] * second, &low);
            }
        }
        _ => {}
    }
}

/// Corrects the checksum of every chunk of a PNG.
fn mend_png(image: &mut [u8]) {
    let mut at = 8;
    while let Some(&[a, b, c, d]) = image.get(at..).and_then(<[u8]>::first_chunk) {
        let end = at + 8 + u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(chunk) = image.get(at + 4..end) else {
            return;
        };
        let sum = checksum(chunk);
        put(image, end, &sum.to_be_bytes());
        at = end + 4;
    }
}

/// The CRC of PNG.
fn checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut sum, byte| {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 {
                0xedb8_8320 ^ (sum >> 1)
            } else {
                sum >> 1
            };
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_png() {
        assert_eq!(checksum(b"IEND"), 0xae42_6082);
    }
}

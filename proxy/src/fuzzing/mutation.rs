//! Mutations of a corpus on stable Rust: far fewer and less guided than libFuzzer's, and
//! deterministic by seed. Also used by the executor's fuzz targets.

/// Maximum length of a generated input.
const INPUT_BYTES_MAX: usize = 4096;
/// Values at which lengths, counts and first bytes change their meaning.
const TURNING_POINTS: [u8; 14] = [
    0, 1, 2, 3, 4, 0x7f, 0x80, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff, b'.',
];

/// A generator of pseudo-random numbers: xorshift64*.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `end`, or 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end.max(1)
    }

    pub(super) fn byte(&mut self) -> u8 {
        match self.below(3) {
            0 => TURNING_POINTS[self.below(TURNING_POINTS.len())],
            _ => (self.next() >> 40) as u8,
        }
    }
}

/// An input from the corpus with one to four changes.
pub(super) fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut input = corpus[random.below(corpus.len())].clone();
    for _ in 0..=random.below(4) {
        change(&mut input, corpus, random);
    }
    input.truncate(INPUT_BYTES_MAX);
    input
}

fn change(input: &mut Vec<u8>, corpus: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len() + 1);
    let end = at + random.below(16.min(input.len() - at) + 1);
    match random.below(8) {
        0 | 1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.byte();
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        3 => {
            input.drain(at..end);
        }
        4 => {
            let copied = input[at..end].to_vec();
            input.splice(at..at, copied);
        }
        5 => {
            let new: Vec<u8> = (0..=random.below(8)).map(|_| random.byte()).collect();
            input.splice(at..at, new);
        }
        6 => {
            let other = &corpus[random.below(corpus.len())];
            let from = random.below(other.len());
            let part = &other[from..other.len().min(from + random.below(64))];
            input.splice(at..at, part.iter().copied());
        }
        _ => {
            let from = random.below(input.len());
            let moved = input[from..input.len().min(from + 8)].to_vec();
            for (place, byte) in input.iter_mut().skip(at).zip(moved) {
                *place = byte;
            }
        }
    }
}

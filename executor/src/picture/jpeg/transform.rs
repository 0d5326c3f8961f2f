//! From the coefficients of a block to its samples.

/// Number of coefficients of a block.
pub(super) const BLOCK: usize = 64;

/// Places of coefficients in a block, in the order in which they are sent.
pub(super) const PLACES: [u8; BLOCK] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

/// Samples and coefficients of a block in each direction.
pub(super) const SIDE: usize = 8;

/// Quantisation tables by number.
#[derive(Debug, Default)]
pub(super) struct Quantisation {
    tables: [Option<[u16; BLOCK]>; 4],
}

impl Quantisation {
    /// Reads the tables of a segment; `None` if it is damaged.
    pub(super) fn read(&mut self, mut payload: &[u8]) -> Option<()> {
        while let Some((head, rest)) = payload.split_first() {
            let bytes = if head >> 4 == 0 { BLOCK } else { 2 * BLOCK };
            let (values, rest) = rest.split_at_checked(bytes)?;
            let place = self.tables.get_mut(usize::from(head & 15));
            let table = place?.insert([0; BLOCK]);
            let width = bytes / BLOCK;
            for (target, value) in table.iter_mut().zip(values.chunks_exact(width)) {
                *target = value
                    .iter()
                    .fold(0, |number, byte| number << 8 | u16::from(*byte));
            }
            payload = rest;
        }
        Some(())
    }

    /// The table of a number, if it was sent.
    pub(super) fn table(&self, number: u8) -> Option<[u16; BLOCK]> {
        self.tables.get(usize::from(number)).copied().flatten()
    }
}

/// cos(n pi / 16) for n of 0 to 8.
const COSINES: [f32; 9] = [
    1.0,
    0.980_785_25,
    0.923_879_5,
    0.831_469_6,
    0.707_106_77,
    0.555_570_24,
    0.382_683_43,
    0.195_090_32,
    0.0,
];

/// cos(n pi / 16) for any n.
fn cosine(number: usize) -> f32 {
    let number = number % 32;
    let number = number.min(32 - number);
    match COSINES.get(number) {
        Some(cosine) => *cosine,
        None => -COSINES[16 - number],
    }
}

/// The inverse cosine transform of eight numbers.
fn inverse(numbers: [f32; 8]) -> [f32; 8] {
    std::array::from_fn(|place| {
        let terms = numbers.iter().enumerate().map(|(order, number)| {
            let factor = if order == 0 { COSINES[4] } else { 1.0 };
            number * factor * cosine((2 * place + 1) * order)
        });
        terms.sum::<f32>() / 2.0
    })
}

/// The samples of a block, rows from the top.
pub(super) fn samples_of(block: &[i16; BLOCK], quantisation: &[u16; BLOCK]) -> [u8; BLOCK] {
    let mut values = [[0.0f32; 8]; 8];
    for ((place, value), factor) in PLACES.iter().zip(block).zip(quantisation) {
        let (row, column) = (usize::from(place / 8), usize::from(place % 8));
        values[row][column] = f32::from(*value) * f32::from(*factor);
    }
    let values = values.map(inverse);
    let mut samples = [0; BLOCK];
    for column in 0..8 {
        let down = inverse(values.map(|row| row[column]));
        for (row, value) in down.into_iter().enumerate() {
            // A cast of a float saturates.
            samples[8 * row + column] = (value + 128.0).round() as u8;
        }
    }
    samples
}

/// The inverse transform of the lowest frequencies of a block to fewer samples.
#[derive(Debug)]
pub(super) struct Reduced {
    size: (usize, usize),
    /// By coefficient: its wave at each sample, across and down.
    across: [[f32; SIDE]; SIDE],
    down: [[f32; SIDE]; SIDE],
}

impl Reduced {
    /// To so many samples across and down, each 1, 2, 4 or 8.
    pub(super) fn new(across: usize, down: usize) -> Self {
        Self {
            size: (across, down),
            across: waves(across),
            down: waves(down),
        }
    }

    /// Samples across and down.
    pub(super) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Place of the last coefficient, in the order in which they are sent, that has a wave.
    pub(super) fn last(&self) -> u32 {
        let has_wave = |place: &u8| {
            usize::from(place % 8) < self.size.0 && usize::from(place / 8) < self.size.1
        };
        let last = PLACES.iter().rposition(has_wave);
        last.unwrap_or(0) as u32
    }

    /// The sample of a block that has only a first coefficient.
    pub(super) fn shade(first: f32) -> u8 {
        (first / 8.0 + 128.5) as u8
    }

    /// The samples of a block, rows from the top; `rows` has a bit for each row of coefficients
    /// that are not all 0.
    pub(super) fn samples_of(&self, values: &[[f32; SIDE]; SIDE], rows: u8) -> [[u8; SIDE]; SIDE] {
        match self.size.0 {
            0..=2 => self.lanes::<2>(values, rows),
            3..=4 => self.lanes::<4>(values, rows),
            _ => self.lanes::<SIDE>(values, rows),
        }
    }

    /// The same for at most so many samples across.
    #[inline]
    fn lanes<const LANES: usize>(
        &self,
        values: &[[f32; SIDE]; SIDE],
        rows: u8,
    ) -> [[u8; SIDE]; SIDE] {
        let mut sums = [[128.5f32; LANES]; SIDE];
        for (number, (row, down)) in values.iter().zip(&self.down).enumerate() {
            if rows >> number & 1 == 0 || number >= self.size.1 {
                continue;
            }
            let mut across = [0.0f32; LANES];
            for (value, wave) in row.iter().zip(&self.across).take(LANES) {
                let wave = wave.first_chunk::<LANES>().unwrap_or(&[0.0; LANES]);
                for (sum, factor) in across.iter_mut().zip(wave) {
                    *sum += value * factor;
                }
            }
            for (sums, factor) in sums.iter_mut().zip(down).take(self.size.1) {
                for (sum, value) in sums.iter_mut().zip(&across) {
                    *sum += value * factor;
                }
            }
        }
        let mut samples = [[0; SIDE]; SIDE];
        for (line, sums) in samples.iter_mut().zip(&sums).take(self.size.1) {
            for (sample, sum) in line.iter_mut().zip(sums) {
                // A cast of a float saturates.
                *sample = *sum as u8;
            }
        }
        samples
    }
}

/// Waves of the coefficients at so many samples, in the scale of blocks of eight.
fn waves(samples: usize) -> [[f32; SIDE]; SIDE] {
    let step = SIDE / samples.clamp(1, SIDE);
    std::array::from_fn(|order| {
        std::array::from_fn(|place| match (order, place) {
            (order, place) if order >= samples || place >= samples => 0.0,
            (0, _) => COSINES[4] / 2.0,
            _ => cosine((2 * place + 1) * order * step) / 2.0,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_coefficient_is_a_shade_and_a_second_a_wave() {
        let mut block = [0; BLOCK];
        block[0] = 10;
        assert_eq!(samples_of(&block, &[8; BLOCK]), [138; BLOCK]);
        block[0] = 0;
        block[1] = 100;
        let wave = samples_of(&block, &[8; BLOCK]);
        // 100 * 8 / 4 / sqrt(2) * 2 ... of the first basis function: 800 / 8 * sqrt(2) * cos.
        let expected: [u8; 8] = std::array::from_fn(|place| {
            let angle = (2 * place + 1) as f64 * std::f64::consts::PI / 16.0;
            (128.0 + 100.0 * 2f64.sqrt() * angle.cos()).round() as u8
        });
        assert_eq!(wave[..8], expected);
        assert_eq!(wave[56..], expected);
    }

    #[test]
    fn at_full_size_the_samples_are_those_of_the_whole_transform() {
        let mut state = 7u32;
        for coefficients in [1, 3, 10, 64] {
            let mut block = [0i16; BLOCK];
            let mut values = [[0.0; SIDE]; SIDE];
            for place in 0..coefficients {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                block[place] = (state >> 24) as i16 - 128;
                let at = usize::from(PLACES[place]);
                values[at / 8][at % 8] = f32::from(block[place]);
            }
            let whole = samples_of(&block, &[1; BLOCK]);
            let found = Reduced::new(8, 8).samples_of(&values, 0xff);
            for (found, whole) in found.as_flattened().iter().zip(whole) {
                assert!(found.abs_diff(whole) <= 1, "{found} {whole}");
            }
        }
    }

    #[test]
    fn fewer_samples_of_a_slow_wave_are_near_its_means() {
        for (across, down) in [(1, 1), (2, 2), (4, 4), (4, 8), (2, 4)] {
            let mut values = [[0.0; SIDE]; SIDE];
            (values[0][0], values[0][1], values[1][0]) = (80.0, 300.0, -200.0);
            let whole = Reduced::new(8, 8).samples_of(&values, 3);
            let found = Reduced::new(across, down).samples_of(&values, 3);
            for (y, line) in found.iter().enumerate().take(down) {
                for (x, sample) in line.iter().enumerate().take(across) {
                    let (wide, high) = (8 / across, 8 / down);
                    let lines = whole.iter().skip(y * high).take(high);
                    let area = lines.flat_map(|line| line.iter().skip(x * wide).take(wide));
                    let sum: u32 = area.map(|sample| u32::from(*sample)).sum();
                    let mean = sum as f32 / (wide * high) as f32;
                    let difference = (f32::from(*sample) - mean).abs();
                    assert!(difference <= 8.0, "{across} {down}: {sample} {mean}");
                }
            }
        }
    }
}

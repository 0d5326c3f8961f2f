//! From the coefficients of a block to its samples.

/// Number of coefficients of a block.
pub(super) const BLOCK: usize = 64;

/// Places of coefficients in a block, in the order in which they are sent.
const PLACES: [u8; BLOCK] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6, 7, 14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59,
    52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
];

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
}

//! A kept output: the numbers of a model, in memory and as they are stored.

use std::sync::Arc;

use crate::input::Scores;

/// One probability a label, as the model gave them.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers(Arc<[f32]>);

impl Numbers {
    /// Of a fresh output.
    pub fn of(scores: &Scores) -> Self {
        Self(scores.probabilities().into())
    }

    /// As the model gave them: a kept output gives the same answers as a fresh one.
    pub fn scores(&self) -> Scores {
        Scores::new(&*self.0)
    }

    /// Size of the numbers, in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// As they are stored: 32-bit floats, little-endian.
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    /// From what [`Numbers::encode`] gave. `None` where it is not `labels` probabilities.
    pub fn decode(bytes: &[u8], labels: usize) -> Option<Self> {
        let (numbers, rest) = bytes.as_chunks::<4>();
        let numbers: Arc<[f32]> = numbers.iter().map(|n| f32::from_le_bytes(*n)).collect();
        let whole = rest.is_empty() && numbers.len() == labels;
        (whole && numbers.iter().all(|n| n.is_finite())).then_some(Self(numbers))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_come_back_bit_by_bit_or_not_at_all() {
        let scores = Scores::new([0.1, f32::MIN_POSITIVE, 0.9]);
        let bytes = Numbers::of(&scores).encode();
        assert_eq!(Numbers::decode(&bytes, 3).unwrap().scores(), scores);
        assert_eq!(Numbers::decode(&bytes, 2), None);
        assert_eq!(Numbers::decode(&bytes[..11], 3), None);
        assert_eq!(Numbers::decode(&bytes[..8], 3), None);
        assert_eq!(Numbers::decode(&f32::NAN.to_le_bytes(), 1), None);
    }
}

//! A kept output: the numbers of a model, in memory and in encoded form.

use std::sync::Arc;

use predictsql_catalog::OutputCodec;

use crate::input::Scores;

/// One probability per label, as returned by the model.
#[derive(Debug, Clone, PartialEq)]
pub struct Numbers(Arc<[f32]>);

impl Numbers {
    /// Copies a model's output.
    pub fn of(scores: &Scores) -> Self {
        Self(scores.probabilities().into())
    }

    /// The scores, identical to those of the model: a kept output gives the same answers as a new
    /// one.
    pub fn scores(&self) -> Scores {
        Scores::new(&*self.0)
    }

    /// Size of the numbers, in bytes.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// Encodes the numbers, see [`OutputCodec::Probabilities`].
    pub fn encode(&self) -> Vec<u8> {
        self.0.iter().flat_map(|n| n.to_le_bytes()).collect()
    }

    /// Decodes the result of [`Numbers::encode`]. `None` if it is not an output of that codec.
    pub fn decode(bytes: &[u8], codec: OutputCodec) -> Option<Self> {
        let OutputCodec::Probabilities { labels } = codec;
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
        let decode =
            |bytes: &[u8], labels| Numbers::decode(bytes, OutputCodec::Probabilities { labels });
        assert_eq!(bytes[..4], 0.1_f32.to_le_bytes());
        assert_eq!(decode(&bytes, 3).unwrap().scores(), scores);
        assert_eq!(decode(&bytes, 2), None);
        assert_eq!(decode(&bytes[..11], 3), None);
        assert_eq!(decode(&bytes[..8], 3), None);
        assert_eq!(decode(&f32::NAN.to_le_bytes(), 1), None);
    }
}

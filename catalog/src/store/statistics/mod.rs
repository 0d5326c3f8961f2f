//! Measurements of EVALUATE in the store: published in one transaction, read with the snapshot.
//!
//! A task has at most one *published* evaluation: the labelled rows used for planning. A model's
//! votes refer to the evaluation whose rows they are for; only votes for the published evaluation
//! are used for planning. Rows of `evaluations` that no model refers to are deleted.

mod cache;
mod publish;
mod read;

pub use cache::StatisticsCache;
pub use publish::{NewEvaluation, Population, Published, publish_evaluation};
pub(super) use read::read_statistics;

use crate::Vote;

/// Number of confusion rows in one INSERT.
const ROWS_PER_INSERT: usize = 500;

/// Stored form of votes: four bytes each, little-endian.
fn encode_votes(votes: &[Vote]) -> Vec<u8> {
    votes
        .iter()
        .flat_map(|vote| vote.to_bits().to_le_bytes())
        .collect()
}

/// `None` if the bytes are not votes.
fn decode_votes(bytes: &[u8]) -> Option<Vec<Vote>> {
    let (votes, rest) = bytes.as_chunks::<4>();
    let votes = votes
        .iter()
        .map(|b| Vote::from_bits(u32::from_le_bytes(*b)));
    rest.is_empty().then(|| votes.collect())
}

/// Stored form of true outcomes: two bytes each, little-endian.
fn encode_truths(truths: &[u16]) -> Vec<u8> {
    truths.iter().flat_map(|t| t.to_le_bytes()).collect()
}

/// `None` if the bytes are not outcomes.
fn decode_truths(bytes: &[u8]) -> Option<Vec<u16>> {
    let (truths, rest) = bytes.as_chunks::<2>();
    let truths = truths.iter().map(|b| u16::from_le_bytes(*b));
    rest.is_empty().then(|| truths.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_stored_is_read_and_what_is_cut_off_is_not() {
        let votes = [Vote::new(7, 65_535), Vote::new(65_535, 0)];
        let bytes = encode_votes(&votes);
        assert_eq!(decode_votes(&bytes).unwrap(), votes);
        assert_eq!(decode_votes(&bytes[..7]), None);
        let bytes = encode_truths(&[1, 515]);
        assert_eq!(bytes, [1, 0, 3, 2]);
        assert_eq!(decode_truths(&bytes).unwrap(), [1, 515]);
        assert_eq!(decode_truths(&bytes[1..]), None);
    }
}

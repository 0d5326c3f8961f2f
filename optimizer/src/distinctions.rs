//! Needed distinctions: the classes that a statement's result distinguishes.

use std::collections::BTreeMap;

/// A partition of a task's outcomes (0: NULL, then one per class) into blocks that the statement
/// does not distinguish: two outcomes are in one block if every expression over the prediction has
/// the same value for both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distinctions {
    block_of: Vec<usize>,
    blocks: usize,
}

impl Distinctions {
    /// Builds the partition from each outcome's signature: the values of all expressions over the
    /// prediction, in a fixed order.
    pub fn from_signatures<S: Ord>(signatures: impl IntoIterator<Item = S>) -> Self {
        let mut known = BTreeMap::new();
        let mut block_of = Vec::new();
        for signature in signatures {
            let next = known.len();
            block_of.push(*known.entry(signature).or_insert(next));
        }
        Self {
            block_of,
            blocks: known.len(),
        }
    }

    /// Number of blocks. With at most one block the result does not depend on the prediction.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// The block of an outcome (0: NULL, then one per class).
    pub fn block_of(&self, outcome: usize) -> Option<usize> {
        self.block_of.get(outcome).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_signatures_share_a_block() {
        let d = Distinctions::from_signatures(["0", "1", "0", "1", "2"]);
        assert_eq!(d.blocks(), 3);
        assert_eq!(
            (d.block_of(0), d.block_of(2), d.block_of(3)),
            (Some(0), Some(0), Some(1))
        );
        assert_eq!(d.block_of(5), None);
    }
}

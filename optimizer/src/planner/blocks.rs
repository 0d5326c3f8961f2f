//! The planner's partition of outcomes into blocks that the statement distinguishes, with a block
//! `other`.

use std::sync::Arc;

use crate::distinctions::Distinctions;

/// The block `other`: inputs that no model claims. It has the greatest number, so that it wins
/// among votes with equal scores.
pub(crate) const OTHER: u16 = u16::MAX;
/// No outcome's block: the answer for an input without votes where there is no `other`.
pub(crate) const NOBODY: u16 = u16::MAX - 1;
/// No outcome's block: the truth of an input for which no answer is right.
pub(crate) const NEVER: u16 = u16::MAX - 2;
const BLOCKS_MAX: usize = NEVER as usize;

/// A partition of a task's outcomes (0: none of the classes, then one per class), numbered for
/// planning.
///
/// Where `other` is the complement of the classes that the statement asks for, models need not
/// know the classes in `other`. If every class is needed and each input shows one of them, there
/// is no `other`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Blocks {
    of: Arc<[u16]>,
    /// The outcome that is answered for `other`, if there is one.
    other: Option<u16>,
    /// Whether a condition passes `other`.
    other_passes: bool,
}

impl Blocks {
    /// The blocks of a task with `classes` classes. In an open world inputs may show none of the
    /// classes, which is answered with NULL: then `other` is the block of NULL. Otherwise it is
    /// the block with the most classes, NULL's among equals, if any block has more than one
    /// outcome.
    pub fn new(distinctions: &Distinctions, classes: usize, open_world: bool) -> Self {
        let block_of = |outcome: usize| distinctions.block_of(outcome).unwrap_or(0);
        let of_null = block_of(0);
        let mut sizes = vec![0_usize; distinctions.blocks().max(1)];
        for class in 1..=classes {
            if let Some(size) = sizes.get_mut(block_of(class)) {
                *size += 1;
            }
        }
        let largest = (0..sizes.len()).max_by_key(|&b| (sizes[b], b == of_null, usize::MAX - b));
        let is_alone = sizes.get(of_null) == Some(&0) && sizes.iter().all(|size| *size <= 1);
        let other = match largest {
            _ if open_world => Some(of_null),
            _ if is_alone => None,
            largest => largest,
        };
        let number = |outcome: usize| match block_of(outcome) {
            block if Some(block) == other => OTHER,
            block => u16::try_from(block.min(BLOCKS_MAX - 1)).unwrap_or(0),
        };
        let of: Arc<[u16]> = (0..=classes).map(number).collect();
        let null_is_answer = open_world || classes == 0;
        let named = (usize::from(!null_is_answer)..=classes).find(|o| of.get(*o) == Some(&OTHER));
        Self {
            other: other.map(|_| named.and_then(|o| u16::try_from(o).ok()).unwrap_or(0)),
            other_passes: false,
            of,
        }
    }

    /// Blocks that distinguish every class.
    pub fn every_class(classes: usize, open_world: bool) -> Self {
        Self::new(
            &Distinctions::from_signatures(0..=classes),
            classes,
            open_world,
        )
    }

    /// The blocks where the classes at these positions are needed as one block, and all others are
    /// `other`, as in `WHERE p IN (...)`.
    pub fn any_of(needed: &[usize], classes: usize, open_world: bool) -> Self {
        let is_needed = |outcome: usize| outcome > 0 && needed.contains(&(outcome - 1));
        let blocks = Distinctions::from_signatures((0..=classes).map(is_needed));
        let mut blocks = Self::new(&blocks, classes, open_world);
        if !open_world && needed.len() < classes {
            // The complement is `other` even if it is the smaller part.
            blocks.of = (0..=classes)
                .map(|o| if is_needed(o) { 0 } else { OTHER })
                .collect();
            let first = (1..=classes).find(|o| !is_needed(*o));
            blocks.other = first.and_then(|o| u16::try_from(o).ok());
        }
        blocks
    }

    /// Sets which classes a condition passes (by position). F1 is computed over the passing
    /// inputs, even if these are `other`: for `p <> 'bag'` models need to know only the bag, but
    /// the result is all the rest.
    #[must_use]
    pub fn passing(mut self, passes: impl Fn(usize) -> bool) -> Self {
        let mut classes = 0..self.outcomes().saturating_sub(1);
        self.other_passes =
            self.has_other() && classes.all(|class| passes(class) != self.needs(class));
        if self.other_passes {
            // Classes that do not pass need not be distinguished.
            let merge = |block: &u16| if *block == OTHER { OTHER } else { 0 };
            self.of = self.of.iter().map(merge).collect();
        }
        self
    }

    /// Whether F1 is computed over `other`.
    pub(crate) fn other_passes(&self) -> bool {
        self.other_passes
    }

    /// Number of outcomes: one more than classes.
    pub fn outcomes(&self) -> usize {
        self.of.len()
    }

    /// The block of an outcome.
    pub(crate) fn of(&self, outcome: u16) -> u16 {
        self.of.get(usize::from(outcome)).copied().unwrap_or(OTHER)
    }

    /// Whether one block stands for all inputs that no model claims.
    pub fn has_other(&self) -> bool {
        self.other.is_some()
    }

    /// Whether all outcomes outside `other` are a single block, as in `WHERE p IN (...)`.
    pub(crate) fn is_one(&self) -> bool {
        let mut needed = self.of.iter().filter(|block| **block != OTHER);
        let first = needed.next();
        self.has_other() && needed.all(|block| Some(block) == first)
    }

    /// The answer for an input that no model claims: an outcome of `other`, or 0 (NULL) if there
    /// is none.
    pub fn unclaimed(&self) -> u16 {
        self.other.unwrap_or(0)
    }

    /// Whether a class (by position) is in a block that is not `other`.
    pub fn needs(&self, class: usize) -> bool {
        self.of.get(class + 1).is_some_and(|block| *block != OTHER)
    }

    /// Positions of the classes that are in blocks other than `other`.
    pub fn needed(&self) -> impl Iterator<Item = usize> {
        (0..self.of.len().saturating_sub(1)).filter(|class| self.needs(*class))
    }

    /// Whether an answer is right for the true outcome `truth`: it is in the same block.
    pub fn are_alike(&self, answer: u16, truth: u16) -> bool {
        self.of(answer) == self.truth(truth)
    }

    /// Whether a class (by position) is in the block of that number.
    pub(crate) fn is_in(&self, class: usize, block: u32) -> bool {
        self.of
            .get(class + 1)
            .is_some_and(|b| u32::from(*b) == block)
    }

    /// How many of these true outcomes F1 counts as relevant.
    pub(crate) fn truths_needed(&self, truths: &[u16]) -> usize {
        truths
            .iter()
            .filter(|truth| (self.truth(**truth) == OTHER) == self.other_passes)
            .count()
    }

    /// The same blocks, with NULL as the answer for unclaimed inputs.
    pub(crate) fn without_other(mut self) -> Self {
        (self.other, self.other_passes) = (None, false);
        self
    }

    /// The block of a true outcome: a right answer is in this block.
    pub(crate) fn truth(&self, outcome: u16) -> u16 {
        match (outcome, self.has_other()) {
            (0, true) => OTHER,
            (0, false) => NEVER,
            (outcome, _) => self.of(outcome),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks of NULL, a, b, c, d by signatures.
    fn blocks(signatures: [u8; 5], open_world: bool) -> Blocks {
        Blocks::new(&Distinctions::from_signatures(signatures), 4, open_world)
    }

    #[test]
    fn the_complement_is_other() {
        let filter = blocks([0, 1, 1, 0, 0], false);
        assert_eq!(filter.needed().collect::<Vec<_>>(), [0, 1]);
        assert_eq!((filter.unclaimed(), filter.truth(0)), (3, OTHER));
        let but_one = blocks([0, 0, 1, 1, 1], false);
        assert_eq!(
            but_one.needed().collect::<Vec<_>>(),
            [0],
            "p <> 'a' needs a alone"
        );
        assert_eq!(but_one.unclaimed(), 2);
        let three = blocks([0, 1, 1, 2, 0], false);
        assert_eq!(three.needed().collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn what_passes_may_be_other() {
        let but_one = || blocks([0, 0, 1, 1, 1], false);
        let truths = [1, 2, 3, 4, 4];
        let passing = but_one().passing(|class| class != 0);
        assert!(passing.other_passes());
        assert_eq!(passing.needed().collect::<Vec<_>>(), [0]);
        assert_eq!(passing.truths_needed(&truths), 4);
        let failing = but_one().passing(|class| class == 0);
        assert!(!failing.other_passes());
        assert_eq!(failing.truths_needed(&truths), 1);
    }

    #[test]
    fn where_every_class_is_needed_nothing_is_other() {
        let labels = Blocks::every_class(4, false);
        assert!(!labels.has_other());
        assert_eq!(labels.needed().count(), 4);
        assert_eq!((labels.unclaimed(), labels.truth(0)), (0, NEVER));
        let two = Blocks::new(&Distinctions::from_signatures([0, 0, 1]), 2, false);
        assert_eq!(
            two.needed().collect::<Vec<_>>(),
            [1],
            "of two equals NULL's is other"
        );
    }

    #[test]
    fn in_an_open_world_null_is_other() {
        let labels = Blocks::every_class(4, true);
        assert!(labels.has_other());
        assert_eq!((labels.needed().count(), labels.unclaimed()), (4, 0));
        let but_one = blocks([0, 0, 1, 1, 1], true);
        assert_eq!(but_one.needed().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(but_one.unclaimed(), 0);
    }

    #[test]
    fn the_classes_asked_for_are_needed() {
        let most = Blocks::any_of(&[0, 1, 2], 4, false);
        assert_eq!(most.needed().collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(most.unclaimed(), 4);
        assert_eq!(Blocks::any_of(&[1], 4, true).unclaimed(), 0);
    }
}

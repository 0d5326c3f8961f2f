//! Answers that no later stage can change, as far as a statement distinguishes them.

use super::blocks::Blocks;

/// For each stage but the last, the answers after it that are final for a statement. The default
/// has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// By stage and outcome.
    answers: Vec<Box<[bool]>>,
}

impl Settled {
    /// For a statement that distinguishes `needed`. `later` gives, for each stage but the last,
    /// the answers that the stages after it can give in place of an earlier one.
    pub(super) fn new(later: impl Iterator<Item = Vec<u16>>, needed: &Blocks) -> Self {
        let answers = later.map(|later| {
            let mut blocks = later.iter().map(|outcome| needed.of(*outcome));
            let first = blocks.next();
            // Later answers are of one block, or there is more than one.
            let only = first.filter(|first| blocks.all(|block| block == *first));
            let outcomes = u16::try_from(needed.outcomes()).unwrap_or(u16::MAX);
            (0..outcomes)
                .map(|outcome| Some(needed.of(outcome)) == only)
                .collect()
        });
        Self {
            answers: answers.collect(),
        }
    }

    /// Whether an answer after a stage (counted from 0) is final.
    pub(super) fn is(&self, stage: usize, outcome: u16) -> bool {
        let answers = self.answers.get(stage);
        answers.and_then(|answers| answers.get(usize::from(outcome))) == Some(&true)
    }
}

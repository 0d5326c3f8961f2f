//! Answers that no later stage can change, as far as a statement distinguishes them.

use super::blocks::Blocks;
use super::decision::Decision;

/// For each stage but the last, the answers after it that are final for a statement. The default
/// has none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settled {
    /// By stage and outcome.
    answers: Vec<Box<[bool]>>,
}

impl Settled {
    /// The answers of `decision` that are settled for a statement that distinguishes `needed`.
    pub(super) fn new(decision: &Decision, needed: &Blocks) -> Self {
        let stages = decision.stages.len();
        let answers = (1..stages).map(|next| {
            let later = later_outcomes(decision, next);
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

/// The answers that the stages from `next` on can give in place of an earlier one.
fn later_outcomes(decision: &Decision, next: usize) -> Vec<u16> {
    let later = || decision.stages.iter().skip(next);
    let unclaimed = decision.blocks.unclaimed();
    let mut outcomes: Vec<u16> = later()
        .flat_map(|stage| &stage.voters)
        .flat_map(|voter| {
            let answer = |outcome: &u16| match *outcome {
                0 => voter.none_is_other.then_some(unclaimed),
                outcome => Some(outcome),
            };
            voter.outcomes.iter().filter_map(answer)
        })
        .collect();
    if later().any(|stage| stage.replaces) {
        // The votes so far are dropped, and nobody may claim the row.
        outcomes.push(unclaimed);
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use predictsql_catalog::Vote;

    use super::*;
    use crate::distinctions::Distinctions;
    use crate::fixture::model;
    use crate::planner::{Stage, Voter};

    const CLASSES: usize = 4;

    fn voter(id: u64, knows: &[u16]) -> Voter {
        Voter {
            model: Arc::new(model(id, "m", &[], None)),
            outcomes: knows.iter().copied().chain([0]).collect(),
            calibration: None,
            none_is_other: false,
        }
    }

    /// A decision over every class: a first stage that knows all, a second that knows `second`.
    fn decision(second: &[u16], replaces: bool) -> Decision {
        let stage = |voter, pass_below, replaces| Stage {
            voters: vec![voter],
            pass_below,
            replaces,
        };
        Decision {
            stages: vec![
                stage(voter(1, &[1, 2, 3, 4]), Some(50_000), false),
                stage(voter(2, second), None, replaces),
            ],
            floor: 0,
            blocks: Blocks::every_class(CLASSES, false),
            settled: Settled::default(),
        }
    }

    #[test]
    fn a_second_stage_that_cannot_change_the_block_is_not_asked() {
        let asked = |decision: &Decision, first: u16| {
            let mut asked = Vec::new();
            decision.answer(|voter| {
                asked.push(voter.model.id);
                Vote::new(9, if voter.model.id == 1 { first } else { 2 })
            });
            asked.len()
        };
        let is_first = Blocks::any_of(&[0], CLASSES, false);
        let full = decision(&[2, 3], false);
        let narrow = full.clone().narrowed(&is_first);
        // Among the classes of the second model is not the one asked for.
        assert_eq!([1, 2, 4].map(|c| asked(&full, c)), [2, 2, 2]);
        assert_eq!([1, 2, 4].map(|c| asked(&narrow, c)), [2, 1, 1]);
        let knows_it = decision(&[1, 2], false).narrowed(&is_first);
        assert_eq!([1, 2].map(|c| asked(&knows_it, c)), [2, 2]);
        let labels = full.narrowed(&Blocks::every_class(CLASSES, false));
        assert_eq!(asked(&labels, 4), 2);
    }

    /// All decisions of two stages over these classes, all partitions, all votes: the block of the
    /// answer is that of the decision over every class.
    #[test]
    fn narrowing_changes_no_block() {
        let mut skipped = 0;
        for second in 0_u32..16 {
            let knows: Vec<u16> = (1..=4).filter(|c| second & (1 << (c - 1)) != 0).collect();
            for (replaces, partition) in [false, true]
                .into_iter()
                .flat_map(|r| (0_u32..3_u32.pow(5)).map(move |partition| (r, partition)))
            {
                let signature = |outcome: u32| partition / 3_u32.pow(outcome) % 3;
                let distinctions = Distinctions::from_signatures((0..5).map(signature));
                let needed = Blocks::new(&distinctions, CLASSES, false);
                let full = decision(&knows, replaces);
                let narrow = full.clone().narrowed(&needed);
                for first in 0..=4 {
                    for then in knows.iter().copied().chain([0]) {
                        let answer = |decision: &Decision, asked: &mut u32| {
                            decision.answer(|voter| match voter.model.id {
                                1 => Vote::new(40_000, first),
                                _ => {
                                    *asked += 1;
                                    Vote::new(45_000, then)
                                }
                            })
                        };
                        let (mut all, mut few) = (0, 0);
                        let of_full = signature(answer(&full, &mut all).into());
                        let of_narrow = signature(answer(&narrow, &mut few).into());
                        assert_eq!(of_full, of_narrow, "{knows:?} {replaces} {partition}");
                        skipped += all - few;
                    }
                }
            }
        }
        assert!(skipped > 1000, "{skipped}");
    }
}

//! The decision: the parts of a plan that can change an answer.
//!
//! It depends on the statement, its constraints and the published data, never on load, time or
//! cache. Replay and execution share its single rule: the greatest vote wins if it reaches the
//! floor.

use std::sync::Arc;

use predictsql_catalog::{Calibration, Model, Vote};

use super::blocks::{Blocks, OTHER};
use super::settled::Settled;

/// The models of a prediction, their stages, and the score thresholds.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// In execution order; at least one.
    pub stages: Vec<Stage>,
    /// Votes with a lower score are ignored; 0 means no floor.
    pub floor: u16,
    /// The outcomes that the statement distinguishes, and the answer for inputs that no vote
    /// claims.
    pub blocks: Blocks,
    /// Which answers no later stage can change as far as the statement distinguishes them.
    pub settled: Settled,
}

/// Models that are run on the same rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// At least one; their order does not matter.
    pub voters: Vec<Voter>,
    /// Rows whose best vote so far has a lower score go on to the next stage. `None` for the last
    /// stage.
    pub pass_below: Option<u16>,
    /// Whether its votes replace those of earlier stages for its rows; otherwise all votes count.
    pub replaces: bool,
}

/// A voting model.
#[derive(Debug, Clone, PartialEq)]
pub struct Voter {
    /// The model.
    pub model: Arc<Model>,
    /// Outcome of each of its labels (output columns): class position plus one, or 0 for "none of
    /// my classes".
    pub outcomes: Vec<u16>,
    /// Maps its probabilities to scores; `None` if it was not measured: then it is the only voter.
    pub calibration: Option<Calibration>,
    /// Whether an outcome of 0 is a vote for `other`: only if the model knows every needed class.
    /// Otherwise it is no vote.
    pub none_is_other: bool,
}

impl Voter {
    /// The vote for an answer, from the model's probabilities, one per label.
    pub fn vote(&self, probabilities: &[f32]) -> Vote {
        match (&self.calibration, Calibration::features(probabilities)) {
            (Some(calibration), _) => calibration.vote(probabilities, &self.outcomes),
            (None, None) => Vote::default(),
            (None, Some((label, ..))) => {
                let outcome = self.outcomes.get(label).copied().unwrap_or(0);
                Vote::new(Vote::SCORE_MAX, outcome)
            }
        }
    }

    /// The label with the score of a class (position among the task's classes); `None` if the
    /// model does not know the class.
    pub fn label_of_class(&self, class: usize) -> Option<usize> {
        self.outcomes
            .iter()
            .position(|o| usize::from(*o) == class + 1)
    }
}

/// The best vote on a row so far. The maximum does not depend on the order of votes: it compares
/// the score, then the block (`other` first), then the outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Leader {
    score: u16,
    block: u16,
    outcome: u16,
}

impl Leader {
    /// The calibrated probability that it is right, in units of 1/65535; 0 without any vote.
    pub fn score(self) -> u16 {
        self.score
    }
}

impl Decision {
    /// A single model, named or chosen without measurements: its label with the highest score,
    /// NULL for "none of my classes".
    pub fn single(model: Arc<Model>, outcomes: Vec<u16>, blocks: Blocks) -> Self {
        let voter = Voter {
            model,
            outcomes,
            calibration: None,
            none_is_other: false,
        };
        let stage = Stage {
            voters: vec![voter],
            pass_below: None,
            replaces: false,
        };
        Self {
            stages: vec![stage],
            floor: 0,
            blocks: blocks.without_other(),
            settled: Settled::default(),
        }
    }

    /// Sets the calibration of the scores if there is a single model. The answers do not change,
    /// since nothing else votes.
    pub(super) fn calibrate(&mut self, calibration: Option<&Calibration>) {
        if let [stage] = &mut self.stages[..]
            && let [voter] = &mut stage.voters[..]
        {
            voter.calibration = calibration.cloned();
        }
    }

    /// All voters, in stage order.
    pub fn voters(&self) -> impl Iterator<Item = &Voter> {
        self.stages.iter().flat_map(|stage| &stage.voters)
    }

    /// A voter's vote on a row as a leader. The maximum ([`Ord::max`]) of several leaders wins;
    /// [`Leader::default`] stands for no vote.
    pub fn leader(&self, voter: &Voter, vote: Vote) -> Leader {
        let score = vote.score().max(1);
        match vote.outcome() {
            0 if voter.none_is_other => Leader {
                score,
                block: OTHER,
                outcome: self.blocks.unclaimed(),
            },
            0 => Leader::default(),
            outcome => Leader {
                score,
                block: self.blocks.of(outcome),
                outcome,
            },
        }
    }

    /// Whether a row with this leader after `stage` (counted from 0) goes on to the next stage.
    pub fn goes_on(&self, stage: usize, leader: Leader) -> bool {
        let stage_is_last = stage + 1 >= self.stages.len();
        let pass_below = self.stages.get(stage).and_then(|s| s.pass_below);
        !stage_is_last
            && pass_below.is_some_and(|pass_below| leader.score < pass_below)
            && !self.settled.is(stage, self.outcome(leader))
    }

    /// The same decision for a statement that distinguishes only these blocks: rows whose block no
    /// later stage can change stop before it. Answers are of the same block as before.
    #[must_use]
    pub fn narrowed(mut self, needed: &Blocks) -> Self {
        let later = (1..self.stages.len()).map(|next| self.later_outcomes(next));
        self.settled = Settled::new(later, needed);
        self
    }

    /// The answers that the stages from `next` on can give in place of an earlier one.
    fn later_outcomes(&self, next: usize) -> Vec<u16> {
        let later = || self.stages.iter().skip(next);
        let unclaimed = self.blocks.unclaimed();
        let mut outcomes = Vec::new();
        for voter in later().flat_map(|stage| &stage.voters) {
            let answer = |outcome: &u16| match *outcome {
                0 => voter.none_is_other.then_some(unclaimed),
                outcome => Some(outcome),
            };
            outcomes.extend(voter.outcomes.iter().filter_map(answer));
        }
        if later().any(|stage| stage.replaces) {
            // The votes so far are dropped, and nobody may claim the row.
            outcomes.push(unclaimed);
        }
        outcomes
    }

    /// Whether a voter that knows the class (by position) counts for each row, whichever stage
    /// answers it.
    pub fn always_knows(&self, class: usize) -> bool {
        let mut known = false;
        self.stages.iter().all(|stage| {
            known &= !stage.replaces;
            let mut voters = stage.voters.iter();
            known |= voters.any(|voter| voter.label_of_class(class).is_some());
            known
        })
    }

    /// The leader with which a row enters `stage`, given its leader after the previous stages.
    pub fn before(&self, stage: usize, leader: Leader) -> Leader {
        match self.stages.get(stage) {
            Some(stage) if stage.replaces => Leader::default(),
            _ => leader,
        }
    }

    /// The answer for a row with this leader after its last stage: class position plus one, or 0
    /// for NULL.
    pub fn outcome(&self, leader: Leader) -> u16 {
        if leader.score < self.floor.max(1) {
            self.blocks.unclaimed()
        } else {
            leader.outcome
        }
    }

    /// The answer for a row; requests votes as needed. Reference implementation: every other
    /// execution of the decision must give the same answers.
    pub fn answer(&self, mut vote: impl FnMut(&Voter) -> Vote) -> u16 {
        let mut leader = Leader::default();
        for (number, stage) in self.stages.iter().enumerate() {
            leader = self.before(number, leader);
            for voter in &stage.voters {
                leader = leader.max(self.leader(voter, vote(voter)));
            }
            if !self.goes_on(number, leader) {
                break;
            }
        }
        self.outcome(leader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::model;

    fn voter(id: u64, outcomes: &[u16]) -> Voter {
        Voter {
            model: Arc::new(model(id, "m", &[], None)),
            outcomes: outcomes.to_vec(),
            calibration: None,
            none_is_other: false,
        }
    }

    fn stage(voters: Vec<Voter>, pass_below: Option<u16>) -> Stage {
        Stage {
            voters,
            pass_below,
            replaces: false,
        }
    }

    #[test]
    fn a_foreign_picture_that_specialists_are_unsure_of_is_other() {
        let decision = Decision {
            stages: vec![stage(vec![voter(1, &[1]), voter(2, &[2])], None)],
            floor: 30_000,
            blocks: Blocks::any_of(&[0, 1], 4, false),
            settled: Settled::default(),
        };
        let votes = |a, b| {
            decision.answer(|v| {
                if v.model.id == 1 {
                    Vote::new(a, 1)
                } else {
                    Vote::new(b, 2)
                }
            })
        };
        assert_eq!(votes(40_000, 31_000), 1);
        assert_eq!(votes(29_999, 30_000), 2);
        assert_eq!(
            votes(29_999, 20_000),
            3,
            "the first class that is not needed"
        );
    }

    #[test]
    fn rows_that_are_sure_stop_early() {
        let decision = Decision {
            stages: vec![
                stage(vec![voter(1, &[1, 2])], Some(50_000)),
                stage(vec![voter(2, &[1, 2])], None),
            ],
            floor: 0,
            blocks: Blocks::every_class(2, false),
            settled: Settled::default(),
        };
        let mut asked = Vec::new();
        let mut run = |first, second| {
            asked.clear();
            let outcome = decision.answer(|v| {
                asked.push(v.model.id);
                if v.model.id == 1 { first } else { second }
            });
            (outcome, asked.len())
        };
        assert_eq!(run(Vote::new(50_000, 1), Vote::new(60_000, 2)), (1, 1));
        assert_eq!(run(Vote::new(49_999, 1), Vote::new(60_000, 2)), (2, 2));
        assert_eq!(run(Vote::new(49_999, 1), Vote::new(100, 2)), (1, 2));
        assert_eq!(
            run(Vote::new(1, 0), Vote::new(9, 0)),
            (0, 2),
            "nobody claims it"
        );
    }

    #[test]
    fn votes_of_a_stage_that_replaces_count_alone() {
        let mut last = stage(vec![voter(2, &[1, 2])], None);
        last.replaces = true;
        let decision = Decision {
            stages: vec![stage(vec![voter(1, &[1, 2])], Some(50_000)), last],
            floor: 20_000,
            blocks: Blocks::any_of(&[0, 1], 3, false),
            settled: Settled::default(),
        };
        let votes =
            |first, second| decision.answer(|v| if v.model.id == 1 { first } else { second });
        assert_eq!(votes(Vote::new(50_000, 1), Vote::new(60_000, 2)), 1);
        assert_eq!(votes(Vote::new(49_999, 1), Vote::new(30_000, 2)), 2);
        assert_eq!(
            votes(Vote::new(49_999, 1), Vote::new(19_999, 2)),
            3,
            "what the first claims is not asked for again"
        );
    }

    #[test]
    fn none_of_my_classes_counts_only_where_the_model_knows_all_that_is_needed() {
        let mut knows = voter(1, &[1, 0]);
        knows.none_is_other = true;
        let decision = Decision {
            stages: vec![stage(vec![knows, voter(2, &[1])], None)],
            floor: 0,
            blocks: Blocks::any_of(&[0], 3, false),
            settled: Settled::default(),
        };
        let votes = |none| {
            decision.answer(|v| {
                if v.model.id == 1 {
                    none
                } else {
                    Vote::new(40_000, 1)
                }
            })
        };
        assert_eq!(votes(Vote::new(50_000, 0)), 2);
        assert_eq!(votes(Vote::new(30_000, 0)), 1);
        assert_eq!(votes(Vote::new(40_000, 0)), 2, "other wins among equals");
    }
}

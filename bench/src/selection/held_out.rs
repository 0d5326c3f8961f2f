//! What a plan does on rows that nothing of the planner has seen.

use predictsql_catalog::Vote;
use predictsql_optimizer::planner::certificate::Counts;
use predictsql_optimizer::planner::{Blocks, Decision, Leader, Metric, Plan, Voter};

use crate::repository::Drawn;

/// A plan's answers to the held-out rows, and what they cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct HeldOut {
    /// How they were answered.
    pub counts: Counts,
    /// Rows that are of no needed class, and are answered with one.
    pub false_positives: u64,
    /// Seconds of inference an input, by the rows that each stage looked at.
    pub seconds: f64,
}

impl HeldOut {
    /// The F1 over the needed classes, 0..=1.
    pub fn f1(&self) -> f64 {
        self.counts.observed(Metric::F1).unwrap_or(0.0)
    }

    /// Share of the rows of no needed class that are answered with one.
    pub fn false_positive_rate(&self) -> f64 {
        let others = self.counts.rows - self.counts.needed;
        self.false_positives as f64 / others.max(1) as f64
    }
}

/// A model that is asked, with its answers.
struct Asked<'a> {
    voter: &'a Voter,
    votes: &'a [Vote],
    seconds: f64,
}

/// Runs a plan's decision over the held-out rows, asking each model as the decision would.
pub fn run(drawn: &Drawn, blocks: &Blocks, plan: &Plan) -> HeldOut {
    of_decision(drawn, blocks, &plan.decision)
}

/// The same of a decision alone.
pub fn of_decision(drawn: &Drawn, blocks: &Blocks, decision: &Decision) -> HeldOut {
    let asked = |voter| asked(drawn, voter);
    let stages: Vec<Vec<Asked<'_>>> = decision
        .stages
        .iter()
        .map(|stage| stage.voters.iter().map(asked).collect())
        .collect();
    let mut found = HeldOut::default();
    let counts = &mut found.counts;
    let mut seconds = 0.0;
    for (row, truth) in drawn.held_out.iter().enumerate() {
        let (answer, spent) = answer(decision, &stages, row);
        seconds += spent;
        let is_needed = |outcome: u16| {
            usize::from(outcome)
                .checked_sub(1)
                .is_some_and(|class| blocks.needs(class))
        };
        let is_right = blocks.are_alike(answer, *truth);
        counts.rows += 1;
        counts.right += u64::from(is_right);
        counts.needed += u64::from(is_needed(*truth));
        counts.claimed += u64::from(is_needed(answer));
        counts.found += u64::from(is_needed(*truth) && is_right);
        found.false_positives += u64::from(is_needed(answer) && !is_needed(*truth));
    }
    found.seconds = seconds / drawn.held_out.len().max(1) as f64;
    found
}

fn asked<'a>(drawn: &'a Drawn, voter: &'a Voter) -> Asked<'a> {
    let place = usize::try_from(voter.model.id).unwrap_or(0).wrapping_sub(1);
    let measured = drawn.statistics.model(voter.model.id);
    let curve = measured.and_then(|s| s.costs.first());
    Asked {
        voter,
        votes: drawn.held_out_votes.get(place).map_or(&[], Vec::as_slice),
        seconds: curve.and_then(|c| c.seconds_per_input()).unwrap_or(0.0),
    }
}

fn answer(decision: &Decision, stages: &[Vec<Asked<'_>>], row: usize) -> (u16, f64) {
    let (mut leader, mut seconds) = (Leader::default(), 0.0);
    for (number, stage) in stages.iter().enumerate() {
        for asked in stage {
            let vote = asked.votes.get(row).copied().unwrap_or_default();
            leader = leader.max(decision.leader(asked.voter, vote));
            seconds += asked.seconds;
        }
        if !decision.goes_on(number, leader) {
            break;
        }
    }
    (decision.outcome(leader), seconds)
}

//! Builds the plan of a choice: the voters, their estimates, and the reasons for rejected models.

use std::sync::Arc;

use super::answered::Rows;
use super::branch::Gap;
use super::certificate::{FAILURE_PROBABILITY, lower_bound, upper_bound};
use super::choice::{Choice, Second};
use super::decision::{Decision, Stage, Voter};
use super::declared::outcomes;
use super::limits;
use super::measured::Measured;
use super::plan::{Basis, Plan, Reason, Rejected, StageEstimate};
use super::query::{Estimate, Strategy};
use super::search::Problem;
use super::settled::Settled;

impl Measured<'_> {
    /// The plan of a choice, still without the results on certification rows.
    pub(super) fn plan(
        &self,
        problem: &Problem<'_>,
        strategy: Strategy,
        choice: Choice,
        gap: Option<Gap>,
        replays: u32,
    ) -> Plan {
        let stages = self.voters(&choice);
        let mut rejected = self.rejected.clone();
        rejected.extend(self.why_not(problem, &choice));
        Plan {
            uncovered: self.uncovered(&stages),
            unmeasured: self.unmeasured(),
            basis: Basis::Measured,
            strategy,
            metric: self.query.metric,
            accuracy: Estimate::Absent,
            searched: Estimate::Inexact(choice.value),
            guarantee: None,
            population: self.population(),
            prior: self.query.prior.cloned(),
            unshown: self.unshown(),
            stages: self.stages(&choice),
            gap,
            unplanned: limits::unplanned(
                self.query,
                self.constraints,
                Some(choice.seconds).filter(|_| self.costs.are_known(&choice.all())),
            ),
            replays,
            rejected,
            decision: Decision {
                stages,
                floor: choice.floor,
                blocks: self.query.blocks.clone(),
                settled: Settled::default(),
            },
        }
    }

    /// The voters of each stage of a choice.
    fn voters(&self, choice: &Choice) -> Vec<Stage> {
        let voters = |set: &[u16]| set.iter().filter_map(|m| self.voter(*m)).collect();
        let pass_below = choice.second.as_ref().map(|second| second.pass_below);
        let mut stages = vec![Stage {
            voters: voters(&choice.first),
            pass_below,
            replaces: false,
        }];
        if let Some(second) = &choice.second {
            stages.push(Stage {
                voters: voters(&second.set),
                pass_below: None,
                replaces: second.replaces,
            });
        }
        stages
    }

    /// Positions of the needed classes that no voter knows.
    fn uncovered(&self, stages: &[Stage]) -> Vec<usize> {
        let knows = |class: &usize| {
            let outcome = |o: &u16| usize::from(*o) == class + 1;
            let mut voters = stages.iter().flat_map(|s: &Stage| &s.voters);
            voters.any(|v| v.outcomes.iter().any(outcome))
        };
        let needed = self.query.blocks.needed();
        needed.filter(|class| !knows(class)).collect()
    }

    /// Positions of the needed classes without labelled rows.
    fn unmeasured(&self) -> Vec<usize> {
        let (plan, cert) = (&self.statistics.plan, &self.statistics.cert);
        let mut seen = vec![false; self.query.blocks.outcomes()];
        for truth in plan.iter().chain(cert.iter()) {
            if let Some(seen) = seen.get_mut(usize::from(*truth)) {
                *seen = true;
            }
        }
        let is_seen = |class: &usize| seen.get(class + 1).copied().unwrap_or(false);
        let needed = self.query.blocks.needed();
        needed.filter(|class| !is_seen(class)).collect()
    }

    fn voter(&self, candidate: u16) -> Option<Voter> {
        let candidate = self.candidates.get(usize::from(candidate))?;
        Some(Voter {
            model: Arc::clone(candidate.model),
            outcomes: outcomes(&self.classes, candidate.model),
            calibration: Some(candidate.statistics.calibration.clone()),
            none_is_other: candidate.none.is_some(),
        })
    }

    /// Estimates for each stage.
    fn stages(&self, choice: &Choice) -> Vec<StageEstimate> {
        let (seconds, inference_seconds) = self.costs.stage(&[], &choice.first);
        let mut stages = vec![StageEstimate {
            share: 1.0,
            share_between: (1.0, 1.0),
            seconds,
            inference_seconds,
        }];
        if let Some(Second { set, .. }) = &choice.second {
            let (seconds, inference_seconds) = self.costs.stage(&choice.first, set);
            let rows = self.sample.rows_in_effect() as u64;
            let passed = (choice.share * rows as f64).round() as u64;
            let failure = FAILURE_PROBABILITY / 2.0;
            stages.push(StageEstimate {
                share: choice.share,
                share_between: (
                    lower_bound(passed, rows, failure),
                    upper_bound(passed, rows, failure),
                ),
                seconds,
                inference_seconds,
            });
        }
        stages
    }

    /// For each candidate that is not chosen, its marginal contribution.
    fn why_not(&self, problem: &Problem<'_>, choice: &Choice) -> Vec<Rejected> {
        let chosen = choice.all();
        let best = Rows::plan(self).answers(choice);
        let value = problem.value(self.sample.tally(&best, &best));
        let work = self.costs.of(&chosen);
        let limit = self.seconds_max();
        (0..problem.candidates)
            .filter(|m| !chosen.contains(m))
            .filter_map(|m| {
                let alone = self.costs.of(&[m]).seconds;
                let adds = || {
                    let with = problem.value(self.sample.tally(&best, problem.votes(m)));
                    let seconds = self.costs.add(work, usize::from(m)).seconds - work.seconds;
                    Reason::Adds(with - value, seconds)
                };
                let reason = if alone > limit {
                    Reason::TooDear(alone)
                } else {
                    adds()
                };
                let model = Arc::clone(self.candidates.get(usize::from(m))?.model);
                Some(Rejected { model, reason })
            })
            .collect()
    }
}

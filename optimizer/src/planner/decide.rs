//! Planning of a prediction: builds a plan from a query, its constraints and the measurements.

use std::sync::Arc;

use predictsql_catalog::{Model, TaskStatistics};

use super::answered::Rows;
use super::certificate::FAILURE_PROBABILITY;
use super::choice::Choice;
use super::declared::declared;
use super::limits;
use super::measured::Measured;
use super::pick;
use super::plan::{Basis, Guarantee, Plan, Reason};
use super::query::{Constraints, CostModel, Estimate, Query, Strategy};
use super::search::Problem;
use super::unmeasured::unmeasured;
use super::unreachable;
use crate::Refusal;

/// Default limit on replays of the labelled rows in a search, by number of models: keeps planning
/// within one millisecond for 50 models, and 10 milliseconds for 500.
pub fn replays_default(models: usize) -> u32 {
    u32::try_from(models.saturating_mul(4))
        .unwrap_or(u32::MAX)
        .clamp(220, 2_400)
}

/// Chooses which of `models` (the task's, in any order) answer a prediction.
///
/// A named model answers alone. Without statistics for this version of the task, or if they have
/// no row of any needed class, the default rule guesses. Without constraints the plan is the
/// cheapest whose metric is within the task's slack of the best single model's (if no model knows
/// all needed classes, also of the metric of the best models per class); with `min_accuracy` it is
/// the cheapest plan certified to keep it; with only a limit on seconds or cost it is the most
/// accurate plan within the limit.
///
/// Deterministic: the order of `models` does not matter. `replays_max` limits the work.
///
/// # Errors
/// No model can answer, or a constraint cannot be kept or promised: the message says what is
/// possible.
pub fn decide(
    query: &Query<'_>,
    constraints: &Constraints,
    strategy: Strategy,
    models: &[Arc<Model>],
    statistics: Option<&TaskStatistics>,
    costs: &CostModel,
    replays_max: u32,
) -> Result<Plan, Refusal> {
    limits::check(constraints, costs)?;
    let current = statistics.filter(|s| s.task_version == query.task.version);
    let mut all: Vec<&Arc<Model>> = models.iter().collect();
    if let Some(named) = query.named {
        let reason = |_: &Model| Reason::NotNamed;
        let by = (named, Basis::Named);
        let mut plan = unmeasured(query, constraints, strategy, by, &all, costs, reason)?;
        if query.scores_needed {
            let measured = current.and_then(|s| s.model(named.id));
            plan.decision.calibrate(measured.map(|m| &m.calibration));
        }
        return Ok(plan);
    }
    let measured = current.and_then(|s| Measured::new(query, constraints, &all, s, costs));
    if let Some(measured) = measured {
        return measured.decide(strategy, replays_max);
    }
    if let Some(least) = constraints.min_accuracy {
        return Err(unreachable::not_measured(query, least, current));
    }
    all.sort_by_key(|model| model.id);
    let (model, reason) = declared(query.task, &all)?;
    let covers_all = |m: &Model| query.task.classes.iter().all(|c| m.covers.contains(c));
    let why_not = |m: &Model| {
        if covers_all(m) {
            Reason::NotFirst
        } else {
            Reason::NotFullCoverage
        }
    };
    unmeasured(
        query,
        constraints,
        strategy,
        (model, Basis::Guess(reason)),
        &all,
        costs,
        why_not,
    )
}

impl Measured<'_> {
    fn decide(self, strategy: Strategy, replays_max: u32) -> Result<Plan, Refusal> {
        let problem = Problem {
            sample: &self.sample,
            keys: &self.keys,
            candidates: u16::try_from(self.candidates.len()).unwrap_or(u16::MAX),
            metric: self.query.metric,
            costs: &self.costs,
            has_other: self.query.blocks.has_other(),
        };
        let picked = pick::pick(&self, &problem, strategy, replays_max);
        let mut cert = Rows::cert(&self);
        let (choice, guarantee) = match self.constraints.min_accuracy {
            None => (self.affordable(picked.choices)?, None),
            Some(least) => self.certified(&mut cert, picked.choices, least)?,
        };
        let guarantee = guarantee.or_else(|| cert.interval(&choice));
        let accuracy = cert.expected(&choice);
        let mut plan = self.plan(&problem, strategy, choice, picked.gap, picked.replays);
        (plan.accuracy, plan.guarantee) = (Estimate::Inexact(accuracy), guarantee);
        Ok(plan)
    }

    /// The first choice within the limits.
    fn affordable(&self, choices: Vec<Choice>) -> Result<Choice, Refusal> {
        let limit = self.seconds_max();
        let cheapest = choices
            .iter()
            .map(|c| c.seconds)
            .fold(f64::INFINITY, f64::min);
        let first = choices.into_iter().find(|choice| choice.seconds <= limit);
        first.ok_or_else(|| self.too_dear(cheapest))
    }

    fn too_dear(&self, seconds: f64) -> Refusal {
        let plan = format_args!("the cheapest plan");
        limits::too_dear(self.query, self.constraints, self.cost_model, plan, seconds)
    }

    /// The last choice before the first one not certified to keep `least`; refused if it exceeds
    /// the limits. Choices come in order of falling cost, and the order does not depend on the
    /// certification rows.
    fn certified(
        &self,
        cert: &mut Rows<'_, '_>,
        choices: Vec<Choice>,
        least: f64,
    ) -> Result<(Choice, Option<Guarantee>), Refusal> {
        let mut found = None;
        let mut first_counts = None;
        for choice in choices {
            let counts = cert.counts(&choice);
            first_counts.get_or_insert((counts, choice.clone()));
            if !counts.certifies(self.query.metric, least, FAILURE_PROBABILITY) {
                break;
            }
            found = Some((choice, counts));
        }
        let Some((choice, counts)) = found else {
            return Err(unreachable::not_certified(self, least, first_counts));
        };
        let guarantee = Guarantee {
            observed: counts.observed(self.query.metric).unwrap_or(least),
            at_least: least,
            failure: FAILURE_PROBABILITY,
            rows: counts.rows,
            is_asked_for: true,
        };
        if choice.seconds > self.seconds_max() {
            return Err(self.too_dear(choice.seconds));
        }
        Ok((choice, Some(guarantee)))
    }
}

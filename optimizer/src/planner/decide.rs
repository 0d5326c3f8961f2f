//! Deciding: from a query, its constraints and what was measured to a plan.

use std::collections::HashMap;
use std::sync::Arc;

use predictsql_catalog::{Model, ModelStatistics, TaskStatistics, Vote};

use super::answered::{MORE_ROWS_MAX, Rows};
use super::blocks::OTHER;
use super::branch::Gap;
use super::cascades::FEW_MODELS;
use super::certificate::{FAILURE_PROBABILITY, lower_bound, upper_bound};
use super::cost::Costs;
use super::decision::{Decision, Stage, Voter};
use super::declared::{class_outcomes, declared, outcomes};
use super::frontier::Goal;
use super::limits;
use super::pick::{self, Choice, Second, hardly_beaten};
use super::plan::{Basis, Guarantee, Plan, Reason, Rejected, StageEstimate};
use super::query::{Constraints, CostModel, Estimate, Query, Strategy};
use super::replay::{Key, PLAN_ROWS_MAX, Sample};
use super::rows::Chosen;
use super::search::Problem;
use super::thinning::Rates;
use super::unmeasured::unmeasured;
use super::unreachable;
use crate::Refusal;

/// Replays of the labelled rows that a search may take, by number of models: what keeps planning within
/// a millisecond for 50 models, and 10 milliseconds for 500.
pub fn replays_default(models: usize) -> u32 {
    u32::try_from(models.saturating_mul(4))
        .unwrap_or(u32::MAX)
        .clamp(220, 2_400)
}

/// Decides which of `models` (the task's, in any order) answer a prediction.
///
/// A named model answers alone. Without statistics of this version of the task, or where they have no row
/// of any class that is needed, the default rule guesses. Without constraint the plan is the cheapest whose metric is within
/// the task's slack of the best single model's (where none knows all that is needed, of the models' that are best a class, too); with `min_accuracy` the cheapest of those that are certified
/// to keep it; with a limit on seconds or cost alone the most accurate within it.
///
/// The same arguments give the same plan, whatever the order of `models`. `replays_max` bounds the work.
///
/// # Errors
/// No model can answer, or a constraint cannot be kept or promised: the message says what could be.
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

/// Seconds of work and of inference an input that a stage adds to those before it.
pub(super) fn stage_seconds(
    costs: &Costs,
    before: &[u16],
    stage: &[u16],
) -> (Estimate<f64>, Estimate<f64>) {
    if !costs.are_known(stage) {
        return (Estimate::Absent, Estimate::Absent);
    }
    let start = if before.is_empty() {
        0.0
    } else {
        costs.of(before).seconds
    };
    let all: Vec<u16> = before.iter().chain(stage).copied().collect();
    let inference = stage.iter().map(|m| costs.infer(usize::from(*m))).sum();
    (
        Estimate::Inexact(costs.of(&all).seconds - start),
        Estimate::Inexact(inference),
    )
}

/// A model that may be chosen.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) model: &'a Arc<Model>,
    pub(super) statistics: &'a ModelStatistics,
    /// What "none of my classes" claims.
    pub(super) none: Option<u16>,
}

/// A query, and what was measured of the models that may answer it.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    pub(super) query: &'a Query<'a>,
    pub(super) constraints: &'a Constraints,
    pub(super) statistics: &'a TaskStatistics,
    cost_model: &'a CostModel,
    /// By name and version, so that the order of creation decides nothing.
    pub(super) candidates: Vec<Candidate<'a>>,
    pub(super) costs: Costs,
    pub(super) sample: Sample,
    /// What certifying rows are thinned by, where a prior is declared.
    pub(super) rates: Option<Rates>,
    keys: Vec<Key>,
    rejected: Vec<Rejected>,
    /// Outcome of each class by name.
    classes: HashMap<&'a str, u16>,
}

impl<'a> Measured<'a> {
    /// `None` where nothing that was measured tells of the query.
    fn new(
        query: &'a Query<'a>,
        constraints: &'a Constraints,
        all: &[&'a Arc<Model>],
        statistics: &'a TaskStatistics,
        cost_model: &'a CostModel,
    ) -> Option<Self> {
        let mut sorted = all.to_vec();
        sorted.sort_by(|a, b| (&a.name, &a.version, a.id).cmp(&(&b.name, &b.version, b.id)));
        let classes = class_outcomes(query.task);
        let (mut candidates, mut rejected) = (Vec::new(), Vec::new());
        for model in sorted {
            match Candidate::new(query, &classes, model, statistics) {
                Ok(candidate) => candidates.push(candidate),
                Err(reason) => rejected.push(Rejected {
                    model: Arc::clone(model),
                    reason,
                }),
            }
        }
        candidates.truncate(usize::from(u16::MAX));
        if candidates.is_empty() {
            return None;
        }
        let votes: Vec<&[Vote]> = candidates
            .iter()
            .map(|c| c.statistics.plan.as_slice())
            .collect();
        let (truths, blocks) = (&statistics.plan, query.blocks);
        let chosen = match query.prior {
            None => Chosen::new(truths, blocks, PLAN_ROWS_MAX, &votes),
            Some(prior) => Chosen::by_prior(truths, blocks, prior, PLAN_ROWS_MAX),
        };
        let sample = Sample::new(truths, blocks, query.prior, &chosen);
        if !sample.tells(query.metric) {
            return None;
        }
        let mut keys = Vec::with_capacity(sample.rows() * candidates.len());
        for candidate in &candidates {
            sample.project(
                &candidate.statistics.plan,
                query.blocks,
                candidate.none,
                &mut keys,
            );
        }
        let costed: Vec<(Arc<Model>, Option<&ModelStatistics>)> = candidates
            .iter()
            .map(|c| (Arc::clone(c.model), Some(c.statistics)))
            .collect();
        Some(Self {
            rates: query.prior.map(|prior| Rates::new(prior, statistics)),
            costs: Costs::new(&costed, cost_model),
            query,
            constraints,
            statistics,
            cost_model,
            candidates,
            sample,
            keys,
            rejected,
            classes,
        })
    }

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

    /// The limit on seconds of work an input that the constraints set.
    pub(super) fn seconds_max(&self) -> f64 {
        limits::seconds_max(self.query, self.constraints, self.cost_model)
    }

    /// What to look for.
    pub(super) fn goal(&self) -> Goal {
        Goal {
            value_min: None,
            seconds_max: self.seconds_max(),
        }
    }

    /// The first choice, if it is within the limits.
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

    /// The last choice before the first that cannot be promised to keep `least`, of those within the
    /// limits. Choices come by falling cost in an order that no answer to the rows that certify has a part in.
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

    /// On how many rows plans are seen that are tested for a promise.
    pub(super) fn rows_seen(&self) -> usize {
        match self.has_more_rows() {
            true => self.statistics.plan.len().min(MORE_ROWS_MAX),
            false => self.sample.rows(),
        }
    }

    /// Whether there are many more rows than plans are searched on.
    pub(super) fn has_more_rows(&self) -> bool {
        self.statistics.plan.len() >= 2 * PLAN_ROWS_MAX
    }

    /// Choices that no other is both cheaper and better than, with the values that more rows show, where there are such: chance
    /// on few rows is as large as what a promise has to leave.
    pub(super) fn seen_again(&self, choices: Vec<Choice>) -> Vec<Choice> {
        if !self.has_more_rows() {
            return choices;
        }
        let mut more = Rows::more(self);
        let (singles, sets): (Vec<_>, Vec<_>) = choices.into_iter().partition(Choice::is_single);
        let kept = hardly_beaten(sets, self.candidates.len() <= FEW_MODELS)
            .into_iter()
            .chain(singles);
        kept.map(|choice| Choice {
            value: more.expected(&choice),
            ..choice
        })
        .collect()
    }

    /// Which of several choices serves a goal best on more rows than they were found on, where there are such: the
    /// best of many on few rows is often best by chance.
    pub(super) fn best_of(&self, choices: Vec<Choice>, goal: &Goal) -> Option<Choice> {
        if choices.len() < 2 || !self.has_more_rows() {
            return choices.into_iter().next();
        }
        let mut more = Rows::more(self);
        let mut seen = choices.into_iter().map(|choice| {
            let value = more.expected(&choice);
            (choice, value)
        });
        let first = seen.next()?;
        let best = seen.fold(first, |best, next| {
            let of = |(choice, value): &(Choice, f64)| (choice.seconds, *value);
            if goal.prefers(of(&next), of(&best)) {
                next
            } else {
                best
            }
        });
        Some(best.0)
    }

    /// Names of the needed classes that a choice answers wrong most often, where plans are searched.
    pub(super) fn weakest(&self, choice: &Choice) -> Vec<String> {
        const SHOWN: usize = 3;
        let answers = Rows::plan(self).answers(choice);
        let mut recalls = self.sample.recalls(&answers);
        let recall = |right: u64, all: u64| right as f64 / all.max(1) as f64;
        recalls.sort_by(|a, b| recall(a.1, a.2).total_cmp(&recall(b.1, b.2)));
        let name = |(block, right, all): &(u32, u64, u64)| {
            let mut classes = self.query.blocks.needed();
            let class = classes.find(|c| self.query.blocks.is_in(*c, *block))?;
            let name = self.query.task.classes.get(class)?;
            Some(format!("'{name}' (recall {:.2})", recall(*right, *all)))
        };
        recalls
            .iter()
            .filter(|(_, right, all)| right < all)
            .take(SHOWN)
            .filter_map(name)
            .collect()
    }

    /// Positions of the needed classes that a candidate knows.
    pub(super) fn known(&self, candidate: u16) -> impl Iterator<Item = usize> {
        let candidate = self.candidates.get(usize::from(candidate));
        let covers = candidate
            .map(|c| c.model.covers.as_slice())
            .unwrap_or_default();
        let class = |name: &String| self.classes.get(name.as_str()).map(|o| usize::from(*o) - 1);
        covers
            .iter()
            .filter_map(class)
            .filter(|class| self.query.blocks.needs(*class))
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

    fn plan(
        &self,
        problem: &Problem<'_>,
        strategy: Strategy,
        choice: Choice,
        gap: Option<Gap>,
        replays: u32,
    ) -> Plan {
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
        let mut rejected = self.rejected.clone();
        rejected.extend(self.why_not(problem, &choice));
        let (plan, cert) = (&self.statistics.plan, &self.statistics.cert);
        let truths = plan.iter().chain(cert.iter());
        let mut seen = vec![false; self.query.blocks.outcomes()];
        truths.for_each(|t| {
            seen.get_mut(usize::from(*t))
                .into_iter()
                .for_each(|s| *s = true)
        });
        let is_seen = |class: &usize| seen.get(class + 1).copied().unwrap_or(false);
        let knows = |class: &usize| {
            let outcome = |o: &u16| usize::from(*o) == class + 1;
            let mut voters = stages.iter().flat_map(|s: &Stage| &s.voters);
            voters.any(|v| v.outcomes.iter().any(outcome))
        };
        Plan {
            uncovered: self
                .query
                .blocks
                .needed()
                .filter(|class| !knows(class))
                .collect(),
            unmeasured: self
                .query
                .blocks
                .needed()
                .filter(|class| !is_seen(class))
                .collect(),
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
            },
        }
    }

    fn stages(&self, choice: &Choice) -> Vec<StageEstimate> {
        let (seconds, inference_seconds) = stage_seconds(&self.costs, &[], &choice.first);
        let mut stages = vec![StageEstimate {
            share: 1.0,
            share_between: (1.0, 1.0),
            seconds,
            inference_seconds,
        }];
        if let Some(Second { set, .. }) = &choice.second {
            let (seconds, inference_seconds) = stage_seconds(&self.costs, &choice.first, set);
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

    /// For each candidate that is not chosen, what it would add.
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

impl<'a> Candidate<'a> {
    fn new(
        query: &Query<'_>,
        classes: &HashMap<&str, u16>,
        model: &'a Arc<Model>,
        statistics: &'a TaskStatistics,
    ) -> Result<Self, Reason> {
        let measured = statistics.model(model.id).filter(|m| {
            m.plan.len() == statistics.plan.len() && m.cert.len() == statistics.cert.len()
        });
        let measured = measured.ok_or(Reason::NotEvaluated)?;
        // The first needed class ends the look at most models.
        let needs = |class: &&String| {
            let outcome = classes.get(class.as_str()).map(|o| usize::from(*o));
            outcome.is_some_and(|o| query.blocks.needs(o - 1))
        };
        if !model.covers.iter().any(|class| needs(&class)) {
            return Err(Reason::CoversNothing);
        }
        // Only a model with a label for it can say "none of my classes".
        let knows_all = model.options.other.is_some()
            && query.blocks.has_other()
            && model.covers.iter().filter(needs).count() == query.blocks.needed().count();
        Ok(Self {
            model,
            statistics: measured,
            none: knows_all.then_some(OTHER),
        })
    }
}

//! A query with the measurements of its candidate models.

use std::collections::HashMap;
use std::sync::Arc;

use predictsql_catalog::{Model, ModelStatistics, TaskStatistics, Vote};

use super::blocks::OTHER;
use super::cost::Costs;
use super::declared::class_outcomes;
use super::frontier::Goal;
use super::limits;
use super::plan::{Reason, Rejected};
use super::query::{Constraints, CostModel, Query};
use super::replay::{Key, MORE_ROWS_MAX, PLAN_ROWS_MAX, Sample};
use super::rows::Chosen;
use super::thinning::{Rates, counts};

/// A candidate model.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) model: &'a Arc<Model>,
    pub(super) statistics: &'a ModelStatistics,
    /// The block that "none of my classes" votes for, if any.
    pub(super) none: Option<u16>,
}

/// A query, and the measurements of its candidate models.
#[derive(Debug)]
pub(super) struct Measured<'a> {
    pub(super) query: &'a Query<'a>,
    pub(super) constraints: &'a Constraints,
    pub(super) statistics: &'a TaskStatistics,
    pub(super) cost_model: &'a CostModel,
    /// Sorted by name and version, so that the order of creation does not matter.
    pub(super) candidates: Vec<Candidate<'a>>,
    pub(super) costs: Costs,
    pub(super) sample: Sample,
    /// Thinning rates for the certification rows, if a prior is declared.
    pub(super) rates: Option<Rates>,
    pub(super) keys: Vec<Key>,
    pub(super) rejected: Vec<Rejected>,
    /// Outcome of each class, by name.
    pub(super) classes: HashMap<&'a str, u16>,
}

impl<'a> Measured<'a> {
    /// `None` if there are no measurements for the query.
    pub(super) fn new(
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

    /// Maximum seconds of work per input under the constraints.
    pub(super) fn seconds_max(&self) -> f64 {
        limits::seconds_max(self.query, self.constraints, self.cost_model)
    }

    /// The goal of a search for the best plan within the limits.
    pub(super) fn goal(&self) -> Goal {
        Goal {
            value_min: None,
            seconds_max: self.seconds_max(),
        }
    }

    /// Number of rows on which plans are evaluated before they are tested for a promise.
    pub(super) fn rows_seen(&self) -> usize {
        match self.has_more_rows() {
            true => self.statistics.plan.len().min(MORE_ROWS_MAX),
            false => self.sample.rows(),
        }
    }

    /// Whether there are at least twice as many rows as plans are searched on.
    pub(super) fn has_more_rows(&self) -> bool {
        self.statistics.plan.len() >= 2 * PLAN_ROWS_MAX
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

    /// Expected number of certification rows, and how many of them are relevant for F1, estimated
    /// from the rows that plans are searched on.
    pub(super) fn rows_to_certify(&self) -> (f64, f64) {
        let (cert, plan) = (self.statistics.cert.len() as f64, &self.statistics.plan);
        let (searched, blocks) = (plan.len().max(1) as f64, self.query.blocks);
        let Some(rates) = &self.rates else {
            return (cert, cert * blocks.truths_needed(plan) as f64 / searched);
        };
        let sum = |counts: &dyn Fn(u16) -> bool| -> f64 {
            let stay = plan.iter().filter(|t| counts(**t)).map(|t| rates.of(*t));
            cert * stay.sum::<f64>() / searched
        };
        let found = |truth: u16| (blocks.truth(truth) == OTHER) == blocks.other_passes();
        (sum(&|_| true), sum(&found))
    }

    /// Description of the labelled rows, and their weighting.
    pub(super) fn population(&self) -> String {
        let rows = &self.statistics.population;
        match self.query.prior {
            None => rows.clone(),
            Some(_) => format!("{rows}, classes weighted by the declared prior"),
        }
    }

    /// Positions of classes with a share in the prior and no row in one of the parts.
    pub(super) fn unshown(&self) -> Vec<usize> {
        let Some(prior) = self.query.prior else {
            return Vec::new();
        };
        let parts = [&self.statistics.plan, &self.statistics.cert].map(|part| counts(part));
        let is_shown = |class: &usize| {
            let has = |part: &Vec<u32>| part.get(class + 1).is_some_and(|count| *count > 0);
            parts.iter().all(has)
        };
        (0..self.query.task.classes.len())
            .filter(|class| prior.share(*class) > 0.0 && !is_shown(class))
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
        // For most models the scan ends at the first needed class.
        let needs = |class: &&String| {
            let outcome = classes.get(class.as_str()).map(|o| usize::from(*o));
            outcome.is_some_and(|o| query.blocks.needs(o - 1))
        };
        if !model.covers.iter().any(|class| needs(&class)) {
            return Err(Reason::CoversNothing);
        }
        // Only a model with a label for it can answer "none of my classes".
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

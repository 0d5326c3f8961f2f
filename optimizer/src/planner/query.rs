//! Input of the planner: a prediction of a statement, its constraints, and the strategy.

use std::sync::Arc;

use predictsql_catalog::{Device, Model, Task};
use strum::{EnumString, IntoStaticStr};

use super::blocks::Blocks;

/// A quantity and its certainty. An unknown quantity is absent, never 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Estimate<T> {
    /// Known.
    Exact(T),
    /// Estimated.
    Inexact(T),
    /// Not known.
    Absent,
}

impl<T> Estimate<T> {
    /// The quantity, exact or not.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Exact(value) | Self::Inexact(value) => Some(value),
            Self::Absent => None,
        }
    }

    /// Applies a function to the quantity and keeps its certainty.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Estimate<U> {
        match self {
            Self::Exact(value) => Estimate::Exact(f(value)),
            Self::Inexact(value) => Estimate::Inexact(f(value)),
            Self::Absent => Estimate::Absent,
        }
    }
}

/// The metric for a plan's answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Metric {
    /// Share of inputs answered with the right block: for statements that return predictions.
    Accuracy,
    /// Harmonic mean of precision and recall over the needed blocks: for statements that filter.
    #[strum(serialize = "F1")]
    F1,
}

impl Metric {
    /// Display name.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Frequency of each outcome among a query's inputs, quantized: plans use the quantized values, so
/// that equal values give equal decisions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Prior(Arc<[u16]>);

impl Prior {
    /// From one weight per outcome (0: none of the task's classes, then one per class). `None` if
    /// no weight is positive and finite, or their sum overflows.
    pub fn new(weights: &[f64]) -> Option<Self> {
        const STEPS: f64 = 32_768.0;
        let weight = |w: &f64| if w.is_finite() && *w > 0.0 { *w } else { 0.0 };
        let total: f64 = weights.iter().map(weight).sum();
        let steps = |w: &f64| match weight(w) / total * STEPS {
            none if none <= 0.0 => 0,
            share => (share.round() as u16).max(1),
        };
        (total > 0.0 && total.is_finite()).then(|| Self(weights.iter().map(steps).collect()))
    }

    /// The quantized weight of an outcome.
    pub(crate) fn of(&self, outcome: u16) -> f64 {
        f64::from(self.0.get(usize::from(outcome)).copied().unwrap_or(0))
    }

    /// The share of a class (by position in the task's classes), 0..=1.
    pub fn share(&self, class: usize) -> f64 {
        u16::try_from(class + 1).map_or(0.0, |outcome| self.share_of(outcome))
    }

    /// The share of an outcome, 0..=1.
    pub(crate) fn share_of(&self, outcome: u16) -> f64 {
        let total: f64 = self.0.iter().map(|weight| f64::from(*weight)).sum();
        self.of(outcome) / total.max(1.0)
    }
}

/// A prediction of a statement.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// The predicted task.
    pub task: &'a Task,
    /// The model that the statement names, if any: it answers alone.
    pub named: Option<&'a Arc<Model>>,
    /// The outcomes that the statement distinguishes.
    pub blocks: &'a Blocks,
    /// The metric for the answers.
    pub metric: Metric,
    /// Frequency of each outcome among its inputs; `None`: as in the labelled rows.
    pub prior: Option<&'a Prior>,
    /// Number of inputs. Used only under a limit on seconds or cost, rounded up to a power of two.
    pub rows: Estimate<u64>,
    /// Whether class scores are requested besides the answer: then a single model answers.
    pub scores_needed: bool,
}

/// Constraints on a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Constraints {
    /// Minimum of the metric to certify, 0..=1.
    pub min_accuracy: Option<f64>,
    /// Maximum elapsed seconds.
    pub max_seconds: Option<f64>,
    /// Maximum cost in money.
    pub max_cost: Option<f64>,
    /// How far a plan without constraints may be below the best single model, in points.
    pub slack_points: f64,
}

impl Constraints {
    /// No constraints except the task's slack.
    pub fn none(task: &Task) -> Self {
        Self {
            min_accuracy: None,
            max_seconds: None,
            max_cost: None,
            slack_points: task.accuracy_slack_points,
        }
    }

    /// The task's defaults, which apply to statements without constraints of their own.
    pub fn of(task: &Task) -> Self {
        Self {
            min_accuracy: task.constraints.min_accuracy,
            max_seconds: task.constraints.max_seconds,
            max_cost: task.constraints.max_cost,
            ..Self::none(task)
        }
    }
}

/// Costs that do not depend on the model. They are configured or published, not observed while
/// planning: a busy machine must not change an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct CostModel {
    /// The device whose cost curves apply; for a model without one there, its first curve applies.
    pub device: Device,
    /// Number of threads that decode and infer.
    pub threads: u32,
    /// Seconds to fetch and decode an image on one thread.
    pub decode_seconds: f64,
    /// Seconds to preprocess one value of an input tensor on one thread.
    pub preprocess_seconds_per_value: f64,
    /// Price of a device second, in the unit of `max_cost`; `None` if unknown.
    pub price_per_device_second: Option<f64>,
}

/// Seconds to read and decode a small image on one thread.
const DECODE_SECONDS: f64 = 50e-6;

/// Resizing and scaling an image to 224 x 224 in three channels takes a third of a millisecond.
const PREPROCESS_SECONDS_PER_VALUE: f64 = 2e-9;

impl Default for CostModel {
    fn default() -> Self {
        Self {
            device: Device::Cpu,
            threads: 1,
            decode_seconds: DECODE_SECONDS,
            preprocess_seconds_per_value: PREPROCESS_SECONDS_PER_VALUE,
            price_per_device_second: None,
        }
    }
}

/// Strategy for choosing models: `@ml_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Strategy {
    /// The cheapest plan that keeps the constraint, or the most accurate within it, by search.
    #[default]
    Optimal,
    /// By gain over cost, one model at a time.
    Greedy,
    /// For each needed class, its best model.
    BestPerClass,
    /// The most accurate plan, regardless of cost.
    MostAccurate,
    /// The cheapest models that together know all needed classes, regardless of accuracy.
    Cheapest,
    /// One model: the most accurate, or the cheapest that keeps `min_accuracy`.
    BestSingle,
    /// Models in random order until they know all needed classes; deterministic for a seed.
    Random(u64),
    /// Every model that knows a needed class.
    All,
}

impl Strategy {
    /// Parses the name of a strategy, case-insensitive; `random` may be followed by a seed:
    /// `random 7`.
    pub fn parse(name: &str) -> Option<Self> {
        let lower = name.trim().to_ascii_lowercase();
        match lower.strip_prefix("random").map(str::trim) {
            Some("") => Some(Self::Random(0)),
            Some(seed) => seed.parse().ok().map(Self::Random),
            None => lower.parse().ok(),
        }
    }

    /// The name used in settings.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Cache key of a decision: equal keys give equal decisions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DecisionKey {
    task: String,
    task_version: u32,
    /// Catalog epoch: it changes with models and with published statistics.
    epoch: u64,
    named: Option<u64>,
    blocks: Blocks,
    metric: Metric,
    prior: Option<Prior>,
    /// Base-two logarithm of the rows, if a limit makes them relevant.
    rows: Option<u32>,
    scores_needed: bool,
    strategy: Strategy,
    /// Bit patterns of the numbers in the constraints and the cost model.
    numbers: [Option<u64>; 8],
    device: Device,
}

impl DecisionKey {
    /// The key of a decision at this catalog epoch.
    pub fn new(
        query: &Query<'_>,
        constraints: &Constraints,
        strategy: Strategy,
        costs: &CostModel,
        epoch: u64,
    ) -> Self {
        let bits = |number: f64| Some(number.to_bits());
        Self {
            task: query.task.name.clone(),
            task_version: query.task.version,
            epoch,
            named: query.named.map(|model| model.id),
            blocks: query.blocks.clone(),
            metric: query.metric,
            prior: query.prior.cloned(),
            rows: rows_that_count(query, constraints).map(u64::ilog2),
            scores_needed: query.scores_needed,
            strategy,
            numbers: [
                constraints.min_accuracy.and_then(bits),
                constraints.max_seconds.and_then(bits),
                constraints.max_cost.and_then(bits),
                bits(constraints.slack_points),
                bits(f64::from(costs.threads)),
                bits(costs.decode_seconds),
                bits(costs.preprocess_seconds_per_value),
                costs.price_per_device_second.and_then(bits),
            ],
            device: costs.device.clone(),
        }
    }
}

/// The number of rows as used in a decision: rounded up to a power of two, and only under a limit
/// on seconds or cost.
pub(crate) fn rows_that_count(query: &Query<'_>, constraints: &Constraints) -> Option<u64> {
    let is_limited = constraints.max_seconds.is_some() || constraints.max_cost.is_some();
    let rows = query.rows.value().filter(|_| is_limited)?;
    rows.max(1).checked_next_power_of_two()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::task;

    #[test]
    fn strategies_have_names() {
        for name in [
            "optimal",
            "greedy",
            "best_per_class",
            "most_accurate",
            "cheapest",
            "best_single",
            "random",
            "all",
        ] {
            let strategy = Strategy::parse(&name.to_uppercase()).expect("a strategy");
            assert_eq!(strategy.name(), name);
        }
        assert_eq!(Strategy::parse(" Random 7 "), Some(Strategy::Random(7)));
        assert_eq!(
            (Strategy::parse("fast"), Strategy::parse("random x")),
            (None, None)
        );
    }

    #[test]
    fn keys_see_rows_only_under_a_limit_and_coarsely() {
        let task = task("t", &["a", "b"]);
        let blocks = Blocks::every_class(2, false);
        let key = |rows, max_seconds| {
            let query = Query {
                task: &task,
                named: None,
                blocks: &blocks,
                metric: Metric::Accuracy,
                prior: None,
                rows: Estimate::Inexact(rows),
                scores_needed: false,
            };
            let constraints = Constraints {
                max_seconds,
                ..Constraints::none(&task)
            };
            DecisionKey::new(
                &query,
                &constraints,
                Strategy::Optimal,
                &CostModel::default(),
                3,
            )
        };
        assert_eq!(key(5, None), key(5_000, None));
        assert_eq!(key(5, Some(1.0)), key(8, Some(1.0)));
        assert_ne!(key(8, Some(1.0)), key(9, Some(1.0)));
    }

    #[test]
    fn priors_have_steps() {
        let prior = Prior::new(&[0.0, 1.0, 3.0]).expect("weights");
        assert_eq!(
            [0, 1, 2, 9].map(|o| prior.of(o)),
            [0.0, 8_192.0, 24_576.0, 0.0]
        );
        assert_eq!(Prior::new(&[0.0, 1.00001, 3.0]), Some(prior));
        assert_eq!(
            Prior::new(&[1e9, 1.0]).map(|p| p.of(1)),
            Some(1.0),
            "rare, not absent"
        );
        assert_eq!(
            (Prior::new(&[0.0, f64::NAN]), Prior::new(&[])),
            (None, None)
        );
    }
}

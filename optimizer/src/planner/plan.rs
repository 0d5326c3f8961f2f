//! A plan: the decision, its estimates, and the reasons for rejected models.

use std::fmt;
use std::sync::Arc;

use predictsql_catalog::{Device, Model};

use super::branch::Gap;
use super::decision::Decision;
use super::declared::Declared;
use super::limits::Unplanned;
use super::query::{CostModel, Estimate, Metric, Prior, Strategy};

/// The models of a prediction, with their estimates.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The parts that can change an answer.
    pub decision: Decision,
    /// What the choice is based on.
    pub basis: Basis,
    /// The strategy that chose the models.
    pub strategy: Strategy,
    /// The metric for the answers.
    pub metric: Metric,
    /// Expected metric on the query's inputs: measured on rows that are never searched, if there
    /// are any.
    pub accuracy: Estimate<f64>,
    /// The metric on the rows that plans are searched on, used to compare plans; biased upwards.
    pub searched: Estimate<f64>,
    /// Lower bound of the metric, from rows that are never searched.
    pub guarantee: Option<Guarantee>,
    /// Description of these labelled rows, as published, and whether a prior weights them; empty
    /// if there are none.
    pub population: String,
    /// The prior that weights their classes, if it is not their own shares.
    pub prior: Option<Prior>,
    /// Positions of classes with a share in the prior, but too few rows.
    pub unshown: Vec<usize>,
    /// One per stage of the decision.
    pub stages: Vec<StageEstimate>,
    /// Optimality gap; `None` without a search.
    pub gap: Option<Gap>,
    /// Why the plan ignores limits on seconds or money, if it does.
    pub unplanned: Option<Unplanned>,
    /// Number of replays of labelled rows in the search.
    pub replays: u32,
    /// Positions of needed classes that no model of the plan knows.
    pub uncovered: Vec<usize>,
    /// Positions of needed classes without labelled rows.
    pub unmeasured: Vec<usize>,
    /// Models of the task that are not in the plan, and why.
    pub rejected: Vec<Rejected>,
}

/// What a plan is based on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Basis {
    /// The statement names the model.
    Named,
    /// Nothing was measured: the default rule guessed.
    Guess(Declared),
    /// Measured votes.
    Measured,
}

/// A lower bound of the metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guarantee {
    /// The metric observed on the rows, equally weighted.
    pub observed: f64,
    /// The metric is at least this, on inputs distributed like the labelled rows,
    pub at_least: f64,
    /// except with this probability.
    pub failure: f64,
    /// Number of labelled rows it is based on, none of which was searched.
    pub rows: u64,
    /// Whether it is the requested `min_accuracy`.
    pub is_asked_for: bool,
}

/// Estimates for a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageEstimate {
    /// Share of the inputs that reach it.
    pub share: f64,
    /// 95 % interval of the share.
    pub share_between: (f64, f64),
    /// Seconds of work per input that reaches it: decoding (in the first stage), preprocessing,
    /// inference.
    pub seconds: Estimate<f64>,
    /// The inference part of these seconds.
    pub inference_seconds: Estimate<f64>,
}

/// A model that is not in the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// The model.
    pub model: Arc<Model>,
    /// The reason.
    pub reason: Reason,
}

/// Why a model is not in a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// The statement names another model.
    NotNamed,
    /// It was not evaluated on the same rows as the others.
    NotEvaluated,
    /// It knows no needed class.
    CoversNothing,
    /// The default rule requires models that know all classes.
    NotFullCoverage,
    /// The default rule chose another model: with a better declared accuracy, or created later.
    NotFirst,
    /// It alone exceeds the limit; seconds of work per input.
    TooDear(f64),
    /// Its contribution to the plan: change of the metric (as a fraction of 1; negative if it
    /// harms), and seconds of work per input.
    Adds(f64, f64),
}

/// A quantity with lower and upper bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Expected value.
    pub expected: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self {
            low: f(self.low),
            expected: f(self.expected),
            high: f(self.high),
        }
    }
}

/// Cost of a plan for a number of inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Elapsed seconds, without loading of models.
    pub seconds: Interval,
    /// Device seconds.
    pub device_seconds: Interval,
    /// Money, if the device has a price.
    pub cost: Option<Interval>,
}

/// Factor by which an estimated number of rows may be wrong in either direction.
const ROWS_FACTOR: f64 = 2.0;

impl Plan {
    /// Whether the models were chosen without measurements.
    pub fn is_guess(&self) -> bool {
        matches!(self.basis, Basis::Guess(_))
    }

    /// Seconds of work per input over all stages; absent if the cost of one is unknown.
    pub fn seconds_per_input(&self) -> Estimate<f64> {
        let seconds = |stage: &StageEstimate| Some(stage.share * stage.seconds.value()?);
        let seconds = self.stages.iter().map(seconds).sum::<Option<f64>>();
        seconds.map_or(Estimate::Absent, Estimate::Inexact)
    }

    /// The cost of the plan for `rows` inputs; `None` if the number of inputs or a model's cost is
    /// unknown.
    pub fn price(&self, rows: Estimate<u64>, costs: &CostModel) -> Option<Price> {
        let count = rows.value()? as f64;
        let factor = if matches!(rows, Estimate::Exact(_)) {
            1.0
        } else {
            ROWS_FACTOR
        };
        let (mut work, mut inference) = (Interval::default(), Interval::default());
        for stage in &self.stages {
            let (low, high) = stage.share_between;
            let inputs = Interval {
                low: low * count / factor,
                expected: stage.share * count,
                high: high * count * factor,
            };
            work.add(inputs, stage.seconds.value()?);
            inference.add(inputs, stage.inference_seconds.value()?);
        }
        let threads = f64::from(costs.threads.max(1));
        let (seconds, device_seconds) = match costs.device {
            Device::Cpu => (work.map(|w| w / threads), work),
            Device::Accelerator(_) => {
                let elapsed =
                    |work: f64, inference: f64| ((work - inference) / threads).max(inference);
                let seconds = Interval {
                    low: elapsed(work.low, inference.low),
                    expected: elapsed(work.expected, inference.expected),
                    high: elapsed(work.high, inference.high),
                };
                (seconds, inference)
            }
        };
        Some(Price {
            seconds,
            device_seconds,
            cost: costs
                .price_per_device_second
                .map(|price| device_seconds.map(|s| s * price)),
        })
    }
}

impl Default for Interval {
    fn default() -> Self {
        Self {
            low: 0.0,
            expected: 0.0,
            high: 0.0,
        }
    }
}

impl Interval {
    fn add(&mut self, inputs: Interval, seconds: f64) {
        self.low += inputs.low * seconds;
        self.expected += inputs.expected * seconds;
        self.high += inputs.high * seconds;
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNamed => write!(f, "the statement names another"),
            Self::NotEvaluated => write!(f, "not evaluated on the rows that the others were"),
            Self::CoversNothing => write!(f, "knows no class that is needed"),
            Self::NotFullCoverage => write!(f, "does not know every class"),
            Self::NotFirst => write!(f, "another declares a better accuracy or was created later"),
            Self::TooDear(seconds) => {
                write!(f, "alone takes {}, over the limit", Seconds(*seconds))
            }
            Self::Adds(value, seconds) => {
                write!(
                    f,
                    "{:+.2} points for {} an image",
                    value * 100.0,
                    Seconds(*seconds)
                )
            }
        }
    }
}

/// Seconds per input, for display.
struct Seconds(f64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s < 1e-3 => write!(f, "{:.1} us", s * 1e6),
            s if s < 1.0 => write!(f, "{:.2} ms", s * 1e3),
            s => write!(f, "{s:.2} s"),
        }
    }
}

/// One line per stage and fact, each at most 80 wide unless names are long.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages = self.decision.stages.iter().zip(&self.stages);
        for (number, (stage, estimate)) in stages.enumerate() {
            let names: Vec<&str> = stage.voters.iter().map(|v| v.model.name.as_str()).collect();
            write!(f, "stage {}: {}", number + 1, names.join(", "))?;
            write!(f, "; {:.1} % of rows", estimate.share * 100.0)?;
            if stage.replaces {
                write!(f, ", alone")?;
            }
            match estimate.seconds.value() {
                Some(seconds) => write!(f, ", {} each", Seconds(seconds))?,
                None => write!(f, ", cost unknown")?,
            }
            match stage.pass_below {
                Some(below) => writeln!(f, "; on below {:.3}", score(below))?,
                None => writeln!(f)?,
            }
        }
        if self.decision.floor > 0 {
            writeln!(f, "other below {:.3}", score(self.decision.floor))?;
        }
        match self.accuracy {
            Estimate::Absent => writeln!(f, "{}: unknown", self.metric.name())?,
            Estimate::Exact(value) | Estimate::Inexact(value) => {
                writeln!(f, "{}: {value:.4} expected", self.metric.name())?;
            }
        }
        if let Some(guarantee) = self.guarantee {
            let (at_least, sure) = (guarantee.at_least, 100.0 * (1.0 - guarantee.failure));
            writeln!(
                f,
                "seen {:.4}, at least {at_least:.4} ({sure:.0} %, {} rows)",
                guarantee.observed, guarantee.rows
            )?;
        }
        if let Some(gap) = self.gap {
            let (points, cost) = (gap.value * 100.0, gap.cost * 100.0);
            writeln!(f, "gap: {points:.2} points, {cost:.1} % of cost")?;
        }
        for rejected in &self.rejected {
            writeln!(f, "rejected: {} ({})", rejected.model.name, rejected.reason)?;
        }
        Ok(())
    }
}

fn score(score: u16) -> f64 {
    f64::from(score) / f64::from(u16::MAX)
}

//! A plan: the decision, what is expected of it, and why not otherwise.

use std::fmt;
use std::sync::Arc;

use predictsql_catalog::{Device, Model};

use super::branch::Gap;
use super::decision::Decision;
use super::declared::Declared;
use super::limits::Unplanned;
use super::query::{CostModel, Estimate, Metric, Prior, Strategy};

/// Which models answer a prediction, with what is expected of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// All that can change an answer.
    pub decision: Decision,
    /// What it was decided by.
    pub basis: Basis,
    /// How models were chosen.
    pub strategy: Strategy,
    /// What answers are judged by.
    pub metric: Metric,
    /// The metric to expect on the query's inputs: that on rows that are never searched,
    /// where these tell it.
    pub accuracy: Estimate<f64>,
    /// The metric on the rows that plans are searched on, which plans are compared by;
    /// it is too good to expect.
    pub searched: Estimate<f64>,
    /// What the metric is at least, from rows that are never searched.
    pub guarantee: Option<Guarantee>,
    /// Which labelled rows these are, as published, and whether a prior weights them;
    /// empty where there are none.
    pub population: String,
    /// By which their classes are weighted, where it is not by their own shares.
    pub prior: Option<Prior>,
    /// Positions of classes that have a share in the prior, but no rows that would count for it.
    pub unshown: Vec<usize>,
    /// One a stage of the decision.
    pub stages: Vec<StageEstimate>,
    /// How far from the best plan it may be; `None` where nothing was searched for.
    pub gap: Option<Gap>,
    /// Why limits on seconds or money that are set had no part in it.
    pub unplanned: Option<Unplanned>,
    /// Replays of labelled rows that the search took.
    pub replays: u32,
    /// Positions of needed classes that no model of the plan knows.
    pub uncovered: Vec<usize>,
    /// Positions of needed classes of which there are no labelled rows.
    pub unmeasured: Vec<usize>,
    /// Models of the task that are not in the plan, and why.
    pub rejected: Vec<Rejected>,
}

/// What a plan was decided by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Basis {
    /// The statement names the model.
    Named,
    /// Nothing was measured, so that the default rule guesses.
    Guess(Declared),
    /// Measured votes.
    Measured,
}

/// What can be promised.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Guarantee {
    /// The metric as seen on the rows, each counting alike.
    pub observed: f64,
    /// The metric is at least this, on inputs like the labelled rows,
    pub at_least: f64,
    /// but for this probability.
    pub failure: f64,
    /// Labelled rows that were never searched, by which it is told.
    pub rows: u64,
    /// Whether it is the `min_accuracy` that was asked for.
    pub is_asked_for: bool,
}

/// What is expected of a stage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageEstimate {
    /// Share of the inputs that it looks at.
    pub share: f64,
    /// Between these with a probability of 95 %.
    pub share_between: (f64, f64),
    /// Seconds of work for an input that it looks at: decoding (in the first stage),
    /// preparing, inference.
    pub seconds: Estimate<f64>,
    /// Of those, seconds of inference.
    pub inference_seconds: Estimate<f64>,
}

/// A model that is not in the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// The model.
    pub model: Arc<Model>,
    /// Why not.
    pub reason: Reason,
}

/// Why a model is not in a plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// The statement names another.
    NotNamed,
    /// It was not evaluated on the rows that the others were.
    NotEvaluated,
    /// It knows no class that is needed.
    CoversNothing,
    /// The default rule takes models that know all classes only.
    NotFullCoverage,
    /// The default rule takes another: one that declares a better accuracy, or was created later.
    NotFirst,
    /// It alone takes more than the limit allows, in seconds of work an input.
    TooDear(f64),
    /// What its vote adds to the plan: to the metric (as a share of 1; negative where it harms),
    /// and to the seconds of work an input.
    Adds(f64, f64),
}

/// A quantity and between which two it lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// At least.
    pub low: f64,
    /// Expected.
    pub expected: f64,
    /// At most.
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

/// What a plan costs for a number of inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// From start to end, loading of models not included.
    pub seconds: Interval,
    /// Of the device.
    pub device_seconds: Interval,
    /// Money, where the device has a price.
    pub cost: Option<Interval>,
}

/// By which factor a number of rows that is only estimated may be wrong either way.
const ROWS_FACTOR: f64 = 2.0;

impl Plan {
    /// Whether the models were chosen without measurements.
    pub fn is_guess(&self) -> bool {
        matches!(self.basis, Basis::Guess(_))
    }

    /// Seconds of work for an input, over all stages, as far as their costs are known.
    pub fn seconds_per_input(&self) -> Estimate<f64> {
        let seconds = |stage: &StageEstimate| Some(stage.share * stage.seconds.value()?);
        let seconds = self.stages.iter().map(seconds).sum::<Option<f64>>();
        seconds.map_or(Estimate::Absent, Estimate::Inexact)
    }

    /// What the plan costs for `rows` inputs, if its models' costs are known.
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

/// Seconds an input, readable.
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

/// One line a stage and a fact, each at most 80 wide unless names are long.
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

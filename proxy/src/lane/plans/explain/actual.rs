//! Output that ANALYZE adds to a plan: counts and times measured during the execution, next to the
//! estimates.

use std::sync::atomic::Ordering::Relaxed;

use predictsql_catalog::Device;
use predictsql_executor::StageSeconds;
use predictsql_optimizer::explain::{WIDTH, amount, duration, model_name};
use predictsql_optimizer::plan::Prediction;
use predictsql_optimizer::planner::{CostModel, Estimate};
use serde_json::{Map, Value, json};

use crate::lane::plans::ready::Ready;
use crate::live::Statement;
use crate::predict::Predictor;

/// Width of a column of figures, in characters.
const FIGURE_WIDTH: usize = 14;
/// Width of the name column, in characters.
const NAME_WIDTH: usize = WIDTH as usize - 2 * FIGURE_WIDTH;

/// The execution of a statement.
#[derive(Debug, Clone, Copy)]
pub struct Ran<'r> {
    /// The statement's record with its counters and times.
    pub running: &'r Statement,
    /// Number of rows in its answer, if it returns rows.
    pub rows: Option<u64>,
    /// Number of rows that it changed, if it changes rows.
    pub affected: Option<u64>,
}

/// An executed statement and its estimates.
pub struct Actual<'r> {
    /// The execution.
    pub ran: Ran<'r>,
    /// The plan and its predictors.
    pub ready: &'r Ready<'r, 'r>,
    /// The cost model used for the plans.
    pub costs: &'r CostModel,
    /// Its expected seconds, as before it ran.
    pub seconds: Option<f64>,
}

impl Actual<'_> {
    /// Appends a table of figures.
    pub fn add_lines(&self, lines: &mut Vec<String>) {
        row(lines, "Executed", "expected", "actual");
        let running = self.ran.running;
        let mut count = |name: &str, expected: Estimate<u64>, actual: u64| {
            row(lines, name, &known(expected), &actual.to_string());
        };
        let rows_read = running.rows_read.load(Relaxed);
        count("  rows read of the store", self.rows_expected(), rows_read);
        if let Some(rows) = self.ran.rows {
            count("  rows of the answer", Estimate::Absent, rows);
        }
        if let Some(affected) = self.ran.affected {
            count("  rows changed", Estimate::Absent, affected);
        }
        for (number, prediction) in self.predictions().enumerate() {
            self.prediction_lines(lines, number, prediction);
        }
        self.total_lines(lines);
    }

    /// The plan's predictions with their predictors.
    fn predictions(&self) -> impl Iterator<Item = (&Prediction, &Predictor)> {
        let predictions = self.ready.plan.predictions.iter();
        predictions.zip(&self.ready.predictors)
    }

    /// Estimated number of rows read from the store.
    fn rows_expected(&self) -> Estimate<u64> {
        let rows = self.ready.plan.scan().and_then(|scan| scan.rows);
        rows.map_or(Estimate::Absent, |rows| {
            Estimate::Inexact(rows.ceil() as u64)
        })
    }

    fn prediction_lines(
        &self,
        lines: &mut Vec<String>,
        number: usize,
        (prediction, predictor): (&Prediction, &Predictor),
    ) {
        let (tally, plan) = (predictor.tally(), &prediction.decided.plan);
        let (task, expected) = (&prediction.task.name, prediction.inputs);
        let name = format!("Predict {} task {task}", number + 1);
        row(lines, &name, "", "");
        let mut count = |name: &str, expected: Estimate<u64>, actual: u64| {
            row(lines, name, &known(expected), &actual.to_string());
        };
        count("  inputs", expected, tally.inputs());
        count("  inputs like another", Estimate::Absent, tally.repeated());
        count("  unreadable inputs", Estimate::Absent, tally.unreadable());
        let stages = plan.decision.stages.iter().zip(&plan.stages);
        let mut voters = tally.voters().iter();
        for (stage, ((decided, estimate), inputs)) in stages.zip(tally.stages()).enumerate() {
            let expected = share(expected, estimate.share);
            let name = format!("  stage {} inputs", stage + 1);
            count(&name, expected, inputs);
            for (voter, counted) in decided.voters.iter().zip(&mut voters) {
                let name = model_name(voter);
                let kept = format!("    {name} outputs kept before");
                count(&kept, Estimate::Absent, counted.kept());
                let inferred = format!("    {name} images inferred");
                count(&inferred, expected, counted.inferred());
            }
        }
        let seconds = tally.seconds();
        let price = plan.price(expected, self.costs);
        let expected = price.map(|price| duration(price.device_seconds.expected));
        let device_seconds = duration(self.device_seconds(seconds));
        let expected = expected.unwrap_or_default();
        row(lines, "  device-seconds", &expected, &device_seconds);
    }

    fn total_lines(&self, lines: &mut Vec<String>) {
        let running = self.ran.running;
        row(lines, "In all", "", "");
        let mut figure = |name: &str, actual: String| row(lines, name, "", &actual);
        let loaded = |count: &std::sync::atomic::AtomicU64| count.load(Relaxed).to_string();
        figure("  images inferred", loaded(&running.counters.images));
        figure("  cache hits", loaded(&running.counters.cache_hits));
        if let Some(rate) = self.hit_rate() {
            figure("  hit rate", format!("{:.1} %", rate * 100.0));
        }
        for (phase, seconds) in running.seconds_by_phase() {
            let name = format!("  seconds {}", phase.name());
            figure(&name, duration(seconds));
        }
        let spent = running.counters.spent.seconds();
        for (name, seconds) in [
            ("  of which the store worked", running.store_seconds()),
            ("  threads fetching", spent.fetching),
            ("  threads decoding", spent.preparing),
            ("  threads inferring", spent.inferring),
        ] {
            figure(name, duration(seconds));
        }
        let device_seconds = self.device_seconds(spent);
        if let Some(price) = self.costs.price_per_device_second {
            figure("  cost", amount(device_seconds * price));
        }
        let seconds = running.age().as_secs_f64();
        row(
            lines,
            "  seconds",
            &self.seconds.map(duration).unwrap_or_default(),
            &duration(seconds),
        );
    }

    /// Adds the same figures to a plan in JSON.
    pub fn add_to(&self, plan: &mut Value) {
        let places = plan.get_mut("predictions").and_then(Value::as_array_mut);
        for (place, prediction) in places.into_iter().flatten().zip(self.predictions()) {
            if let Some(place) = place.as_object_mut() {
                place.insert("actual".to_owned(), self.prediction(prediction));
            }
        }
        if let Some(plan) = plan.as_object_mut() {
            plan.insert("actual".to_owned(), self.whole());
        }
    }

    fn prediction(&self, (prediction, predictor): (&Prediction, &Predictor)) -> Value {
        let (tally, decision) = (predictor.tally(), &prediction.decided.plan.decision);
        let mut voters = tally.voters().iter();
        let stages = decision.stages.iter().zip(tally.stages());
        let stages: Vec<Value> = stages
            .map(|(stage, inputs)| {
                let models = stage
                    .voters
                    .iter()
                    .zip(&mut voters)
                    .map(|(voter, counted)| {
                        json!({
                            "name": voter.model.name,
                            "version": voter.model.version,
                            "outputs_kept": counted.kept(),
                            "images_inferred": counted.inferred(),
                            "seconds": seconds(counted.seconds()),
                        })
                    });
                json!({"inputs": inputs, "models": models.collect::<Vec<_>>()})
            })
            .collect();
        json!({
            "inputs": tally.inputs(),
            "inputs_like_another": tally.repeated(),
            "inputs_unreadable": tally.unreadable(),
            "stages": stages,
            "seconds": seconds(tally.seconds()),
            "device_seconds": self.device_seconds(tally.seconds()),
        })
    }

    fn whole(&self) -> Value {
        let running = self.ran.running;
        let phases = running.seconds_by_phase().into_iter();
        let phases: Map<String, Value> = phases
            .map(|(phase, seconds)| (phase.name().replace(' ', "_"), json!(seconds)))
            .collect();
        let spent = running.counters.spent.seconds();
        let device_seconds = self.device_seconds(spent);
        json!({
            "rows_read": running.rows_read.load(Relaxed),
            "rows": self.ran.rows,
            "rows_changed": self.ran.affected,
            "images_inferred": running.counters.images.load(Relaxed),
            "inputs_unreadable": running.images_unreadable.load(Relaxed),
            "cache_hits": running.counters.cache_hits.load(Relaxed),
            "hit_rate": self.hit_rate(),
            "seconds": running.age().as_secs_f64(),
            "seconds_by_phase": phases,
            "store_seconds": running.store_seconds(),
            "executor_seconds": seconds(spent),
            "device_seconds": device_seconds,
            "cost": self.costs.price_per_device_second.map(|price| device_seconds * price),
        })
    }

    /// Seconds of the device that plans are priced by; for a CPU they include preparation.
    fn device_seconds(&self, spent: StageSeconds) -> f64 {
        match self.costs.device {
            Device::Cpu => spent.preparing + spent.inferring,
            Device::Accelerator(_) => spent.inferring,
        }
    }

    /// Share of the inputs answered without running a model; `None` without inputs.
    fn hit_rate(&self) -> Option<f64> {
        let inputs = self.predictions().map(|(_, p)| p.tally().inputs());
        let inputs: u64 = inputs.sum();
        let hits = self.ran.running.counters.cache_hits.load(Relaxed);
        (inputs > 0).then(|| hits as f64 / inputs as f64)
    }
}

fn seconds(spent: StageSeconds) -> Value {
    json!({"fetching": spent.fetching, "decoding": spent.preparing, "inferring": spent.inferring})
}

fn share(inputs: Estimate<u64>, share: f64) -> Estimate<u64> {
    match inputs.value() {
        Some(inputs) => Estimate::Inexact((inputs as f64 * share).round() as u64),
        None => Estimate::Absent,
    }
}

/// An estimate as text; empty if there is none.
fn known(expected: Estimate<u64>) -> String {
    expected.value().map(|n| n.to_string()).unwrap_or_default()
}

/// Appends a row of the table; a name that is too long is wrapped onto lines of its own.
fn row(lines: &mut Vec<String>, name: &str, expected: &str, actual: &str) {
    let mut name: Vec<char> = name.chars().collect();
    while name.len() >= NAME_WIDTH {
        let rest = name.split_off(NAME_WIDTH.min(name.len()));
        lines.push(name.into_iter().collect());
        name = rest;
    }
    let name: String = name.into_iter().collect();
    let line = format!("{name:<NAME_WIDTH$}{expected:>FIGURE_WIDTH$}{actual:>FIGURE_WIDTH$}");
    lines.push(line.trim_end().to_owned());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_the_table_fit_a_terminal() {
        let mut lines = Vec::new();
        for name in ["  inputs".to_owned(), "é".repeat(130)] {
            row(&mut lines, &name, "18446744073709", "12.3 ms");
        }
        row(&mut lines, "In all", "", "");
        assert!(
            lines.iter().all(|l| l.chars().count() <= WIDTH as usize),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 5);
        assert_eq!(lines.last().map(String::as_str), Some("In all"));
        assert!(lines.iter().filter(|l| l.ends_with("12.3 ms")).count() == 2);
    }
}

//! Observed seconds by model, and by source of images.

use moka::sync::Cache;
use predictsql_executor::StageSeconds;

use super::counts::{Counts, PredictionCounts};
use super::workload::Workload;

/// Maximum number of models and of sources that are remembered.
const REMEMBERED_MAX: u64 = 10_000;
/// Inputs after which older ones count less.
const INPUTS_MEMORY: f64 = 20_000.0;
/// Inputs that the published figure counts as.
const PUBLISHED_INPUTS: f64 = 32.0;
/// Seconds to load a model of which nothing is known.
const LOAD_SECONDS: f64 = 0.03;

/// Paces of models and sources.
#[derive(Debug)]
pub(super) struct Paces {
    /// By output id: CPU seconds of inference.
    models: Cache<[u8; 16], Pace>,
    /// By output id: elapsed seconds of the last load.
    loads: Cache<[u8; 16], f64>,
    /// By task and output id of its first model: CPU seconds of decoding and preprocessing.
    preparing: Cache<(String, [u8; 16]), Pace>,
    /// By task: seconds of reading and identifying.
    fetching: Cache<String, Pace>,
}

/// Seconds spent on a number of inputs.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Pace {
    /// Inputs; older ones count less.
    inputs: f64,
    /// Seconds spent on them.
    seconds: f64,
}

impl Pace {
    /// Seconds per input.
    fn seconds_per_input(&self) -> Option<f64> {
        (self.inputs > 0.0).then(|| self.seconds / self.inputs)
    }

    fn with(self, inputs: f64, seconds: f64) -> Self {
        let kept = INPUTS_MEMORY / (INPUTS_MEMORY + inputs.max(0.0));
        let kept = if self.inputs > INPUTS_MEMORY {
            kept
        } else {
            1.0
        };
        Self {
            inputs: self.inputs * kept + inputs,
            seconds: self.seconds * kept + seconds,
        }
    }

    /// Seconds per input, where little was observed mixed with what was published.
    fn beside(self, published: Option<f64>) -> Option<f64> {
        let Some(published) = published else {
            return self.seconds_per_input();
        };
        let seconds = self.seconds + published * PUBLISHED_INPUTS;
        Some(seconds / (self.inputs + PUBLISHED_INPUTS))
    }
}

impl Default for Paces {
    fn default() -> Self {
        Self {
            models: Cache::new(REMEMBERED_MAX),
            loads: Cache::new(REMEMBERED_MAX),
            preparing: Cache::new(REMEMBERED_MAX),
            fetching: Cache::new(REMEMBERED_MAX),
        }
    }
}

impl Paces {
    /// Seconds of inference for one input of a model, if any were observed.
    pub(super) fn model_seconds(&self, output: [u8; 16]) -> Option<f64> {
        self.models.get(&output)?.seconds_per_input()
    }

    /// Seconds of a model's load.
    pub(super) fn load_seconds(&self, output: [u8; 16]) -> f64 {
        self.loads.get(&output).unwrap_or(LOAD_SECONDS)
    }

    /// The work on these inputs, in seconds summed over threads. `None`: a model's cost is
    /// unknown.
    pub(super) fn work(&self, workload: &Workload<'_>, counts: &Counts) -> Option<StageSeconds> {
        let mut work = StageSeconds::default();
        for (prediction, counts) in workload.predictions().zip(&counts.predictions) {
            let voters = prediction.voters().zip(&counts.inferred);
            for (voter, inputs) in voters.filter(|(_, inputs)| **inputs > 0.0) {
                let pace = self.models.get(&voter.output).unwrap_or_default();
                work.inferring += inputs * pace.beside(voter.published)?;
            }
            let preparing = prediction.source().and_then(|s| self.preparing.get(&s));
            let preparing = preparing.unwrap_or_default();
            let each = preparing.beside(Some(prediction.preparing_published))?;
            work.preparing += counts.prepared * each;
            let fetching = self.fetching.get(prediction.task).unwrap_or_default();
            work.fetching += counts.inputs * fetching.seconds_per_input().unwrap_or(0.0);
        }
        Some(work)
    }

    /// Takes account of a statement that ended.
    pub(super) fn note(&self, workload: &Workload<'_>) {
        for prediction in workload.predictions() {
            let counts: PredictionCounts = prediction.counted();
            let seconds = prediction.spent();
            for (voter, (inputs, seconds)) in prediction.voters().zip(prediction.inferring()) {
                if let Some(seconds) = voter.loaded_in {
                    self.loads.insert(voter.output, seconds);
                }
                if inputs > 0.0 {
                    let pace = self.models.get(&voter.output).unwrap_or_default();
                    self.models.insert(voter.output, pace.with(inputs, seconds));
                }
            }
            if let (Some(source), true) = (prediction.source(), counts.prepared > 0.0) {
                let pace = self.preparing.get(&source).unwrap_or_default();
                let pace = pace.with(counts.prepared, seconds.preparing);
                self.preparing.insert(source, pace);
            }
            if counts.inputs > 0.0 {
                let pace = self.fetching.get(prediction.task).unwrap_or_default();
                let pace = pace.with(counts.inputs, seconds.fetching);
                self.fetching.insert(prediction.task.to_owned(), pace);
            }
        }
    }
}

//! Warm-up of a model before its use: checks its outputs, and finds its best batch size.

use std::time::{Duration, Instant};

use super::contract::{Contract, Feed};
use super::runs::{Batch, Runs};
use super::samples::{self, Sample, noise};
use super::settings::tensor_bytes;
use super::{distribution, pixel_range};
use crate::{ModelError, ModelWarning};

/// Batch sizes to try. On CPU many image models are fastest with 1, small ones with 32; for column
/// models most of a run is overhead.
const BATCHES: [usize; 5] = [1, 8, 32, 256, 1024];
/// Timing of one batch size ends at the first of these two limits.
const TIMING_MAX: Duration = Duration::from_millis(50);
const TIMING_RUNS_MAX: u32 = 20;
/// Maximum duration of a measured run.
const MEASURED_MAX: Duration = Duration::from_secs(5);
/// Minimum speed-up per input for a larger batch to be worth its latency.
const GAIN_MIN: f64 = 1.05;
/// Tolerance between an input's output in a batch and its output alone, relative to its size.
const BATCH_TOLERANCE: f32 = 1e-3;
/// The same for outputs that are rounded to float16.
const BATCH_TOLERANCE_HALF: f32 = 4e-3;
/// Tolerance within which outputs for different images are the same.
const SAME_TOLERANCE: f32 = 1e-6;
/// Number of rows on which a model's own labels are compared with the options'.
const LABELLED_ROWS: usize = 32;
/// Minimum probability of a class for comparing it with the model's own label.
const SURE_MIN: f32 = 0.75;

/// Results of warm-up.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Warm {
    /// Fastest number of inputs per run.
    pub(crate) batch_inputs: usize,
    /// Maximum number of inputs per run that the model accepts.
    pub(crate) batch_inputs_max: usize,
    /// With one thread, at the fastest batch size.
    pub(crate) seconds_per_input: Option<f64>,
    /// What is suspicious of it.
    pub(crate) warnings: Vec<ModelWarning>,
}

/// Limits of warm-up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WarmUp {
    /// Maximum inputs per run.
    pub(crate) batch_inputs_max: usize,
    /// Number of different inputs that fit in one run.
    pub(crate) together_max: usize,
    /// A batch of several inputs is only chosen if it takes at most this time.
    pub(crate) run_max: Duration,
    /// Whether the file has operators that compute one scale for all inputs of a run.
    pub(crate) is_scaled_by_run: bool,
}

/// Runs the model on different inputs, alone and together, then times it with batches.
pub(crate) fn run(
    runs: &mut dyn Runs,
    contract: &Contract,
    limits: WarmUp,
) -> Result<Warm, ModelError> {
    let trial = Trial { contract };
    let alone = match trial.alone(runs) {
        Err(error) if error.is_of_run() && trial.may_refuse_samples() => {
            tracing::warn!("a model does not take empty text, so that it was not tried: {error}");
            let batch = contract.batch_fixed.unwrap_or(limits.batch_inputs_max);
            let batch = if limits.is_scaled_by_run { 1 } else { batch };
            return Ok(Warm {
                batch_inputs: batch,
                batch_inputs_max: batch,
                seconds_per_input: None,
                warnings: Vec::new(),
            });
        }
        alone => alone?,
    };
    trial.check_labels(runs)?;
    let mut warnings = trial.warnings(&alone);
    let wanted = contract.batch_fixed.unwrap_or(limits.batch_inputs_max);
    let together = match wanted {
        0 | 1 => Together::Alike,
        _ if limits.is_scaled_by_run => Together::Mixed,
        _ => trial.together(runs, limits.together_max.min(wanted), &alone),
    };
    if together == Together::Mixed {
        warnings.push(ModelWarning::RunsAlone {
            why: match limits.is_scaled_by_run {
                true => "it is quantised dynamically".to_string(),
                false => "its output for an image alone differs".to_string(),
            },
        });
    }
    let noise = Sample::at(&contract.feed, 0);
    let (batch_inputs_max, fastest) = match (contract.batch_fixed, together) {
        (Some(fixed), Together::Alike) => (fixed, trial.time(runs, fixed, &noise)?),
        (None, Together::Alike) => trial.fastest(runs, limits, &noise)?,
        (_, Together::Failed | Together::Mixed) => (1, trial.time(runs, 1, &noise)?),
    };
    Ok(Warm {
        batch_inputs: fastest.batch,
        batch_inputs_max,
        seconds_per_input: Some(fastest.seconds_per_input()),
        warnings,
    })
}

/// How a model processes several inputs in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Together {
    /// As it does each of them alone.
    Alike,
    /// It fails: some exports fix the batch size inside the graph.
    Failed,
    /// An input's output depends on the others.
    Mixed,
}

/// Times a model at the batch sizes that it accepts, by ascending size: (inputs, seconds of a
/// run).
pub(crate) fn measure(
    runs: &mut dyn Runs,
    contract: &Contract,
    batches: &[usize],
    (batch_inputs_max, tensor_bytes_max): (usize, u64),
) -> Result<Vec<(u32, f64)>, ModelError> {
    let trial = Trial { contract };
    let noise = Sample::at(&contract.feed, 0);
    let mut batches = match (contract.batch_fixed, batch_inputs_max) {
        (_, 1) => vec![1],
        (Some(fixed), _) => vec![fixed],
        _ if !runs.buckets().is_empty() => runs.buckets().to_vec(),
        _ => batches.to_vec(),
    };
    batches.sort_unstable();
    batches.dedup();
    let mut measured: Vec<(u32, f64)> = Vec::new();
    for batch in batches {
        let (Ok(inputs @ 1..), fits) = (
            u32::try_from(batch),
            match &contract.feed {
                Feed::Image(spec) => tensor_bytes(spec, batch) <= tensor_bytes_max,
                Feed::Columns(_) => true,
            },
        ) else {
            continue;
        };
        let expected = measured.last().map_or(0.0, |(inputs, seconds)| {
            seconds / f64::from(*inputs) * batch as f64
        });
        if !fits || expected > MEASURED_MAX.as_secs_f64() {
            break;
        }
        match trial.time(runs, batch, &noise) {
            Ok(timing) => measured.push((inputs, timing.seconds)),
            Err(error) if error.is_of_run() && trial.may_refuse_samples() => break,
            Err(ModelError::OutputTooLarge { .. } | ModelError::ServerRefused { .. })
                if !measured.is_empty() =>
            {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(measured)
}

#[derive(Debug, Clone, Copy)]
struct Timing {
    batch: usize,
    /// Seconds of one run.
    seconds: f64,
}

impl Timing {
    fn seconds_per_input(self) -> f64 {
        self.seconds / self.batch as f64
    }
}

/// The trial of a model with these declared properties.
struct Trial<'t> {
    contract: &'t Contract,
}

impl Trial<'_> {
    /// Whether failed runs are ignored: text that the model was not trained with may cause an
    /// error.
    fn may_refuse_samples(&self) -> bool {
        match &self.contract.feed {
            Feed::Image(_) => false,
            Feed::Columns(spec) => spec.has_text(),
        }
    }

    /// The outputs for each sample alone.
    fn alone(&self, runs: &mut dyn Runs) -> Result<Vec<Vec<f32>>, ModelError> {
        let feed = &self.contract.feed;
        let meaning = self.contract.reader.meaning();
        let mut alone = Vec::new();
        for index in 0..samples::count(feed) {
            let sample = Sample::at(feed, index);
            let numbers = self.output(runs, &[sample])?.into_iter().next();
            let numbers = numbers.unwrap_or_default();
            if is_finite(&numbers) {
                distribution::check(&numbers, meaning)?;
            }
            alone.push(numbers);
        }
        // A column model may have no answer for generated rows.
        match feed {
            Feed::Image(_) if !alone.iter().any(|row| is_finite(row)) => Err(ModelError::NotFinite),
            Feed::Image(_) | Feed::Columns(_) => Ok(alone),
        }
    }

    /// What is suspicious of these outputs, and of the input's normalisation.
    fn warnings(&self, alone: &[Vec<f32>]) -> Vec<ModelWarning> {
        let (feed, reader) = (&self.contract.feed, &self.contract.reader);
        let mut warnings = Vec::new();
        let finite = alone.iter().filter(|row| is_finite(row));
        let finite: Vec<Vec<f32>> = finite.cloned().collect();
        if let Feed::Image(spec) = feed {
            warnings.extend(pixel_range::check(spec));
            let named = alone.iter().enumerate().filter(|(_, row)| !is_finite(row));
            let named: Vec<&str> = named.map(|(index, _)| samples::name(feed, index)).collect();
            if !named.is_empty() {
                let images = named.join(", ");
                warnings.push(ModelWarning::NotFinite { images });
            }
            let mut pairs = finite.iter().zip(finite.iter().skip(1));
            if finite.len() > 1 && pairs.all(|(a, b)| are_close(a, b, SAME_TOLERANCE)) {
                warnings.push(ModelWarning::SameAnswer);
            }
        }
        warnings.extend(distribution::suspect(&finite, reader.meaning()));
        if let (Some(label), true) = (
            reader.second_of_two(),
            alone.iter().any(|row| row.len() == 1),
        ) {
            let label = label.to_string();
            warnings.push(ModelWarning::OneColumn { label });
        }
        warnings
    }

    /// The outputs for samples in one run.
    fn output(&self, runs: &mut dyn Runs, samples: &[Sample]) -> Result<Vec<Vec<f32>>, ModelError> {
        let (mut images, mut rows) = (Vec::new(), Vec::new());
        for sample in samples {
            match sample {
                Sample::Image(image) => images.extend_from_slice(image),
                Sample::Row(row) => rows.push(row.as_slice()),
            }
        }
        let batch = match rows.is_empty() {
            true => Batch::Images(&images),
            false => Batch::Rows(&rows),
        };
        let mut answers = Vec::new();
        runs.run(batch, &mut |numbers| answers = numbers.to_rows())?;
        Ok(answers)
    }

    /// The fastest of some runs: slower ones were disturbed by other load.
    fn time(
        &self,
        runs: &mut dyn Runs,
        batch: usize,
        sample: &Sample,
    ) -> Result<Timing, ModelError> {
        let is_prepared = !runs.buckets().is_empty();
        let best = sample.repeated(batch, |inputs| {
            let mut once = || {
                let start = Instant::now();
                let done = runs.run(inputs, &mut |_| ());
                done.map(|()| start.elapsed())
            };
            if is_prepared {
                // The first run of a batch size prepares kernels.
                once()?;
            }
            let begin = Instant::now();
            let mut best = once()?;
            for _ in 0..TIMING_RUNS_MAX {
                if begin.elapsed() > TIMING_MAX {
                    break;
                }
                best = best.min(once()?);
            }
            Ok(best)
        })?;
        Ok(Timing {
            batch,
            seconds: best.as_secs_f64(),
        })
    }

    /// The greatest number of inputs per run, and the fastest one.
    fn fastest(
        &self,
        runs: &mut dyn Runs,
        limits: WarmUp,
        sample: &Sample,
    ) -> Result<(usize, Timing), ModelError> {
        let most = limits.batch_inputs_max;
        let mut best = self.time(runs, 1, sample)?;
        let sizes = match runs.buckets() {
            [] => [&BATCHES[..], &[most]].concat(),
            buckets => buckets.to_vec(),
        };
        let mut tried = 1;
        for batch in sizes.into_iter().filter(|size| (2..=most).contains(size)) {
            if batch <= tried {
                continue;
            }
            if best.seconds_per_input() * batch as f64 > limits.run_max.as_secs_f64() {
                break;
            }
            let timing = match self.time(runs, batch, sample) {
                // It works with fewer inputs.
                Err(ModelError::OutputTooLarge { .. }) => break,
                // Servers limit the inputs, and the bytes, of a request.
                Err(ModelError::ServerRefused { .. }) => return Ok((tried, best)),
                timing => timing?,
            };
            if timing.seconds_per_input() * GAIN_MIN < best.seconds_per_input() {
                best = timing;
            }
            tried = batch;
        }
        Ok((most, best))
    }

    /// Compares the outputs of runs of up to `most` different inputs with those `alone`.
    fn together(&self, runs: &mut dyn Runs, most: usize, alone: &[Vec<f32>]) -> Together {
        let feed = &self.contract.feed;
        let indices: Vec<usize> = (0..alone.len()).collect();
        let mut found = Together::Alike;
        for indices in indices.chunks(most.max(2)) {
            let samples = indices.iter().map(|index| Sample::at(feed, *index));
            let Ok(outputs) = self.output(runs, &samples.collect::<Vec<_>>()) else {
                return Together::Failed;
            };
            let tolerance = match self.contract.reader.is_half() {
                true => BATCH_TOLERANCE_HALF,
                false => BATCH_TOLERANCE,
            };
            let mut pairs = indices.iter().filter_map(|i| alone.get(*i)).zip(&outputs);
            if !pairs.all(|(alone, beside)| are_close(alone, beside, tolerance)) {
                found = Together::Mixed;
            }
        }
        found
    }

    /// Compares the model's own labels for generated rows, if it outputs them, with the configured
    /// labels: scikit-learn sorts its classes, regardless of the task's order.
    fn check_labels(&self, runs: &mut dyn Runs) -> Result<(), ModelError> {
        let contract = self.contract;
        let Feed::Columns(spec) = &contract.feed else {
            return Ok(());
        };
        if !contract.reader.has_said() {
            return Ok(());
        }
        let mut noise = noise();
        let rows: Vec<_> = (0..LABELLED_ROWS)
            .map(|index| {
                let scale = [0.1, 1.0, 10.0, 100.0][index % 4];
                spec.row(|| (f64::from(noise()) * 1.5 - 0.5) * scale)
            })
            .collect();
        for row in &rows {
            let batch = Batch::Rows(&[row]);
            runs.check_label(batch, SURE_MIN)?;
        }
        Ok(())
    }
}

fn is_finite(row: &[f32]) -> bool {
    row.iter().all(|number| number.is_finite())
}

/// Whether two outputs differ by no more than a part of the greatest number.
fn are_close(a: &[f32], b: &[f32], tolerance: f32) -> bool {
    let sizes = a.iter().chain(b).filter(|number| number.is_finite());
    let most = sizes.map(|number| number.abs()).fold(0.0, f32::max);
    let close = |(a, b): (&f32, &f32)| {
        (a - b).abs() <= tolerance * (1.0 + most) || a == b || (a.is_nan() && b.is_nan())
    };
    a.len() == b.len() && a.iter().zip(b).all(close)
}

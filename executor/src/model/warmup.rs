//! Warm-up of a model before its use: checks its outputs, and finds its best batch size.

use std::time::{Duration, Instant};

use predictsql_catalog::Output;

use super::compiled::Compiled;
use super::contract::{Contract, Feed};
use super::sessions::{Batch, Lease, SessionPool};
use super::settings::{CompileSettings, tensor_bytes};
use crate::interrupt::Interrupt;
use crate::{ColumnValue, ModelError};

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
/// Tolerance of the sum of a row of probabilities, which should be 1.
const SUM_TOLERANCE: f32 = 1e-3;
/// Tolerance between an input's output in a batch and its output alone, relative to its size.
const BATCH_TOLERANCE: f32 = 1e-2;
/// Number of rows on which a model's own labels are compared with the options'.
const LABELLED_ROWS: usize = 32;
/// Minimum probability of a class for comparing it with the model's own label.
const SURE_MIN: f32 = 0.75;

/// Results of warm-up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Warm {
    /// Fastest number of inputs per run.
    pub(crate) batch_inputs: usize,
    /// Maximum number of inputs per run that the model accepts.
    pub(crate) batch_inputs_max: usize,
    /// With one thread, at the fastest batch size.
    pub(crate) seconds_per_input: Option<f64>,
}

/// Runs the model on two inputs, alone and together, then times it with batches of up to
/// `batch_inputs_max`. A batch of several inputs is only chosen if it takes at most `run_max`.
pub(crate) fn run(
    sessions: &SessionPool,
    batch_inputs_max: usize,
    run_max: Duration,
    interrupt: &Interrupt,
) -> Result<Warm, ModelError> {
    let mut lease = sessions.lease(interrupt)?;
    let contract = sessions.contract();
    let trial = Trial {
        contract,
        interrupt,
    };
    let (plain, noise) = (Sample::plain(&contract.feed), Sample::noise(&contract.feed));
    let alone = match trial.alone(&mut lease, &plain, &noise) {
        Err(ModelError::Runtime { reason }) if trial.may_refuse_samples() => {
            tracing::warn!("a model does not take empty text, so that it was not tried: {reason}");
            let batch = contract.batch_fixed.unwrap_or(batch_inputs_max);
            return Ok(Warm {
                batch_inputs: batch,
                batch_inputs_max: batch,
                seconds_per_input: None,
            });
        }
        alone => alone?,
    };
    trial.check_labels(&mut lease)?;
    let batch_inputs_max = match contract.batch_fixed {
        Some(fixed) => fixed,
        None if batch_inputs_max > 1
            && trial.takes_batches(&mut lease, [&plain, &noise], &alone) =>
        {
            batch_inputs_max
        }
        None => 1,
    };
    let fastest = match contract.batch_fixed {
        Some(fixed) => trial.time(&mut lease, fixed, &noise)?,
        None => trial.fastest(&mut lease, batch_inputs_max, run_max, &noise)?,
    };
    Ok(Warm {
        batch_inputs: fastest.batch,
        batch_inputs_max,
        seconds_per_input: Some(fastest.seconds_per_input()),
    })
}

/// Times a model at the batch sizes that it accepts, by ascending size: (inputs, seconds of a
/// run).
pub(crate) fn measure(
    compiled: &Compiled,
    batches: &[usize],
    settings: &CompileSettings,
    interrupt: &Interrupt,
) -> Result<Vec<(u32, f64)>, ModelError> {
    let sessions = &compiled.sessions;
    let mut lease = sessions.lease_beside(interrupt)?;
    let contract = sessions.contract();
    let trial = Trial {
        contract,
        interrupt,
    };
    let noise = Sample::noise(&contract.feed);
    let mut batches = match (contract.batch_fixed, sessions.batch_inputs_max()) {
        (Some(fixed), _) => vec![fixed],
        (None, 1) => vec![1],
        _ => batches.to_vec(),
    };
    batches.sort_unstable();
    batches.dedup();
    let mut measured: Vec<(u32, f64)> = Vec::new();
    for batch in batches {
        let (Ok(inputs @ 1..), fits) = (
            u32::try_from(batch),
            match &contract.feed {
                Feed::Image(spec) => tensor_bytes(spec, batch) <= settings.tensor_bytes_max,
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
        match trial.time(&mut lease, batch, &noise) {
            Ok(timing) => measured.push((inputs, timing.seconds)),
            Err(ModelError::Runtime { .. }) if trial.may_refuse_samples() => break,
            Err(ModelError::OutputTooLarge { .. }) if !measured.is_empty() => break,
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

/// A generated input.
enum Sample {
    Image(Vec<f32>),
    Row(Vec<ColumnValue>),
}

impl Sample {
    /// A plain grey image, or a row of zeros.
    fn plain(feed: &Feed) -> Self {
        match feed {
            Feed::Image(spec) => Self::Image(vec![0.5; spec.image_len()]),
            Feed::Columns(spec) => Self::Row(spec.row(|| 0.0)),
        }
    }

    fn noise(feed: &Feed) -> Self {
        let mut noise = noise();
        match feed {
            Feed::Image(spec) => Self::Image((0..spec.image_len()).map(|_| noise()).collect()),
            Feed::Columns(spec) => Self::Row(spec.row(|| f64::from(noise()) * 10.0)),
        }
    }
}

/// Common parameters of the runs of a trial.
struct Trial<'t> {
    contract: &'t Contract,
    interrupt: &'t Interrupt,
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

    fn alone(
        &self,
        lease: &mut Lease<'_>,
        plain: &Sample,
        noise: &Sample,
    ) -> Result<[Vec<f32>; 2], ModelError> {
        let alone = [self.output(lease, &[plain])?, self.output(lease, &[noise])?];
        let meaning = self.contract.reader.meaning();
        for numbers in &alone {
            match (check_finite(numbers), &self.contract.feed) {
                (Ok(()), _) => check_probabilities(numbers, meaning)?,
                // A column model may have no answer for a generated row.
                (Err(_), Feed::Columns(_)) => {}
                (Err(error), Feed::Image(_)) => return Err(error),
            }
        }
        warn_of_probabilities(&alone, meaning);
        Ok(alone)
    }

    fn output(&self, lease: &mut Lease<'_>, samples: &[&Sample]) -> Result<Vec<f32>, ModelError> {
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
        lease.run(batch, self.interrupt, |numbers| numbers.to_vec())
    }

    /// The fastest of some runs: slower ones were disturbed by other load.
    fn time(
        &self,
        lease: &mut Lease<'_>,
        batch: usize,
        sample: &Sample,
    ) -> Result<Timing, ModelError> {
        let (images, rows) = match sample {
            Sample::Image(image) => (image.repeat(batch), Vec::new()),
            Sample::Row(row) => (Vec::new(), vec![row.as_slice(); batch]),
        };
        let inputs = match rows.is_empty() {
            true => Batch::Images(&images),
            false => Batch::Rows(&rows),
        };
        let mut once = || {
            let start = Instant::now();
            let done = lease.run(inputs, self.interrupt, |_| ());
            done.map(|()| start.elapsed())
        };
        let begin = Instant::now();
        let mut best = once()?;
        for _ in 0..TIMING_RUNS_MAX {
            if begin.elapsed() > TIMING_MAX {
                break;
            }
            best = best.min(once()?);
        }
        Ok(Timing {
            batch,
            seconds: best.as_secs_f64(),
        })
    }

    fn fastest(
        &self,
        lease: &mut Lease<'_>,
        batch_inputs_max: usize,
        run_max: Duration,
        sample: &Sample,
    ) -> Result<Timing, ModelError> {
        let mut best = self.time(lease, 1, sample)?;
        for batch in BATCHES
            .into_iter()
            .filter(|batch| (2..=batch_inputs_max).contains(batch))
        {
            if best.seconds_per_input() * batch as f64 > run_max.as_secs_f64() {
                break;
            }
            let timing = match self.time(lease, batch, sample) {
                // It works with fewer inputs.
                Err(ModelError::OutputTooLarge { .. }) => break,
                timing => timing?,
            };
            if timing.seconds_per_input() * GAIN_MIN < best.seconds_per_input() {
                best = timing;
            }
        }
        Ok(best)
    }

    /// Whether the model, which declares a dynamic batch, processes the inputs of a batch
    /// independently. Some exports fix the batch size inside the graph, and fail; others mix the
    /// inputs, and must not be batched.
    fn takes_batches(
        &self,
        lease: &mut Lease<'_>,
        samples: [&Sample; 2],
        alone: &[Vec<f32>; 2],
    ) -> bool {
        let Ok(together) = self.output(lease, &samples) else {
            return false;
        };
        let close = |(a, b): (&f32, &f32)| {
            (a - b).abs() <= BATCH_TOLERANCE * (1.0 + a.abs())
                || a == b
                || (a.is_nan() && b.is_nan())
        };
        alone.iter().flatten().zip(&together).all(close)
    }

    /// Compares the model's own labels for generated rows, if it outputs them, with the configured
    /// labels: scikit-learn sorts its classes, regardless of the task's order.
    fn check_labels(&self, lease: &mut Lease<'_>) -> Result<(), ModelError> {
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
            lease.run_raw(batch, self.interrupt, |outputs, size, _| {
                contract.reader.check_label(outputs, size, SURE_MIN)
            })?;
        }
        Ok(())
    }
}

fn check_finite(row: &[f32]) -> Result<(), ModelError> {
    if !row.iter().all(|number| number.is_finite()) {
        return Err(ModelError::NotFinite);
    }
    Ok(())
}

fn check_probabilities(row: &[f32], meaning: Output) -> Result<(), ModelError> {
    match meaning {
        Output::Softmax if !is_distribution(row) => {
            let sum: f32 = row.iter().sum();
            Err(ModelError::NotProbabilities {
                sum: format!("{sum:.4}"),
            })
        }
        Output::Softmax | Output::Logits | Output::Value => Ok(()),
    }
}

fn is_distribution(row: &[f32]) -> bool {
    let sum: f32 = row.iter().sum();
    (sum - 1.0).abs() <= SUM_TOLERANCE
        && row
            .iter()
            .all(|p| (-SUM_TOLERANCE..=1.0 + SUM_TOLERANCE).contains(p))
}

/// Warns if logits look like probabilities: softmax of probabilities keeps the best label but
/// flattens the scores.
fn warn_of_probabilities(rows: &[Vec<f32>], meaning: Output) {
    let is_suspect = match meaning {
        Output::Logits => rows.iter().all(|row| row.len() > 1 && is_distribution(row)),
        Output::Softmax | Output::Value => false,
    };
    if is_suspect {
        tracing::warn!(
            "a model created with output='logits' gives rows that sum to 1: is it output='softmax'?"
        );
    }
}

/// Pseudo-random numbers in 0..1 that are the same every time (a linear congruential generator,
/// constants of Numerical Recipes).
fn noise() -> impl FnMut() -> f32 {
    let mut state = 1u32;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16) / f32::from(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_told_from_logits() {
        assert!(check_probabilities(&[0.25, 0.75], Output::Softmax).is_ok());
        assert_eq!(
            check_probabilities(&[0.5, 0.75], Output::Softmax),
            Err(ModelError::NotProbabilities {
                sum: "1.2500".into()
            })
        );
        assert!(check_probabilities(&[-1.0, 2.0], Output::Softmax).is_err());
        assert!(check_probabilities(&[0.5, 0.75], Output::Logits).is_ok());
        assert_eq!(check_finite(&[f32::NAN, 1.0]), Err(ModelError::NotFinite));
    }

    #[test]
    fn noise_is_in_range_and_not_constant() {
        let mut noise = noise();
        let numbers: Vec<f32> = (0..1000).map(|_| noise()).collect();
        assert!(numbers.iter().all(|n| (0.0..=1.0).contains(n)));
        let mean = numbers.iter().sum::<f32>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }
}

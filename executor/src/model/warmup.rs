//! Runs a model before anyone waits for it: checks what it gives, and finds its best batch size.

use std::time::{Duration, Instant};

use predictsql_catalog::Output;

use super::CompileSettings;
use super::sessions::{Lease, SessionPool};
use crate::ModelError;
use crate::picture::InputSpec;

/// Batch sizes that are tried. On CPU many models are fastest with 1, small ones with 32.
const BATCHES: [usize; 3] = [1, 8, 32];
/// No batch may take longer than this, if a smaller one does not: a query is cancelled between
/// batches only.
const BATCH_MAX: Duration = Duration::from_millis(250);
/// Timing of one batch size ends with the first of these two.
const TIMING_MAX: Duration = Duration::from_millis(50);
const TIMING_RUNS_MAX: u32 = 20;
/// A larger batch must be this much faster per image to be worth its latency.
const GAIN_MIN: f64 = 1.05;
/// How far a row of probabilities may be from summing to 1.
const SUM_TOLERANCE: f32 = 1e-3;
/// How far an image's output in a batch may be from its output alone, relative to its size.
const BATCH_TOLERANCE: f32 = 1e-2;

/// What warm-up found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Warm {
    /// Fastest number of images per run.
    pub(crate) batch_images: usize,
    /// Largest number of images per run that the model takes.
    pub(crate) batch_images_max: usize,
    /// Of one thread, at the fastest batch size.
    pub(crate) seconds_per_image: f64,
}

/// Runs the model on a plain grey image and on noise, alone and together, then times it.
pub(crate) fn run(
    sessions: &SessionPool,
    spec: &InputSpec,
    settings: &CompileSettings,
) -> Result<Warm, ModelError> {
    let mut lease = sessions.lease()?;
    let grey = vec![0.5; spec.image_len()];
    let noise = noise(spec.image_len());
    let alone = [
        output(&mut lease, spec, 1, &grey)?,
        output(&mut lease, spec, 1, &noise)?,
    ];
    for numbers in &alone {
        check_numbers(numbers, sessions.contract().meaning)?;
    }
    warn_of_probabilities(&alone, sessions.contract().meaning);
    let batch_images_max = match sessions.contract().batch_fixed {
        Some(fixed) => fixed,
        None if settings.batch_images_max > 1
            && takes_batches(&mut lease, spec, &grey, &noise, &alone) =>
        {
            settings.batch_images_max
        }
        None => 1,
    };
    let fastest = match sessions.contract().batch_fixed {
        Some(fixed) => time(&mut lease, spec, fixed, &noise)?,
        None => fastest(&mut lease, spec, batch_images_max, &noise)?,
    };
    Ok(Warm {
        batch_images: fastest.batch,
        batch_images_max,
        seconds_per_image: fastest.seconds_per_image,
    })
}

#[derive(Debug, Clone, Copy)]
struct Timing {
    batch: usize,
    seconds_per_image: f64,
}

fn fastest(
    lease: &mut Lease<'_>,
    spec: &InputSpec,
    batch_images_max: usize,
    image: &[f32],
) -> Result<Timing, ModelError> {
    let mut best = time(lease, spec, 1, image)?;
    for batch in BATCHES
        .into_iter()
        .filter(|batch| (2..=batch_images_max).contains(batch))
    {
        if best.seconds_per_image * batch as f64 > BATCH_MAX.as_secs_f64() {
            break;
        }
        let timing = time(lease, spec, batch, image)?;
        if timing.seconds_per_image * GAIN_MIN < best.seconds_per_image {
            best = timing;
        }
    }
    Ok(best)
}

/// The best of some runs: the others were disturbed.
fn time(
    lease: &mut Lease<'_>,
    spec: &InputSpec,
    batch: usize,
    image: &[f32],
) -> Result<Timing, ModelError> {
    let tensor = image.repeat(batch);
    let begin = Instant::now();
    output(lease, spec, batch, &tensor)?;
    let mut best = begin.elapsed();
    for _ in 0..TIMING_RUNS_MAX {
        if begin.elapsed() > TIMING_MAX {
            break;
        }
        let start = Instant::now();
        output(lease, spec, batch, &tensor)?;
        best = best.min(start.elapsed());
    }
    Ok(Timing {
        batch,
        seconds_per_image: best.as_secs_f64() / batch as f64,
    })
}

fn output(
    lease: &mut Lease<'_>,
    spec: &InputSpec,
    batch: usize,
    tensor: &[f32],
) -> Result<Vec<f32>, ModelError> {
    lease.run(spec.shape(batch), tensor, <[f32]>::to_vec)
}

/// Whether the model, which declares a dynamic batch, really treats the images of a batch apart.
/// Some exports fix the batch inside the graph, and fail; some mix the images, and must not be batched.
fn takes_batches(
    lease: &mut Lease<'_>,
    spec: &InputSpec,
    grey: &[f32],
    noise: &[f32],
    alone: &[Vec<f32>; 2],
) -> bool {
    let both = [grey, noise].concat();
    let Ok(together) = output(lease, spec, 2, &both) else {
        return false;
    };
    let close = |(a, b): (&f32, &f32)| (a - b).abs() <= BATCH_TOLERANCE * (1.0 + a.abs());
    alone.iter().flatten().zip(&together).all(close)
}

fn check_numbers(row: &[f32], meaning: Output) -> Result<(), ModelError> {
    if !row.iter().all(|number| number.is_finite()) {
        return Err(ModelError::NotFinite);
    }
    if meaning == Output::Softmax && !is_distribution(row) {
        let sum: f32 = row.iter().sum();
        return Err(ModelError::NotProbabilities {
            sum: format!("{sum:.4}"),
        });
    }
    Ok(())
}

fn is_distribution(row: &[f32]) -> bool {
    let sum: f32 = row.iter().sum();
    (sum - 1.0).abs() <= SUM_TOLERANCE
        && row
            .iter()
            .all(|p| (-SUM_TOLERANCE..=1.0 + SUM_TOLERANCE).contains(p))
}

/// Softmax over probabilities keeps the best label but flattens the scores: worth a word.
fn warn_of_probabilities(rows: &[Vec<f32>], meaning: Output) {
    if meaning == Output::Logits && rows.iter().all(|row| row.len() > 1 && is_distribution(row)) {
        tracing::warn!(
            "a model created with output='logits' gives rows that sum to 1: is it output='softmax'?"
        );
    }
}

/// Numbers in 0..1 that look random but are the same every time (a linear congruential generator,
/// constants of Numerical Recipes).
fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f32::from((state >> 16) as u16) / f32::from(u16::MAX)
    };
    (0..len).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_told_from_logits() {
        assert!(check_numbers(&[0.25, 0.75], Output::Softmax).is_ok());
        assert_eq!(
            check_numbers(&[0.5, 0.75], Output::Softmax),
            Err(ModelError::NotProbabilities {
                sum: "1.2500".into()
            })
        );
        assert!(check_numbers(&[-1.0, 2.0], Output::Softmax).is_err());
        assert!(check_numbers(&[0.5, 0.75], Output::Logits).is_ok());
        assert_eq!(
            check_numbers(&[f32::NAN, 1.0], Output::Logits),
            Err(ModelError::NotFinite)
        );
    }

    #[test]
    fn noise_is_in_range_and_not_constant() {
        let numbers = noise(1000);
        assert!(numbers.iter().all(|n| (0.0..=1.0).contains(n)));
        let mean = numbers.iter().sum::<f32>() / 1000.0;
        assert!((mean - 0.5).abs() < 0.05, "{mean}");
    }
}

//! Finds the fastest way to run each loop, and how many images make a round.

use std::fmt;

use super::child::LoopProcess;
use super::error::BenchError;
use super::job::{Order, Way};

/// Batch sizes that are tried.
pub const BATCHES: [usize; 3] = [1, 8, 32];
/// Seconds that a later try should take.
const TRY_SECONDS: f64 = 0.5;
/// Later tries; the best one counts, since others can only slow a loop down.
const TRIES: usize = 3;
/// Images of a round at most.
const IMAGES_MAX: usize = 200_000;

/// How many images the runs of a case have.
#[derive(Debug, Clone, Copy)]
pub struct Steps {
    /// Of the first try of each way, which also warms it up, and of a later try at least.
    pub of_try: usize,
    /// A round has a multiple of so many.
    pub of_round: usize,
}

/// What calibration found.
#[derive(Debug, Clone, Copy)]
pub struct Fastest {
    way: Way,
    batch: usize,
    /// In its best try.
    pub images_per_s: f64,
}

impl Fastest {
    /// The order for so many images.
    pub fn order(&self, images: usize) -> Order {
        let Self { way, batch, .. } = *self;
        Order {
            way,
            batch,
            images,
            probability_of: None,
        }
    }
}

impl fmt::Display for Fastest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            way,
            batch,
            images_per_s,
        } = self;
        write!(f, "{way}, batch {batch}: {images_per_s:.0} images/s")
    }
}

/// Of both ways and all batch sizes.
///
/// # Errors
/// The loop fails.
pub fn fastest_bare(bare: &mut LoopProcess, steps: Steps) -> Result<Fastest, BenchError> {
    let ways = [Way::SessionPerThread, Way::OneSession];
    fastest(bare, "bare", &ways, &BATCHES, steps)
}

/// Of these batch sizes; the script has one way.
///
/// # Errors
/// The loop fails.
pub fn fastest_python(
    python: &mut LoopProcess,
    batches: &[usize],
    steps: Steps,
) -> Result<Fastest, BenchError> {
    fastest(python, "python", &[Way::SessionPerThread], batches, steps)
}

/// Images of a round that takes about `seconds` at `images_per_s`.
pub fn images_of(images_per_s: f64, seconds: f64, step: usize) -> usize {
    let steps = (images_per_s * seconds / step as f64).round();
    (steps as usize)
        .saturating_mul(step)
        .clamp(step, IMAGES_MAX)
}

/// Tries every way with every batch size, [`TRIES`] times round: what disturbs the machine for a
/// while then does not fall on one of them alone.
fn fastest(
    process: &mut LoopProcess,
    name: &str,
    ways: &[Way],
    batches: &[usize],
    steps: Steps,
) -> Result<Fastest, BenchError> {
    let mut candidates = Vec::new();
    for way in ways.iter().copied() {
        for batch in batches.iter().copied() {
            let images_per_s = speed(process, way, batch, steps.of_try)?;
            candidates.push(Fastest {
                way,
                batch,
                images_per_s,
            });
        }
    }
    for _ in 0..TRIES {
        for tried in &mut candidates {
            let images = (tried.images_per_s * TRY_SECONDS) as usize;
            let images = images.clamp(steps.of_try, IMAGES_MAX);
            let images_per_s = speed(process, tried.way, tried.batch, images)?;
            tried.images_per_s = tried.images_per_s.max(images_per_s);
        }
    }
    for tried in &candidates {
        println!("calibrating {name}: {tried}");
    }
    candidates
        .into_iter()
        .max_by(|a, b| a.images_per_s.total_cmp(&b.images_per_s))
        .ok_or_else(|| BenchError::Worthless("no way to run a loop".to_owned()))
}

fn speed(
    process: &mut LoopProcess,
    way: Way,
    batch: usize,
    images: usize,
) -> Result<f64, BenchError> {
    let done = process.follow(&Order {
        way,
        batch,
        images,
        probability_of: None,
    })?;
    Ok(images as f64 / done.seconds.max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_whole_steps_within_limits() {
        assert_eq!(images_of(2100.0, 4.0, 1000), 8000);
        assert_eq!(images_of(3.0, 4.0, 1000), 1000);
        assert_eq!(images_of(23.0, 4.0, 50), 100);
        assert_eq!(images_of(f64::INFINITY, 4.0, 1000), IMAGES_MAX);
        assert_eq!(images_of(f64::NAN, 4.0, 1000), 1000);
    }
}

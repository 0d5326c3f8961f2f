//! The yardstick: a loop over files and ONNX Runtime with nothing around it.
//!
//! It reads, decodes and normalises the same files as the product does, with as many threads, and
//! knows beforehand what every file is: a grey PNG of the model's size, or a photo. It runs in a
//! process of its own, so that no allocator, thread pool or ONNX Runtime environment is shared
//! with the product.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use ort::environment::Environment;
use ort::ep::CUDA;
use ort::session::Session;
use ort::value::TensorRef;

use super::error::BenchError;
use super::job::{Done, Job, Order, READY, Recipe, Way};
use super::pixels::Decoder;
use crate::photo;

/// The subcommand that runs it.
pub const COMMAND: &str = "bare-loop";

/// Batches decoded ahead of the one session that uses all threads.
const BATCHES_AHEAD_MAX: usize = 4;

/// Arguments of the subcommand.
#[derive(Debug, clap::Args)]
pub struct BareArgs {
    /// The job as JSON
    job: PathBuf,
}

/// Carries out orders until standard input ends.
///
/// # Errors
/// See [`BenchError`].
pub fn run(args: &BareArgs) -> Result<(), BenchError> {
    let job: Job = serde_json::from_slice(&std::fs::read(&args.job)?)?;
    // Without the right to change it, the priority stays as it is.
    let _ = rustix::process::setpriority_process(None, job.nice);
    let mut bare = Bare::new(&job)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{READY}")?;
    for line in std::io::stdin().lock().lines() {
        let order: Order = serde_json::from_str(&line?)?;
        let begin = Instant::now();
        let (labels, probabilities) = bare.labels(&order)?;
        let seconds = begin.elapsed().as_secs_f64();
        let done = Done {
            seconds,
            labels,
            probabilities,
        };
        serde_json::to_writer(&mut out, &done)?;
        writeln!(out)?;
        out.flush()?;
    }
    Ok(())
}

struct Bare<'j> {
    source: Source<'j>,
    /// One thread each.
    single: Vec<Session>,
    /// All threads.
    wide: Session,
}

/// Where images come from, and what is read from outputs.
struct Source<'j> {
    job: &'j Job,
}

/// Labels of the images from `first` on, and their probabilities of a label if they are wanted.
struct Labelled {
    first: usize,
    labels: Vec<usize>,
    probabilities: Vec<f32>,
}

/// What one thread keeps from one image to the next.
struct Buffers {
    decoder: Decoder,
    encoded: Vec<u8>,
}

impl<'j> Bare<'j> {
    fn new(job: &'j Job) -> Result<Self, BenchError> {
        let library = std::path::absolute(&job.library)?;
        let environment = ort::init_from(library)
            .map_err(|error| BenchError::Runtime(error.to_string()))?
            .with_telemetry(false)
            .build()?;
        let file = std::fs::read(&job.model)?;
        let single = (0..job.threads).map(|_| session(&environment, &file, (1, job.gpu)));
        Ok(Self {
            source: Source { job },
            single: single.collect::<Result<_, _>>()?,
            wide: session(&environment, &file, (job.threads, job.gpu))?,
        })
    }

    fn labels(&mut self, order: &Order) -> Result<(Vec<usize>, Vec<f32>), BenchError> {
        let mut parts = match order.way {
            Way::SessionPerThread => self.by_sessions(order)?,
            Way::OneSession => self.by_operators(order)?,
        };
        parts.sort_by_key(|part| part.first);
        let (mut labels, mut probabilities) = (Vec::with_capacity(order.images), Vec::new());
        for part in parts {
            labels.extend(part.labels);
            probabilities.extend(part.probabilities);
        }
        Ok((labels, probabilities))
    }

    fn by_sessions(&mut self, order: &Order) -> Result<Vec<Labelled>, BenchError> {
        let (source, next) = (&self.source, &AtomicUsize::new(0));
        std::thread::scope(|scope| {
            let work = |session| move || source.work(session, next, order);
            let threads: Vec<_> = self
                .single
                .iter_mut()
                .map(|session| scope.spawn(work(session)))
                .collect();
            let mut parts = Vec::new();
            for thread in threads {
                let done = thread.join().map_err(|_| died())?;
                parts.extend(done?);
            }
            Ok(parts)
        })
    }

    fn by_operators(&mut self, order: &Order) -> Result<Vec<Labelled>, BenchError> {
        let source = &self.source;
        let session = &mut self.wide;
        std::thread::scope(|scope| {
            let (ready, batches) = mpsc::sync_channel(BATCHES_AHEAD_MAX);
            let decoder = scope.spawn(move || -> Result<(), BenchError> {
                let mut buffers = source.buffers();
                for first in (0..order.images).step_by(order.batch.max(1)) {
                    let mut tensor = Vec::new();
                    let count = source.fill(first, order, &mut buffers, &mut tensor)?;
                    // Nobody listens once inference has failed; its error is told.
                    if ready.send((first, count, tensor)).is_err() {
                        break;
                    }
                }
                Ok(())
            });
            let mut parts = Vec::new();
            for (first, count, tensor) in batches {
                parts.push(source.infer(session, order, (first, count), &tensor)?);
            }
            decoder.join().map_err(|_| died())??;
            Ok(parts)
        })
    }
}

impl Source<'_> {
    fn buffers(&self) -> Buffers {
        Buffers {
            decoder: Decoder::new(&self.job.recipe),
            encoded: Vec::new(),
        }
    }

    /// Takes batches until there are no more.
    fn work(
        &self,
        session: &mut Session,
        next: &AtomicUsize,
        order: &Order,
    ) -> Result<Vec<Labelled>, BenchError> {
        let batch = order.batch.max(1);
        let (mut parts, mut buffers, mut tensor) = (Vec::new(), self.buffers(), Vec::new());
        loop {
            let first = next.fetch_add(batch, Ordering::Relaxed);
            if first >= order.images {
                return Ok(parts);
            }
            tensor.clear();
            let count = self.fill(first, order, &mut buffers, &mut tensor)?;
            parts.push(self.infer(session, order, (first, count), &tensor)?);
        }
    }

    /// Appends the batch that begins with image `first` to `tensor`; returns its number of images.
    fn fill(
        &self,
        first: usize,
        order: &Order,
        Buffers { decoder, encoded }: &mut Buffers,
        tensor: &mut Vec<f32>,
    ) -> Result<usize, BenchError> {
        let end = order.images.min(first.saturating_add(order.batch.max(1)));
        for index in first..end {
            let index = index.checked_rem(self.job.images.len());
            let path = index.and_then(|index| self.job.images.get(index));
            let path = path.ok_or_else(|| BenchError::Flag("the job has no images".to_owned()))?;
            encoded.clear();
            std::io::Read::read_to_end(&mut std::fs::File::open(path)?, encoded)?;
            decoder.append(path, encoded, tensor)?;
        }
        Ok(end - first)
    }

    fn infer(
        &self,
        session: &mut Session,
        order: &Order,
        (first, images): (usize, usize),
        tensor: &[f32],
    ) -> Result<Labelled, BenchError> {
        let shape = match self.job.recipe {
            Recipe::Grey { size, .. } => [images, 1, size.0 as usize, size.1 as usize],
            Recipe::Photo => [images, photo::SIDE as usize, photo::SIDE as usize, 3],
        };
        let input = TensorRef::from_array_view((shape, tensor))?;
        let outputs = session.run(ort::inputs![input])?;
        let (_, output) = outputs
            .iter()
            .next()
            .ok_or_else(|| BenchError::Runtime("the model gave no output".to_owned()))?;
        let (_, numbers) = output.try_extract_tensor::<f32>()?;
        let labels = numbers.len() / images.max(1);
        let rows = numbers.chunks_exact(labels.max(1));
        let probability = |label| {
            let of_row = move |row| match self.job.recipe {
                Recipe::Grey { .. } => softmax(row, label),
                Recipe::Photo => row.get(label).copied().unwrap_or(f32::NAN),
            };
            rows.clone().map(of_row).collect()
        };
        Ok(Labelled {
            first,
            labels: rows.clone().map(best).collect(),
            probabilities: order.probability_of.map(probability).unwrap_or_default(),
        })
    }
}

fn session(
    environment: &Environment,
    file: &[u8],
    (threads, gpu): (usize, Option<u16>),
) -> Result<Session, BenchError> {
    // The numbers of the product: no TF32.
    let cuda = |gpu: u16| CUDA::default().with_device_id(gpu.into()).with_tf32(false);
    let providers = gpu.map(|gpu| cuda(gpu).build().error_on_failure());
    Ok(Session::builder(environment)?
        .with_execution_providers(providers.as_slice())?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        .commit_from_memory(file)?)
}

/// Position of the greatest number; of the first one where several are.
fn best(row: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, number) in row.iter().enumerate() {
        if *number > best.1 {
            best = (index, *number);
        }
    }
    best.0
}

/// The probability of a label by the logits of a row.
fn softmax(row: &[f32], label: usize) -> f32 {
    let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let power = |logit: &f32| (logit - greatest).exp();
    let sum: f32 = row.iter().map(power).sum();
    row.get(label).map_or(f32::NAN, power) / sum
}

fn died() -> BenchError {
    BenchError::Runtime("a thread of the loop died".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equals_is_best() {
        assert_eq!(best(&[-3.0, 2.0, 1.0, 2.0]), 1);
        assert_eq!(best(&[]), 0);
    }

    #[test]
    fn logits_become_probabilities() {
        assert_eq!(softmax(&[800.0, 800.0], 1), 0.5);
        assert!((softmax(&[0.0, 3_f32.ln()], 1) - 0.75).abs() < 1e-6);
        assert!(softmax(&[0.0], 1).is_nan());
    }
}

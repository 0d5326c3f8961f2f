//! The yardstick: a loop over files and ONNX Runtime with nothing around it.
//!
//! It reads, decodes and normalises the same files as the product does, with as many threads, and
//! knows beforehand that every file is a grey PNG of the model's size. It runs in a process of its
//! own, so that no allocator, thread pool or ONNX Runtime environment is shared with the product.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Instant;

use ort::environment::Environment;
use ort::session::Session;
use ort::value::TensorRef;
use png::{BitDepth, ColorType};

use super::error::BenchError;
use super::job::{Done, Job, Order, READY, Way};

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
        let labels = bare.labels(&order)?;
        let seconds = begin.elapsed().as_secs_f64();
        serde_json::to_writer(&mut out, &Done { seconds, labels })?;
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

/// Where images come from, and how they become tensors.
struct Source<'j> {
    job: &'j Job,
    normalised: [f32; 256],
}

/// Labels of the images from `first` on.
struct Labelled {
    first: usize,
    labels: Vec<usize>,
}

impl<'j> Bare<'j> {
    fn new(job: &'j Job) -> Result<Self, BenchError> {
        let library = std::path::absolute(&job.library)?;
        let environment = ort::init_from(library)
            .map_err(|error| BenchError::Runtime(error.to_string()))?
            .with_telemetry(false)
            .build()?;
        let file = std::fs::read(&job.model)?;
        let single = (0..job.threads).map(|_| session(&environment, &file, 1));
        let (mean, std) = (job.mean as f32, job.std as f32);
        let mut normalised = [0.0; 256];
        for (sample, value) in (0u8..=255).zip(&mut normalised) {
            *value = (f32::from(sample) / 255.0 - mean) / std;
        }
        Ok(Self {
            source: Source { job, normalised },
            single: single.collect::<Result<_, _>>()?,
            wide: session(&environment, &file, job.threads)?,
        })
    }

    fn labels(&mut self, order: &Order) -> Result<Vec<usize>, BenchError> {
        let parts = match order.way {
            Way::SessionPerThread => self.by_sessions(order)?,
            Way::OneSession => self.by_operators(order)?,
        };
        let mut labels = vec![0; order.images];
        for part in parts {
            let places = labels.iter_mut().skip(part.first);
            for (place, label) in places.zip(part.labels) {
                *place = label;
            }
        }
        Ok(labels)
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
                let mut encoded = Vec::new();
                for first in (0..order.images).step_by(order.batch.max(1)) {
                    let mut tensor = Vec::new();
                    let count = source.fill(first, order, &mut encoded, &mut tensor)?;
                    // Nobody listens once inference has failed; its error is told.
                    if ready.send((first, count, tensor)).is_err() {
                        break;
                    }
                }
                Ok(())
            });
            let mut parts = Vec::new();
            for (first, count, tensor) in batches {
                let labels = source.infer(session, count, &tensor)?;
                parts.push(Labelled { first, labels });
            }
            decoder.join().map_err(|_| died())??;
            Ok(parts)
        })
    }
}

impl Source<'_> {
    /// Takes batches until there are no more.
    fn work(
        &self,
        session: &mut Session,
        next: &AtomicUsize,
        order: &Order,
    ) -> Result<Vec<Labelled>, BenchError> {
        let batch = order.batch.max(1);
        let (mut parts, mut encoded, mut tensor) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            let first = next.fetch_add(batch, Ordering::Relaxed);
            if first >= order.images {
                return Ok(parts);
            }
            tensor.clear();
            let count = self.fill(first, order, &mut encoded, &mut tensor)?;
            let labels = self.infer(session, count, &tensor)?;
            parts.push(Labelled { first, labels });
        }
    }

    /// Appends the batch that begins with image `first` to `tensor`; returns its number of images.
    fn fill(
        &self,
        first: usize,
        order: &Order,
        encoded: &mut Vec<u8>,
        tensor: &mut Vec<f32>,
    ) -> Result<usize, BenchError> {
        let end = order.images.min(first.saturating_add(order.batch.max(1)));
        for index in first..end {
            let index = index.checked_rem(self.job.images.len());
            let path = index.and_then(|index| self.job.images.get(index));
            let path = path.ok_or_else(|| BenchError::Flag("the job has no images".to_owned()))?;
            encoded.clear();
            std::io::Read::read_to_end(&mut std::fs::File::open(path)?, encoded)?;
            self.append(path, encoded, tensor)?;
        }
        Ok(end - first)
    }

    fn append(&self, path: &Path, encoded: &[u8], tensor: &mut Vec<f32>) -> Result<(), BenchError> {
        let wrong = |reason: String| BenchError::Image {
            path: path.into(),
            reason,
        };
        let mut reader = png::Decoder::new(std::io::Cursor::new(encoded))
            .read_info()
            .map_err(|error| wrong(error.to_string()))?;
        let info = reader.info();
        let is = (info.height, info.width, info.color_type, info.bit_depth);
        let (height, width) = self.job.size;
        if is != (height, width, ColorType::Grayscale, BitDepth::Eight) {
            return Err(wrong(format!("is no grey image of {width} x {height}")));
        }
        let mut samples = vec![0; height as usize * width as usize];
        reader
            .next_frame(&mut samples)
            .map_err(|error| wrong(error.to_string()))?;
        tensor.extend(samples.iter().map(|s| self.normalised[usize::from(*s)]));
        Ok(())
    }

    fn infer(
        &self,
        session: &mut Session,
        images: usize,
        tensor: &[f32],
    ) -> Result<Vec<usize>, BenchError> {
        let (height, width) = self.job.size;
        let shape = [images, 1, height as usize, width as usize];
        let input = TensorRef::from_array_view((shape, tensor))?;
        let outputs = session.run(ort::inputs![input])?;
        let (_, output) = outputs
            .iter()
            .next()
            .ok_or_else(|| BenchError::Runtime("the model gave no output".to_owned()))?;
        let (_, numbers) = output.try_extract_tensor::<f32>()?;
        let labels = numbers.len() / images.max(1);
        Ok(numbers.chunks_exact(labels.max(1)).map(best).collect())
    }
}

fn session(environment: &Environment, file: &[u8], threads: usize) -> Result<Session, BenchError> {
    Ok(Session::builder(environment)?
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
}

//! Queue of a pool of threads: preparation and inference of all callers on CPU threads, or
//! inference on the threads of a GPU.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::prepare::Preparing;
use super::queue::Queue;
use super::run::Run;
use super::turns::{Rank, Turns};
use crate::caller::CallerId;

/// Assumed time of decoding an image before any was decoded.
const IMAGE_NS: u64 = 200_000;

/// Work item of a thread.
#[derive(Debug)]
pub(super) enum PoolWork {
    /// Decode and preprocess.
    Prepare(Box<Preparing>),
    /// Infer: runs of the same sessions, together at most one batch unless it is a single run.
    Infer(Vec<Run>),
}

/// The queue of a pool. On a CPU one pool serves both stages: within a caller, inference precedes
/// other work, so that nearly finished chunks leave. Callers take turns.
#[derive(Debug)]
pub(crate) struct WorkQueue {
    queue: Queue<PoolWork>,
    /// Maximum duration of a piece, unless it cannot be split further.
    piece_max: Duration,
    /// How long a batch that is not full waits for further inputs.
    batch_wait: Duration,
    /// Moving average of the time to decode an image, in nanoseconds.
    image_ns: AtomicU64,
}

/// Estimated costs of work: caller, nanoseconds, inputs.
#[derive(Debug, Default)]
pub(super) struct Said(Vec<(CallerId, u64, usize)>);

impl WorkQueue {
    pub(super) fn new(piece_max: Duration, batch_wait: Duration) -> Self {
        Self {
            queue: Queue::default(),
            piece_max,
            batch_wait,
            image_ns: AtomicU64::new(IMAGE_NS),
        }
    }

    /// After this time a thread requeues the rest of its work.
    pub(super) fn piece_max(&self) -> Duration {
        self.piece_max
    }

    pub(super) fn push_preparing(&self, chunk: Box<Preparing>) {
        let rank = match chunk.is_begun() {
            true => Rank::Begun,
            false => Rank::Waiting,
        };
        let (caller, cost_ns) = (chunk.caller(), self.preparing_ns(&chunk));
        let work = PoolWork::Prepare(chunk);
        self.queue.push(caller, rank, cost_ns, work);
    }

    pub(crate) fn push_run(&self, run: Run) {
        self.push_ranked(run, Rank::Last);
    }

    /// Queues the rest of a run that has begun.
    pub(super) fn push_rest(&self, run: Run) {
        self.push_ranked(run, Rank::Ending);
    }

    fn push_ranked(&self, run: Run, rank: Rank) {
        let (caller, cost_ns) = (run.piece.caller(), self.run_ns(&run));
        self.queue
            .push(caller, rank, cost_ns, PoolWork::Infer(vec![run]));
    }

    /// Waits for work, and returns its estimated cost. `None`: the queue was stopped.
    pub(super) fn pop(&self) -> Option<(PoolWork, Said)> {
        let mut work = self.queue.pop_with(|turns, mut work| {
            if let PoolWork::Infer(runs) = &mut work {
                gather(turns, runs);
            }
            work
        })?;
        if let PoolWork::Infer(runs) = &mut work
            && !self.batch_wait.is_zero()
            && room(runs) > 0
        {
            self.queue
                .take_until(Instant::now() + self.batch_wait, |turns| {
                    gather(turns, runs);
                    room(runs) == 0
                });
        }
        let said = match &work {
            PoolWork::Prepare(chunk) => {
                vec![(
                    chunk.caller(),
                    self.preparing_ns(chunk),
                    chunk.images_left(),
                )]
            }
            PoolWork::Infer(runs) => {
                let said = |run: &Run| (run.piece.caller(), self.run_ns(run), run.piece.left());
                runs.iter().map(said).collect()
            }
        };
        Some((work, Said(said)))
    }

    /// Reports the actual cost of work.
    pub(super) fn settle(&self, Said(said): &Said, took_ns: u64) {
        let all: usize = said.iter().map(|(.., inputs)| inputs).sum();
        let mut state = self.queue.state();
        for (caller, said_ns, inputs) in said {
            let share = *inputs as f64 / all.max(1) as f64;
            let took_ns = (took_ns as f64 * share) as u64;
            state.turns.settle(*caller, *said_ns, took_ns);
        }
    }

    /// Updates the estimated time of decoding.
    pub(super) fn prepared(&self, images: usize, took_ns: u64) {
        let known = self.image_ns.load(Ordering::Relaxed);
        let of_late = took_ns / (images.max(1) as u64);
        self.image_ns
            .store((known / 8 * 7 + of_late / 8).max(1), Ordering::Relaxed);
    }

    pub(super) fn stop(&self) {
        self.queue.stop();
    }

    fn preparing_ns(&self, chunk: &Preparing) -> u64 {
        let image_ns = self.image_ns.load(Ordering::Relaxed);
        self.piece_ns(
            image_ns.saturating_mul(chunk.images_left() as u64),
            image_ns,
        )
    }

    fn run_ns(&self, run: &Run) -> u64 {
        let input_ns = run.input_ns();
        let least = input_ns.saturating_mul(run.compiled.batch_inputs as u64);
        self.piece_ns(input_ns.saturating_mul(run.piece.left() as u64), least)
    }

    /// Cost of the next piece of work that takes `all` in total and cannot be split finer than
    /// `least`.
    fn piece_ns(&self, all: u64, least: u64) -> u64 {
        let piece_max = u64::try_from(self.piece_max.as_nanos()).unwrap_or(u64::MAX);
        all.min(piece_max.max(least))
    }
}

/// Adds waiting runs of the same sessions, of any caller, that fit into one batch with those that
/// are there.
fn gather(turns: &mut Turns<PoolWork>, runs: &mut Vec<Run>) {
    let Some(compiled) = runs.first().map(|first| first.compiled.clone()) else {
        return;
    };
    let mut room = room(runs);
    if room == 0 {
        return;
    }
    let more = turns.take_along(|work| match work {
        PoolWork::Infer(runs) => {
            let inputs = inputs(runs);
            let same = |run: &Run| Arc::ptr_eq(&run.compiled, &compiled);
            let fits = inputs <= room && runs.iter().all(same);
            room -= if fits { inputs } else { 0 };
            fits
        }
        PoolWork::Prepare(_) => false,
    });
    for work in more {
        if let PoolWork::Infer(others) = work {
            runs.extend(others);
        }
    }
}

/// Number of inputs of runs that are left to run.
fn inputs(runs: &[Run]) -> usize {
    runs.iter().map(|run| run.piece.left()).sum()
}

/// Number of further inputs that fit into one batch with these runs.
fn room(runs: &[Run]) -> usize {
    let batch = runs.first().map_or(0, |first| first.compiled.batch_inputs);
    batch.saturating_sub(inputs(runs))
}

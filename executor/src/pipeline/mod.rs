//! The stages between a caller's chunk and its outcomes, on threads of their own.
//!
//! ```text
//! Submitted --fetch threads--> Fetched --CPU pool--> Run --CPU pool--> reply
//!   \ \______ no files to read ____/  \               ^ ^ (runs go first)
//!    \                                 PreparedChunk -/ |  of a caller with several models
//!     \_________ rows of columns _______________________/
//! ```
//!
//! Each arrow is a queue of chunks, in which callers take turns (`turns.rs`): a statement of one image waits for one
//! piece of each thread, whatever scans have under way. A thread that has worked on a chunk for `run_ms_max` hands the
//! rest of it back. A chunk holds a permit from before the first queue until its
//! tensors are dropped, so all queues together are bounded by `queue_chunks_max`; a run needs none of
//! its own. One CPU pool serves both decoding and inference, of each caller inference first: work that is
//! nearly done leaves before new work is begun, and the cores are never oversubscribed.

mod chunk;
mod fetch;
mod infer;
mod prepare;
mod queue;
mod reply;
mod tensor;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::picture::{DecodeMemory, Limits};
use crate::roots::Roots;
use crate::{ExecutorConfig, Input, InputId, StartError};

pub(crate) use chunk::{Answered, Goal, Place, PreparedChunk, Run, Submitted, Ticket};
use fetch::{FetchWork, Reader};
use prepare::Step;
use queue::{CpuQueue, CpuWork, Queue};
pub(crate) use reply::{Answer, Reply};
use tensor::TensorPool;
use turns::Rank;

/// Nice value of the executor's threads, so that relayed sessions come first.
const NICENESS: i32 = 5;

/// CPU time of the executor's threads since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuSeconds {
    /// Decoding and preprocessing.
    pub preparing: f64,
    /// Inference.
    pub inferring: f64,
}

/// The running stages. Dropping it stops them: chunks in work end after their batch, the others
/// are given up.
#[derive(Debug)]
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    fetch: Queue<FetchWork>,
    cpu: CpuQueue,
    reader: Reader,
    limits: Limits,
    decode_memory: DecodeMemory,
    tensors: Arc<TensorPool>,
    images_inferred: AtomicU64,
    preparing_ns: AtomicU64,
    inferring_ns: AtomicU64,
}

impl Pipeline {
    /// Starts the threads.
    pub(crate) fn start(config: &ExecutorConfig) -> Result<Self, StartError> {
        let shared = Arc::new(Shared {
            fetch: Queue::default(),
            cpu: CpuQueue::new(Duration::from_millis(config.run_ms_max)),
            reader: Reader::new(
                Roots::open(&config.image_roots)?,
                config.image_bytes_max,
                config.fetched_bytes_max,
            ),
            limits: Limits {
                image_pixels_max: config.image_pixels_max,
                image_side_pixels_max: config.image_side_pixels_max,
                image_decode_bytes_max: config.image_decode_bytes_max,
            },
            decode_memory: DecodeMemory::new(config.decoding_bytes_max),
            tensors: TensorPool::new(config.threads + 1),
            images_inferred: AtomicU64::new(0),
            preparing_ns: AtomicU64::new(0),
            inferring_ns: AtomicU64::new(0),
        });
        // A failure half way drops the pipeline, which stops what was started.
        let mut pipeline = Self {
            shared,
            threads: Vec::new(),
        };
        for index in 0..config.fetch_threads {
            pipeline.spawn(format!("predict-io-{index}"), run_fetch)?;
        }
        for index in 0..config.threads {
            pipeline.spawn(format!("predict-cpu-{index}"), run_cpu)?;
        }
        Ok(pipeline)
    }

    /// Hands a chunk to its first stage.
    pub(crate) fn submit(&self, chunk: Submitted) {
        if chunk.takes_rows() {
            if let Some(run) = prepare::rows(chunk) {
                self.shared.cpu.push_run(run);
            }
        } else if chunk.has_locations() {
            self.shared.fetch(FetchWork::Read(chunk));
        } else {
            let fetched = chunk.without_fetching();
            self.shared.cpu.push_preparing(fetched.into());
        }
    }

    /// Has a model run on images that are prepared.
    pub(crate) fn run(&self, run: Run) {
        self.shared.cpu.push_run(run);
    }

    /// Has inputs looked at for their identities.
    pub(crate) fn identify(&self, inputs: Vec<Input>, reply: Reply<Vec<Option<InputId>>>) {
        self.shared.fetch(FetchWork::Identify(inputs, reply));
    }

    /// Images that models have looked at since the start.
    pub(crate) fn images_inferred(&self) -> u64 {
        self.shared.images_inferred.load(Ordering::Relaxed)
    }

    /// CPU time since the start, by kind of work.
    pub(crate) fn cpu_seconds(&self) -> CpuSeconds {
        let seconds = |counted: &AtomicU64| counted.load(Ordering::Relaxed) as f64 / 1e9;
        CpuSeconds {
            preparing: seconds(&self.shared.preparing_ns),
            inferring: seconds(&self.shared.inferring_ns),
        }
    }

    fn spawn(&mut self, name: String, run: fn(&Shared)) -> Result<(), StartError> {
        let shared = self.shared.clone();
        let body = move || {
            give_way();
            run(&shared);
        };
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(body)
            .map_err(StartError::Thread)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Shared {
    fn fetch(&self, work: FetchWork) {
        let (caller, cost_ns) = work.cost();
        self.fetch.push(caller, Rank::Waiting, cost_ns, work);
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.fetch.stop();
        self.shared.cpu.stop();
        // Waited for, so that no thread is inside ONNX Runtime when the process unloads it.
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Lets the calling thread, and those that it starts, come after relayed sessions.
pub(crate) fn give_way() {
    // Without the right to change it, the priority stays as it is.
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

fn run_fetch(shared: &Shared) {
    while let Some(work) = shared.fetch.pop() {
        match work {
            FetchWork::Read(chunk) => {
                if let Some(fetched) = shared.reader.fetch(chunk) {
                    shared.cpu.push_preparing(fetched.into());
                }
            }
            FetchWork::Identify(inputs, reply) => shared.reader.identify(&inputs, reply),
        }
    }
}

fn run_cpu(shared: &Shared) {
    let mut worker = prepare::Worker::new();
    while let Some((work, said)) = shared.cpu.pop() {
        let begin = thread_cpu_ns();
        let took = |counted: &AtomicU64| {
            let took = thread_cpu_ns().saturating_sub(begin);
            counted.fetch_add(took, Ordering::Relaxed);
            shared.cpu.settle(&said, took);
            took
        };
        match work {
            CpuWork::Prepare(chunk) => {
                let images = chunk.images_left();
                match worker.prepare(*chunk, shared) {
                    Step::More(chunk) => {
                        shared.cpu.prepared(
                            images.saturating_sub(chunk.images_left()),
                            took(&shared.preparing_ns),
                        );
                        shared.cpu.push_preparing(chunk);
                    }
                    Step::Done(run) => {
                        shared.cpu.prepared(images, took(&shared.preparing_ns));
                        if let Some(run) = run {
                            shared.cpu.push_run(run);
                        }
                    }
                }
            }
            CpuWork::Infer(runs) => {
                let rest = infer::infer(
                    runs,
                    (&shared.tensors, &shared.images_inferred),
                    shared.cpu.piece_max(),
                );
                took(&shared.inferring_ns);
                for run in rest {
                    shared.cpu.push_rest(run);
                }
            }
        }
    }
}

fn elapsed_ns(begin: Instant) -> u64 {
    u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// CPU time of the calling thread: what its work costs, whatever else the machine does.
fn thread_cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

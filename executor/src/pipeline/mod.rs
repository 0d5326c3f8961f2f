//! The stages from a caller's chunk to its outcomes, on separate threads.
//!
//! ```text
//! Submitted --fetch threads--> Fetched --CPU pool--> Run --CPU pool--> reply
//!   \ \______ no files to read ____/  \               ^ ^ (runs go first)
//!    \                                 PreparedChunk -/ |  of a caller with several models
//!     \_________ rows of columns _______________________/
//! ```
//!
//! On a GPU, a run goes to a queue of its own, whose threads only wait for the device.
//!
//! Each arrow is a queue of chunks with fair queueing between callers (`turns.rs`): a statement
//! with one image waits for at most one piece per thread, regardless of running scans. A thread
//! that has worked on a chunk for `run_ms_max` requeues the rest. A chunk holds a permit from
//! before the first queue until its tensors are dropped, so the total length of all queues is
//! bounded by `queue_chunks_max`; a run needs no permit of its own. One CPU pool serves both
//! decoding and inference, and each caller's inference goes first: nearly finished work leaves
//! before new work begins, and the cores are never oversubscribed.

mod chunk;
mod clock;
mod fetch;
mod infer;
mod prepare;
mod queue;
mod read_ahead;
mod run;
mod turns;
mod work_queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::config::{ExecutorConfig, StartError};
use crate::error::ImageRootError;
use crate::picture::{DecodeMemory, Limits};
use crate::pieces::{Tensor, TensorPool};
use crate::priority::lower_priority;
use crate::sources::{Sources, Waiter};

pub(crate) use chunk::{Goal, Submitted, Ticket};
use clock::Clock;
pub(crate) use fetch::Identified;
use fetch::{FetchWork, Reader};
use prepare::{Preparation, Step};
use queue::Queue;
pub(crate) use run::Run;
use turns::Rank;
use work_queue::PoolWork;
pub(crate) use work_queue::WorkQueue;

/// Time of the executor's threads since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CpuSeconds {
    /// CPU time of decoding and preprocessing.
    pub preparing: f64,
    /// Inference: CPU time, or with a GPU the time of its runs.
    pub inferring: f64,
}

/// The running stages. Dropping it stops them: chunks being processed end after their batch, the
/// others are dropped.
#[derive(Debug)]
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    fetch: Arc<Queue<FetchWork>>,
    cpu: Arc<WorkQueue>,
    /// Runs of models, if they have a device of their own.
    device: Option<Arc<WorkQueue>>,
    reader: Reader,
    preparation: Preparation,
    images_inferred: Arc<AtomicU64>,
    preparing_ns: AtomicU64,
    inferring_ns: AtomicU64,
}

impl Pipeline {
    /// Starts the threads; with `has_device` also those that wait for runs on a device other than
    /// the CPU.
    pub(crate) fn start(config: &ExecutorConfig, has_device: bool) -> Result<Self, StartError> {
        let piece_max = Duration::from_millis(config.run_ms_max);
        let batch_wait = Duration::from_micros(config.queue_delay_us);
        let fetch = Arc::new(Queue::default());
        let reader = Reader::new(
            Sources::new(&config.image_roots, config.fetch_threads, &config.objects)?,
            (config.image_bytes_max, config.fetched_bytes_max),
            &fetch,
        );
        let preparation = Preparation {
            image_bytes_max: config.image_bytes_max,
            limits: Limits {
                image_pixels_max: config.image_pixels_max,
                image_side_pixels_max: config.image_side_pixels_max,
                image_decode_bytes_max: config.image_decode_bytes_max,
            },
            decode_memory: DecodeMemory::new(config.decoding_bytes_max),
            tensors: TensorPool::new(config.threads + 1),
            piece_max,
        };
        let shared = Arc::new(Shared {
            fetch,
            // A CPU thread that waits would prepare no inputs.
            cpu: Arc::new(WorkQueue::new(piece_max, Duration::ZERO)),
            device: has_device.then(|| Arc::new(WorkQueue::new(piece_max, batch_wait))),
            reader,
            preparation,
            images_inferred: Arc::default(),
            preparing_ns: AtomicU64::new(0),
            inferring_ns: AtomicU64::new(0),
        });
        // A failure here drops the pipeline, which stops the threads started so far.
        let mut pipeline = Self {
            shared,
            threads: Vec::new(),
        };
        for index in 0..config.fetch_threads {
            let waiter = Waiter::new().map_err(StartError::Thread)?;
            let fetch = move |shared: &Arc<Shared>| run_fetch(shared, &waiter);
            pipeline.spawn(format!("predict-io-{index}"), fetch)?;
        }
        for index in 0..config.threads {
            let run = |shared: &Arc<Shared>| run_pool(shared, &shared.cpu, Clock::ThreadCpu);
            pipeline.spawn(format!("predict-cpu-{index}"), run)?;
        }
        if let Some(queue) = pipeline.shared.device.clone() {
            for index in 0..config.provider.device_runs_max {
                let queue = queue.clone();
                let run = move |shared: &Arc<Shared>| run_pool(shared, &queue, Clock::Wall);
                pipeline.spawn(format!("predict-gpu-{index}"), run)?;
            }
        }
        Ok(pipeline)
    }

    /// Queues a chunk for its first stage.
    pub(crate) fn submit(&self, chunk: Submitted) {
        if chunk.takes_rows() {
            prepare::rows(chunk);
            return;
        }
        let chunk = self.shared.reader.convert(chunk);
        match chunk.has_locations() {
            true => self.shared.fetch(FetchWork::of(chunk)),
            false => self.shared.cpu.push_preparing(Box::new(chunk.into())),
        }
    }

    /// The queue of runs of models: that of the CPU threads, or the device's own.
    pub(crate) fn run_queue(&self) -> &Arc<WorkQueue> {
        let shared = &self.shared;
        shared.device.as_ref().unwrap_or(&shared.cpu)
    }

    /// Queues inputs for identification.
    pub(crate) fn identify(&self, asked: Identified) {
        self.shared.fetch(FetchWork::Identify(asked));
    }

    /// Checks that a task may be bound to an image root.
    pub(crate) fn check_root(&self, given: &str) -> Result<(), ImageRootError> {
        self.shared.reader.check_root(given)
    }

    /// The remote roots of images.
    pub(crate) fn remote_roots(&self) -> Vec<String> {
        self.shared.reader.remote_roots()
    }

    /// Number of images processed by models since the start.
    pub(crate) fn images_inferred(&self) -> u64 {
        self.shared.images_inferred.load(Ordering::Relaxed)
    }

    /// Counter of the images processed by models, for backends outside of the pipeline.
    pub(crate) fn inferred(&self) -> &Arc<AtomicU64> {
        &self.shared.images_inferred
    }

    /// An empty tensor, with the memory of an earlier one if there is any.
    pub(crate) fn tensor(&self) -> Tensor {
        self.shared.preparation.tensors.take()
    }

    /// CPU time since the start, by kind of work.
    pub(crate) fn cpu_seconds(&self) -> CpuSeconds {
        let seconds = |counted: &AtomicU64| counted.load(Ordering::Relaxed) as f64 / 1e9;
        CpuSeconds {
            preparing: seconds(&self.shared.preparing_ns),
            inferring: seconds(&self.shared.inferring_ns),
        }
    }

    fn spawn(
        &mut self,
        name: String,
        run: impl FnOnce(&Arc<Shared>) + Send + 'static,
    ) -> Result<(), StartError> {
        let shared = self.shared.clone();
        let body = move || {
            lower_priority();
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

    async fn do_fetch(&self, work: FetchWork) {
        match work {
            FetchWork::Read(chunk) => {
                if let Some(chunk) = self.reader.fetch(chunk).await {
                    self.cpu.push_preparing(chunk);
                }
                self.reader.look_again();
            }
            FetchWork::Identify(asked) => self.reader.identify(asked).await,
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.fetch.stop();
        self.shared.reader.stop();
        self.shared.cpu.stop();
        if let Some(queue) = &self.shared.device {
            queue.stop();
        }
        // Join the threads, so that none is inside ONNX Runtime when the process unloads it.
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Work on files is done by this thread, one after the other. Work on remote objects only waits:
/// it becomes a task beside others, on the thread of the connections.
fn run_fetch(shared: &Arc<Shared>, waiter: &Waiter) {
    while let Some(work) = shared.fetch.pop() {
        match shared.reader.runtime_of(&work) {
            None => {
                waiter.wait(shared.do_fetch(work));
            }
            Some(runtime) => {
                let of_task = Arc::clone(shared);
                drop(runtime.spawn(async move { of_task.do_fetch(work).await }));
            }
        }
    }
}

/// Does the work of a queue until it is stopped; `clock` tells what its work costs.
fn run_pool(shared: &Arc<Shared>, queue: &Arc<WorkQueue>, clock: Clock) {
    let mut worker = prepare::Worker::new();
    while let Some((work, said)) = queue.pop() {
        let begin = clock.now_ns();
        let took = |counted: &AtomicU64| {
            let took = clock.now_ns().saturating_sub(begin);
            counted.fetch_add(took, Ordering::Relaxed);
            queue.settle(&said, took);
            took
        };
        match work {
            PoolWork::Prepare(chunk) => {
                let images = chunk.images_left();
                match worker.prepare(*chunk, &shared.preparation) {
                    Step::More(chunk) => {
                        queue.prepared(
                            images.saturating_sub(chunk.images_left()),
                            took(&shared.preparing_ns),
                        );
                        queue.push_preparing(Box::new(chunk));
                    }
                    Step::Unread(chunk) => {
                        queue.prepared(
                            images.saturating_sub(chunk.images_left()),
                            took(&shared.preparing_ns),
                        );
                        shared.fetch(FetchWork::Read(Box::new(chunk)));
                    }
                    Step::Done => queue.prepared(images, took(&shared.preparing_ns)),
                }
            }
            PoolWork::Infer(runs) => {
                let rest = infer::infer(
                    runs,
                    (&shared.preparation.tensors, &shared.images_inferred),
                    (queue.piece_max(), clock),
                );
                took(&shared.inferring_ns);
                for run in rest {
                    queue.push_rest(run);
                }
            }
        }
    }
}

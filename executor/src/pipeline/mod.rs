//! The stages between a caller's chunk and its outcomes, on threads of their own.
//!
//! ```text
//! Submitted --fetch threads--> Fetched --CPU pool--> Prepared --CPU pool--> reply
//!     \______ no files to read ____/          (prepared chunks go first)
//! ```
//!
//! Each arrow is a queue of chunks. A chunk holds a permit from before the first queue until its
//! reply, so all queues together are bounded by `queue_chunks_max`. One CPU pool serves both decoding
//! and inference, inference first: work that is nearly done leaves before new work is begun, so
//! prepared tensors do not pile up, and the cores are never oversubscribed.

mod chunk;
mod fetch;
mod infer;
mod prepare;
mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::picture::Limits;
use crate::roots::Roots;
use crate::{ExecutorConfig, StartError};

pub(crate) use chunk::{Submitted, Ticket};
use fetch::Reader;
use infer::TensorPool;
use queue::{CpuQueue, CpuWork, Queue};

/// Nice value of the executor's threads, so that relayed sessions come first.
const NICENESS: i32 = 5;

/// The running stages. Dropping it stops them: chunks in work end after their batch, the others
/// are given up.
#[derive(Debug)]
pub(crate) struct Pipeline {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    fetch: Queue<Submitted>,
    cpu: CpuQueue,
    reader: Reader,
    limits: Limits,
    tensors: TensorPool,
    images_inferred: AtomicU64,
}

impl Pipeline {
    /// Starts the threads.
    pub(crate) fn start(config: &ExecutorConfig) -> Result<Self, StartError> {
        let shared = Arc::new(Shared {
            fetch: Queue::default(),
            cpu: CpuQueue::default(),
            reader: Reader::new(
                Roots::open(&config.image_roots)?,
                config.image_bytes_max,
                config.fetched_bytes_max,
            ),
            limits: Limits {
                image_pixels_max: config.image_pixels_max,
            },
            tensors: TensorPool::new(config.threads + 1),
            images_inferred: AtomicU64::new(0),
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
        if chunk.has_locations() {
            self.shared.fetch.push(chunk);
        } else {
            self.shared.cpu.push_fetched(chunk.without_fetching());
        }
    }

    /// Images that models have looked at since the start.
    pub(crate) fn images_inferred(&self) -> u64 {
        self.shared.images_inferred.load(Ordering::Relaxed)
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
    while let Some(chunk) = shared.fetch.pop() {
        if let Some(fetched) = shared.reader.fetch(chunk) {
            shared.cpu.push_fetched(fetched);
        }
    }
}

fn run_cpu(shared: &Shared) {
    let mut worker = prepare::Worker::new();
    while let Some(work) = shared.cpu.pop() {
        match work {
            CpuWork::Prepare(chunk) => {
                if let Some(prepared) = worker.prepare(chunk, shared) {
                    shared.cpu.push_prepared(prepared);
                }
            }
            CpuWork::Infer(chunks) => {
                infer::infer(chunks, &shared.tensors, &shared.images_inferred);
            }
        }
    }
}

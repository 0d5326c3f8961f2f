//! A worker: serves an executor of this process over gRPC, to proxies and to other clients of the
//! Open Inference Protocol.
//!
//! ```text
//! ModelInfer: images, URIs, tensors or columns ─► Executor ─► scores, values, errors by input
//! Load, Try, Measure (proxies)   RepositoryModelLoad, Index, Unload (other clients)
//! ```
//!
//! It knows models by content and options, and no catalog: any number of proxies may use it. A
//! model that is asked for and not loaded is [`Failure::NotLoaded`]; whoever asks loads it then.

mod callers;
mod inference;
mod inputs;
mod models;
mod proxies;
mod serve;
mod statistics;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use tonic::Status;

use crate::executor::Executor;
use crate::oip::Failure;
use callers::Callers;
use models::Models;
use tokio_util::sync::CancellationToken;

pub use serve::{WorkerError, WorkerTls};
pub use statistics::{ModelCounts, ModelStatistics};

/// Maximum number of files of models that are received at once; they are held in memory.
const FILES_MAX: usize = 2;

/// Limits of a worker.
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Maximum number of requests under way; further ones are refused, and proxies send them to
    /// another worker or again.
    pub requests_max: usize,
    /// Maximum bytes of one request.
    pub request_bytes_max: usize,
    /// Certificate and key, and whose clients are let in. `None`: plain text, for everybody who
    /// can connect.
    pub tls: Option<WorkerTls>,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            requests_max: 256,
            request_bytes_max: 64 << 20,
            tls: None,
        }
    }
}

/// Serves an executor. Clones share the same models and counts.
#[derive(Debug, Clone)]
pub struct Worker(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    executor: Executor,
    config: WorkerConfig,
    models: Models,
    callers: Callers,
    requests: AtomicUsize,
    stopping: CancellationToken,
    /// Files that are received at once.
    files: Semaphore,
}

/// A request under way.
#[derive(Debug)]
struct Entered(Arc<Inner>);

impl Worker {
    /// A worker over `executor`. It takes no more work once `stopping` is cancelled.
    pub fn new(executor: Executor, config: WorkerConfig, stopping: CancellationToken) -> Self {
        Self(Arc::new(Inner {
            executor,
            config,
            models: Models::default(),
            callers: Callers::default(),
            requests: AtomicUsize::new(0),
            stopping,
            files: Semaphore::new(FILES_MAX),
        }))
    }

    /// The executor that it serves.
    pub fn executor(&self) -> &Executor {
        &self.0.executor
    }

    /// Whether it takes work.
    pub fn is_ready(&self) -> bool {
        !self.0.stopping.is_cancelled()
    }

    /// Number of requests under way.
    pub fn requests(&self) -> usize {
        self.0.requests.load(Ordering::Relaxed)
    }

    /// Counts of each model since it was first loaded.
    pub fn statistics(&self) -> Vec<ModelStatistics> {
        self.0.models.statistics()
    }

    /// Admits a request, or refuses it.
    fn enter(&self) -> Result<Entered, Status> {
        let inner = &self.0;
        let under_way = inner.requests.fetch_add(1, Ordering::Relaxed);
        // From here on dropping it counts it down.
        let entered = Entered(inner.clone());
        match self.is_ready() && under_way < inner.config.requests_max {
            true => Ok(entered),
            false => Err(Failure::Busy.status()),
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

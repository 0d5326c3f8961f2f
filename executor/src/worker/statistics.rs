//! Counts of a model's requests, as Triton counts them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::spent::StageSeconds;

/// Counts of one model of a worker.
#[derive(Debug, Clone)]
pub struct ModelStatistics {
    /// Name under which the worker serves it.
    pub name: String,
    /// Name in the catalog of the proxy that loaded it first; may be empty.
    pub called: String,
    /// Its counts.
    pub counts: ModelCounts,
}

/// Counts since the model was first loaded. Times are sums over requests.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ModelCounts {
    /// Requests that were answered.
    pub succeeded: u64,
    /// Time from their arrival to their answer.
    pub succeeded_time: Duration,
    /// Requests that failed, cancelled ones included.
    pub failed: u64,
    /// Time from their arrival to their end.
    pub failed_time: Duration,
    /// Inputs that were answered.
    pub inputs: u64,
    /// Time of reading URIs, in seconds.
    pub fetching_seconds: f64,
    /// CPU time of decoding and preprocessing, in seconds.
    pub preparing_seconds: f64,
    /// CPU time of inference, in seconds.
    pub inferring_seconds: f64,
    /// Milliseconds since 1970 of the last request, 0 before the first.
    pub last_ms: u64,
}

/// Counters behind [`ModelCounts`].
#[derive(Debug, Default)]
pub(super) struct Counters {
    succeeded: AtomicU64,
    succeeded_ns: AtomicU64,
    failed: AtomicU64,
    failed_ns: AtomicU64,
    inputs: AtomicU64,
    fetching_ns: AtomicU64,
    preparing_ns: AtomicU64,
    inferring_ns: AtomicU64,
    last_ms: AtomicU64,
}

impl Counters {
    /// Counts an answered request.
    pub(super) fn succeeded(&self, inputs: usize, took: Duration, spent: StageSeconds) {
        add(&self.succeeded, 1);
        add(&self.succeeded_ns, ns(took));
        add(&self.inputs, inputs as u64);
        let in_ns = |seconds: f64| (seconds * 1e9) as u64;
        add(&self.fetching_ns, in_ns(spent.fetching));
        add(&self.preparing_ns, in_ns(spent.preparing));
        add(&self.inferring_ns, in_ns(spent.inferring));
        self.stamp();
    }

    /// Counts a request that failed or was cancelled.
    pub(super) fn failed(&self, took: Duration) {
        add(&self.failed, 1);
        add(&self.failed_ns, ns(took));
        self.stamp();
    }

    pub(super) fn counts(&self) -> ModelCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let seconds = |counter: &AtomicU64| get(counter) as f64 / 1e9;
        ModelCounts {
            succeeded: get(&self.succeeded),
            succeeded_time: Duration::from_nanos(get(&self.succeeded_ns)),
            failed: get(&self.failed),
            failed_time: Duration::from_nanos(get(&self.failed_ns)),
            inputs: get(&self.inputs),
            fetching_seconds: seconds(&self.fetching_ns),
            preparing_seconds: seconds(&self.preparing_ns),
            inferring_seconds: seconds(&self.inferring_ns),
            last_ms: get(&self.last_ms),
        }
    }

    fn stamp(&self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let ms = since.map_or(0, |since| since.as_millis() as u64);
        self.last_ms.store(ms, Ordering::Relaxed);
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn ns(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

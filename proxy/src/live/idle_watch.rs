//! Since when a session does nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// What a sweep keeps of a session for the next one. Only sweeps write here.
#[derive(Debug)]
pub(super) struct IdleWatch {
    /// What the session had done at the last sweep: commands, or bytes of one.
    done: AtomicU64,
    /// Since when it is known to do nothing, in milliseconds of `Live`.
    since_ms: AtomicU64,
    /// Whether a sweep has found it quiet for too long.
    pub(super) overdue: AtomicBool,
}

impl IdleWatch {
    /// Of a session that begins at `now`.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            done: AtomicU64::new(0),
            since_ms: AtomicU64::new(millis(now)),
            overdue: AtomicBool::new(false),
        }
    }
}

impl IdleWatch {
    /// For how long nothing has been done; none where something has,
    /// or the client is not waited for.
    pub(super) fn quiet(&self, now: Duration, done: u64, waits: bool) -> Option<Duration> {
        if self.done.swap(done, Relaxed) != done || !waits {
            self.since_ms.store(millis(now), Relaxed);
            return None;
        }
        let quiet_ms = millis(now).saturating_sub(self.since_ms.load(Relaxed));
        Some(Duration::from_millis(quiet_ms))
    }
}

/// In whole milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

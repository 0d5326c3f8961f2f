//! Start of a session's idle time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// State that a sweep keeps per session for the next sweep. Only sweeps write here.
#[derive(Debug)]
pub(super) struct IdleWatch {
    /// Progress at the last sweep: number of commands, or bytes of one command.
    done: AtomicU64,
    /// Start of the idle time, in milliseconds since the start of `Live`.
    since_ms: AtomicU64,
    /// Whether a sweep found the session quiet for too long.
    pub(super) overdue: AtomicBool,
}

impl IdleWatch {
    /// State of a session that begins at `now`.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            done: AtomicU64::new(0),
            since_ms: AtomicU64::new(millis(now)),
            overdue: AtomicBool::new(false),
        }
    }
}

impl IdleWatch {
    /// How long there has been no progress; none if there was some, or the session does not wait
    /// for its client.
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

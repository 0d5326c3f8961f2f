//! Rate limit of log lines that unauthenticated clients can cause.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Minimum time between two lines of a kind.
const LINE_PERIOD: Duration = Duration::from_secs(1);

/// Permits one line of a kind per second, and counts the suppressed ones.
#[derive(Debug, Default)]
pub struct LineLimit(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    passed_at: Option<Instant>,
    left_out: u64,
}

impl LineLimit {
    /// Initial state: no line has been logged.
    #[must_use]
    pub const fn new() -> Self {
        Self(Mutex::new(State {
            passed_at: None,
            left_out: 0,
        }))
    }

    /// Whether a line may be logged now; if so, returns the number of lines suppressed since the
    /// last one.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let early = |at| now.saturating_duration_since(at) < LINE_PERIOD;
        if state.passed_at.is_some_and(early) {
            state.left_out += 1;
            return None;
        }
        state.passed_at = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_left_out_are_counted_in_the_next() {
        let (limit, now) = (LineLimit::new(), Instant::now());
        assert_eq!(limit.pass_at(now), Some(0));
        assert_eq!((limit.pass_at(now), limit.pass_at(now)), (None, None));
        assert_eq!(limit.pass_at(now + LINE_PERIOD), Some(2));
        assert_eq!(limit.pass_at(now + LINE_PERIOD * 2), Some(0));
    }
}

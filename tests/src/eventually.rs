//! Waiting for what another process does: looks again until it is so, and fails at a deadline.

use std::time::{Duration, Instant};

/// How long anything in these tests may take before it counts as not happening. Far beyond what it
/// takes on a busy machine: it bounds a failure and decides nothing else.
pub const DEADLINE: Duration = Duration::from_secs(180);
const PAUSE: Duration = Duration::from_millis(20);

/// The first value that `look` finds within [`DEADLINE`].
///
/// # Panics
/// Nothing is found; the message says `what` was waited for.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < until,
            "waited {DEADLINE:?} in vain: {what}"
        );
        std::thread::sleep(PAUSE);
    }
}

//! How the time of a stop is divided, so that the whole has a bound.
//!
//! ```text
//! |-- sessions end --|-- busy ones are closed, pools, writers --|-- embedded store --|
//! |<------------ stop_seconds_max (1 s at least) -------------->|<- store_stop_ ... ->|
//! ```

use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};

/// What is kept for the end of a stop, at most: a fifth of it.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(5);
/// What the end of a stop is given in any case.
const CLOSING_TIME_MIN: Duration = Duration::from_secs(1);
/// How much later than its bound a stop that is stuck in a way that was not foreseen is ended by a
/// signal.
const STUCK_TIME_MAX: Duration = Duration::from_secs(5);

/// A stop under way.
#[derive(Debug, Clone, Copy)]
pub struct StopTime {
    began: Instant,
    sessions: Duration,
    closing: Duration,
}

impl StopTime {
    /// A stop begins that may take `time_max`.
    #[must_use]
    pub fn begin(time_max: Duration) -> Self {
        let closing = (time_max / 5).min(CLOSING_TIME_MAX);
        Self {
            began: Instant::now(),
            sessions: time_max - closing,
            closing: closing.max(CLOSING_TIME_MIN),
        }
    }

    /// How long sessions may still take to end by themselves.
    #[must_use]
    pub fn left_for_sessions(&self) -> Duration {
        self.sessions.saturating_sub(self.began.elapsed())
    }

    /// How long all may still take.
    #[must_use]
    pub fn left(&self) -> Duration {
        let whole = self.sessions.saturating_add(self.closing);
        whole.saturating_sub(self.began.elapsed())
    }

    /// Does `work` on a thread of its own, which may go on alone when the time is over, or a
    /// second where it is over already. Says whether it has ended.
    pub fn within(&self, name: &str, work: impl FnOnce() + Send + 'static) -> bool {
        let (done, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned());
        let started = thread.spawn(move || {
            work();
            let _ = done.send(());
        });
        let patience = self.left().max(CLOSING_TIME_MIN);
        started.is_ok() && ended.recv_timeout(patience).is_ok()
    }

    /// Ends the process some seconds after its time, and `more` for what comes afterwards, unless
    /// what is returned has been dropped by then.
    #[must_use]
    pub fn watch(&self, more: Duration) -> StopWatch {
        let patience = self
            .left()
            .saturating_add(more)
            .saturating_add(STUCK_TIME_MAX);
        let (ended, watched) = mpsc::channel();
        let thread = std::thread::Builder::new().name("stop-watch".to_owned());
        let started = thread.spawn(move || {
            if watched.recv_timeout(patience) == Err(mpsc::RecvTimeoutError::Timeout) {
                tracing::error!("the stop is stuck");
                end_process();
            }
        });
        if let Err(error) = started {
            tracing::warn!(%error, "nobody watches over the stop");
        }
        StopWatch(ended)
    }
}

/// Watches over a stop for as long as it lives.
#[derive(Debug)]
pub struct StopWatch(#[expect(dead_code, reason = "its end is the message")] mpsc::Sender<()>);

/// Ends the process with SIGKILL: what an ordinary end of the process runs must not meet threads
/// that still work.
pub fn end_process() {
    tracing::warn!("ending at once");
    if let Err(error) = kill_process(getpid(), Signal::KILL) {
        tracing::error!(%error, "the process cannot be ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_stop_has_its_share_and_the_whole_its_bound() {
        for (seconds, sessions, whole) in [(0, 0.0, 1.0), (1, 0.8, 1.8), (30, 25.0, 30.0)] {
            let stop = StopTime::begin(Duration::from_secs(seconds));
            assert!(stop.left_for_sessions().as_secs_f64() <= sessions);
            assert_eq!((stop.sessions + stop.closing).as_secs_f64(), whole);
            assert!(stop.left().as_secs_f64() <= whole);
        }
    }

    #[test]
    fn work_that_does_not_end_is_left_alone() {
        let stop = StopTime::begin(Duration::ZERO);
        assert!(stop.within("quick", || {}));
        let (hold, held) = mpsc::channel::<()>();
        assert!(!stop.within("stuck", move || {
            let _ = held.recv();
        }));
        drop(hold);
    }
}

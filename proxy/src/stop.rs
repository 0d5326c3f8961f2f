//! Division of the time of a stop, such that its total is bounded.
//!
//! ```text
//! |-- sessions end --|-- busy ones are closed, pools, writers --|-- embedded store --|
//! |<------------ stop_seconds_max (1 s at least) -------------->|<- store_stop_ ... ->|
//! ```

use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Maximum time reserved for the last steps of a stop, which is a fifth of the whole.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(5);
/// Minimum time for the last steps of a stop.
const CLOSING_TIME_MIN: Duration = Duration::from_secs(1);
/// Time beyond its bound after which a hanging stop is ended by a signal.
const STUCK_TIME_MAX: Duration = Duration::from_secs(5);

/// Cancels `stopping` at the first SIGTERM or SIGINT. A second one ends the process at once, in
/// any phase of the stop: a separate thread waits for it.
///
/// # Errors
/// The signal handlers or the thread cannot be created.
pub fn on_signals(stopping: CancellationToken) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        // With a handler for this signal, a file that grows beyond the process's limit (ulimit -f)
        // causes an error of the write instead of ending the process.
        drop(signal(SignalKind::from_raw(Signal::XFSZ.as_raw()))?);
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        )
    };
    let waiting = async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let name = next().await;
        tracing::info!("{name}: stopping; again to stop at once");
        stopping.cancel();
        next().await;
        // The embedded store ends with the process, without data loss.
        std::process::exit(130);
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(waiting))?;
    Ok(())
}

/// A stop in progress.
#[derive(Debug, Clone, Copy)]
pub struct StopTime {
    began: Instant,
    sessions: Duration,
    closing: Duration,
}

impl StopTime {
    /// Starts a stop with the maximum duration `time_max`.
    #[must_use]
    pub fn begin(time_max: Duration) -> Self {
        let closing = (time_max / 5).min(CLOSING_TIME_MAX);
        Self {
            began: Instant::now(),
            sessions: time_max - closing,
            closing: closing.max(CLOSING_TIME_MIN),
        }
    }

    /// Remaining time for sessions to end by themselves.
    #[must_use]
    pub fn left_for_sessions(&self) -> Duration {
        self.sessions.saturating_sub(self.began.elapsed())
    }

    /// Remaining time of the whole stop.
    #[must_use]
    pub fn left(&self) -> Duration {
        let whole = self.sessions.saturating_add(self.closing);
        whole.saturating_sub(self.began.elapsed())
    }

    /// Runs `work` on a separate thread and waits for it, for the remaining time but at least a
    /// second; after that the thread is left running. Returns whether it has ended.
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

    /// Ends the process some seconds after the remaining time plus `more`, which is for later
    /// steps, unless the returned value is dropped before.
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

/// Watches a stop until dropped.
#[derive(Debug)]
pub struct StopWatch(#[expect(dead_code, reason = "its end is the message")] mpsc::Sender<()>);

/// Ends the process with SIGKILL: exit handlers must not run while threads are still working.
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

//! Ends sessions whose clients have been idle for too long or have left a command incomplete.
//!
//! There are no timers per session or command: every [`IDLE_SWEEP_PERIOD`] one task compares each
//! session's progress counters with those of the previous sweep. A session ends at most one period
//! late.

use super::activity::Activity;
use super::idle_watch::millis;
use super::lock::locked;
use super::registry::Live;
use super::session::Session;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Time between sweeps.
pub const IDLE_SWEEP_PERIOD: Duration = Duration::from_secs(1);

impl Live {
    /// Ends the sessions that have waited for their clients for `idle_time_max` or longer, also
    /// within a transaction; returns how many. Zero means no limit. Must be called every
    /// [`IDLE_SWEEP_PERIOD`]. A command that arrives at that very moment is still answered.
    pub fn sweep_idle(&self, idle_time_max: Duration) -> usize {
        if idle_time_max.is_zero() {
            return 0;
        }
        let now = self.began.elapsed();
        let sessions = locked(&self.sessions);
        let idle = sessions
            .values()
            .filter(|session| session.sweep(now, idle_time_max));
        idle.count()
    }

    /// Ends the sessions whose clients have sent the start of a command and nothing more for
    /// `stall_time_max` or longer; returns how many. Zero means no limit. The store's own
    /// `net_read_timeout` does not apply, since the store has received nothing of the command yet.
    pub fn sweep_stalled(&self, stall_time_max: Duration) -> usize {
        if stall_time_max.is_zero() {
            return 0;
        }
        let now = self.began.elapsed();
        let sessions = locked(&self.sessions);
        let stalled = sessions
            .values()
            .filter(|session| session.sweep_stalled(now, stall_time_max));
        stalled.count()
    }
}

impl Session {
    /// Whether a sweep found the session idle or stalled for too long.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.idle.overdue.load(Relaxed)
    }

    /// Checks the session; true if this ends it.
    fn sweep(&self, now: Duration, idle_time_max: Duration) -> bool {
        let waits = matches!(
            self.activity(),
            Activity::Idle | Activity::InTransaction | Activity::Receiving
        );
        let idle = self.idle.quiet(now, self.commands(), waits);
        self.end(idle, idle_time_max, "ending an idle session")
    }

    fn sweep_stalled(&self, now: Duration, stall_time_max: Duration) -> bool {
        let waits = self.activity() == Activity::Receiving;
        let received = self.received.load(Relaxed);
        let done = received.wrapping_add(self.commands() << u32::BITS);
        let stalled = self.stall.quiet(now, done, waits);
        let end = "ending a session whose client leaves a command unfinished";
        self.end(stalled, stall_time_max, end)
    }

    /// Ends the session if it has been quiet for too long; false if it was ending already.
    fn end(&self, quiet: Option<Duration>, quiet_max: Duration, what: &str) -> bool {
        let Some(quiet) = quiet.filter(|quiet| millis(*quiet) >= millis(quiet_max)) else {
            return false;
        };
        if self.idle.overdue.swap(true, Relaxed) {
            return false;
        }
        tracing::info!(
            connection_id = self.connection_id,
            user = self.user,
            client = self.client,
            idle_seconds = quiet.as_secs(),
            "{what}"
        );
        self.leave.cancel();
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::registry::SessionGuard;
    use super::*;
    use std::sync::Arc;
    use tokio::time::advance;
    use tokio_util::sync::CancellationToken;

    const LIMIT: Duration = Duration::from_secs(10);

    fn enter(live: &Arc<Live>, id: u32) -> SessionGuard {
        let token = CancellationToken::new;
        live.enter(id, b"ann", String::new(), None, token(), token())
    }

    /// Runs the sweeps of that many seconds; returns how many sessions they ended.
    async fn seconds(live: &Live, seconds: u32) -> usize {
        let mut ended = 0;
        for _ in 0..seconds {
            advance(IDLE_SWEEP_PERIOD).await;
            ended += live.sweep_idle(LIMIT);
        }
        ended
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_nothing_is_ended_once_and_told_apart_from_the_killed() {
        let live = Arc::new(Live::new(Arc::default()));
        let (silent, busy) = (enter(&live, 1), enter(&live, 2));
        for commands in 1..10 {
            busy.note(Activity::Idle, commands);
            assert_eq!(seconds(&live, 1).await, 0);
        }
        assert_eq!(seconds(&live, 1).await, 1);
        assert!(silent.is_overdue() && silent.leaving().is_cancelled());
        assert!(!silent.stopping().is_cancelled() && !busy.is_overdue());
        assert_eq!(seconds(&live, 9).await, 1, "the other, and nobody twice");
        assert!(busy.is_overdue());
    }

    #[tokio::test(start_paused = true)]
    async fn a_statement_that_runs_is_not_idle_however_long() {
        let live = Arc::new(Live::new(Arc::default()));
        let (plain, predicting) = (enter(&live, 1), enter(&live, 2));
        plain.note(Activity::Forwarding, 1);
        predicting.note_lane();
        assert_eq!(seconds(&live, 1000).await, 0);
        // The idle time counts from the end of the statement.
        plain.note(Activity::InTransaction, 1);
        predicting.note(Activity::Idle, 0);
        assert_eq!(seconds(&live, 9).await, 0);
        assert_eq!(seconds(&live, 2).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_does_not_go_on_is_given_up() {
        let live = Arc::new(Live::new(Arc::default()));
        let (stalled, slow, idle) = (enter(&live, 1), enter(&live, 2), enter(&live, 3));
        stalled.note(Activity::Receiving, 0);
        slow.note(Activity::Receiving, 0);
        let mut ended = 0;
        for second in 1..30 {
            slow.note_received(second);
            advance(IDLE_SWEEP_PERIOD).await;
            ended += live.sweep_stalled(LIMIT);
        }
        assert_eq!(ended, 1);
        assert!(stalled.is_overdue() && stalled.leaving().is_cancelled());
        assert!(!slow.is_overdue() && !idle.is_overdue());
        assert_eq!(live.sweep_stalled(Duration::ZERO), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_ends_nobody() {
        let live = Arc::new(Live::new(Arc::default()));
        let session = enter(&live, 1);
        advance(LIMIT * 1000).await;
        assert_eq!(live.sweep_idle(Duration::ZERO), 0);
        assert!(!session.is_overdue());
    }
}

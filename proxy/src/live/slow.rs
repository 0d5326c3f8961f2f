//! Log of predict statements: an event at the end of each, and a line for slow ones.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::statement::Statement;

/// Which statements are logged as slow, and with which content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SlowLog {
    /// Minimum duration of a slow statement; `None` disables the log.
    pub threshold: Option<Duration>,
    /// Whether literals are logged: they may be secrets.
    pub literals: bool,
}

impl SlowLog {
    /// Logs a statement that ends, if it is slow, as one event of target `predictsql::slow`.
    pub(super) fn note(self, statement: &Statement, connection_id: u32, user: &str) {
        let age = statement.age();
        if self.threshold.is_none_or(|threshold| age < threshold) {
            return;
        }
        let text = match self.literals {
            true => statement.plain_text(),
            false => statement.masked_text(),
        };
        let executor = statement.counters.spent.seconds();
        tracing::warn!(
            target: "predictsql::slow",
            parent: None,
            session = connection_id,
            user,
            seconds = rounded(age.as_secs_f64()),
            plan = statement.plan().unwrap_or("none"),
            rows_read = statement.rows_read.load(Relaxed),
            rows_sent = statement.rows_sent.load(Relaxed),
            images_inferred = statement.counters.images.load(Relaxed),
            images_unreadable = statement.images_unreadable.load(Relaxed),
            cache_hits = statement.counters.cache_hits.load(Relaxed),
            phases = phases(statement),
            store_seconds = rounded(statement.store_seconds()),
            fetch_seconds = rounded(executor.fetching),
            decode_seconds = rounded(executor.preparing),
            model_seconds = rounded(executor.inferring),
            statement = text,
            "slow predict statement"
        );
    }
}

/// Seconds by phase, such as `planning 0.012, streaming 1.300`.
fn phases(statement: &Statement) -> String {
    let phases = statement.seconds_by_phase();
    let phases = phases
        .iter()
        .map(|(phase, seconds)| format!("{} {seconds:.3}", phase.name()));
    phases.collect::<Vec<_>>().join(", ")
}

/// Rounds to milliseconds.
pub(super) fn rounded(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

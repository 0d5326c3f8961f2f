//! Bounds shared by all statements that the lane sends for one client statement: its deadline and
//! its `timestamp`.

use std::time::Duration;

use predictsql_optimizer::exchange;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::{ErrorKind, SqlError};
use crate::lane::store::error::LinkError;

/// MariaDB's ER_STATEMENT_TIMEOUT.
const STATEMENT_TIMEOUT: u16 = ErrorKind::StatementTimeout.code();
/// The store's error codes for a session that may not set `timestamp`.
const NO_TIMESTAMP: [u16; 3] = [1227, 1238, 1290];

/// The setting that a deadline comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// `max_statement_time`
    Store,
    /// `@ml_max_seconds`
    Lane,
}

/// Time by which a statement must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: Instant,
    limit: Limit,
}

impl Deadline {
    /// The earlier of `max_statement_time` and `@ml_max_seconds`, both in seconds from `began`;
    /// zero is no limit.
    pub fn of(began: Instant, max_statement_time: f64, ml_max_seconds: f64) -> Option<Self> {
        let at = |seconds: f64, limit: Limit| {
            let time = Duration::try_from_secs_f64(seconds).ok()?;
            let at = began.checked_add(time).filter(|_| !time.is_zero())?;
            Some(Self { at, limit })
        };
        let limits = [
            at(max_statement_time, Limit::Store),
            at(ml_max_seconds, Limit::Lane),
        ];
        limits.into_iter().flatten().min_by_key(|limit| limit.at)
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.at
    }

    /// The time itself.
    pub fn at(self) -> Instant {
        self.at
    }

    fn error(self) -> SqlError {
        match self.limit {
            Limit::Store => SqlError::new(
                ErrorKind::StatementTimeout,
                "Query execution was interrupted (max_statement_time exceeded)",
            ),
            Limit::Lane => SqlError::new(
                ErrorKind::ExecutionTimeExceeded,
                "Query execution was interrupted, maximum statement execution time exceeded \
                 (@ml_max_seconds)",
            ),
        }
    }
}

/// Bounds of one statement.
#[derive(Debug, Clone, Default)]
pub struct Bounds {
    /// Time by which it must have ended.
    pub deadline: Option<Deadline>,
    /// Time at which it began, as the store's `timestamp`, if the result may depend on it.
    pub timestamp: Option<String>,
}

impl Bounds {
    /// The `SET STATEMENT ... FOR` prefix with which the store enforces the bounds; empty without
    /// bounds.
    pub fn prefix(&self) -> String {
        let left = |deadline: Deadline| {
            let left = deadline.at.saturating_duration_since(Instant::now());
            // Zero would be no limit. Rounded up, so that the deadline has passed here too when
            // the store ends the statement.
            let millis = left.as_nanos().div_ceil(1_000_000).max(1);
            format!(
                "max_statement_time = {}.{:03}",
                millis / 1000,
                millis % 1000
            )
        };
        let timestamp = self
            .timestamp
            .as_ref()
            .map(|time| format!("timestamp = {time}"));
        let settings: Vec<String> = timestamp
            .into_iter()
            .chain(self.deadline.map(left))
            .collect();
        match settings.is_empty() {
            true => String::new(),
            false => format!("SET STATEMENT {} FOR ", settings.join(", ")),
        }
    }

    /// Whether the statement must have ended by now.
    pub fn are_over(&self) -> bool {
        self.deadline.is_some_and(Deadline::is_over)
    }

    /// Drops the timestamp if the store refused to set it with this error code; returns whether a
    /// timestamp was dropped.
    pub fn without_timestamp(&mut self, code: u16) -> bool {
        NO_TIMESTAMP.contains(&code) && self.timestamp.take().is_some()
    }
}

/// Whether an error code of the store means that the statement was killed or timed out.
pub fn is_interruption(code: u16) -> bool {
    exchange::is_interruption(code)
}

/// Runs the work of a statement, and cancels it at the deadline; the error is then the deadline's.
pub async fn within<T>(
    deadline: Option<Deadline>,
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    let Some(deadline) = deadline else {
        return work.await;
    };
    let mut work = std::pin::pin!(work);
    let done = tokio::select! {
        biased;
        done = &mut work => done,
        () = sleep_until(deadline.at) => {
            cancel.cancel();
            work.await
        }
    };
    match done {
        Err(LinkError::Sql(error))
            if deadline.is_over() && error.kind == ErrorKind::Interrupted =>
        {
            Err(deadline.error().into())
        }
        Err(LinkError::Refused(error)) if error.code == STATEMENT_TIMEOUT => {
            Err(deadline.error().into())
        }
        Err(LinkError::Sql(error)) if error.kind == ErrorKind::StatementTimeout => {
            Err(deadline.error().into())
        }
        done => done,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_earlier_limit_counts() {
        let began = Instant::now();
        let limit = |store, lane| Deadline::of(began, store, lane).map(|d| (d.limit, d.at - began));
        assert_eq!(limit(0.0, 0.0), None);
        assert_eq!(
            limit(2.0, 0.0),
            Some((Limit::Store, Duration::from_secs(2)))
        );
        assert_eq!(
            limit(2.0, 0.5),
            Some((Limit::Lane, Duration::from_millis(500)))
        );
        assert_eq!(limit(f64::MAX, f64::NAN), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_store_is_told_what_is_left() {
        let mut bounds = Bounds {
            deadline: Deadline::of(Instant::now(), 3.0, 0.0),
            timestamp: Some("17.5".to_owned()),
        };
        tokio::time::advance(Duration::from_secs(1)).await;
        let both = "SET STATEMENT timestamp = 17.5, max_statement_time = 2.000 FOR ";
        assert_eq!(bounds.prefix(), both);
        assert!(!bounds.without_timestamp(1064) && bounds.without_timestamp(1227));
        tokio::time::advance(Duration::from_secs(9)).await;
        assert_eq!(
            bounds.prefix(),
            "SET STATEMENT max_statement_time = 0.001 FOR "
        );
        assert_eq!(Bounds::default().prefix(), "");
    }

    #[tokio::test(start_paused = true)]
    async fn late_work_is_cancelled_and_the_limit_named() {
        let cancel = CancellationToken::new();
        let deadline = Deadline::of(Instant::now(), 0.0, 1.0);
        let work = async {
            cancel.cancelled().await;
            Err::<(), _>(SqlError::new(ErrorKind::Interrupted, "interrupted").into())
        };
        match within(deadline, &cancel, work).await {
            Err(LinkError::Sql(error)) => assert_eq!(error.kind, ErrorKind::ExecutionTimeExceeded),
            other => panic!("{other:?}"),
        }
    }
}

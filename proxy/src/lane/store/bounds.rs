//! What holds for all statements that the lane sends for one of the client's: when it must have
//! ended, and what time it is.

use std::time::Duration;

use predictsql_optimizer::exchange;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::error::{ErrorKind, SqlError};
use crate::lane::store::error::LinkError;

/// ER_STATEMENT_TIMEOUT of MariaDB.
const STATEMENT_TIMEOUT: u16 = ErrorKind::StatementTimeout.code();
/// By which the store says that this session may not set `timestamp`.
const NO_TIMESTAMP: [u16; 3] = [1227, 1238, 1290];

/// Whose limit a deadline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// `max_statement_time`
    Store,
    /// `@ml_max_seconds`
    Lane,
}

/// When a statement must have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    at: Instant,
    limit: Limit,
}

impl Deadline {
    /// The earlier of `max_statement_time` and `@ml_max_seconds`, in seconds from `began`;
    /// zero is none.
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
    /// When it must have ended.
    pub deadline: Option<Deadline>,
    /// When it began, as the store's `timestamp`, where that may show.
    pub timestamp: Option<String>,
}

impl Bounds {
    /// What stands before a statement of the lane's so that the store heeds them; empty for none.
    pub fn prefix(&self) -> String {
        let left = |deadline: Deadline| {
            let left = deadline.at.saturating_duration_since(Instant::now());
            // Zero is no limit. Rounded up, so that what the store ends is late here, too.
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

    /// Gives the time of the beginning up where the store refused it with this error;
    /// says whether it did.
    pub fn without_timestamp(&mut self, code: u16) -> bool {
        NO_TIMESTAMP.contains(&code) && self.timestamp.take().is_some()
    }
}

/// Whether the store refused a statement since somebody or its deadline ended it,
/// not for what it says.
pub fn is_interruption(code: u16) -> bool {
    exchange::is_interruption(code)
}

/// Does the work of a statement, and cancels it at the deadline.
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

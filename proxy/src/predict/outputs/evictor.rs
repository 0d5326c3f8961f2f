//! Keeps the table within its limit of rows.

use std::sync::Arc;
use std::time::Duration;

use predictsql_catalog::store;
use tokio::sync::mpsc;

use crate::account::ServiceAccount;
use crate::metrics::Metrics;

/// Interval of checks while this proxy adds no rows.
const LOOK_PERIOD: Duration = Duration::from_secs(600);

/// Minimum time between two checks.
const REST: Duration = Duration::from_secs(1);

/// Maximum number of DELETE statements, of a thousand rows each, per run.
const DELETES_MAX: u64 = 10;

/// Starts the task that deletes the least recently used rows when there are more than `rows_max`.
/// The returned sender reports new rows; the task ends when all senders are dropped.
pub fn start(account: &ServiceAccount, rows_max: u64, metrics: &Arc<Metrics>) -> mpsc::Sender<()> {
    let (grown, told) = mpsc::channel(1);
    account.spawn(run(account.clone(), rows_max, Arc::clone(metrics), told));
    grown
}

async fn run(
    account: ServiceAccount,
    rows_max: u64,
    metrics: Arc<Metrics>,
    mut told: mpsc::Receiver<()>,
) {
    // The rows of a large table are not counted after each INSERT.
    let rest = REST.max(Duration::from_millis(rows_max / 100));
    loop {
        // Both a report of new rows and the timeout start a check.
        if let Ok(None) = tokio::time::timeout(LOOK_PERIOD, told.recv()).await {
            return;
        }
        let mut more = true;
        while more {
            let evicted = account.run(move |mut conn, schema| async move {
                store::evict_outputs(&mut conn, &schema, rows_max, DELETES_MAX).await
            });
            match evicted.await {
                Ok((rows, left)) => {
                    metrics.cache_evictions.inc_by(rows);
                    more = left;
                }
                Err(error) => {
                    tracing::warn!(%error, "table `predictions` could not be looked through");
                    more = false;
                }
            }
        }
        tokio::time::sleep(rest).await;
    }
}

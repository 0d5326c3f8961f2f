//! Keeps the table within its limit.

use std::sync::Arc;
use std::time::Duration;

use predictsql_catalog::store;
use tokio::sync::mpsc;

use crate::account::ServiceAccount;
use crate::metrics::Metrics;

/// How often the table is looked at where this proxy adds nothing to it.
const LOOK_PERIOD: Duration = Duration::from_secs(600);

/// Least time between two looks.
const REST: Duration = Duration::from_secs(1);

/// Statements, of a thousand rows each, that are run in one go.
const DELETES_MAX: u64 = 10;

/// Starts the task that deletes the rows used least recently once there are more than `rows_max`.
/// It wants to be told when rows were added, and ends with the last who could tell it.
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
    // A large table is not counted after each INSERT.
    let rest = REST.max(Duration::from_millis(rows_max / 100));
    loop {
        // Told, or long not told: both are reasons to look.
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

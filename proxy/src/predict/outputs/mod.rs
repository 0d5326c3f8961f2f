//! The table `predictions`, which stores model outputs beyond the life of the proxy.
//!
//! ```text
//! read ─► reader ─► table      keep ─► writer ─► table      evictor ─► table
//! ```
//!
//! Reader, writer and evictor are tasks on the service account's thread. They never fail a
//! statement or delay it for long: a failed read counts as not found, a failed write is dropped
//! and counted.

mod evictor;
mod reader;
mod writer;

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use predictsql_catalog::OutputCodec;
use predictsql_executor::InputId;
use predictsql_executor::kept::{Numbers, OutputCache, OutputStore};

use crate::account::ServiceAccount;
use crate::metrics::Metrics;
use reader::Reader;
use writer::Writer;

/// Limits of the kept outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheLimits {
    /// Maximum bytes of outputs in memory.
    pub memory_bytes_max: u64,
    /// Maximum rows of the table.
    pub rows_max: u64,
}

/// The table as an output store.
struct OutputTable {
    reader: Reader,
    writer: Writer,
    metrics: Arc<Metrics>,
}

/// Kept outputs in memory and in the table. Without a service account no outputs are kept.
pub fn start(
    limits: &CacheLimits,
    account: &ServiceAccount,
    metrics: &Arc<Metrics>,
) -> OutputCache {
    if !account.is_configured() {
        return OutputCache::none();
    }
    let grown = evictor::start(account, limits.rows_max, metrics);
    let writer = Writer::start(account, metrics, grown);
    let table = OutputTable {
        reader: Reader::start(account, writer.clone()),
        writer,
        metrics: Arc::clone(metrics),
    };
    OutputCache::new(limits.memory_bytes_max, Arc::new(table))
}

impl fmt::Debug for OutputTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputTable").finish_non_exhaustive()
    }
}

impl OutputStore for OutputTable {
    fn read(
        &self,
        output: [u8; 16],
        codec: OutputCodec,
        inputs: Vec<InputId>,
    ) -> BoxFuture<'_, Vec<(InputId, Numbers)>> {
        Box::pin(self.reader.read(output, codec, inputs))
    }

    fn keep(&self, output: [u8; 16], input: InputId, numbers: Numbers) {
        if !self.writer.keep(output, input, numbers) {
            self.metrics.cache_dropped.inc();
        }
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.writer.close())
    }
}

#[cfg(test)]
mod tests {
    use predictsql_executor::Scores;

    use super::*;

    #[tokio::test]
    async fn without_an_account_nothing_is_kept() {
        let metrics = Arc::new(Metrics::new());
        let limits = CacheLimits {
            memory_bytes_max: 1 << 20,
            rows_max: 10,
        };
        let cache = start(&limits, &ServiceAccount::none(), &metrics);
        let input = Some(InputId::from_bytes([1; 16]));
        let scores = Scores::new([0.25, 0.75]);
        let codec = Some(OutputCodec::Probabilities { labels: 2 });
        cache.keep([0; 16], std::iter::once((input, &scores)));
        let (found, asked_of_store) = cache.find([0; 16], codec, &[input]).await;
        assert_eq!((&found[..], asked_of_store), (&[None][..], 0));
        assert!(!cache.is_on());
    }
}

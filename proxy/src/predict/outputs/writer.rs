//! Writes outputs to the table through a bounded queue; outputs that do not fit are dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use predictsql_catalog::store::{self, KeptOutput, StoreError};
use predictsql_executor::InputId;
use predictsql_executor::kept::Numbers;
use tokio::sync::{mpsc, oneshot};

use crate::account::ServiceAccount;
use crate::metrics::Metrics;

/// Maximum queued bytes.
const QUEUE_BYTES_MAX: usize = 16 << 20;

/// Maximum rows and bytes of one INSERT.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 256 * 1024;

/// Overhead of a row besides its numbers, in bytes.
const ROW_BYTES: usize = 64;

/// Timeout for writing the queue when the proxy stops.
const CLOSE_SECONDS_MAX: u64 = 2;

enum Write {
    /// A row to insert.
    Keep {
        output: [u8; 16],
        input: InputId,
        numbers: Numbers,
    },
    /// Rows to mark as used.
    Used {
        output: [u8; 16],
        inputs: Vec<[u8; 16]>,
    },
    /// Write everything queued before now.
    Flush(oneshot::Sender<()>),
}

/// Handle of the writing task.
#[derive(Clone)]
pub struct Writer {
    writes: mpsc::UnboundedSender<Write>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Writer {
    /// Starts the task. `grown` receives a message after new rows.
    pub fn start(
        account: &ServiceAccount,
        metrics: &Arc<Metrics>,
        grown: mpsc::Sender<()>,
    ) -> Self {
        let (writes, queue) = mpsc::unbounded_channel();
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let writing = Writing {
            account: account.clone(),
            metrics: Arc::clone(metrics),
            queued_bytes: Arc::clone(&queued_bytes),
            grown,
            told_of_failure: AtomicBool::new(false),
        };
        account.spawn(writing.run(queue));
        Self {
            writes,
            queued_bytes,
        }
    }

    /// Queues a row; returns whether there was space.
    pub fn keep(&self, output: [u8; 16], input: InputId, numbers: Numbers) -> bool {
        let bytes = ROW_BYTES + numbers.bytes();
        if self.queued_bytes.load(Relaxed) + bytes > QUEUE_BYTES_MAX {
            return false;
        }
        self.queued_bytes.fetch_add(bytes, Relaxed);
        let write = Write::Keep {
            output,
            input,
            numbers,
        };
        self.writes.send(write).is_ok()
    }

    /// Queues marks of use.
    pub fn used(&self, output: [u8; 16], inputs: impl Iterator<Item = [u8; 16]>) {
        let inputs: Vec<[u8; 16]> = inputs.collect();
        if !inputs.is_empty() {
            // If the proxy is stopping, they remain unmarked.
            let _ = self.writes.send(Write::Used { output, inputs });
        }
    }

    /// Waits until the queue is written, up to a timeout.
    pub async fn close(&self) {
        let (done, written) = oneshot::channel();
        if self.writes.send(Write::Flush(done)).is_ok() {
            let wait = Duration::from_secs(CLOSE_SECONDS_MAX);
            let _ = tokio::time::timeout(wait, written).await;
        }
    }
}

struct Writing {
    account: ServiceAccount,
    metrics: Arc<Metrics>,
    queued_bytes: Arc<AtomicUsize>,
    grown: mpsc::Sender<()>,
    told_of_failure: AtomicBool,
}

impl Writing {
    async fn run(self, mut queue: mpsc::UnboundedReceiver<Write>) {
        let mut rows: Vec<KeptOutput> = Vec::new();
        let mut bytes = 0;
        while let Some(write) = queue.recv().await {
            let mut next = Some(write);
            while let Some(write) = next.take() {
                match write {
                    Write::Keep {
                        output,
                        input,
                        numbers,
                    } => {
                        bytes += ROW_BYTES + numbers.bytes();
                        rows.push(KeptOutput {
                            output,
                            input: *input.as_bytes(),
                            scores: numbers.encode(),
                        });
                    }
                    Write::Used { output, inputs } => self.mark(output, inputs).await,
                    Write::Flush(done) => {
                        self.write(&mut rows, &mut bytes).await;
                        let _ = done.send(());
                    }
                }
                if rows.len() < BATCH_ROWS && bytes < BATCH_BYTES {
                    next = queue.try_recv().ok();
                }
            }
            self.write(&mut rows, &mut bytes).await;
        }
    }

    /// Writes the gathered rows and clears them.
    async fn write(&self, rows: &mut Vec<KeptOutput>, bytes: &mut usize) {
        let (rows, bytes) = (std::mem::take(rows), std::mem::take(bytes));
        if rows.is_empty() {
            return;
        }
        let count = rows.len() as u64;
        let written = self.account.run(move |mut conn, schema| async move {
            store::write_outputs(&mut conn, &schema, &rows).await
        });
        match written.await {
            Ok(new) => {
                self.told_of_failure.store(false, Relaxed);
                self.metrics.cache_writes.inc_by(new);
                if new > 0 {
                    // If the channel is full, a report is pending already.
                    let _ = self.grown.try_send(());
                }
            }
            Err(error) => {
                self.metrics.cache_dropped.inc_by(count);
                if !self.told_of_failure.swap(true, Relaxed) {
                    tracing::warn!(%error, "outputs of models could not be kept");
                }
            }
        }
        self.queued_bytes.fetch_sub(bytes, Relaxed);
    }

    async fn mark(&self, output: [u8; 16], inputs: Vec<[u8; 16]>) {
        let marked = self.account.run(move |mut conn, schema| async move {
            store::mark_outputs_used(&mut conn, &schema, output, &inputs).await?;
            Ok::<(), StoreError>(())
        });
        if let Err(error) = marked.await {
            tracing::debug!(%error, "kept outputs could not be marked as used");
        }
    }
}

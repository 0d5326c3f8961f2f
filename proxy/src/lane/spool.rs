//! Rows of the store that wait to be predicted: read as fast as the store sends them, so that a
//! slow model never stalls it, kept in memory up to a limit and beyond that in a temporary file.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use super::store_link::{LinkError, ResultEnd};
use crate::error::SqlError;
use crate::wire::{Malformed, lenenc};

/// Rows are handed over in blocks of about this size.
const BLOCK_BYTES: usize = 256 * 1024;

/// What a spool may hold.
#[derive(Debug, Clone)]
pub struct SpoolLimits {
    /// Bytes of rows kept in memory by one statement.
    pub memory_bytes_max: u64,
    /// Bytes of rows kept in a temporary file by one statement.
    pub disk_bytes_max: u64,
    /// Where the file is made.
    pub directory: PathBuf,
}

#[derive(Debug)]
enum Block {
    Memory(Bytes),
    Disk { offset: u64, bytes: usize },
}

/// How the rows ended.
type End = Result<ResultEnd, LinkError>;

#[derive(Debug, Default)]
struct State {
    blocks: VecDeque<Block>,
    memory_bytes: u64,
    /// Blocks in the file that were not taken yet; the file is used again when there are none.
    disk_blocks: usize,
    disk_end: u64,
    end: Option<End>,
    /// The reader wants no more: what comes is dropped.
    closed: bool,
}

/// A queue of rows from one future to another of the same task.
#[derive(Debug)]
pub struct Spool {
    limits: SpoolLimits,
    state: Mutex<State>,
    changed: Notify,
    file: tokio::sync::OnceCell<Arc<File>>,
}

/// The writing end's open block.
#[derive(Debug, Default)]
pub struct OpenBlock(BytesMut);

impl OpenBlock {
    /// Appends a row.
    pub fn push(&mut self, row: &[u8]) {
        lenenc::put_str(&mut self.0, row);
    }

    /// Whether the block should be handed over now.
    pub fn is_full(&self) -> bool {
        self.0.len() >= BLOCK_BYTES
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Spool {
    /// An empty spool; its file is made when it is needed.
    pub fn new(limits: SpoolLimits) -> Self {
        Self {
            limits,
            state: Mutex::default(),
            changed: Notify::new(),
            file: tokio::sync::OnceCell::new(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // No code panics while it holds the lock; a poisoned state would still be whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over the rows of `block` and empties it.
    pub async fn write(&self, block: &mut OpenBlock) -> Result<(), SqlError> {
        let bytes = block.0.split().freeze();
        let length = bytes.len() as u64;
        let place = {
            let mut state = self.state();
            if state.closed || bytes.is_empty() {
                return Ok(());
            }
            if state.disk_blocks == 0 && state.memory_bytes + length <= self.limits.memory_bytes_max
            {
                state.memory_bytes += length;
                state.blocks.push_back(Block::Memory(bytes));
                self.changed.notify_one();
                return Ok(());
            }
            if state.disk_blocks == 0 {
                state.disk_end = 0;
            }
            let offset = state.disk_end;
            if offset + length > self.limits.disk_bytes_max {
                return Err(full(self.limits.disk_bytes_max));
            }
            state.disk_end += length;
            state.disk_blocks += 1;
            offset
        };
        let file = self
            .file
            .get_or_try_init(|| open(self.limits.directory.clone()))
            .await?
            .clone();
        let written = bytes.len();
        blocking(move || file.write_all_at(&bytes, place)).await?;
        self.state().blocks.push_back(Block::Disk {
            offset: place,
            bytes: written,
        });
        self.changed.notify_one();
        Ok(())
    }

    /// Says how the rows ended; nothing may be written after.
    pub fn finish(&self, end: End) {
        self.state().end = Some(end);
        self.changed.notify_one();
    }

    /// The reader wants no more rows: drops those that wait and all that come.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.blocks.clear();
        state.disk_blocks = 0;
        state.memory_bytes = 0;
    }

    /// The next block of rows, waiting for it; `None` when all have been taken.
    pub async fn read(&self) -> Result<Option<Rows>, SqlError> {
        loop {
            let block = {
                let mut state = self.state();
                match state.blocks.pop_front() {
                    Some(block) => Some(block),
                    None if state.end.is_some() => return Ok(None),
                    None => None,
                }
            };
            match block {
                None => self.changed.notified().await,
                Some(Block::Memory(bytes)) => {
                    let mut state = self.state();
                    state.memory_bytes = state.memory_bytes.saturating_sub(bytes.len() as u64);
                    return Ok(Some(Rows(bytes)));
                }
                Some(Block::Disk { offset, bytes }) => {
                    let Some(file) = self.file.get().cloned() else {
                        return Ok(None);
                    };
                    let read = read_at(file, offset, bytes).await?;
                    let mut state = self.state();
                    state.disk_blocks = state.disk_blocks.saturating_sub(1);
                    return Ok(Some(Rows(read.into())));
                }
            }
        }
    }

    /// Block number `number` of those that wait, without taking it; waits until it is there. `None`: there
    /// will be no such block.
    pub async fn look(&self, number: usize) -> Result<Option<Rows>, SqlError> {
        loop {
            let place = {
                let state = self.state();
                match state.blocks.get(number) {
                    Some(Block::Memory(bytes)) => return Ok(Some(Rows(bytes.clone()))),
                    Some(Block::Disk { offset, bytes }) => Some((*offset, *bytes)),
                    None if state.end.is_some() => return Ok(None),
                    None => None,
                }
            };
            let Some((offset, bytes)) = place else {
                self.changed.notified().await;
                continue;
            };
            let Some(file) = self.file.get().cloned() else {
                return Ok(None);
            };
            return Ok(Some(Rows(read_at(file, offset, bytes).await?.into())));
        }
    }

    /// Takes the end, once [`Spool::finish`] was called.
    pub fn take_end(&self) -> Option<End> {
        self.state().end.take()
    }
}

/// Rows of one block, in order.
#[derive(Debug)]
pub struct Rows(Bytes);

impl Rows {
    /// The next row's payload.
    pub fn next(&mut self) -> Result<Option<Bytes>, Malformed> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let mut input = &self.0[..];
        let row = lenenc::get_str(&mut input)?;
        let (row, rest) = (self.0.slice_ref(row), self.0.slice_ref(input));
        self.0 = rest;
        Ok(Some(row))
    }
}

async fn read_at(file: Arc<File>, offset: u64, bytes: usize) -> Result<Vec<u8>, SqlError> {
    blocking(move || {
        let mut buffer = vec![0; bytes];
        file.read_exact_at(&mut buffer, offset)?;
        Ok(buffer)
    })
    .await
}

async fn open(directory: PathBuf) -> Result<Arc<File>, SqlError> {
    blocking(move || tempfile::tempfile_in(directory))
        .await
        .map(Arc::new)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SqlError> {
    let failed = |error: std::io::Error| {
        tracing::error!(%error, "the spool file failed");
        SqlError::new(
            1021,
            "HY000",
            "Disk full or unusable: the spool of a predict statement could not be kept",
        )
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(failed(std::io::Error::other("the task was stopped"))),
    }
}

fn full(disk_bytes_max: u64) -> SqlError {
    SqlError::new(
        1021,
        "HY000",
        format!(
            "Rows waiting to be predicted exceed spool_disk_bytes_max ({disk_bytes_max} bytes); \
             narrow the statement or raise the limit"
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire::StatusFlags;

    fn limits(memory_bytes_max: u64, disk_bytes_max: u64) -> SpoolLimits {
        SpoolLimits {
            memory_bytes_max,
            disk_bytes_max,
            directory: std::env::temp_dir(),
        }
    }

    fn row(n: usize) -> Vec<u8> {
        vec![(n % 251) as u8; n % 700]
    }

    async fn fill(spool: &Spool, rows: std::ops::Range<usize>) -> Result<(), SqlError> {
        for n in rows {
            let mut block = OpenBlock::default();
            block.push(&row(n));
            spool.write(&mut block).await?;
        }
        Ok(())
    }

    async fn take(spool: &Spool, rows: std::ops::Range<usize>) {
        for n in rows {
            let mut block = spool.read().await.unwrap().unwrap();
            assert_eq!(block.next().unwrap().unwrap(), row(n));
            assert!(block.next().unwrap().is_none());
        }
    }

    #[tokio::test]
    async fn rows_come_out_in_order_from_memory_and_disk() {
        let spool = Spool::new(limits(2000, 1 << 20));
        fill(&spool, 0..300).await.unwrap();
        take(&spool, 0..100).await;
        fill(&spool, 300..400).await.unwrap();
        take(&spool, 100..400).await;
        // The file was emptied: memory is used again, then the file from its start.
        fill(&spool, 400..500).await.unwrap();
        let end = ResultEnd {
            status: StatusFlags::empty(),
            warnings: 3,
        };
        spool.finish(Ok(end));
        take(&spool, 400..500).await;
        assert!(spool.read().await.unwrap().is_none());
        assert_eq!(spool.take_end().unwrap().unwrap().warnings, 3);
    }

    #[tokio::test]
    async fn looking_takes_nothing() {
        let spool = Spool::new(limits(2000, 1 << 20));
        fill(&spool, 0..100).await.unwrap();
        spool.finish(Ok(ResultEnd {
            status: StatusFlags::empty(),
            warnings: 0,
        }));
        for number in [99, 0, 50] {
            let mut block = spool.look(number).await.unwrap().unwrap();
            assert_eq!(block.next().unwrap().unwrap(), row(number));
        }
        assert!(spool.look(100).await.unwrap().is_none());
        take(&spool, 0..100).await;
        assert!(spool.read().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn the_disk_limit_is_an_error_that_names_it() {
        let spool = Spool::new(limits(100, 1000));
        let error = fill(&spool, 600..620).await.unwrap_err();
        assert!(error.message.contains("spool_disk_bytes_max"), "{error}");
    }

    #[tokio::test]
    async fn a_closed_spool_drops_what_comes() {
        let spool = Spool::new(limits(100, 100));
        spool.close();
        fill(&spool, 0..600).await.unwrap();
        spool.finish(Ok(ResultEnd {
            status: StatusFlags::empty(),
            warnings: 0,
        }));
        assert!(spool.read().await.unwrap().is_none());
    }
}

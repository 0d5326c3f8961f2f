//! Where a long command waits until it is known whose it is: the last bytes in memory, those
//! before in a temporary file. What all sessions hold so is bounded.

use bytes::{Bytes, BytesMut};
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// Bytes that are written to the file, and read from it, at once.
const BLOCK_BYTES: usize = 1 << 20;

/// Memory that answering a command takes: its bytes, and those of a statement made of it, twice.
const COPIES: u64 = 3;

/// What the long commands of all sessions hold.
#[derive(Debug)]
pub struct HeldAccount {
    directory: PathBuf,
    memory_bytes_max: u64,
    memory_bytes: AtomicU64,
    disk_bytes_max: u64,
    disk_bytes: AtomicU64,
}

impl HeldAccount {
    /// An account of which nothing is held; files are created in `directory`.
    #[must_use]
    pub fn new(directory: PathBuf, memory_bytes_max: u64, disk_bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            directory,
            memory_bytes_max,
            memory_bytes: AtomicU64::new(0),
            disk_bytes_max,
            disk_bytes: AtomicU64::new(0),
        })
    }

    /// Reserves the memory in which a command of `bytes` is answered; none if too little is left.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reserved> {
        let bytes = (bytes as u64).saturating_mul(COPIES);
        take(&self.memory_bytes, bytes, self.memory_bytes_max).then(|| Reserved {
            account: Arc::clone(self),
            bytes,
        })
    }

    /// Reserved memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Relaxed)
    }
}

fn take(held: &AtomicU64, bytes: u64, max: u64) -> bool {
    let sum = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= max);
    held.fetch_update(Relaxed, Relaxed, sum).is_ok()
}

/// Memory of one command.
#[derive(Debug)]
pub struct Reserved {
    account: Arc<HeldAccount>,
    bytes: u64,
}

impl Reserved {
    /// The command's bytes: the memory is reserved until the last reference to them is dropped.
    #[must_use]
    pub fn hold(self, bytes: Bytes) -> Bytes {
        struct Held(
            Bytes,
            #[expect(dead_code, reason = "is dropped with the bytes")] Reserved,
        );
        impl AsRef<[u8]> for Held {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Bytes::from_owner(Held(bytes, self))
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.account.memory_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// A temporary file without a name.
#[derive(Debug)]
struct HeldFile {
    file: File,
    account: Arc<HeldAccount>,
    bytes: AtomicU64,
}

impl Drop for HeldFile {
    fn drop(&mut self) {
        let bytes = self.bytes.load(Relaxed);
        self.account.disk_bytes.fetch_sub(bytes, Relaxed);
    }
}

/// The file after a write, and the block if it could not be written.
type Written = (Option<Arc<HeldFile>>, Result<(), (Bytes, io::Error)>);

/// Bytes that wait, in order.
#[derive(Debug)]
pub struct Held {
    account: Arc<HeldAccount>,
    file: Option<Arc<HeldFile>>,
    /// The part of the file that has not been taken.
    from: u64,
    to: u64,
    memory: BytesMut,
    writing: Option<JoinHandle<Written>>,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl Held {
    /// Holds nothing.
    #[must_use]
    pub fn new(account: Arc<HeldAccount>) -> Self {
        Self {
            account,
            file: None,
            from: 0,
            to: 0,
            memory: BytesMut::new(),
            writing: None,
            reading: None,
        }
    }

    /// Adds bytes; [`Self::poll_room`] says when more may be added.
    pub fn push(&mut self, bytes: &[u8]) {
        self.memory.extend_from_slice(bytes);
    }

    /// Ready when more bytes may be added.
    ///
    /// # Errors
    /// No more can be kept; what has been added is.
    pub fn poll_room(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.memory.len() < BLOCK_BYTES {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_written(context))?;
        if !take(
            &self.account.disk_bytes,
            self.memory.len() as u64,
            self.account.disk_bytes_max,
        ) {
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let block = self.memory.split().freeze();
        let (file, account, at) = (self.file.take(), Arc::clone(&self.account), self.to);
        self.to += block.len() as u64;
        self.writing = Some(tokio::task::spawn_blocking(move || {
            write(file, account, block, at)
        }));
        Poll::Ready(Ok(()))
    }

    /// Waits for the block that is being written.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(writing) = &mut self.writing else {
            return Poll::Ready(Ok(()));
        };
        let written = ready!(Pin::new(writing).poll(context));
        self.writing = None;
        let (file, written) = written.map_err(io::Error::other)?;
        self.file = file;
        match written {
            Ok(()) => Poll::Ready(Ok(())),
            Err((block, error)) => {
                tracing::error!(%error, "a long command cannot be kept in a file");
                self.to -= block.len() as u64;
                let after = std::mem::replace(&mut self.memory, block.into());
                self.memory.unsplit(after);
                Poll::Ready(Err(error))
            }
        }
    }

    /// Takes the next bytes; none when all have been taken.
    ///
    /// # Errors
    /// The file cannot be read: bytes are lost.
    pub fn poll_take(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        // What could not be written is in memory again.
        let _ = ready!(self.poll_written(context));
        if self.from < self.to {
            let Some(file) = &self.file else {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            };
            let from = self.from;
            let bytes = (self.to - from).min(BLOCK_BYTES as u64);
            let reading = self.reading.get_or_insert_with(|| {
                let file = Arc::clone(file);
                tokio::task::spawn_blocking(move || {
                    let mut block = vec![0; usize::try_from(bytes).unwrap_or(BLOCK_BYTES)];
                    file.file.read_exact_at(&mut block, from)?;
                    Ok(block)
                })
            });
            let read = ready!(Pin::new(reading).poll(context));
            self.reading = None;
            let block = read.map_err(io::Error::other)??;
            self.from += block.len() as u64;
            return Poll::Ready(Ok(Some(block.into())));
        }
        self.file = None;
        let memory = std::mem::take(&mut self.memory).freeze();
        Poll::Ready(Ok((!memory.is_empty()).then_some(memory)))
    }
}

/// Writes a block for which disk space has been taken.
fn write(file: Option<Arc<HeldFile>>, account: Arc<HeldAccount>, block: Bytes, at: u64) -> Written {
    let bytes = block.len() as u64;
    let created = || {
        let file = tempfile::tempfile_in(&account.directory)?;
        Ok(Arc::new(HeldFile {
            file,
            account: Arc::clone(&account),
            bytes: AtomicU64::new(0),
        }))
    };
    let file = match file.map_or_else(created, Ok) {
        Ok(file) => file,
        Err(error) => {
            account.disk_bytes.fetch_sub(bytes, Relaxed);
            return (None, Err((block, error)));
        }
    };
    file.bytes.fetch_add(bytes, Relaxed);
    let written = file.file.write_all_at(&block, at);
    let written = written.map_err(|error| {
        file.bytes.fetch_sub(bytes, Relaxed);
        account.disk_bytes.fetch_sub(bytes, Relaxed);
        (block, error)
    });
    (Some(file), written)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::future::poll_fn;

    async fn taken(held: &mut Held) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some(bytes) = poll_fn(|context| held.poll_take(context)).await.unwrap() {
            all.extend_from_slice(&bytes);
        }
        all
    }

    #[tokio::test]
    async fn what_was_added_is_taken_in_order_and_little_of_it_is_in_memory() {
        let directory = tempfile::tempdir().unwrap();
        let account = HeldAccount::new(directory.path().to_owned(), 0, 8 << 20);
        let mut held = Held::new(Arc::clone(&account));
        let all: Vec<u8> = (0..5_000_003_u32).map(|n| (n % 251) as u8).collect();
        for part in all.chunks(65_536) {
            poll_fn(|context| held.poll_room(context)).await.unwrap();
            held.push(part);
            assert!(held.memory.len() <= 2 * BLOCK_BYTES);
        }
        assert!(account.disk_bytes.load(Relaxed) > 3 << 20);
        assert_eq!(taken(&mut held).await, all);
        assert_eq!(account.disk_bytes.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn nothing_is_lost_where_no_file_can_be_written() {
        let missing = PathBuf::from("/nonexistent/directory");
        for (directory, disk_bytes_max) in [(missing, 1 << 30), (std::env::temp_dir(), 3 << 20)] {
            let account = HeldAccount::new(directory, 0, disk_bytes_max);
            let mut held = Held::new(Arc::clone(&account));
            let all: Vec<u8> = (0..7_000_000_u32).map(|n| (n % 253) as u8).collect();
            let mut given = 0;
            for part in all.chunks(65_536) {
                if poll_fn(|context| held.poll_room(context)).await.is_err() {
                    break;
                }
                held.push(part);
                given += part.len();
            }
            assert!(given < all.len());
            assert_eq!(taken(&mut held).await, all[..given]);
            assert_eq!(account.disk_bytes.load(Relaxed), 0);
        }
    }

    #[test]
    fn memory_is_reserved_until_the_last_reference_is_dropped() {
        let account = HeldAccount::new(PathBuf::new(), 100, 0);
        let bytes = account
            .reserve(30)
            .unwrap()
            .hold(Bytes::from_static(b"image"));
        let part = bytes.slice(1..2);
        drop(bytes);
        assert_eq!(account.memory_bytes(), 90);
        assert!(account.reserve(4).is_none() && account.reserve(3).is_some());
        drop(part);
        assert_eq!(account.memory_bytes(), 0);
    }
}

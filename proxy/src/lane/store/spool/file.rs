//! Temporary file of a spool. The file has no name, so it disappears however the process ends.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;

use crate::error::{ErrorKind, SqlError};
use crate::lane::store::spool::account::SpoolAccount;

/// The file; its size is counted on the account until it is dropped.
#[derive(Debug)]
pub struct SpoolFile {
    file: File,
    account: Arc<SpoolAccount>,
    /// Bytes of all files of the spool.
    spool_bytes: Arc<AtomicU64>,
    /// Reserved length of the file, in bytes.
    extent: AtomicU64,
}

impl SpoolFile {
    /// Creates an empty file, which is counted on the account and for its spool.
    pub(super) async fn create(
        directory: PathBuf,
        (account, spool_bytes): (&Arc<SpoolAccount>, &Arc<AtomicU64>),
    ) -> Result<Arc<Self>, SqlError> {
        let file = blocking(move || tempfile::tempfile_in(directory)).await?;
        Ok(Arc::new(Self {
            file,
            account: Arc::clone(account),
            spool_bytes: Arc::clone(spool_bytes),
            extent: AtomicU64::new(0),
        }))
    }

    /// Number of bytes by which a write up to offset `end` extends the file.
    pub(super) fn missing(&self, end: u64) -> u64 {
        end.saturating_sub(self.extent.load(Relaxed))
    }

    /// Reserves disk space up to offset `end`. There is only one writer.
    pub(super) fn reserve(&self, end: u64) -> Result<(), SqlError> {
        let missing = self.missing(end);
        if missing > 0 {
            self.account.take_disk(missing)?;
            self.spool_bytes.fetch_add(missing, Relaxed);
            self.extent.fetch_add(missing, Relaxed);
        }
        Ok(())
    }

    pub(super) async fn write(self: Arc<Self>, bytes: Bytes, offset: u64) -> Result<(), SqlError> {
        blocking(move || self.file.write_all_at(&bytes, offset)).await
    }

    pub(super) async fn read(self: Arc<Self>, range: Range<u64>) -> Result<Vec<u8>, SqlError> {
        blocking(move || self.read_now(range)).await
    }

    fn read_now(&self, range: Range<u64>) -> std::io::Result<Vec<u8>> {
        let bytes = usize::try_from(range.end.saturating_sub(range.start));
        let mut buffer = vec![0; bytes.map_err(std::io::Error::other)?];
        self.file.read_exact_at(&mut buffer, range.start)?;
        Ok(buffer)
    }
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        let extent = self.extent.load(Relaxed);
        self.account.give_disk(extent);
        self.spool_bytes.fetch_sub(extent, Relaxed);
    }
}

/// A row in the file that is too long to be read into memory as a whole.
#[derive(Debug, Clone)]
pub struct LongRow {
    pub(super) file: Arc<SpoolFile>,
    pub(super) place: Range<u64>,
}

impl LongRow {
    /// Length of its payload, in bytes.
    pub fn bytes(&self) -> u64 {
        self.place.end.saturating_sub(self.place.start)
    }

    fn within(&self, range: Range<u64>) -> Range<u64> {
        let place = |at: u64| self.place.start.saturating_add(at).min(self.place.end);
        place(range.start)..place(range.end)
    }

    /// Reads a range of its payload; fewer bytes at the payload's end.
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<u8>, SqlError> {
        Arc::clone(&self.file).read(self.within(range)).await
    }

    /// Runs `work` on a thread that may block on the disk, with a function that reads ranges of
    /// the payload.
    pub async fn on_disk_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Fn(Range<u64>) -> std::io::Result<Vec<u8>>) -> std::io::Result<T>
        + Send
        + 'static,
    ) -> Result<T, SqlError> {
        let row = self.clone();
        blocking(move || work(&|range| row.file.read_now(row.within(range)))).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, SqlError> {
    let failed = |error: std::io::Error| {
        tracing::error!(%error, "the spool file failed");
        SqlError::new(
            ErrorKind::DiskFull,
            "Disk full or unusable: the spool of a predict statement could not be kept",
        )
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(failed),
        Err(_) => Err(failed(std::io::Error::other("the task was stopped"))),
    }
}

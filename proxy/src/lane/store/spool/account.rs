//! Accounts for the memory and disk space that the spools of all statements hold together.
//!
//! Half of the memory is for rows. Each spool has an equal share of it, which shrinks as
//! statements arrive: a spool that holds more than its share gets no more until it has released
//! some, and a spool that holds nothing always gets a block. A client that does not read its
//! answer therefore cannot block the others. A quarter is for long inputs read from disk: they
//! queue for it in order and hold it only while they are predicted. The last quarter is for long
//! data (COM_STMT_SEND_LONG_DATA), which clients may hold for any time: data beyond the quarter is
//! refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{ErrorKind, SqlError};

/// Unit in which long inputs are counted, in bytes.
const PERMIT_BYTES: u64 = 1024;

/// Bytes that all spools hold, and their limits.
#[derive(Debug)]
pub struct SpoolAccount {
    rows_bytes_max: u64,
    disk_bytes_max: u64,
    rows_bytes: AtomicU64,
    inputs_bytes: AtomicU64,
    disk_bytes: AtomicU64,
    spools: AtomicU64,
    long_inputs: Arc<Semaphore>,
    long_inputs_max: u32,
    sent_ahead_bytes: AtomicU64,
    sent_ahead_bytes_max: u64,
}

impl SpoolAccount {
    /// An account of which nothing is held.
    #[must_use]
    pub fn new(memory_bytes_max: u64, disk_bytes_max: u64) -> Arc<Self> {
        let quarter = memory_bytes_max / 4;
        let permits_max = u32::try_from(Semaphore::MAX_PERMITS).unwrap_or(u32::MAX);
        let permits = u32::try_from(quarter / PERMIT_BYTES).unwrap_or(permits_max);
        let long_inputs_max = permits.clamp(1, permits_max);
        Arc::new(Self {
            rows_bytes_max: memory_bytes_max / 2,
            disk_bytes_max,
            rows_bytes: AtomicU64::new(0),
            inputs_bytes: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(0),
            spools: AtomicU64::new(0),
            long_inputs: Arc::new(Semaphore::new(long_inputs_max as usize)),
            long_inputs_max,
            sent_ahead_bytes: AtomicU64::new(0),
            sent_ahead_bytes_max: quarter,
        })
    }

    /// Bytes of rows, inputs and long data in memory.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let held = [&self.rows_bytes, &self.inputs_bytes, &self.sent_ahead_bytes];
        held.iter().map(|bytes| bytes.load(Relaxed)).sum()
    }

    /// Bytes of rows on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Relaxed)
    }

    /// Registers a new spool.
    pub(super) fn open(self: &Arc<Self>) -> Share {
        self.spools.fetch_add(1, Relaxed);
        Share {
            account: Arc::clone(self),
            held: Arc::default(),
        }
    }

    /// Reserves disk space; fails if too little is left.
    pub(super) fn take_disk(&self, bytes: u64) -> Result<(), SqlError> {
        let sum = |held: u64| {
            held.checked_add(bytes)
                .filter(|s| *s <= self.disk_bytes_max)
        };
        let taken = self.disk_bytes.fetch_update(Relaxed, Relaxed, sum);
        taken.map(drop).map_err(|_| {
            SqlError::new(
                ErrorKind::DiskFull,
                format!(
                    "Disk full: rows of all predict statements waiting on disk reach statements_disk_bytes_max \
                     ({} bytes); try again when others have ended",
                    self.disk_bytes_max
                ),
            )
        })
    }

    /// Releases disk space.
    pub(super) fn give_disk(&self, bytes: u64) {
        self.disk_bytes.fetch_sub(bytes, Relaxed);
    }

    /// Reserves memory for a long input, and waits for it. The caller must not hold another
    /// reservation meanwhile.
    pub async fn long_input(self: &Arc<Self>, bytes: u64) -> LongInput {
        let wanted = u32::try_from(bytes.div_ceil(PERMIT_BYTES)).unwrap_or(u32::MAX);
        let wanted = wanted.clamp(1, self.long_inputs_max);
        let permit = Arc::clone(&self.long_inputs).acquire_many_owned(wanted);
        let permit = permit.await.ok(); // the semaphore is never closed
        self.inputs_bytes.fetch_add(bytes, Relaxed);
        LongInput {
            account: Arc::clone(self),
            bytes,
            _permit: permit,
        }
    }
}

/// Memory held by the long data (COM_STMT_SEND_LONG_DATA) of one statement.
#[derive(Debug)]
pub struct SentAhead {
    account: Arc<SpoolAccount>,
    bytes: u64,
}

impl SentAhead {
    /// An empty reservation.
    #[must_use]
    pub fn new(account: &Arc<SpoolAccount>) -> Self {
        Self {
            account: Arc::clone(account),
            bytes: 0,
        }
    }

    /// Reserves more bytes; false if all sessions together would exceed the limit.
    pub fn grow(&mut self, bytes: u64) -> bool {
        let max = self.account.sent_ahead_bytes_max;
        let sum = |held: u64| held.checked_add(bytes).filter(|sum| *sum <= max);
        let all = &self.account.sent_ahead_bytes;
        let grown = all.fetch_update(Relaxed, Relaxed, sum).is_ok();
        self.bytes += if grown { bytes } else { 0 };
        grown
    }
}

impl Drop for SentAhead {
    fn drop(&mut self) {
        let all = &self.account.sent_ahead_bytes;
        all.fetch_sub(self.bytes, Relaxed);
    }
}

/// Memory reserved for a long input, until it is dropped.
#[derive(Debug)]
pub struct LongInput {
    account: Arc<SpoolAccount>,
    bytes: u64,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Drop for LongInput {
    fn drop(&mut self) {
        self.account.inputs_bytes.fetch_sub(self.bytes, Relaxed);
    }
}

/// One spool's share of the account.
#[derive(Debug)]
pub(super) struct Share {
    account: Arc<SpoolAccount>,
    held: Arc<AtomicU64>,
}

impl Share {
    pub(super) fn account(&self) -> &Arc<SpoolAccount> {
        &self.account
    }

    /// Bytes in memory: queued rows and rows in processing.
    pub(super) fn held(&self) -> u64 {
        self.held.load(Relaxed)
    }

    /// Limit on the bytes that the spool may hold at present.
    pub(super) fn bytes_max(&self) -> u64 {
        self.account.rows_bytes_max / self.account.spools.load(Relaxed).max(1)
    }

    /// Whether the spool may hold `bytes` more.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let (held, rows) = (self.held(), self.account.rows_bytes.load(Relaxed));
        let fits = held + bytes <= self.bytes_max() && rows + bytes <= self.account.rows_bytes_max;
        held == 0 || fits
    }

    /// Counts rows on the account until the last reference to them is dropped.
    pub(super) fn hold(&self, bytes: Bytes) -> Bytes {
        let length = bytes.len() as u64;
        self.held.fetch_add(length, Relaxed);
        self.account.rows_bytes.fetch_add(length, Relaxed);
        Bytes::from_owner(Held {
            bytes,
            account: Arc::clone(&self.account),
            held: Arc::clone(&self.held),
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.account.spools.fetch_sub(1, Relaxed);
    }
}

struct Held {
    bytes: Bytes,
    account: Arc<SpoolAccount>,
    held: Arc<AtomicU64>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let length = self.bytes.len() as u64;
        self.held.fetch_sub(length, Relaxed);
        self.account.rows_bytes.fetch_sub(length, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn shares_shrink_and_everybody_gets_a_block() {
        let account = SpoolAccount::new(2000, 0);
        let first = account.open();
        let rows = first.hold(Bytes::from(vec![0; 900]));
        assert!(first.has_room(100) && !first.has_room(101));
        let part = rows.slice(10..20);
        drop(rows);
        assert_eq!((first.held(), account.memory_bytes()), (900, 900));
        let second = account.open();
        assert!(!first.has_room(1), "its share is 500 now");
        assert!(second.has_room(700), "a block in any case");
        let other = second.hold(Bytes::from(vec![0; 700]));
        assert!(!second.has_room(1));
        drop((part, first));
        assert!(second.has_room(300), "alone again");
        drop((other, second));
        assert_eq!(account.memory_bytes(), 0);
    }

    #[test]
    fn the_disk_is_refused_to_who_asks_for_too_much() {
        let account = SpoolAccount::new(0, 100);
        account.take_disk(60).unwrap();
        let error = account.take_disk(41).unwrap_err();
        assert_eq!(error.kind, ErrorKind::DiskFull);
        assert!(error.message.contains("statements_disk_bytes_max"));
        account.take_disk(40).unwrap();
        account.give_disk(100);
        assert_eq!(account.disk_bytes(), 0);
    }

    #[test]
    fn data_sent_ahead_is_bounded_over_all_sessions() {
        let account = SpoolAccount::new(400, 0);
        let (mut one, mut other) = (SentAhead::new(&account), SentAhead::new(&account));
        assert!(one.grow(60) && !other.grow(41) && other.grow(40) && !one.grow(1));
        assert_eq!(account.memory_bytes(), 100);
        drop(one);
        assert!(other.grow(60));
        drop(other);
        assert_eq!(account.memory_bytes(), 0);
    }

    #[tokio::test]
    async fn long_inputs_wait_for_one_another() {
        let account = SpoolAccount::new(4096, 0);
        let first = account.long_input(1 << 30).await;
        let mut second = Box::pin(account.long_input(1));
        assert!(futures_util::poll!(&mut second).is_pending());
        drop(first);
        drop(second.await);
        assert_eq!(account.memory_bytes(), 0);
    }
}

//! Buffer for rows of the store that wait for their predictions. Rows are read as fast as the
//! store sends them, so a slow model never stalls the store; they are kept in memory up to a
//! limit, and beyond it in a temporary file.
//!
//! A row that is too long to be read into memory as a whole is written to the file as it arrives,
//! and read from there in parts. When a file reaches a certain size, the next one is created; each
//! is dropped with the last row in it.

mod account;
mod file;

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

use crate::error::{ErrorKind, SqlError};
use crate::lane::store::error::LinkError;
use crate::lane::store::link::ResultEnd;
use crate::wire::{Malformed, lenenc};
use account::Share;
pub use account::{LongInput, SentAhead, SpoolAccount};
pub use file::LongRow;
use file::SpoolFile;

/// Approximate size of the blocks in which rows are passed to the spool, in bytes.
const BLOCK_BYTES: usize = 256 * 1024;

/// File size from which on a new file is created, in bytes.
const FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Limits of a spool.
#[derive(Debug, Clone)]
pub struct SpoolLimits {
    /// Limit on one statement's rows in memory, in bytes.
    pub memory_bytes_max: u64,
    /// Limit on one statement's rows in temporary files, in bytes.
    pub disk_bytes_max: u64,
    /// Directory of the temporary files.
    pub directory: PathBuf,
    /// Account of the spools of all statements.
    pub account: Arc<SpoolAccount>,
}

#[derive(Debug)]
enum Block {
    Memory(Bytes),
    Disk(Arc<SpoolFile>, Range<u64>),
    Long(LongRow),
}

/// The end of the rows, or the error that ended them.
type End = Result<ResultEnd, LinkError>;

#[derive(Debug, Default)]
struct State {
    blocks: VecDeque<Block>,
    /// The file being written; it is reused from offset 0 once nothing refers to its content.
    file: Option<Arc<SpoolFile>>,
    /// Offset of the next block in the file.
    file_end: u64,
    /// Offset of the row that is being written in parts.
    long_start: Option<u64>,
    end: Option<End>,
    /// The reader has closed the spool: further rows are dropped.
    closed: bool,
}

/// A queue of rows from one future to another of the same task.
#[derive(Debug)]
pub struct Spool {
    limits: SpoolLimits,
    share: Share,
    state: Mutex<State>,
    disk_bytes: Arc<AtomicU64>,
    changed: Notify,
}

/// The writer's block that is not handed over yet.
#[derive(Debug, Default)]
pub struct OpenBlock(BytesMut);

impl OpenBlock {
    /// Appends a row.
    pub fn push(&mut self, row: &[u8]) {
        lenenc::put_str(&mut self.0, row);
    }

    /// Whether the block has reached the size at which it should be handed over.
    pub fn is_full(&self) -> bool {
        self.0.len() >= BLOCK_BYTES
    }

    /// Whether it contains no rows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The place where a block is to be kept.
enum Place {
    Memory,
    File(Arc<SpoolFile>, u64),
    /// In a file that has to be created first.
    NewFile,
    Nowhere,
}

impl Spool {
    /// An empty spool; its file is created when it is needed.
    pub fn new(limits: SpoolLimits) -> Self {
        Self {
            share: limits.account.open(),
            limits,
            state: Mutex::default(),
            disk_bytes: Arc::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock; a poisoned state would still be consistent.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the reader may take more rows while it processes others; they count as held until
    /// they are processed. A reader that processes none may always take some.
    pub fn may_take(&self) -> bool {
        let own = self.limits.memory_bytes_max;
        self.share.held() < self.share.bytes_max().max(own.min(BLOCK_BYTES as u64))
    }

    /// The account shared by all spools.
    pub fn account(&self) -> &Arc<SpoolAccount> {
        self.share.account()
    }

    /// Hands over the rows of `block`, and empties it.
    pub async fn write(&self, block: &mut OpenBlock) -> Result<(), SqlError> {
        let bytes = block.0.split().freeze();
        let length = bytes.len();
        if length == 0 {
            return Ok(());
        }
        match self.place(length as u64, true).await? {
            Place::Nowhere | Place::NewFile => {}
            Place::Memory => {
                let bytes = self.share.hold(bytes);
                self.state().blocks.push_back(Block::Memory(bytes));
                self.changed.notify_one();
            }
            Place::File(file, offset) => {
                Arc::clone(&file).write(bytes, offset).await?;
                self.push_written(Block::Disk(file, offset..offset + length as u64));
            }
        }
        Ok(())
    }

    /// Appends a part to a long row; the reader gets the row after its last part. Open blocks must
    /// have been handed over before.
    pub async fn write_part(&self, part: Bytes, last: bool) -> Result<(), SqlError> {
        let length = part.len() as u64;
        let Place::File(file, offset) = self.place(length, false).await? else {
            return Ok(());
        };
        if length > 0 {
            Arc::clone(&file).write(part, offset).await?;
        }
        if last {
            let start = self.state().long_start.take().unwrap_or(offset);
            let place = start..offset + length;
            self.push_written(Block::Long(LongRow { file, place }));
        }
        Ok(())
    }

    fn push_written(&self, block: Block) {
        let mut state = self.state();
        if !state.closed {
            state.blocks.push_back(block);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Finds the place for the next bytes, and creates a file if one is needed.
    async fn place(&self, length: u64, in_memory: bool) -> Result<Place, SqlError> {
        match self.place_now(length, in_memory)? {
            Place::NewFile => {}
            place => return Ok(place),
        }
        let directory = self.limits.directory.clone();
        let counts = (self.share.account(), &self.disk_bytes);
        let file = SpoolFile::create(directory, counts).await?;
        {
            let mut state = self.state();
            state.file = Some(file);
            state.file_end = 0;
        }
        self.place_now(length, in_memory)
    }

    fn place_now(&self, length: u64, in_memory: bool) -> Result<Place, SqlError> {
        let mut state = self.state();
        if state.closed {
            return Ok(Place::Nowhere);
        }
        let fits = self.share.held() + length <= self.limits.memory_bytes_max;
        if in_memory && fits && self.share.has_room(length) {
            return Ok(Place::Memory);
        }
        let begins = state.long_start.is_none();
        let mut offset = state.file_end;
        let file = match &state.file {
            Some(file) if begins && Arc::strong_count(file) == 1 => {
                offset = 0;
                Arc::clone(file)
            }
            Some(file) if !begins || offset < FILE_BYTES => Arc::clone(file),
            _ => return Ok(Place::NewFile),
        };
        let end = offset.saturating_add(length);
        let held = self.disk_bytes.load(Relaxed);
        if held.saturating_add(file.missing(end)) > self.limits.disk_bytes_max {
            return Err(full(self.limits.disk_bytes_max));
        }
        file.reserve(end)?;
        state.file_end = end;
        if !in_memory {
            state.long_start.get_or_insert(offset);
        }
        Ok(Place::File(file, offset))
    }

    /// Sets the end of the rows; nothing may be written afterwards.
    pub fn finish(&self, end: End) {
        self.state().end = Some(end);
        self.changed.notify_one();
    }

    /// Closes the reader's side: drops the queued rows and all further ones.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.blocks.clear();
        state.file = None;
    }

    /// Waits for the next block of rows and takes it; `None` when all have been taken.
    pub async fn read(&self) -> Result<Option<Rows>, SqlError> {
        loop {
            let block = {
                let mut state = self.state();
                match state.blocks.pop_front() {
                    None if state.end.is_some() => return Ok(None),
                    block => block,
                }
            };
            match block {
                None => self.changed.notified().await,
                Some(Block::Memory(bytes)) => return Ok(Some(Rows::of(bytes))),
                Some(Block::Disk(file, place)) => {
                    return self.read_block(file, place).await.map(Some);
                }
                Some(Block::Long(row)) => return Ok(Some(Rows::of_long(row))),
            }
        }
    }

    /// Waits for the queued block with index `number` and returns it without taking it; `None` if
    /// there will be no such block.
    pub async fn look(&self, number: usize) -> Result<Option<Rows>, SqlError> {
        loop {
            let place = {
                let state = self.state();
                match state.blocks.get(number) {
                    Some(Block::Memory(bytes)) => return Ok(Some(Rows::of(bytes.clone()))),
                    Some(Block::Long(row)) => return Ok(Some(Rows::of_long(row.clone()))),
                    Some(Block::Disk(file, place)) => Some((Arc::clone(file), place.clone())),
                    None if state.end.is_some() => return Ok(None),
                    None => None,
                }
            };
            match place {
                None => self.changed.notified().await,
                Some((file, place)) => return self.read_block(file, place).await.map(Some),
            }
        }
    }

    async fn read_block(&self, file: Arc<SpoolFile>, place: Range<u64>) -> Result<Rows, SqlError> {
        let block = file.read(place).await?;
        Ok(Rows::of(self.share.hold(block.into())))
    }

    /// Takes the end; `None` before [`Spool::finish`] is called.
    pub fn take_end(&self) -> Option<End> {
        self.state().end.take()
    }
}

/// A row of the store.
#[derive(Debug)]
pub enum Row {
    /// Its payload.
    Held(Bytes),
    /// A row on disk.
    Long(LongRow),
}

/// Rows of one block, in order.
#[derive(Debug)]
pub struct Rows {
    block: Bytes,
    long: Option<LongRow>,
}

impl Rows {
    fn of(block: Bytes) -> Self {
        Self { block, long: None }
    }

    fn of_long(row: LongRow) -> Self {
        Self {
            block: Bytes::new(),
            long: Some(row),
        }
    }

    /// The next row.
    pub fn next(&mut self) -> Result<Option<Row>, Malformed> {
        if self.block.is_empty() {
            return Ok(self.long.take().map(Row::Long));
        }
        let mut input = &self.block[..];
        let row = lenenc::get_str(&mut input)?;
        let (row, rest) = (self.block.slice_ref(row), self.block.slice_ref(input));
        self.block = rest;
        Ok(Some(Row::Held(row)))
    }
}

fn full(disk_bytes_max: u64) -> SqlError {
    SqlError::new(
        ErrorKind::DiskFull,
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
            account: SpoolAccount::new(1 << 30, 1 << 30),
        }
    }

    fn row(n: usize) -> Vec<u8> {
        vec![(n % 251) as u8; n % 700]
    }

    fn held(row: Option<Row>) -> Bytes {
        match row {
            Some(Row::Held(row)) => row,
            other => panic!("{other:?}"),
        }
    }

    fn ended() -> ResultEnd {
        ResultEnd {
            status: StatusFlags::empty(),
            warnings: 0,
        }
    }

    /// Writes a row of `bytes` bytes in parts.
    async fn write_long(spool: &Spool, bytes: usize) -> Result<(), SqlError> {
        let whole = row_of(bytes);
        for part in whole.chunks(1000) {
            spool.write_part(part.to_vec().into(), false).await?;
        }
        spool.write_part(Bytes::new(), true).await
    }

    fn row_of(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|at| (at % 249) as u8).collect()
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
            assert_eq!(held(block.next().unwrap()), row(n));
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
        // The file has been read: memory is used again, then the file from offset 0.
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
            assert_eq!(held(block.next().unwrap()), row(number));
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

    #[tokio::test]
    async fn long_rows_lie_on_disk_until_they_are_dropped() {
        let limits = limits(1 << 20, 1 << 20);
        let spool = Spool::new(limits.clone());
        fill(&spool, 10..12).await.unwrap();
        write_long(&spool, 5000).await.unwrap();
        write_long(&spool, 3000).await.unwrap();
        fill(&spool, 12..14).await.unwrap();
        assert!(matches!(
            spool.look(2).await.unwrap().unwrap().next().unwrap(),
            Some(Row::Long(row)) if row.bytes() == 5000
        ));
        take(&spool, 10..12).await;
        let mut long = Vec::new();
        for _ in 0..2 {
            match spool.read().await.unwrap().unwrap().next().unwrap() {
                Some(Row::Long(row)) => long.push(row),
                other => panic!("{other:?}"),
            }
        }
        take(&spool, 12..14).await;
        // The space of a row that is still referenced is not reused; afterwards the whole file is.
        drop(long.pop());
        write_long(&spool, 4000).await.unwrap();
        let held = long.pop().unwrap();
        assert_eq!(held.bytes(), 5000);
        assert_eq!(held.read(0..9000).await.unwrap(), row_of(5000));
        assert_eq!(held.read(4990..5000).await.unwrap(), row_of(5000)[4990..]);
        assert_eq!(limits.account.disk_bytes(), 12_000);
        drop((held, spool.read().await.unwrap()));
        write_long(&spool, 6000).await.unwrap();
        assert_eq!(limits.account.disk_bytes(), 12_000);
        spool.close();
        drop(spool);
        let left = (limits.account.memory_bytes(), limits.account.disk_bytes());
        assert_eq!(left, (0, 0));
    }

    #[tokio::test]
    async fn spools_share_memory_and_disk() {
        let shared = SpoolLimits {
            account: SpoolAccount::new(16_000, 10_000),
            ..limits(1 << 20, 1 << 20)
        };
        let first = Spool::new(shared.clone());
        let second = Spool::new(shared.clone());
        fill(&first, 100..300).await.unwrap_err();
        let (memory, disk) = (shared.account.memory_bytes(), shared.account.disk_bytes());
        assert!(
            memory <= 4000 && (9000..=10_000).contains(&disk),
            "{memory} {disk}"
        );
        // The other spool's rows are held in memory; the first spool's limit does not apply to it.
        fill(&second, 100..110).await.unwrap();
        second.finish(Ok(ended()));
        take(&second, 100..110).await;
        assert!(second.read().await.unwrap().is_none());
        first.close();
        assert_eq!(shared.account.disk_bytes(), 0);
        drop((first, second));
        assert_eq!(shared.account.memory_bytes(), 0);
    }

    #[tokio::test]
    async fn files_go_with_what_was_in_them() {
        let limits = limits(1 << 20, 3 * FILE_BYTES);
        let spool = Spool::new(limits.clone());
        let (part, parts) = (Bytes::from(vec![7; 1 << 20]), FILE_BYTES >> 20);
        // Data for eight files, of which at most two rows are queued at any time.
        for row in 0..16 {
            for _ in 0..parts / 2 {
                spool.write_part(part.clone(), false).await.unwrap();
            }
            spool.write_part(Bytes::new(), true).await.unwrap();
            if row >= 2 {
                let read = spool.read().await.unwrap().unwrap().next().unwrap();
                assert!(matches!(read, Some(Row::Long(row)) if row.bytes() == FILE_BYTES / 2));
            }
        }
        assert!(limits.account.disk_bytes() <= 2 * FILE_BYTES);
        drop(spool);
        assert_eq!(limits.account.disk_bytes(), 0);
    }
}

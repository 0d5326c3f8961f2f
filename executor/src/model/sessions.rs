//! ONNX Runtime sessions of one model: built from memory, one per concurrent run.
//!
//! A session may only be used by one thread at a time (ONNX Runtime's own `Run` is not safe to
//! call concurrently, which is why `ort` asks for `&mut`), so a model has up to as many sessions
//! as the CPU pool has threads. They are created on demand, from the bytes whose SHA-256 was
//! checked. While all sessions are lent, further callers wait in FIFO order. A lost session is
//! replaced by a new one.
//!
//! ```text
//!            lease                  lease ends
//! (to make) -------> lent --------------------------> idle, or the next waiter
//!     ^               |
//!     \_______________/  panic, outputs or memory out of bounds: discarded
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ort::environment::Environment;
use ort::session::{Session, SessionInputValue, SessionOutputs};

use super::columns::ColumnInput;
use super::contract::{Contract, Feed};
use super::image_input::image_input;
use super::outputs::output_bytes;
use super::reader::Numbers;
use super::runs::Batch;
use super::runtime_error::runtime;
use super::samples::Sample;
use super::session::{Runner, build};
use crate::interrupt::{Interrupt, Work};
use crate::provider::Provider;
use crate::resident::{give_free_memory_back, resident_bytes};
use crate::{ColumnValue, ModelError};

/// Memory growth up to which a session is kept after a run, in bytes: this, or twice the memory
/// used at warm-up if that is more.
const LEFT_BYTES_MIN: u64 = 64 << 20;

/// Number of sessions that may be discarded on suspicion before the time to create them is
/// limited.
const SUSPECTED_MAX: u32 = 8;
/// Creating sessions after a suspicion takes at most one part in this many of the time.
const MAKING_SHARE: u32 = 20;
/// Minimum time assumed for creating a session in this limit.
const MAKING_MIN: Duration = Duration::from_millis(10);

/// The sessions of one model.
pub(crate) struct SessionPool {
    environment: Environment,
    provider: Provider,
    contract: Contract,
    shared: Arc<Shared>,
    sessions_max: usize,
    /// Maximum inputs per run.
    batch_inputs_max: AtomicUsize,
    /// Ascending batch sizes that runs are padded to; a run that is larger is not padded.
    buckets: Vec<usize>,
    /// Maximum bytes of the outputs of one run.
    output_bytes_max: u64,
    /// Memory that a lease may leave in use, in bytes.
    left_bytes_max: AtomicU64,
    /// Reads the model's file again.
    again: Option<Box<ReadAgain>>,
    since: Instant,
}

/// Returns the bytes of a model's file again: the same bytes, or an error.
type ReadAgain = dyn Fn() -> Result<Bytes, ModelError> + Send + Sync;

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Runner>,
    /// Number of sessions that are idle, lent or being created.
    made: usize,
    /// Leases for measurements. The limit of sessions is raised by this number, so that other
    /// callers have their full number.
    beside: usize,
    /// Kept until all sessions are created, or permanently if the file cannot be read again.
    file: Option<Bytes>,
    /// Numbers of the waiting callers, in their order.
    waiting: VecDeque<u64>,
    next: u64,
    /// Sessions discarded on suspicion, since other work may have made the process grow.
    suspected: u32,
    /// Time to create the last session.
    making: Duration,
}

/// A session, or the right to create one.
enum Place {
    Idle(Runner),
    ToMake,
}

impl std::fmt::Debug for SessionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionPool")
            .field("shared", &self.shared)
            .field("sessions_max", &self.sessions_max)
            .finish_non_exhaustive()
    }
}

/// A session lent to one thread; returned when dropped.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    pool: &'a SessionPool,
    /// None after the session was discarded: the next run gets another one.
    runner: Option<Runner>,
    /// Whether it is counted in [`State::beside`].
    beside: bool,
    /// Resident memory of the process when the session was lent.
    resident_before: u64,
}

impl SessionPool {
    pub(crate) fn new(
        (environment, provider): (Environment, Provider),
        file: Bytes,
        first: Session,
        contract: Contract,
        (sessions_max, output_bytes_max): (usize, u64),
    ) -> Result<Self, ModelError> {
        let state = State {
            idle: vec![Runner::new(first)?],
            made: 1,
            file: Some(file),
            ..State::default()
        };
        Ok(Self {
            environment,
            provider,
            buckets: Vec::new(),
            batch_inputs_max: AtomicUsize::new(contract.batch_fixed.unwrap_or(usize::MAX)),
            contract,
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                changed: Condvar::new(),
            }),
            sessions_max: sessions_max.max(1),
            output_bytes_max,
            left_bytes_max: AtomicU64::new(u64::MAX),
            again: None,
            since: Instant::now(),
        })
    }

    /// Sets a function that reads the model's file again: its bytes are then freed once all
    /// sessions are created.
    pub(crate) fn read_again_by(
        &mut self,
        again: impl Fn() -> Result<Bytes, ModelError> + Send + Sync + 'static,
    ) {
        self.again = Some(Box::new(again));
        let mut state = self.shared.state();
        if state.made >= self.sessions_max {
            state.file = None;
        }
    }

    /// Sets the batch sizes that runs are padded to, in ascending order.
    pub(crate) fn pad_to(&mut self, buckets: Vec<usize>) {
        self.buckets = buckets;
    }

    /// Keeps the batch sizes that hold no more inputs than this. Further sessions are run with
    /// each of them before their first use.
    pub(crate) fn pad_up_to(&mut self, inputs_max: usize) {
        self.buckets.retain(|size| *size <= inputs_max);
    }

    /// Batch sizes that runs are padded to.
    pub(crate) fn buckets(&self) -> &[usize] {
        &self.buckets
    }

    /// Number of inputs that a run of so many is padded to.
    fn padded(&self, inputs: usize) -> usize {
        let bucket = self.buckets.iter().find(|size| **size >= inputs);
        let fixed = self.contract.batch_fixed;
        fixed.or(bucket.copied()).unwrap_or(inputs)
    }

    /// Declared properties of the model.
    pub(crate) fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Lowers the maximum inputs per run to what warm-up found to work.
    pub(crate) fn limit_batch(&self, inputs_max: usize) {
        self.batch_inputs_max
            .fetch_min(inputs_max, Ordering::Relaxed);
    }

    /// Maximum inputs per run.
    pub(crate) fn batch_inputs_max(&self) -> usize {
        self.batch_inputs_max.load(Ordering::Relaxed)
    }

    /// Sets the expected memory of a session, measured at warm-up. A session that leaves much more
    /// in use is discarded with its memory, since ONNX Runtime keeps all memory that any run has
    /// needed for later runs.
    pub(crate) fn expect_memory(&self, session_bytes: u64) {
        let left = session_bytes.saturating_mul(2).max(LEFT_BYTES_MIN);
        self.left_bytes_max.store(left, Ordering::Relaxed);
    }

    /// An idle session, or a new one; at the maximum number, the next session returned. Waits and
    /// creates until `interrupt` is set.
    pub(crate) fn lease(&self, interrupt: &Interrupt) -> Result<Lease<'_>, ModelError> {
        self.lend(false, interrupt)
    }

    /// Like [`SessionPool::lease`], for long measurements while others use the model: one more
    /// session may exist meanwhile, so that no caller waits for this one.
    pub(crate) fn lease_beside(&self, interrupt: &Interrupt) -> Result<Lease<'_>, ModelError> {
        self.lend(true, interrupt)
    }

    fn lend(&self, beside: bool, interrupt: &Interrupt) -> Result<Lease<'_>, ModelError> {
        if beside {
            self.shared.state().beside += 1;
        }
        let mut lease = Lease {
            pool: self,
            runner: None,
            beside,
            resident_before: 0,
        };
        lease.runner = Some(self.take(interrupt)?);
        // Measured after creating the session, which is not part of a run.
        lease.resident_before = resident_bytes();
        Ok(lease)
    }

    /// A session for a lease.
    fn take(&self, interrupt: &Interrupt) -> Result<Runner, ModelError> {
        let mut failed = None;
        loop {
            // A caller that failed to create a session waits for an existing one, if there are
            // any.
            match self.place(failed.is_none(), interrupt)? {
                Some(Place::Idle(runner)) => return Ok(runner),
                Some(Place::ToMake) => {}
                None => return Err(failed.unwrap_or_else(ModelError::abandoned)),
            }
            match self.make(interrupt) {
                Ok(runner) => return Ok(runner),
                Err(error) if interrupt.is_set() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "a further session of a model could not be made");
                    failed = Some(error);
                }
            }
        }
    }

    /// Waits for a session or the right to create one. `None`: it may not create one, and there is
    /// none to wait for.
    fn place(&self, may_make: bool, interrupt: &Interrupt) -> Result<Option<Place>, ModelError> {
        {
            let mut state = self.shared.state();
            if state.waiting.is_empty()
                && let Some(place) = state.place(self.sessions_max, may_make)
            {
                return Ok(Some(place));
            }
            if !may_make && state.made == 0 {
                return Ok(None);
            }
        }
        let shared = self.shared.clone();
        let wake = Work::Wait(Arc::new(move || shared.tell(&shared.state())));
        let waited = interrupt.during(wake, || self.wait(may_make, interrupt));
        waited.unwrap_or_else(|| Err(ModelError::abandoned()))
    }

    fn wait(&self, may_make: bool, interrupt: &Interrupt) -> Result<Option<Place>, ModelError> {
        let mut state = self.shared.state();
        let number = state.next;
        state.next += 1;
        state.waiting.push_back(number);
        let found = loop {
            if interrupt.is_set() {
                break Err(ModelError::abandoned());
            }
            if state.waiting.front() == Some(&number) {
                if let Some(place) = state.place(self.sessions_max, may_make) {
                    break Ok(Some(place));
                }
                if !may_make && state.made == 0 {
                    break Ok(None);
                }
            }
            let waited = self.shared.changed.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
        };
        state.waiting.retain(|waiting| *waiting != number);
        // The next waiter may now be the first.
        self.shared.tell(&state);
        found
    }

    /// Creates a session, which is counted already.
    fn make(&self, interrupt: &Interrupt) -> Result<Runner, ModelError> {
        let counted = Counted(self);
        let file = self.file()?;
        let begin = Instant::now();
        let session = build(&self.environment, &self.provider, &file, interrupt)?;
        let mut runner = Runner::new(session)?;
        self.warm(&mut runner, interrupt)?;
        std::mem::forget(counted);
        let mut state = self.shared.state();
        state.making = begin.elapsed();
        if state.made >= self.sessions_max && self.again.is_some() {
            state.file = None;
        }
        Ok(runner)
    }

    /// Runs a new session with each batch size that runs are padded to.
    fn warm(&self, runner: &mut Runner, interrupt: &Interrupt) -> Result<(), ModelError> {
        if self.buckets.is_empty() {
            return Ok(());
        }
        let sample = Sample::at(&self.contract.feed, 0);
        for size in &self.buckets {
            sample.repeated(*size, |batch| {
                self.run(runner, batch, interrupt, |_, _, _| Ok(()))
            })?;
        }
        Ok(())
    }

    fn file(&self) -> Result<Bytes, ModelError> {
        let kept = self.shared.state().file.clone();
        match (kept, &self.again) {
            (Some(file), _) => Ok(file),
            (None, Some(again)) => again(),
            (None, None) => Err(ModelError::Runtime {
                reason: "its file is not kept".to_string(),
            }),
        }
    }
}

/// A session that is counted but not created yet; dropping it reverts the count.
struct Counted<'p>(&'p SessionPool);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        let mut state = self.0.shared.state();
        state.made = state.made.saturating_sub(1);
        self.0.shared.tell(&state);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes all waiting callers. Called under the lock, so that no caller begins to wait
    /// meanwhile.
    fn tell(&self, state: &State) {
        if !state.waiting.is_empty() {
            self.changed.notify_all();
        }
    }
}

impl State {
    fn place(&mut self, sessions_max: usize, may_make: bool) -> Option<Place> {
        if let Some(runner) = self.idle.pop() {
            return Some(Place::Idle(runner));
        }
        let more = may_make && self.made < sessions_max + self.beside;
        more.then(|| {
            self.made += 1;
            Place::ToMake
        })
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(runner) = self.runner.take() {
            // A session that panicked during a run is in an unknown state and is not reused.
            if std::thread::panicking() || self.leaves_much() {
                self.pool.throw_away(runner);
            } else {
                self.give_back(runner);
            }
        }
        if self.beside {
            let mut state = self.pool.shared.state();
            state.beside = state.beside.saturating_sub(1);
        }
    }
}

impl SessionPool {
    /// Drops a session with its memory: another may be created.
    fn throw_away(&self, runner: Runner) {
        drop(runner);
        give_free_memory_back();
        drop(Counted(self));
    }
}

impl Lease<'_> {
    fn give_back(&self, runner: Runner) {
        let pool = self.pool;
        let mut state = pool.shared.state();
        let others_beside = state.beside.saturating_sub(usize::from(self.beside));
        if state.made > pool.sessions_max + others_beside {
            drop(state);
            pool.throw_away(runner);
            return;
        }
        state.idle.push(runner);
        pool.shared.tell(&state);
    }

    /// Whether the process has grown since by more memory than runs of the model should leave in
    /// use. Other work makes it grow as well: after the first [`SUSPECTED_MAX`] times only a share
    /// of the time may be spent on creating sessions.
    fn leaves_much(&self) -> bool {
        let pool = self.pool;
        let grown = resident_bytes().saturating_sub(self.resident_before);
        if grown <= pool.left_bytes_max.load(Ordering::Relaxed) {
            return false;
        }
        let mut state = pool.shared.state();
        let price = state.making.max(MAKING_MIN) * MAKING_SHARE;
        let allowed = pool.since.elapsed().as_nanos() / price.as_nanos().max(1);
        let may = u128::from(state.suspected) < allowed + u128::from(SUSPECTED_MAX);
        if may {
            state.suspected += 1;
        }
        may
    }
}

impl Lease<'_> {
    /// Runs one batch of at most [`SessionPool::batch_inputs_max`] inputs, and passes its answers
    /// to `read`.
    pub(crate) fn run<T>(
        &mut self,
        batch: Batch<'_>,
        interrupt: &Interrupt,
        read: impl FnOnce(&Numbers<'_>) -> T,
    ) -> Result<T, ModelError> {
        let reader = &self.pool.contract.reader;
        self.run_raw(batch, interrupt, |outputs, run, wanted| {
            reader.read(outputs, run, wanted, read)
        })
    }

    /// Like [`Lease::run`], but passes all outputs to `read`, with the number of inputs of the run
    /// and how many of them are used: a batch that does not fill a fixed size is padded.
    pub(super) fn run_raw<T>(
        &mut self,
        batch: Batch<'_>,
        interrupt: &Interrupt,
        read: impl FnOnce(&SessionOutputs<'_>, usize, usize) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        // If a run panics, the lease still owns the runner and discards it.
        let runner = match &mut self.runner {
            Some(runner) => runner,
            none => none.insert(self.pool.take(interrupt)?),
        };
        let answer = self.pool.run(runner, batch, interrupt, read);
        if matches!(answer, Err(ModelError::OutputTooLarge { .. }))
            && let Some(runner) = self.runner.take()
        {
            self.pool.throw_away(runner);
        }
        answer
    }
}

impl SessionPool {
    fn run<T>(
        &self,
        runner: &mut Runner,
        batch: Batch<'_>,
        interrupt: &Interrupt,
        read: impl FnOnce(&SessionOutputs<'_>, usize, usize) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        let contract = &self.contract;
        let bytes_max = self.output_bytes_max;
        let read = |outputs: &SessionOutputs<'_>, size, wanted| match output_bytes(outputs) {
            bytes if bytes > bytes_max => Err(ModelError::OutputTooLarge { bytes, bytes_max }),
            _ => read(outputs, size, wanted),
        };
        match (&contract.feed, batch) {
            (Feed::Image(spec), Batch::Images(images)) => {
                let wanted = images.len() / spec.image_len().max(1);
                let size = self.padded(wanted);
                let mut padded = std::mem::take(&mut runner.padded);
                let tensor = if size == wanted {
                    images
                } else {
                    padded.clear();
                    padded.extend_from_slice(images);
                    // Repeats the last image: a model that mixes the images of a run then has only
                    // this one.
                    let last = images.rchunks(spec.image_len().max(1)).next();
                    for _ in wanted..size {
                        padded.extend_from_slice(last.unwrap_or_default());
                    }
                    &padded
                };
                let input = image_input(contract.element, spec.shape(size), tensor);
                let answer = input.map_err(runtime).and_then(|input| {
                    runner.run([input], interrupt, |outputs| read(outputs, size, wanted))
                });
                runner.padded = padded;
                answer
            }
            (Feed::Columns(spec), Batch::Rows(rows)) => {
                let size = self.padded(rows.len());
                let last = rows.last().copied().unwrap_or_default();
                let padded: Vec<&[ColumnValue]>;
                let filled = if size == rows.len() {
                    rows
                } else {
                    let padding = std::iter::repeat(last);
                    padded = rows.iter().copied().chain(padding).take(size).collect();
                    &padded
                };
                let inputs = spec.inputs(filled).into_iter();
                let inputs: ort::Result<Vec<_>> = inputs.map(ColumnInput::into_tensor).collect();
                let inputs: &[SessionInputValue<'_>] = &inputs.map_err(runtime)?;
                runner.run(inputs, interrupt, |outputs| read(outputs, size, rows.len()))
            }
            _ => Err(ModelError::Runtime {
                reason: "it was given inputs of another kind".to_string(),
            }),
        }
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;

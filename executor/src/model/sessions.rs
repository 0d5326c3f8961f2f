//! ONNX Runtime sessions of one model: built from memory, one for each run at the same time.
//!
//! A session may only be used by one thread at a time (ONNX Runtime's own `Run` is not safe to
//! call concurrently, which is why `ort` asks for `&mut`), so a model has up to as many sessions
//! as the CPU pool has threads. They are made when first needed, from the bytes whose SHA-256 was
//! checked. Who needs one while all are lent waits for it, first come, first served. A session
//! that was lost is made anew.
//!
//! ```text
//!            lease                  lease ends
//! (to make) -------> lent --------------------------> idle, or the next who waits
//!     ^               |
//!     \_______________/  panic, outputs or memory out of bounds: thrown away
//! ```

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ort::environment::Environment;
use ort::session::{RunOptions, Session, SessionInputValue, SessionInputs, SessionOutputs};
use ort::value::TensorRef;

use super::contract::{Contract, Feed};
use super::outputs::output_bytes;
use super::reader::Numbers;
use super::runtime_error::{classify, runtime};
use crate::interrupt::{Interrupt, Work};
use crate::resident::{give_free_memory_back, resident_bytes};
use crate::{ColumnValue, ModelError};

/// Memory that a run may leave in use without its session being thrown away, in bytes: as much as
/// this, or twice what the model took at warm-up.
const LEFT_BYTES_MIN: u64 = 64 << 20;

/// Sessions that may be thrown away on suspicion before it counts how long making one takes.
const SUSPECTED_MAX: u32 = 8;
/// Making sessions anew on suspicion takes one part in so many of the time.
const MAKING_SHARE: u32 = 20;
/// Making a session takes at least so long, for this.
const MAKING_MIN: Duration = Duration::from_millis(10);

/// Sessions of one model.
pub(crate) struct SessionPool {
    environment: Environment,
    contract: Contract,
    shared: Arc<Shared>,
    sessions_max: usize,
    /// Inputs per run at most.
    batch_inputs_max: AtomicUsize,
    /// Outputs of one run at most.
    output_bytes_max: u64,
    /// Memory that a lease may leave in use.
    left_bytes_max: AtomicU64,
    /// Reads the model's file again.
    again: Option<Box<ReadAgain>>,
    since: Instant,
}

/// Gives the bytes of a model's file again: the same, or an error.
type ReadAgain = dyn Fn() -> Result<Bytes, ModelError> + Send + Sync;

/// What one run of a model is fed with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Batch<'b> {
    /// Images one after another, each as the model wants it.
    Images(&'b [f32]),
    /// Rows that the model can take.
    Rows(&'b [&'b [ColumnValue]]),
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    idle: Vec<Runner>,
    /// Sessions that are idle, lent or being made.
    made: usize,
    /// Leases of those who measure. There may be as many sessions more,
    /// so that none lacks to the others.
    beside: usize,
    /// Kept until all sessions are made, or for good where it cannot be read again.
    file: Option<Bytes>,
    /// Numbers of those who wait, in their order.
    waiting: VecDeque<u64>,
    next: u64,
    /// Sessions thrown away since other work may have made the process grow.
    suspected: u32,
    /// What making a session took last.
    making: Duration,
}

/// A session with what a run of it needs.
struct Runner {
    session: Session,
    /// By which a run is ended.
    options: Arc<RunOptions>,
    /// Input of a model with a fixed batch size, for batches that do not fill it.
    padded: Vec<f32>,
}

/// A session, or the right to make one.
enum Place {
    Idle(Runner),
    ToMake,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SessionPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionPool")
            .field("shared", &self.shared)
            .field("sessions_max", &self.sessions_max)
            .finish_non_exhaustive()
    }
}

/// A session lent to one thread; goes back when dropped.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    pool: &'a SessionPool,
    /// None once it was thrown away: the next run gets another.
    runner: Option<Runner>,
    /// Counted in [`State::beside`].
    beside: bool,
    /// What the process had when the session was lent.
    resident_before: u64,
}

/// Where ONNX Runtime is told to look for weights outside the model's file: below a file that is
/// no folder, where nothing can be. Otherwise it would read what the model names in the working
/// folder, outside of any root and of what the SHA-256 pins.
const EXTERNAL_WEIGHTS: &str = "/dev/null/external-weights";

/// Builds a session of one intra-op thread: as many sessions as cores beat one session that splits
/// every operator. On 2 cores, 2 sessions of 1 thread against 1 session of 2 threads, median of 3,
/// images/s: a network of 84 kB 17,217 to 11,093 at batch 1 and 27,884 to 24,606 at batch 32; one
/// of 245 kB 4,455 to 2,512 and 5,328 to 2,895, at 0.5 to 0.8 of the CPU time an image.
pub(crate) fn build(
    environment: &Environment,
    file: &[u8],
    interrupt: &Interrupt,
) -> Result<Session, ModelError> {
    let built = || -> ort::Result<Option<Session>> {
        let mut builder = Session::builder(environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_config_entry(
                "session.model_external_initializers_file_folder_path",
                EXTERNAL_WEIGHTS,
            )?;
        let work = Work::Load(builder.canceler());
        let session = interrupt.during(work, || builder.commit_from_memory(file));
        session.transpose()
    };
    match built() {
        Ok(Some(session)) => Ok(session),
        Ok(None) => Err(ModelError::abandoned()),
        Err(_) if interrupt.is_set() => Err(ModelError::abandoned()),
        Err(error) if error.message().contains(EXTERNAL_WEIGHTS) => {
            Err(ModelError::ExternalWeights)
        }
        Err(error) => Err(classify(&error)),
    }
}

impl SessionPool {
    pub(crate) fn new(
        environment: Environment,
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

    /// The model's file can be read again by `again`:
    /// its bytes need not be kept once all sessions are made.
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

    /// What the model promised.
    pub(crate) fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Narrows the inputs per run, once warm-up has seen what the model really takes.
    pub(crate) fn limit_batch(&self, inputs_max: usize) {
        self.batch_inputs_max
            .fetch_min(inputs_max, Ordering::Relaxed);
    }

    /// Inputs per run at most.
    pub(crate) fn batch_inputs_max(&self) -> usize {
        self.batch_inputs_max.load(Ordering::Relaxed)
    }

    /// Says what a session takes, once warm-up has seen it. One that leaves much more in use is
    /// thrown away with its memory, since ONNX Runtime keeps for later runs whatever a run has
    /// ever needed.
    pub(crate) fn expect_memory(&self, session_bytes: u64) {
        let left = session_bytes.saturating_mul(2).max(LEFT_BYTES_MIN);
        self.left_bytes_max.store(left, Ordering::Relaxed);
    }

    /// An idle session, or a new one; where there are as many as there may be, the next that comes
    /// back. It waits and makes until `interrupt` is set.
    pub(crate) fn lease(&self, interrupt: &Interrupt) -> Result<Lease<'_>, ModelError> {
        self.lend(false, interrupt)
    }

    /// As [`SessionPool::lease`] for who measures the model beside those who use it, and takes
    /// long: there may be a session more meanwhile, so that nobody waits for this one.
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
        // After the making, which is no run.
        lease.resident_before = resident_bytes();
        Ok(lease)
    }

    /// A session for a lease.
    fn take(&self, interrupt: &Interrupt) -> Result<Runner, ModelError> {
        let mut failed = None;
        loop {
            // Who could not make one waits for another's, if there are any.
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

    /// Waits for a session or the right to make one. `None`: it may make none,
    /// and there are none to wait for.
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
        // The next may have become the first.
        self.shared.tell(&state);
        found
    }

    /// Makes a session, which is counted already.
    fn make(&self, interrupt: &Interrupt) -> Result<Runner, ModelError> {
        let counted = Counted(self);
        let file = self.file()?;
        let begin = Instant::now();
        let session = build(&self.environment, &file, interrupt)?;
        let runner = Runner::new(session)?;
        std::mem::forget(counted);
        let mut state = self.shared.state();
        state.making = begin.elapsed();
        if state.made >= self.sessions_max && self.again.is_some() {
            state.file = None;
        }
        Ok(runner)
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

/// A session that is counted and not there yet; dropped, it is counted no more.
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

    /// Has all who wait look again. Under the lock, so that nobody begins to wait meanwhile.
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
            // A session that panicked in mid-run is in an unknown state: it is not used again.
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
    /// Drops a session with its memory: another may be made.
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

    /// Whether the process has grown meanwhile by more than runs of the model are to leave. Other
    /// work makes it grow as well: so beyond the first [`SUSPECTED_MAX`] times no more than a
    /// share of the time goes into making sessions anew.
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
    /// Runs one batch of at most [`SessionPool::batch_inputs_max`] inputs, and gives its answers
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

    /// As [`Lease::run`], but gives all outputs to `read`, with the inputs of the run and how many
    /// of them count: a batch that does not fill a fixed size is padded.
    pub(super) fn run_raw<T>(
        &mut self,
        batch: Batch<'_>,
        interrupt: &Interrupt,
        read: impl FnOnce(&SessionOutputs<'_>, usize, usize) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        // Where a run panics, the runner is still the lease's, which throws it away.
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
        let fixed = contract.batch_fixed;
        match (&contract.feed, batch) {
            (Feed::Image(spec), Batch::Images(images)) => {
                let wanted = images.len() / spec.image_len().max(1);
                let size = fixed.unwrap_or(wanted);
                let mut padded = std::mem::take(&mut runner.padded);
                let tensor = if size == wanted {
                    images
                } else {
                    padded.clear();
                    padded.extend_from_slice(images);
                    padded.resize(size.saturating_mul(spec.image_len()), 0.0);
                    &padded
                };
                let view = TensorRef::from_array_view((spec.shape(size), tensor));
                let answer = view.map_err(runtime).and_then(|view| {
                    runner.run(ort::inputs![view], interrupt, |outputs| {
                        read(outputs, size, wanted)
                    })
                });
                runner.padded = padded;
                answer
            }
            (Feed::Columns(spec), Batch::Rows(rows)) => {
                let size = fixed.unwrap_or(rows.len());
                let last = rows.last().copied().unwrap_or_default();
                let padded: Vec<&[ColumnValue]>;
                let filled = if size == rows.len() {
                    rows
                } else {
                    let padding = std::iter::repeat(last);
                    padded = rows.iter().copied().chain(padding).take(size).collect();
                    &padded
                };
                let inputs = spec.tensors(filled).map_err(runtime)?;
                let inputs: &[SessionInputValue<'_>] = &inputs;
                runner.run(inputs, interrupt, |outputs| read(outputs, size, rows.len()))
            }
            _ => Err(ModelError::Runtime {
                reason: "it was given inputs of another kind".to_string(),
            }),
        }
    }
}

impl Runner {
    fn new(session: Session) -> Result<Self, ModelError> {
        let options = RunOptions::new().map_err(|error| classify(&error))?;
        Ok(Self {
            session,
            options: Arc::new(options),
            padded: Vec::new(),
        })
    }

    /// All outputs are computed: ONNX Runtime walks the whole graph in any case.
    fn run<'i, 'v: 'i, const N: usize, T>(
        &mut self,
        inputs: impl Into<SessionInputs<'i, 'v, N>>,
        interrupt: &Interrupt,
        read: impl FnOnce(&SessionOutputs<'_>) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        let work = Work::Run(self.options.clone());
        let run = || self.session.run_with_options(inputs, &self.options);
        match interrupt.during(work, run) {
            None => Err(ModelError::abandoned()),
            Some(Err(_)) if interrupt.is_set() => Err(ModelError::abandoned()),
            Some(outputs) => read(&outputs.map_err(runtime)?),
        }
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;

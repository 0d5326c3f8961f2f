//! ONNX Runtime sessions of one model: built from memory, one for each run at the same time.
//!
//! A session may only be used by one thread at a time (ONNX Runtime's own `Run` is not safe to call
//! concurrently, which is why `ort` asks for `&mut`), so a model has up to as many sessions as the CPU
//! pool has threads. They are made when first needed, from the bytes whose SHA-256 was checked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ort::environment::Environment;
use ort::session::{RunOptions, Session, SessionInputValue, SessionInputs, SessionOutputs};
use ort::value::TensorRef;

use super::contract::{Contract, Feed};
use super::reader::Numbers;
use super::{classify, runtime};
use crate::interrupt::{Interrupt, Work};
use crate::{ColumnValue, ModelError};

/// Sessions of one model.
#[derive(Debug)]
pub(crate) struct SessionPool {
    environment: Environment,
    contract: Contract,
    state: Mutex<State>,
    sessions_max: usize,
    /// Inputs per run at most.
    batch_inputs_max: AtomicUsize,
}

/// What one run of a model is fed with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Batch<'b> {
    /// Images one after another, each as the model wants it.
    Images(&'b [f32]),
    /// Rows that the model can take.
    Rows(&'b [&'b [ColumnValue]]),
}

#[derive(Debug)]
struct State {
    idle: Vec<Runner>,
    made: usize,
    /// Kept until all sessions are made.
    file: Option<Bytes>,
}

/// A session with what a run of it needs.
struct Runner {
    session: Session,
    /// By which a run is ended.
    options: Arc<RunOptions>,
    /// Input of a model with a fixed batch size, for batches that do not fill it.
    padded: Vec<f32>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// A session lent to one thread; goes back when dropped.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    pool: &'a SessionPool,
    runner: Option<Runner>,
}

/// Where ONNX Runtime is told to look for weights outside the model's file: below a file that is no
/// folder, where nothing can be. Otherwise it would read what the model names in the working folder,
/// outside of any root and of what the SHA-256 pins.
const EXTERNAL_WEIGHTS: &str = "/dev/null/external-weights";

/// Builds a session of one intra-op thread: as many sessions as cores beat one session that splits
/// every operator. On 2 cores, 2 sessions of 1 thread against 1 session of 2 threads, median of 3,
/// images/s: a network of 84 kB 17,217 to 11,093 at batch 1 and 27,884 to 24,606 at batch 32; one of
/// 245 kB 4,455 to 2,512 and 5,328 to 2,895, at 0.5 to 0.8 of the CPU time an image.
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
        sessions_max: usize,
    ) -> Result<Self, ModelError> {
        let runner = Runner::new(first)?;
        let file = (sessions_max > 1).then_some(file);
        Ok(Self {
            environment,
            batch_inputs_max: AtomicUsize::new(contract.batch_fixed.unwrap_or(usize::MAX)),
            contract,
            state: Mutex::new(State {
                idle: vec![runner],
                made: 1,
                file,
            }),
            sessions_max,
        })
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

    /// An idle session, or a new one, whose making `interrupt` ends.
    pub(crate) fn lease(&self, interrupt: &Interrupt) -> Result<Lease<'_>, ModelError> {
        let file = {
            let mut state = self.state();
            if let Some(runner) = state.idle.pop() {
                return Ok(Lease {
                    pool: self,
                    runner: Some(runner),
                });
            }
            let file = state.file.clone().ok_or_else(|| ModelError::Runtime {
                reason: "a session was lost after an internal error".to_string(),
            })?;
            state.made += 1;
            if state.made >= self.sessions_max {
                state.file = None;
            }
            file
        };
        let runner = build(&self.environment, &file, interrupt).and_then(Runner::new);
        if runner.is_err() {
            let mut state = self.state();
            state.made -= 1;
            state.file = Some(file);
        }
        runner.map(|runner| Lease {
            pool: self,
            runner: Some(runner),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // A session that panicked in mid-run is in an unknown state: it is not used again.
        if let Some(runner) = self.runner.take()
            && !std::thread::panicking()
        {
            self.pool.state().idle.push(runner);
        }
    }
}

impl Lease<'_> {
    /// Runs one batch of at most [`SessionPool::batch_inputs_max`] inputs, and gives its answers to
    /// `read`.
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

    /// As [`Lease::run`], but gives all outputs to `read`, with the inputs of the run and how many of
    /// them count: a batch that does not fill a fixed size is padded.
    pub(super) fn run_raw<T>(
        &mut self,
        batch: Batch<'_>,
        interrupt: &Interrupt,
        read: impl FnOnce(&SessionOutputs<'_>, usize, usize) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        let contract = &self.pool.contract;
        let Some(runner) = self.runner.as_mut() else {
            return Err(ModelError::Runtime {
                reason: "no session".to_string(),
            });
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

//! ONNX Runtime sessions of one model: built from memory, one for each run at the same time.
//!
//! A session may only be used by one thread at a time (ONNX Runtime's own `Run` is not safe to call
//! concurrently, which is why `ort` asks for `&mut`), so a model has up to as many sessions as the CPU
//! pool has threads. They are made when first needed, from the bytes whose SHA-256 was checked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use ort::ErrorCode;
use ort::environment::Environment;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session};
use ort::value::TensorRef;

use super::contract::{Contract, axes};
use crate::ModelError;
use crate::message::one_line;

/// Characters of a message of ONNX Runtime that are passed on.
const MESSAGE_CHARS_MAX: usize = 400;

/// Sessions of one model.
#[derive(Debug)]
pub(crate) struct SessionPool {
    environment: Environment,
    contract: Contract,
    state: Mutex<State>,
    sessions_max: usize,
    /// Images per run at most.
    batch_images_max: AtomicUsize,
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
    /// Which output to compute, where there are several.
    options: Option<RunOptions<HasSelectedOutputs>>,
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
pub(crate) fn build(environment: &Environment, file: &[u8]) -> Result<Session, ModelError> {
    let built = || -> ort::Result<Session> {
        Session::builder(environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_config_entry(
                "session.model_external_initializers_file_folder_path",
                EXTERNAL_WEIGHTS,
            )?
            .commit_from_memory(file)
    };
    built().map_err(|error| classify(&error))
}

impl SessionPool {
    pub(crate) fn new(
        environment: Environment,
        file: Bytes,
        first: Session,
        contract: Contract,
        sessions_max: usize,
    ) -> Result<Self, ModelError> {
        let runner = Runner::new(first, &contract)?;
        let file = (sessions_max > 1).then_some(file);
        Ok(Self {
            environment,
            batch_images_max: AtomicUsize::new(contract.batch_fixed.unwrap_or(usize::MAX)),
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

    /// Narrows the images per run, once warm-up has seen what the model really takes.
    pub(crate) fn limit_batch(&self, images_max: usize) {
        self.batch_images_max
            .fetch_min(images_max, Ordering::Relaxed);
    }

    /// Images per run at most.
    pub(crate) fn batch_images_max(&self) -> usize {
        self.batch_images_max.load(Ordering::Relaxed)
    }

    /// An idle session, or a new one.
    pub(crate) fn lease(&self) -> Result<Lease<'_>, ModelError> {
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
        let runner = build(&self.environment, &file).and_then(|s| Runner::new(s, &self.contract));
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
    /// Runs one batch of `images` images, at most [`SessionPool::batch_images_max`], whose shape
    /// is `shape` with the batch first. Gives `images` rows of `labels` raw output numbers to `read`.
    pub(crate) fn run<T>(
        &mut self,
        shape: [usize; 4],
        tensor: &[f32],
        read: impl FnOnce(&[f32]) -> T,
    ) -> Result<T, ModelError> {
        let contract = &self.pool.contract;
        let Some(runner) = self.runner.as_mut() else {
            return Err(ModelError::Runtime {
                reason: "no session".to_string(),
            });
        };
        let Some(fixed) = contract.batch_fixed.filter(|fixed| *fixed != shape[0]) else {
            return runner.run(contract, shape, tensor, None, read);
        };
        let [images, a, b, c] = shape;
        let mut padded = std::mem::take(&mut runner.padded);
        padded.clear();
        padded.extend_from_slice(tensor);
        padded.resize(fixed.saturating_mul(a * b * c), 0.0);
        let answer = runner.run(contract, [fixed, a, b, c], &padded, Some(images), read);
        runner.padded = padded;
        answer
    }
}

impl Runner {
    fn new(session: Session, contract: &Contract) -> Result<Self, ModelError> {
        let options = if contract.several_outputs {
            let only = OutputSelector::no_default().with(contract.output.as_str());
            Some(
                RunOptions::new()
                    .map_err(|error| classify(&error))?
                    .with_outputs(only),
            )
        } else {
            None
        };
        Ok(Self {
            session,
            options,
            padded: Vec::new(),
        })
    }

    /// `images`: how many of the rows count, where the batch was padded.
    fn run<T>(
        &mut self,
        contract: &Contract,
        shape: [usize; 4],
        tensor: &[f32],
        images: Option<usize>,
        read: impl FnOnce(&[f32]) -> T,
    ) -> Result<T, ModelError> {
        let runtime = |error: ort::Error| ModelError::Runtime {
            reason: one_line(error.message(), MESSAGE_CHARS_MAX),
        };
        let input = TensorRef::from_array_view((shape, tensor)).map_err(runtime)?;
        let outputs = match &self.options {
            Some(options) => self.session.run_with_options(ort::inputs![input], options),
            None => self.session.run(ort::inputs![input]),
        };
        let outputs = outputs.map_err(runtime)?;
        let output = outputs
            .get(&contract.output)
            .ok_or_else(|| ModelError::Runtime {
                reason: format!("output '{}' did not come", contract.output),
            })?;
        let (found, numbers) = output.try_extract_tensor::<f32>().map_err(runtime)?;
        let (batch, labels) = (shape[0], contract.labels);
        let is = |axis: &i64, expected: usize| usize::try_from(*axis) == Ok(expected);
        match &found[..] {
            [rows, columns] if is(rows, batch) && is(columns, labels) => {}
            [rows, columns] if is(rows, batch) => {
                return Err(ModelError::OutputColumns {
                    name: contract.output.clone(),
                    columns: columns.to_string(),
                    labels,
                });
            }
            _ => {
                return Err(ModelError::OutputShape {
                    name: contract.output.clone(),
                    found: axes(found),
                    batch,
                    labels,
                });
            }
        }
        let wanted = images.unwrap_or(batch).saturating_mul(labels);
        Ok(read(numbers.get(..wanted).unwrap_or(numbers)))
    }
}

/// Tells what is wrong with a model file from ONNX Runtime's code and message.
fn classify(error: &ort::Error) -> ModelError {
    let reason = one_line(error.message(), MESSAGE_CHARS_MAX);
    if reason.contains(EXTERNAL_WEIGHTS) {
        return ModelError::ExternalWeights;
    }
    let unsupported = [
        "is not a registered function/op",
        "No Op registered for",
        "No opset import for domain",
        "Could not find an implementation for",
        "Failed to find kernel",
    ];
    if unsupported.iter().any(|text| reason.contains(text)) {
        return ModelError::UnsupportedOperator { reason };
    }
    match error.code() {
        ErrorCode::InvalidProtobuf | ErrorCode::NoModel => ModelError::Corrupt { reason },
        ErrorCode::NotImplemented => ModelError::UnsupportedOperator { reason },
        _ => ModelError::Runtime { reason },
    }
}

//! Models made ready: file, contract with the options, sessions, warm-up, and the cache of them.

mod cache;
mod contract;
mod file;
mod outputs;
mod reader;
mod sessions;
mod slot;
mod warmup;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ort::ErrorCode;
use ort::environment::Environment;
use predictsql_catalog::{Model, ModelOptions, Output};

use crate::ModelError;
use crate::interrupt::Interrupt;
use crate::message::one_line;
use crate::picture::InputSpec;
use crate::resident::{GivesMemoryBack, resident_bytes};

pub(crate) use cache::Cache;
pub(crate) use contract::{Feed, axes, describe};
pub use file::ModelFile;
pub(crate) use file::ModelFiles;
use sessions::SessionPool;
pub(crate) use sessions::{Batch, Lease};
pub(crate) use slot::Found;
pub(crate) use warmup::measure;

/// Characters of a message of ONNX Runtime that are passed on.
const MESSAGE_CHARS_MAX: usize = 400;

/// Rows of columns in one chunk: they are small, and so is what a model does with one.
pub(crate) const CHUNK_ROWS_MAX: usize = 1024;

/// A model of the catalog, ready to predict. Clones are cheap; the sessions go when the last clone
/// and the executor's cache have let go.
#[derive(Debug, Clone)]
pub struct LoadedModel {
    model: Arc<Model>,
    compiled: Arc<Compiled>,
}

impl LoadedModel {
    pub(crate) fn new(model: Arc<Model>, compiled: Arc<Compiled>) -> Self {
        Self { model, compiled }
    }

    /// The catalog's entry that this was loaded for.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Seconds of one CPU thread for one input, inference alone, as measured at warm-up with the
    /// batch size that was fastest. Divide by the executor's threads for many inputs. `None` where the
    /// model could not be tried.
    pub fn seconds_per_image(&self) -> Option<f64> {
        self.compiled.seconds_per_image
    }

    /// Inputs per run of the model that warm-up found fastest.
    pub fn batch_images(&self) -> usize {
        self.compiled.batch_inputs
    }

    /// Inputs per chunk that are worked on as a whole. Callers with many inputs give about this many
    /// at a time and keep several calls in flight.
    pub fn chunk_inputs(&self) -> usize {
        self.compiled.chunk_inputs
    }

    /// Seconds that reading the file and making it ready took.
    pub fn load_seconds(&self) -> f64 {
        self.compiled.load_seconds
    }

    /// About how much memory the model takes once all threads run it, in bytes: what the process grew
    /// by in loading it, at least the file's size, for each thread.
    pub fn memory_bytes(&self) -> u64 {
        self.compiled.memory_bytes
    }

    pub(crate) fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }
}

/// Sessions of one file under one set of options, whatever the catalog calls it.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// Inputs per run.
    pub(crate) batch_inputs: usize,
    /// Inputs that stages hand on together, at most.
    pub(crate) chunk_inputs: usize,
    /// Measured at warm-up.
    pub(crate) seconds_per_image: Option<f64>,
    /// Of reading the file too, where it was loaded to stay.
    pub(crate) load_seconds: f64,
    pub(crate) memory_bytes: u64,
    /// Sessions to run it with.
    pub(crate) sessions: SessionPool,
    /// After the sessions.
    _gives_memory_back: GivesMemoryBack,
}

impl Compiled {
    /// How its input is made.
    pub(crate) fn feed(&self) -> &Feed {
        &self.sessions.contract().feed
    }

    /// How its images are made, if it looks at images.
    pub(crate) fn image_spec(&self) -> Option<&Arc<InputSpec>> {
        match self.feed() {
            Feed::Image(spec) => Some(spec),
            Feed::Columns(_) => None,
        }
    }
}

/// What [`compile`] needs besides the file.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct CompileSettings {
    /// Sessions at most: as many as may run at once.
    pub(crate) sessions_max: usize,
    /// Largest batch to consider, of images.
    pub(crate) batch_images_max: usize,
    /// Largest input tensor for one image.
    pub(crate) tensor_bytes_max: u64,
    /// Memory of one model.
    pub(crate) model_memory_bytes_max: u64,
    /// Outputs of one run.
    pub(crate) output_bytes_max: u64,
    /// Time of one run, if smaller ones are possible.
    pub(crate) run_max: Duration,
}

/// Builds a session from a file's bytes, holds it against the options, and runs it. Blocks for as
/// long as that takes, up to some seconds, or until `interrupt` is set.
pub(crate) fn compile(
    environment: &Environment,
    file: Bytes,
    options: &ModelOptions,
    settings: &CompileSettings,
    interrupt: &Interrupt,
) -> Result<Compiled, ModelError> {
    if options.labels.is_empty() && options.output != Output::Value {
        return Err(ModelError::Options {
            reason: "labels is empty".to_string(),
        });
    }
    let file_bytes = file.len() as u64;
    // Its weights are in each session.
    check_memory(file_bytes, settings)?;
    let resident_before = resident_bytes();
    let session = sessions::build(environment, &file, interrupt)?;
    let contract = contract::check(&session, options)?;
    let chunk_inputs = match &contract.feed {
        Feed::Image(spec) => {
            check_tensor_bytes(spec, contract.batch_fixed.unwrap_or(1), settings)?;
            settings.batch_images_max
        }
        Feed::Columns(_) => CHUNK_ROWS_MAX,
    };
    let sessions = SessionPool::new(
        environment.clone(),
        file,
        session,
        contract,
        (settings.sessions_max, settings.output_bytes_max),
    )?;
    let warm = warmup::run(&sessions, chunk_inputs, settings.run_max, interrupt)?;
    sessions.limit_batch(warm.batch_inputs_max);
    let grown = resident_bytes().saturating_sub(resident_before);
    let session_bytes = grown.max(file_bytes);
    let memory_bytes = check_memory(session_bytes, settings)?;
    sessions.expect_memory(session_bytes);
    Ok(Compiled {
        batch_inputs: warm.batch_inputs,
        chunk_inputs,
        seconds_per_image: warm.seconds_per_input,
        load_seconds: 0.0,
        memory_bytes,
        sessions,
        _gives_memory_back: GivesMemoryBack,
    })
}

/// Memory of a model whose sessions take so much each; an error where it is more than all models may have.
fn check_memory(session_bytes: u64, settings: &CompileSettings) -> Result<u64, ModelError> {
    let (sessions, bytes_max) = (settings.sessions_max, settings.model_memory_bytes_max);
    let bytes = session_bytes.saturating_mul(sessions as u64);
    if bytes > bytes_max {
        return Err(ModelError::MemoryTooLarge {
            bytes,
            sessions,
            bytes_max,
        });
    }
    Ok(bytes)
}

/// A batch must fit the limit on a chunk's tensor.
fn check_tensor_bytes(
    spec: &InputSpec,
    batch: usize,
    settings: &CompileSettings,
) -> Result<(), ModelError> {
    let bytes = tensor_bytes(spec, batch);
    if bytes <= settings.tensor_bytes_max {
        return Ok(());
    }
    let bytes_max = settings.tensor_bytes_max;
    Err(ModelError::Options {
        reason: format!(
            "an input of batch {batch} takes {bytes} bytes, more than tensor_bytes_max = {bytes_max}"
        ),
    })
}

fn tensor_bytes(spec: &InputSpec, batch: usize) -> u64 {
    let numbers = (spec.image_len() as u64).saturating_mul(batch as u64);
    numbers.saturating_mul(size_of::<f32>() as u64)
}

fn runtime(error: ort::Error) -> ModelError {
    ModelError::Runtime {
        reason: one_line(error.message(), MESSAGE_CHARS_MAX),
    }
}

/// Tells what is wrong with a model file from ONNX Runtime's code and message.
fn classify(error: &ort::Error) -> ModelError {
    let reason = one_line(error.message(), MESSAGE_CHARS_MAX);
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

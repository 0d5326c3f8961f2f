//! Prepares a model: builds a session from its file, checks it against the options, and runs it.

use bytes::Bytes;
use ort::environment::Environment;
use predictsql_catalog::ModelOptions;

use super::compiled::{CHUNK_ROWS_MAX, Compiled};
use super::contract::{self, Feed};
use super::leased::Leased;
use super::onnx_operators;
use super::outlets::Outlet;
use super::session;
use super::sessions::SessionPool;
use super::settings::{CompileSettings, tensor_bytes};
use super::warmup::{self, WarmUp};
use crate::error::ModelError;
use crate::interrupt::Interrupt;
use crate::picture::InputSpec;
use crate::resident::{GivesMemoryBack, resident_bytes};

/// Builds a session from a file's bytes, checks it against the options, and runs it. Blocks for up
/// to some seconds, or until `interrupt` is set.
pub(crate) fn compile(
    environment: &Environment,
    file: Bytes,
    options: &ModelOptions,
    settings: &CompileSettings,
    interrupt: &Interrupt,
) -> Result<Compiled, ModelError> {
    let file_bytes = file.len() as u64;
    let is_scaled_by_run = onnx_operators::scales_by_run(&file);
    // Each session holds the weights.
    check_memory(file_bytes, settings)?;
    let resident_before = resident_bytes();
    let session = session::build(environment, &settings.provider, &file, interrupt)?;
    let contract = contract::check(
        &Outlet::all(session.inputs()),
        &Outlet::all(session.outputs()),
        options,
    )?;
    let chunk_inputs = match &contract.feed {
        Feed::Image(spec) => {
            check_tensor_bytes(spec, contract.batch_fixed.unwrap_or(1), settings)?;
            settings.batch_images_max
        }
        Feed::Columns(_) => CHUNK_ROWS_MAX,
    };
    let mut sessions = SessionPool::new(
        (environment.clone(), settings.provider.clone()),
        file,
        session,
        contract,
        (settings.sessions_max, settings.output_bytes_max),
    )?;
    sessions.pad_to(settings.provider.buckets(chunk_inputs));
    let limits = WarmUp {
        batch_inputs_max: chunk_inputs,
        together_max: match &sessions.contract().feed {
            Feed::Image(spec) => {
                let fitting = settings.tensor_bytes_max / tensor_bytes(spec, 1).max(1);
                usize::try_from(fitting).unwrap_or(usize::MAX)
            }
            Feed::Columns(_) => usize::MAX,
        },
        run_max: settings.run_max,
        is_scaled_by_run,
    };
    let lease = sessions.lease(interrupt)?;
    let mut runs = Leased::new(&sessions, lease, interrupt);
    let warm = warmup::run(&mut runs, sessions.contract(), limits)?;
    drop(runs);
    sessions.limit_batch(warm.batch_inputs_max);
    sessions.pad_up_to(warm.batch_inputs);
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
        warnings: warm.warnings,
        sessions,
        _gives_memory_back: GivesMemoryBack,
    })
}

/// Memory of a model with `session_bytes` per session; an error if it exceeds the limit of all
/// models.
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

/// Checks that a batch fits the limit of a chunk's tensor.
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

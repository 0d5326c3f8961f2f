//! Finds and loads the ONNX Runtime library, once per process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ort::environment::Environment;
use ort::logging::LogLevel;

use crate::ModelError;

/// Library names to try if neither configuration nor environment names one; searched in the
/// system's search path and in the folder of this program.
const NAMES: [&str; 2] = ["libonnxruntime.so", "libonnxruntime.so.1"];

/// Environment variable with the path of the library.
const VARIABLE: &str = "PREDICTSQL_ORT_LIB";

/// The process's only environment; ONNX Runtime cannot create a second one. It is never released,
/// since sessions may still exist on other threads when the process ends.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// The environment; loads the library at the first call. A failure is not cached: the library may
/// be installed later. Once loaded, later calls ignore `configured`.
pub(crate) fn environment(configured: Option<&Path>) -> Result<Environment, ModelError> {
    let mut slot = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = slot.as_ref() {
        return Ok(environment.clone());
    }
    let environment = load(configured)?;
    *slot = Some(environment.clone());
    Ok(environment)
}

/// The library named by configuration or environment, as an absolute path.
pub(crate) fn named(configured: Option<&Path>) -> Result<Option<PathBuf>, ModelError> {
    let named = configured.map(Path::to_path_buf).or_else(|| {
        std::env::var_os(VARIABLE)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    });
    // A relative path would be resolved relative to the program.
    let absolute = named.as_ref().map(std::path::absolute).transpose();
    absolute.map_err(|error| ModelError::library(named.as_ref(), error))
}

fn load(configured: Option<&Path>) -> Result<Environment, ModelError> {
    let named = named(configured)?;
    let builder = match &named {
        Some(path) => {
            if !path.is_file() {
                return Err(ModelError::library(named.as_ref(), "no such file"));
            }
            ort::init_from(path).map_err(|e| ModelError::library(None, e))?
        }
        None => from_system()?,
    };
    let environment = builder
        .with_name("predictsql")
        .with_telemetry(false)
        .with_logger(Arc::new(log))
        .build()
        .map_err(|e| ModelError::library(named.as_ref(), e.message()))?;
    environment.set_log_level(LogLevel::Warning);
    tracing::info!(library = ?named, "loaded ONNX Runtime");
    Ok(environment)
}

fn from_system() -> Result<ort::environment::EnvironmentBuilder, ModelError> {
    let mut reasons = Vec::new();
    for name in NAMES {
        match ort::init_from(name) {
            Ok(builder) => return Ok(builder),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    Err(ModelError::library(None, reasons.join("; ")))
}

/// Logs ONNX Runtime's own messages. Relevant failures are also returned as errors, so the highest
/// level used here is a warning.
fn log(level: LogLevel, category: &str, _id: &str, _location: &str, message: &str) {
    match level {
        LogLevel::Verbose | LogLevel::Info => tracing::trace!(category, "onnxruntime: {message}"),
        LogLevel::Warning => tracing::debug!(category, "onnxruntime: {message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::warn!(category, "onnxruntime: {message}"),
    }
}

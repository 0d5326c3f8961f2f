//! Models made ready: file, contract with the options, sessions, warm-up, and the cache of them.

mod cache;
mod contract;
mod file;
mod sessions;
mod warmup;

use std::sync::Arc;

use bytes::Bytes;
use ort::environment::Environment;
use predictsql_catalog::{Model, ModelOptions};

use crate::ModelError;
use crate::picture::InputSpec;

pub(crate) use cache::Cache;
pub use file::ModelFile;
pub(crate) use file::ModelFiles;
use sessions::SessionPool;

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

    /// Seconds of one CPU thread for one image, inference alone, as measured at warm-up with the
    /// batch size that was fastest. Divide by the executor's threads for many images.
    pub fn seconds_per_image(&self) -> f64 {
        self.compiled.seconds_per_image
    }

    /// Images per run of the model that warm-up found fastest.
    pub fn batch_images(&self) -> usize {
        self.compiled.batch_images
    }

    pub(crate) fn compiled(&self) -> &Arc<Compiled> {
        &self.compiled
    }
}

/// Sessions of one file under one set of options, whatever the catalog calls it.
#[derive(Debug)]
pub(crate) struct Compiled {
    /// How its input is made.
    pub(crate) spec: Arc<InputSpec>,
    /// Images per run.
    pub(crate) batch_images: usize,
    /// Measured at warm-up.
    pub(crate) seconds_per_image: f64,
    /// Sessions to run it with.
    pub(crate) sessions: SessionPool,
}

/// What [`compile`] needs besides the file.
#[derive(Debug, Clone)]
pub(crate) struct CompileSettings {
    /// Sessions at most: as many as may run at once.
    pub(crate) sessions_max: usize,
    /// Largest batch to consider.
    pub(crate) batch_images_max: usize,
    /// Largest input tensor for one image.
    pub(crate) tensor_bytes_max: u64,
}

/// Builds a session from a file's bytes, holds it against the options, and runs it. Blocks for as
/// long as that takes: up to some seconds.
pub(crate) fn compile(
    environment: &Environment,
    file: Bytes,
    options: &ModelOptions,
    settings: &CompileSettings,
) -> Result<Compiled, ModelError> {
    let wrong = |reason: String| ModelError::Options { reason };
    let image = options.input.image();
    let image = image.ok_or_else(|| wrong("a model over columns cannot be run yet".to_string()))?;
    let spec = InputSpec::new(image).map_err(wrong)?;
    if options.labels.is_empty() {
        return Err(ModelError::Options {
            reason: "labels is empty".to_string(),
        });
    }
    check_tensor_bytes(&spec, 1, settings)?;
    let session = sessions::build(environment, &file)?;
    let contract = contract::check(&session, options, image, &spec)?;
    check_tensor_bytes(&spec, contract.batch_fixed.unwrap_or(1), settings)?;
    let sessions = SessionPool::new(
        environment.clone(),
        file,
        session,
        contract,
        settings.sessions_max,
    )?;
    let warm = warmup::run(&sessions, &spec, settings)?;
    sessions.limit_batch(warm.batch_images_max);
    Ok(Compiled {
        spec: Arc::new(spec),
        batch_images: warm.batch_images,
        seconds_per_image: warm.seconds_per_image,
        sessions,
    })
}

/// The smallest batch must fit the limit on a chunk's tensor.
fn check_tensor_bytes(
    spec: &InputSpec,
    batch: usize,
    settings: &CompileSettings,
) -> Result<(), ModelError> {
    let numbers = (spec.image_len() as u64).saturating_mul(batch as u64);
    let bytes = numbers.saturating_mul(size_of::<f32>() as u64);
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

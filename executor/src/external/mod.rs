//! The backend that has models run by external servers of the Open Inference Protocol, version 2,
//! over gRPC: Triton, KServe and others.
//!
//! ```text
//! external-oip://HOST:PORT/MODEL[/VERSION]
//!   ServerLive, ModelReady, ModelMetadata ─► contract, identity     ModelInfer ─► answers
//! ```
//!
//! This process fetches, decodes and prepares the inputs, and sends tensors. The metadata take
//! the place of a model file's declarations: they are checked against the options, and the model
//! is tried like a file. The operator names the servers that may be connected to.

mod instance;
mod metadata;
mod model_uri;
mod request;
mod response;
mod runs;
mod served;
mod server;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use predictsql_catalog::{Device, Model, ModelOptions, OnnxHead};
use tokio_util::task::AbortOnDropHandle;

use crate::address::Address;
use crate::backend::{Backend, Capacity, Instance};
use crate::config::{ExecutorConfig, StartError};
use crate::error::ModelError;
use crate::io_runtime::IoRuntime;
use crate::sources::{ModelFile, ModelFiles};
use instance::ExternalInstance;
use model_uri::ModelUri;
use runs::Limits;
use served::ServedModel;
use server::Server;

pub use model_uri::is_external;

/// Bytes of an answer beside the outputs.
const ANSWER_BYTES_BESIDE: u64 = 64 << 10;
/// Maximum duration of trying a model if the configuration has none.
const TRIAL_SECONDS_MAX_DEFAULT: u64 = 60;

/// Has models run by external servers.
#[derive(Debug)]
pub(crate) struct External {
    servers: HashMap<Address, Arc<Server>>,
    limits: Limits,
    threads: usize,
    /// Adds the inputs that servers have answered.
    inferred: Arc<AtomicU64>,
    runtime: Arc<IoRuntime>,
}

impl External {
    /// A backend of the servers of the settings, which are connected to when they are first
    /// needed. `None`: there are none.
    ///
    /// # Errors
    /// An address that is none, or no thread.
    pub(crate) fn start(
        config: &ExecutorConfig,
        inferred: &Arc<AtomicU64>,
    ) -> Result<Option<Self>, StartError> {
        let external = &config.external;
        if external.external_oip_hosts.is_empty() {
            return Ok(None);
        }
        let runtime = Arc::new(IoRuntime::start("predict-extern")?);
        let _entered = runtime.handle().enter();
        let times = (
            Duration::from_secs(external.external_oip_request_seconds_max),
            Duration::from_secs(external.external_oip_metadata_seconds_max),
        );
        let answer_bytes_max = config
            .model_output_bytes_max
            .saturating_add(ANSWER_BYTES_BESIDE);
        let mut servers = HashMap::new();
        for given in &external.external_oip_hosts {
            let wrong = || StartError::ExternalAddress {
                address: given.clone(),
            };
            let address: Address = given.parse().map_err(|_| wrong())?;
            let server = Server::new(address.clone(), times, answer_bytes_max);
            servers.insert(address, Arc::new(server.ok_or_else(wrong)?));
        }
        let trial = config.trial.as_ref();
        let trial_seconds = trial.map_or(TRIAL_SECONDS_MAX_DEFAULT, |t| t.trial_seconds_max);
        Ok(Some(Self {
            servers,
            limits: Limits {
                trial_seconds_max: trial_seconds,
                batch_images_max: config.batch_images_max,
                tensor_bytes_max: config.tensor_bytes_max,
            },
            threads: config.threads,
            inferred: inferred.clone(),
            runtime: runtime.clone(),
        }))
    }

    /// The server and the name of a model, if the server is allowed.
    fn found(&self, uri: &str) -> Result<(Arc<Server>, ModelUri), ModelError> {
        let parsed = model_uri::parse(uri)?;
        match self.servers.get(&parsed.address) {
            Some(server) => Ok((server.clone(), parsed)),
            None => Err(not_allowed(&parsed)),
        }
    }

    /// What a server says of a model's input.
    ///
    /// # Errors
    /// The server is not allowed, does not answer, or does not have the model.
    pub(crate) fn head(&self, uri: &str) -> BoxFuture<'static, Result<OnnxHead, ModelError>> {
        let found = self.found(uri);
        self.on_runtime(async move {
            let (server, uri) = found?;
            let described = metadata::described(&uri, server.metadata(&uri).await?)?;
            Ok(described.head())
        })
    }

    /// Does work of this future on the thread of the connections; dropping what is returned ends
    /// it.
    fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ModelError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ModelError>> {
        let task = AbortOnDropHandle::new(self.runtime.spawn(work));
        Box::pin(async move { task.await.unwrap_or_else(|_| Err(ModelError::abandoned())) })
    }
}

/// The error of a model whose server is not among the settings' ones; of a URI that is none, its
/// own error.
pub(crate) fn refused(uri: &str) -> ModelError {
    match model_uri::parse(uri) {
        Ok(parsed) => not_allowed(&parsed),
        Err(error) => error,
    }
}

fn not_allowed(uri: &ModelUri) -> ModelError {
    ModelError::ServerNotAllowed {
        address: uri.address.to_string(),
    }
}

impl Backend for External {
    fn device(&self) -> Device {
        Device::Cpu
    }

    fn capacity(&self) -> Capacity {
        Capacity {
            pieces: self.threads,
        }
    }

    fn describe(
        &self,
        _: &Arc<ModelFiles>,
        (uri, pinned): (&str, Option<&str>),
        options: &ModelOptions,
    ) -> BoxFuture<'static, Result<ModelFile, ModelError>> {
        let (found, options, limits) = (self.found(uri), options.clone(), self.limits);
        let (handle, pinned) = (self.runtime.handle().clone(), pinned.map(str::to_string));
        self.on_runtime(async move {
            let (server, uri) = found?;
            let served = ServedModel::open(&server, &uri, &options, pinned.as_deref()).await?;
            let served = Arc::new(served);
            let warm = runs::tried(&served, limits, handle).await?;
            Ok(ModelFile {
                sha256: served.identity().to_string(),
                bytes: 0,
                seconds_per_image: warm.seconds_per_input,
                warnings: warm.warnings,
            })
        })
    }

    fn load(
        &self,
        _: &Arc<ModelFiles>,
        model: &Arc<Model>,
    ) -> BoxFuture<'static, Result<Arc<dyn Instance>, ModelError>> {
        let (found, model, limits) = (self.found(&model.uri), model.clone(), self.limits);
        let (runtime, inferred) = (self.runtime.clone(), self.inferred.clone());
        self.on_runtime(async move {
            let begin = Instant::now();
            let (server, uri) = found?;
            let pinned = Some(model.sha256.as_str());
            let served = ServedModel::open(&server, &uri, &model.options, pinned).await?;
            let served = Arc::new(served);
            let warm = runs::tried(&served, limits, runtime.handle().clone()).await?;
            for warning in &warm.warnings {
                tracing::warn!(model = model.name, version = model.version, "{warning}");
            }
            let load_seconds = begin.elapsed().as_secs_f64();
            tracing::info!(
                model = model.name,
                version = model.version,
                server = %uri.address,
                batch_inputs = warm.batch_inputs,
                seconds_per_input = warm.seconds_per_input,
                seconds = load_seconds,
                "found a model at an external server"
            );
            let instance =
                ExternalInstance::new(served, &warm, (limits, load_seconds), runtime, inferred);
            let instance: Arc<dyn Instance> = Arc::new(instance);
            Ok(instance)
        })
    }
}

impl Drop for External {
    fn drop(&mut self) {
        self.runtime.stop();
    }
}

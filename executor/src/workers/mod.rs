//! The backend that has models run by workers: processes like this one, here or on other machines.
//!
//! ```text
//! InferencePiece ─► Pool: the ready worker with the model and the least outstanding work
//!   ModelInfer ─► answered │ worker lost or busy: again elsewhere │ model not loaded: load there
//! ```
//!
//! Images are sent encoded, as they were read, and decoded by the worker. A piece has one reply,
//! which is sent when all of its outcomes are there: whatever becomes of workers meanwhile, no
//! outcome is lost or doubled. Each worker is watched by a task; one that does not answer in time
//! is given up, with all requests that it has.

mod instance;
mod load;
mod pool;
mod request;
mod served;
mod tls;
mod trial;
mod trouble;
mod watch;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::future::BoxFuture;
use predictsql_catalog::{Device, Model, ModelOptions};

use crate::address::Address;
use crate::backend::{Backend, Capacity, Instance, WorkerState};
use crate::config::{StartError, WorkersConfig};
use crate::error::ModelError;
use crate::io_runtime::IoRuntime;
use crate::sources::{ModelFile, ModelFiles};
use instance::RemoteInstance;
use load::Wanted;
use pool::Pool;

/// Has models run by workers.
#[derive(Debug)]
pub(crate) struct Workers {
    pool: Arc<Pool>,
    /// Adds the inputs that workers have answered.
    inferred: Arc<AtomicU64>,
    runtime: Arc<IoRuntime>,
}

impl Workers {
    /// A backend of these workers, which need not be there yet.
    ///
    /// # Errors
    /// An address that is none, TLS settings that cannot be used, or no thread.
    pub(crate) fn start(
        config: &WorkersConfig,
        inferred: &Arc<AtomicU64>,
    ) -> Result<Self, StartError> {
        let addresses = addresses(&config.addresses)?;
        let tls = config.tls.as_ref().map(tls::client).transpose()?;
        let runtime = Arc::new(IoRuntime::start("predict-workers")?);
        let pool = Arc::new(Pool::new(config.worker_wait_seconds_max));
        for address in addresses {
            let watching = watch::address(Arc::downgrade(&pool), address, tls.clone());
            drop(runtime.spawn(watching));
        }
        Ok(Self {
            pool,
            inferred: inferred.clone(),
            runtime,
        })
    }

    /// Does work of this future on the thread of the connections; dropping what is returned ends
    /// it.
    fn on_runtime<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ModelError>> + Send + 'static,
    ) -> BoxFuture<'static, Result<T, ModelError>> {
        let task = tokio_util::task::AbortOnDropHandle::new(self.runtime.spawn(work));
        Box::pin(async move { task.await.unwrap_or_else(|_| Err(ModelError::abandoned())) })
    }
}

/// Parses the addresses of the settings.
fn addresses(given: &[String]) -> Result<Vec<Address>, StartError> {
    let parse = |given: &String| {
        let wrong = |_| StartError::WorkerAddress {
            address: given.clone(),
        };
        given.parse().map_err(wrong)
    };
    given.iter().map(parse).collect()
}

impl Backend for Workers {
    fn device(&self) -> Device {
        self.pool.device()
    }

    fn capacity(&self) -> Capacity {
        Capacity {
            pieces: self.pool.pieces().max(1),
        }
    }

    fn workers(&self) -> Vec<WorkerState> {
        self.pool.states()
    }

    fn describe(
        &self,
        files: &Arc<ModelFiles>,
        (uri, pinned): (&str, Option<&str>),
        options: &ModelOptions,
    ) -> BoxFuture<'static, Result<ModelFile, ModelError>> {
        let (pool, files) = (self.pool.clone(), files.clone());
        let (uri, options) = (uri.to_string(), options.clone());
        let pinned = pinned.map(str::to_string);
        self.on_runtime(async move { trial::tried(&pool, files, uri, pinned, options).await })
    }

    fn load(
        &self,
        files: &Arc<ModelFiles>,
        model: &Arc<Model>,
    ) -> BoxFuture<'static, Result<Arc<dyn Instance>, ModelError>> {
        let wanted = Wanted::of(model, files);
        let (pool, inferred) = (self.pool.clone(), self.inferred.clone());
        let runtime = self.runtime.clone();
        self.on_runtime(async move {
            let wanted = Arc::new(wanted?);
            let loaded = pool.load_everywhere(&wanted).await?;
            let instance = RemoteInstance::new(wanted, &loaded, pool, runtime, inferred);
            let instance: Arc<dyn Instance> = Arc::new(instance);
            Ok(instance)
        })
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.runtime.stop();
    }
}

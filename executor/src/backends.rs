//! The backends of an executor, and which of them runs a model.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::backend::Backend;
use crate::config::{ExecutorConfig, StartError};
use crate::error::ModelError;
use crate::external::{self, External, is_external};
use crate::in_process::InProcess;
use crate::pipeline::WorkQueue;
use crate::provider::Provider;
use crate::workers::Workers;

/// The backends, by what they run.
#[derive(Debug)]
pub(crate) struct Backends {
    /// Runs models that are files: this process, or workers.
    pub(crate) files: Arc<dyn Backend>,
    /// Runs the models that external servers have, if any server is allowed.
    external: Option<External>,
}

impl Backends {
    /// Starts those that are configured. Models that run in this process use `provider` and wait
    /// in `queue`; those that run elsewhere are counted in `inferred`.
    pub(crate) fn start(
        config: &ExecutorConfig,
        provider: Provider,
        queue: &Arc<WorkQueue>,
        inferred: &Arc<AtomicU64>,
    ) -> Result<Self, StartError> {
        Ok(Self {
            files: match &config.workers {
                Some(workers) => Arc::new(Workers::start(workers, inferred)?),
                None => Arc::new(InProcess::new(config, provider, queue)),
            },
            external: External::start(config, inferred)?,
        })
    }

    /// The backend that runs the model of a URI.
    pub(crate) fn of(&self, uri: &str) -> Result<&dyn Backend, ModelError> {
        match self.external(uri)? {
            Some(external) => Ok(external),
            None => Ok(&*self.files),
        }
    }

    /// The external servers, if the URI names a model of one.
    pub(crate) fn external(&self, uri: &str) -> Result<Option<&External>, ModelError> {
        match (is_external(uri), &self.external) {
            (false, _) => Ok(None),
            (true, Some(external)) => Ok(Some(external)),
            (true, None) => Err(external::refused(uri)),
        }
    }
}

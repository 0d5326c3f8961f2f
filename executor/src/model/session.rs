//! One ONNX Runtime session, and its runs.

use std::sync::Arc;

use ort::environment::Environment;
use ort::session::{RunOptions, Session, SessionInputs, SessionOutputs};

use super::runtime_error::{classify, runtime};
use crate::ModelError;
use crate::interrupt::{Interrupt, Work};
use crate::provider::Provider;

/// Folder in which ONNX Runtime looks for weights outside the model's file: below a file that is
/// not a folder, where no file can exist. Otherwise it would read files named by the model in the
/// working folder, outside of all roots and not covered by the SHA-256.
const EXTERNAL_WEIGHTS: &str = "/dev/null/external-weights";

/// Builds a session on a provider, with one intra-op thread: one session per core is faster than
/// one session that splits every operator. On 2 cores, 2 sessions of 1 thread against 1 session of
/// 2 threads, median of 3, images/s: a network of 84 kB 17,217 to 11,093 at batch 1 and 27,884 to
/// 24,606 at batch 32; one of 245 kB 4,455 to 2,512 and 5,328 to 2,895, at 0.5 to 0.8 of the CPU
/// time per image.
pub(crate) fn build(
    environment: &Environment,
    provider: &Provider,
    file: &[u8],
    interrupt: &Interrupt,
) -> Result<Session, ModelError> {
    let built = || -> ort::Result<Option<Session>> {
        let mut builder = Session::builder(environment)?
            .with_intra_threads(1)?
            .with_inter_threads(1)?
            .with_execution_providers(provider.dispatches())?
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

/// A session with the resources of its runs.
pub(super) struct Runner {
    session: Session,
    /// Used to terminate a run.
    options: Arc<RunOptions>,
    /// Input buffer of a model with a fixed batch size, for batches that do not fill it.
    pub(super) padded: Vec<f32>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl Runner {
    pub(super) fn new(session: Session) -> Result<Self, ModelError> {
        let options = RunOptions::new().map_err(|error| classify(&error))?;
        Ok(Self {
            session,
            options: Arc::new(options),
            padded: Vec::new(),
        })
    }

    /// Computes all outputs: ONNX Runtime executes the whole graph in any case.
    pub(super) fn run<'i, 'v: 'i, const N: usize, T>(
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

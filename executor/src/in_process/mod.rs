//! The backend that runs models with ONNX Runtime in this process: on its CPU threads or a GPU.
//!
//! Models are loaded and measured on separate threads, one after another; pieces go to the pool
//! that also prepares images, so that the cores are never oversubscribed.

mod instance;
mod turns;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use predictsql_catalog::{Device, Model, ModelOptions};

use crate::backend::{Backend, Capacity, Instance};
use crate::config::ExecutorConfig;
use crate::error::ModelError;
use crate::interrupt::Interrupt;
use crate::library;
use crate::loads::{Loads, OVERDUE_AFTER};
use crate::model::{CompileSettings, Compiled, compile};
use crate::pipeline::WorkQueue;
use crate::provider::Provider;
use crate::sources::{ModelFile, ModelFiles};
use crate::trial::{Request, Trials, Tried};
use instance::InProcessInstance;
use turns::take_turn;

/// Runs models in this process. Clones share the same backend.
#[derive(Debug, Clone)]
pub(crate) struct InProcess(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    loads: Arc<Loads>,
    trials: Option<Arc<Trials>>,
    ort_library: Option<PathBuf>,
    settings: Arc<CompileSettings>,
    queue: Arc<WorkQueue>,
    threads: usize,
}

impl InProcess {
    /// A backend whose pieces go to `queue`, to be run with `provider`.
    pub(crate) fn new(config: &ExecutorConfig, provider: Provider, queue: &Arc<WorkQueue>) -> Self {
        let sessions_max = match provider.is_accelerator() {
            true => config.provider.device_runs_max,
            false => config.threads,
        };
        Self(Arc::new(Inner {
            loads: Arc::new(Loads::new(1, OVERDUE_AFTER)),
            trials: config
                .trial
                .clone()
                .map(|trial| Arc::new(Trials::new(trial))),
            ort_library: config.ort_library.clone(),
            settings: Arc::new(CompileSettings {
                provider,
                sessions_max,
                batch_images_max: config.batch_images_max,
                tensor_bytes_max: config.tensor_bytes_max,
                model_memory_bytes_max: config.models_bytes_max,
                output_bytes_max: config.model_output_bytes_max,
                run_max: Duration::from_millis(config.run_ms_max),
            }),
            queue: queue.clone(),
            threads: config.threads,
        }))
    }
}

impl Backend for InProcess {
    fn device(&self) -> Device {
        self.0.settings.provider.device()
    }

    fn capacity(&self) -> Capacity {
        Capacity {
            pieces: self.0.threads,
        }
    }

    /// In a separate process if [`ExecutorConfig::trial`] is set so.
    fn describe(
        &self,
        files: &Arc<ModelFiles>,
        (uri, pinned): (&str, Option<&str>),
        options: &ModelOptions,
    ) -> BoxFuture<'static, Result<ModelFile, ModelError>> {
        let turns = match &self.0.trials {
            Some(trials) => trials.turns(),
            None => &self.0.loads,
        };
        let (inner, files) = (self.0.clone(), files.clone());
        let (file, options) = (uri.to_string(), options.clone());
        let pinned = pinned.map(str::to_string);
        take_turn(turns, uri, move |interrupt| {
            let (file, sha256) = match pinned {
                Some(sha256) => (files.read_pinned(&file, &sha256)?, sha256),
                None => files.read(&file)?,
            };
            let bytes = file.len() as u64;
            let tried = inner.try_file(file, &sha256, &options, interrupt)?;
            Ok(ModelFile {
                sha256,
                bytes,
                seconds_per_image: tried.seconds_per_image,
                warnings: tried.warnings,
            })
        })
    }

    fn load(
        &self,
        files: &Arc<ModelFiles>,
        model: &Arc<Model>,
    ) -> BoxFuture<'static, Result<Arc<dyn Instance>, ModelError>> {
        let (inner, files, model) = (self.0.clone(), files.clone(), model.clone());
        let name = model.name.clone();
        take_turn(&self.0.loads, &name, move |interrupt| {
            let compiled = inner.load_file(&files, &model, interrupt)?;
            // Dropped before the result is sent, so that its receiver finds all resources
            // released.
            drop((files, model));
            let instance = InProcessInstance::new(
                compiled,
                inner.queue.clone(),
                inner.loads.clone(),
                inner.settings.clone(),
            );
            drop(inner);
            let instance: Arc<dyn Instance> = Arc::new(instance);
            Ok(instance)
        })
    }
}

impl Inner {
    /// Tries a file, in a separate process if one is configured: always on the CPU there, since a
    /// driver of a GPU does not work within the limits of such a process. For a GPU the file is
    /// then run on it, too.
    fn try_file(
        &self,
        file: Bytes,
        sha256: &str,
        options: &ModelOptions,
        interrupt: &Interrupt,
    ) -> Result<Tried, ModelError> {
        let library = self.ort_library.as_deref();
        let mut warnings = Vec::new();
        if let Some(trials) = &self.trials {
            let settings = CompileSettings {
                provider: Provider::Cpu,
                ..(*self.settings).clone()
            };
            let request = Request::new(options, &settings);
            let tried = trials.run(&request, file.clone(), sha256, library, interrupt)?;
            if !self.settings.provider.is_accelerator() {
                return Ok(tried);
            }
            warnings = tried.warnings;
        }
        let environment = library::environment(library)?;
        let compiled = compile(&environment, file, options, &self.settings, interrupt)?;
        for warning in compiled.warnings {
            if !warnings.contains(&warning) {
                warnings.push(warning);
            }
        }
        Ok(Tried {
            seconds_per_image: compiled.seconds_per_image,
            warnings,
        })
    }

    fn load_file(
        &self,
        files: &Arc<ModelFiles>,
        model: &Model,
        interrupt: &Interrupt,
    ) -> Result<Compiled, ModelError> {
        let begin = Instant::now();
        let environment = library::environment(self.ort_library.as_deref())?;
        let file = files.read_pinned(&model.uri, &model.sha256)?;
        let mut compiled = compile(
            &environment,
            file,
            &model.options,
            &self.settings,
            interrupt,
        )?;
        let (files, model_file) = (files.clone(), (model.uri.clone(), model.sha256.clone()));
        compiled
            .sessions
            .read_again_by(move || files.read_elsewhere(&model_file.0, &model_file.1));
        compiled.load_seconds = begin.elapsed().as_secs_f64();
        for warning in &compiled.warnings {
            tracing::warn!(model = model.name, version = model.version, "{warning}");
        }
        tracing::info!(
            model = model.name,
            version = model.version,
            batch_inputs = compiled.batch_inputs,
            seconds_per_input = compiled.seconds_per_image,
            seconds = compiled.load_seconds,
            "loaded a model"
        );
        Ok(compiled)
    }
}

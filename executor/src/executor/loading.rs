//! Models from their files: tried for `CREATE MODEL`, loaded to predict, measured for the planner.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use predictsql_catalog::{Model, ModelOptions};
use tokio::sync::oneshot;

use super::{Executor, Inner};
use crate::interrupt::Interrupt;
use crate::loads::Loads;
use crate::model::{Compiled, Found, ModelFile, compile, measure};
use crate::trial::{Request, Tried};
use crate::{LoadedModel, ModelError, library, pipeline};

/// Ends a load when its only caller has gone.
struct GoneCaller {
    interrupt: Arc<Interrupt>,
    loads: Arc<Loads>,
}

impl Drop for GoneCaller {
    fn drop(&mut self) {
        self.interrupt.set();
        self.loads.wake();
    }
}

impl Executor {
    /// Reads, hashes, loads and runs a model once, for `CREATE MODEL`: in a process of its own where
    /// [`ExecutorConfig::trial`](crate::ExecutorConfig::trial) says so. Keeps nothing. Dropping the future
    /// ends it.
    ///
    /// # Errors
    /// Everything that would keep the model from predicting, named.
    pub async fn inspect(
        &self,
        uri: &str,
        options: &ModelOptions,
    ) -> Result<ModelFile, ModelError> {
        let (file, options) = (uri.to_string(), options.clone());
        let turns = match &self.inner.trials {
            Some(trials) => trials.turns(),
            None => &self.inner.loads,
        };
        self.take_turn(turns, uri, move |inner, interrupt| {
            let (file, sha256) = inner.files.read(&file)?;
            let bytes = file.len() as u64;
            let tried = inner.try_file(file, &sha256, &options, interrupt)?;
            Ok(ModelFile {
                sha256,
                bytes,
                seconds_per_image: tried.seconds_per_image,
            })
        })
        .await
    }

    /// The loaded model, from the cache or its file. Concurrent callers load it once; when the last of
    /// them drops its future, the load is ended.
    ///
    /// # Errors
    /// As [`Executor::inspect`], and [`ModelError::Changed`] where the file's SHA-256 is not
    /// `model.sha256`. A failure is not remembered.
    pub async fn load(&self, model: &Arc<Model>) -> Result<LoadedModel, ModelError> {
        let slot = self.inner.cache.slot(model);
        let loaded = match slot.find(&self.inner.loads) {
            Found::Ready(compiled) => return Ok(LoadedModel::new(model.clone(), compiled)),
            Found::Loading(waiter) => waiter.loaded().await,
            Found::Empty(waiter) => {
                let (model, slot, load) = (model.clone(), slot.clone(), waiter.load());
                let filled = (slot.clone(), load.clone());
                let started = self.on_thread(move |inner| {
                    let work = |interrupt: &Interrupt| inner.load_file(&model, interrupt);
                    let loaded = in_turn(&inner.loads, &model.name, &load.interrupt, work);
                    // Whoever is told of it finds nothing left behind.
                    drop(model);
                    slot.fill(&load, loaded);
                });
                if let Err(error) = started {
                    let (slot, load) = filled;
                    slot.fill(&load, Err(error));
                }
                waiter.loaded().await
            }
        };
        match loaded {
            Ok(compiled) => {
                self.inner.cache.keep(model, &slot);
                Ok(LoadedModel::new(model.clone(), compiled))
            }
            Err(error) => {
                self.inner.cache.forget(&slot);
                Err(error)
            }
        }
    }

    /// Seconds of one CPU thread for one run of the model at each of the batch sizes that it takes, by
    /// ascending inputs: (inputs, seconds). Sizes at which a run would take more than some seconds, or
    /// more memory than `tensor_bytes_max`, are left out. Dropping the future ends it.
    ///
    /// # Errors
    /// What the model failed of.
    pub async fn measure(
        &self,
        model: &LoadedModel,
        batches: &[usize],
    ) -> Result<Vec<(u32, f64)>, ModelError> {
        let (compiled, batches) = (model.compiled().clone(), batches.to_vec());
        self.take_turn(
            &self.inner.loads,
            &model.model().name,
            move |inner, interrupt| measure(&compiled, &batches, &inner.settings, interrupt),
        )
        .await
    }

    /// Runs blocking work on a thread of its own when it is its turn.
    async fn take_turn<T: Send + 'static>(
        &self,
        turns: &Arc<Loads>,
        model: &str,
        work: impl FnOnce(&Inner, &Interrupt) -> Result<T, ModelError> + Send + 'static,
    ) -> Result<T, ModelError> {
        let interrupt = Arc::new(Interrupt::default());
        let _caller = GoneCaller {
            interrupt: interrupt.clone(),
            loads: turns.clone(),
        };
        let (reply, answer) = oneshot::channel();
        let (turns, model) = (turns.clone(), model.to_string());
        self.on_thread(move |inner| {
            let work = |interrupt: &Interrupt| work(inner, interrupt);
            let done = in_turn(&turns, &model, &interrupt, work);
            let _ = reply.send(done);
        })?;
        answer
            .await
            .unwrap_or_else(|_| Err(ModelError::abandoned()))
    }

    fn on_thread(&self, work: impl FnOnce(&Inner) + Send + 'static) -> Result<(), ModelError> {
        let inner = self.inner.clone();
        let spawned = std::thread::Builder::new()
            .name("predict-load".to_string())
            .spawn(move || {
                pipeline::give_way();
                work(&inner);
            });
        spawned.map(drop).map_err(|error| ModelError::Interrupted {
            reason: format!("no thread to load it on ({error})"),
        })
    }
}

impl Inner {
    /// Tries a file, in a process of its own where there is one for it.
    fn try_file(
        &self,
        file: Bytes,
        sha256: &str,
        options: &ModelOptions,
        interrupt: &Interrupt,
    ) -> Result<Tried, ModelError> {
        let library = self.ort_library.as_deref();
        if let Some(trials) = &self.trials {
            let request = Request::new(options, &self.settings);
            return trials.run(&request, file, sha256, library, interrupt);
        }
        let environment = library::environment(library)?;
        let compiled = compile(&environment, file, options, &self.settings, interrupt)?;
        Ok(Tried {
            seconds_per_image: compiled.seconds_per_image,
        })
    }

    fn load_file(&self, model: &Model, interrupt: &Interrupt) -> Result<Arc<Compiled>, ModelError> {
        let begin = Instant::now();
        let environment = library::environment(self.ort_library.as_deref())?;
        let file = self.files.read_pinned(&model.uri, &model.sha256)?;
        let mut compiled = compile(
            &environment,
            file,
            &model.options,
            &self.settings,
            interrupt,
        )?;
        let (files, model_file) = (
            self.files.clone(),
            (model.uri.clone(), model.sha256.clone()),
        );
        compiled
            .sessions
            .read_again_by(move || files.read_pinned(&model_file.0, &model_file.1));
        compiled.load_seconds = begin.elapsed().as_secs_f64();
        tracing::info!(
            model = model.name,
            version = model.version,
            batch_inputs = compiled.batch_inputs,
            seconds_per_input = compiled.seconds_per_image,
            seconds = compiled.load_seconds,
            "loaded a model"
        );
        Ok(Arc::new(compiled))
    }
}

/// Waits for the turn and does the work; a panic in it is an error.
fn in_turn<T>(
    turns: &Loads,
    model: &str,
    interrupt: &Interrupt,
    work: impl FnOnce(&Interrupt) -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    let _turn = turns.turn(model, interrupt)?;
    catch_unwind(AssertUnwindSafe(|| work(interrupt))).unwrap_or_else(|_panic| {
        Err(ModelError::Interrupted {
            reason: "internal error in loading".to_string(),
        })
    })
}

//! Public interface of the executor, called by the predict lane and `CREATE MODEL`.

use std::sync::Arc;

use bytes::Bytes;
use predictsql_catalog::{Device, Model, ModelOptions, OnnxHead, Task, TaskInput};
use tokio_util::sync::CancellationToken;

use crate::backend::{LoadedModel, WorkerState};
use crate::backends::Backends;
use crate::caller::CallerId;
use crate::config::{ExecutorConfig, StartError};
use crate::error::{ImageRootError, ModelError, PredictError};
use crate::identity::InputId;
use crate::input::{Input, Outcome};
use crate::loaded::Cache;
use crate::model::{CHUNK_ROWS_MAX, onnx_head};
use crate::permits::{Permits, Size};
use crate::pieces::{Answered, Chunk, Contents, Form, Images, Piece, Place, Reply};
use crate::pipeline::{CpuSeconds, Goal, Identified, Pipeline, Submitted, Ticket};
use crate::prepared::Prepared;
use crate::provider::{self, Provider};
use crate::sources::{BoundRoots, ModelFile, ModelFiles};
use crate::spent::Spent;

/// Maximum size of a file of labels, or of one that describes a model, in bytes.
const BESIDE_MODEL_BYTES_MAX: u64 = 4 << 20;
/// Number of inputs identified together.
const IDENTIFIED_TOGETHER: usize = 64;

/// Runs models on inputs. Clones share the same threads, models and limits; when the last one is
/// dropped, the threads are stopped and joined (after at most one batch).
///
/// It does not depend on a particular async runtime: all work is on its own threads.
#[derive(Debug, Clone)]
pub struct Executor {
    inner: Arc<Inner>,
    account: Option<Arc<Spent>>,
    within: Option<Arc<BoundRoots>>,
}

#[derive(Debug)]
struct Inner {
    pipeline: Pipeline,
    files: Arc<ModelFiles>,
    cache: Cache,
    /// Limits the chunks in flight.
    chunks: Arc<Permits>,
    backends: Backends,
    batch_images_max: usize,
    tensor_bytes_max: u64,
    image_bytes_max: u64,
}

impl Executor {
    /// Checks the configuration, opens the roots and starts the threads. ONNX Runtime is loaded
    /// with the first model only.
    pub fn new(config: ExecutorConfig) -> Result<Self, StartError> {
        config.check()?;
        let provider = match config.workers {
            Some(_) => Provider::Cpu,
            None => provider::choose(&config.provider, config.ort_library.as_deref())?,
        };
        let pipeline = Pipeline::start(&config, provider.is_accelerator())?;
        let (queue, inferred) = (pipeline.run_queue(), pipeline.inferred());
        let inner = Inner {
            backends: Backends::start(&config, provider, queue, inferred)?,
            pipeline,
            files: Arc::new(ModelFiles::new(
                &config.model_roots,
                config.model_bytes_max,
                &config.objects,
                config.model_cache.as_ref(),
            )?),
            cache: Cache::new(config.models_loaded_max, config.models_bytes_max),
            chunks: Permits::new(config.queue_chunks_max),
            batch_images_max: config.batch_images_max,
            tensor_bytes_max: config.tensor_bytes_max,
            image_bytes_max: config.image_bytes_max,
        };
        Ok(Self {
            inner: Arc::new(inner),
            account: None,
            within: None,
        })
    }

    /// The same executor, which adds the time of its work to `account`. All work on parts of one
    /// account belongs to one caller, and callers take turns. Without an account each call is its
    /// own caller.
    #[must_use]
    pub fn on_account(&self, account: &Arc<Spent>) -> Self {
        Self {
            inner: self.inner.clone(),
            account: Some(account.clone()),
            within: self.within.clone(),
        }
    }

    /// The same executor for one statement's work on a task: if the task is bound to image roots,
    /// images are read only below them. Folders among them are opened once.
    #[must_use]
    pub fn of_task(&self, task: &Task) -> Self {
        let roots = &task.image_roots;
        let bound = (!roots.is_empty()).then(|| Arc::new(BoundRoots::new(roots)));
        Self {
            inner: self.inner.clone(),
            account: self.account.clone(),
            within: bound,
        }
    }

    /// Checks that a task may be bound to these image roots: each is, or is below, one of the
    /// executor's. Blocks while folders are looked at.
    ///
    /// # Errors
    /// The first root that is not.
    pub fn check_image_roots(&self, roots: &[String]) -> Result<(), ImageRootError> {
        let pipeline = &self.inner.pipeline;
        roots.iter().try_for_each(|root| pipeline.check_root(root))
    }

    /// The remote ones of the image roots.
    pub(crate) fn remote_image_roots(&self) -> Vec<String> {
        self.inner.pipeline.remote_roots()
    }

    /// Device that models run on.
    pub fn device(&self) -> Device {
        self.inner.backends.files.device()
    }

    /// The workers that run models, in the order of their addresses. Empty: this process runs
    /// them.
    pub fn workers(&self) -> Vec<WorkerState> {
        self.inner.backends.files.workers()
    }

    /// Number of pieces processed concurrently: the number of CPU threads that decode and infer.
    pub fn threads(&self) -> usize {
        self.inner.backends.files.capacity().pieces
    }

    /// Maximum size of an encoded image, in bytes.
    pub fn image_bytes_max(&self) -> u64 {
        self.inner.image_bytes_max
    }

    /// Number of images that [`Executor::predict`] processes as one chunk. Callers with many
    /// inputs should pass about this many at a time and keep several calls in flight.
    pub fn chunk_inputs(&self) -> usize {
        self.inner.batch_images_max
    }

    /// Like [`Executor::chunk_inputs`], for inputs of this kind.
    pub fn chunk_inputs_of(&self, input: &TaskInput) -> usize {
        match input {
            TaskInput::Image => self.chunk_inputs(),
            TaskInput::Columns(_) => CHUNK_ROWS_MAX,
        }
    }

    /// Number of images processed by models for callers since the start, over all queries.
    pub fn images_inferred(&self) -> u64 {
        self.inner.pipeline.images_inferred()
    }

    /// CPU time of preparation and inference since the start, over all queries.
    pub fn cpu_seconds(&self) -> CpuSeconds {
        self.inner.pipeline.cpu_seconds()
    }

    /// Chunks in flight now, over all queries; at `queue_chunks_max`, or the equivalent in chunks
    /// with few inputs, callers wait.
    pub fn chunks_in_flight(&self) -> usize {
        self.inner.chunks.held()
    }

    /// Unloads all models except these models of the catalog, and keeps no others from now on.
    /// Statements that run an unloaded model keep it until they end. Does not wait until memory is
    /// free.
    pub fn retain(&self, models: Vec<Arc<Model>>) {
        self.inner.cache.retain(models);
    }

    /// Unloads a model. Statements that run it keep it until they end.
    pub(crate) fn unload(&self, model: &Model) {
        self.inner.cache.unload(model);
    }

    /// Maximum size of a model's file, in bytes.
    pub(crate) fn model_bytes_max(&self) -> u64 {
        self.inner.files.bytes_max()
    }

    /// Keeps the file of a model that was sent here. Blocks.
    ///
    /// # Errors
    /// A file of another SHA-256, and one that there is no place for.
    pub(crate) fn keep_model_file(&self, model: &Model, file: &[u8]) -> Result<(), ModelError> {
        self.inner.files.keep(&model.uri, &model.sha256, file)
    }

    /// Number of loaded models, and about how many bytes they use together, see
    /// [`LoadedModel::memory_bytes`].
    pub fn models_loaded(&self) -> (usize, u64) {
        self.inner.cache.loaded()
    }

    /// Reads, hashes, loads and runs a model once, for `CREATE MODEL`; in a separate process if
    /// [`ExecutorConfig::trial`] is set so. Keeps nothing. Dropping the future ends it.
    ///
    /// # Errors
    /// Any reason why the model cannot predict.
    pub async fn inspect(
        &self,
        uri: &str,
        options: &ModelOptions,
    ) -> Result<ModelFile, ModelError> {
        let inner = &self.inner;
        let backend = inner.backends.of(uri)?;
        backend.describe(&inner.files, (uri, None), options).await
    }

    /// Like [`Executor::inspect`], for a file of this SHA-256.
    pub(crate) async fn inspect_pinned(&self, model: &Model) -> Result<ModelFile, ModelError> {
        let (inner, pinned) = (&self.inner, Some(model.sha256.as_str()));
        let backend = inner.backends.of(&model.uri)?;
        backend
            .describe(&inner.files, (&model.uri, pinned), &model.options)
            .await
    }

    /// What a model's file says of itself, or its external server, without running it.
    ///
    /// # Errors
    /// Any reason why the file cannot be read, or the server cannot be asked.
    pub async fn onnx_head(&self, uri: &str) -> Result<OnnxHead, ModelError> {
        if let Some(external) = self.inner.backends.external(uri)? {
            return external.head(uri).await;
        }
        let file = self.inner.files.read_whole(uri).await?;
        Ok(onnx_head(&file))
    }

    /// Content of a file below the model roots that belongs to a model: labels, or how its
    /// exporter describes it.
    ///
    /// # Errors
    /// Any reason why it cannot be read; [`ModelError::BesideTooLarge`] above
    /// `beside_model_bytes_max` (4 MiB).
    pub async fn read_beside_model(&self, uri: &str) -> Result<Bytes, ModelError> {
        let files = &self.inner.files;
        files.read_beside(uri, BESIDE_MODEL_BYTES_MAX).await
    }

    /// The loaded model, from the cache or its file. Concurrent callers load it once; when the
    /// last of them drops its future, the load is ended.
    ///
    /// # Errors
    /// Errors of [`Executor::inspect`], and [`ModelError::Changed`] if the file's SHA-256 is not
    /// `model.sha256`. A failure is not cached.
    pub async fn load(&self, model: &Arc<Model>) -> Result<LoadedModel, ModelError> {
        let inner = &self.inner;
        let backend = inner.backends.of(&model.uri)?;
        let slot = inner.cache.slot(model);
        if let Some(instance) = slot.instance() {
            return Ok(LoadedModel::new(model.clone(), instance));
        }
        match slot.loaded(|| backend.load(&inner.files, model)).await {
            Ok(instance) => {
                inner.cache.keep(model, &slot);
                Ok(LoadedModel::new(model.clone(), instance))
            }
            Err(error) => {
                inner.cache.forget(&slot);
                Err(error)
            }
        }
    }

    /// Whether a model is loaded.
    pub fn is_loaded(&self, model: &Model) -> bool {
        self.inner.cache.holds(model)
    }

    /// Seconds of one CPU thread per run, for each batch size that the model supports, by
    /// ascending size: (inputs, seconds). Sizes at which a run would take more than some seconds,
    /// or more memory than `tensor_bytes_max`, are left out. Dropping the future ends it.
    ///
    /// # Errors
    /// The model's failure.
    pub async fn measure(
        &self,
        model: &LoadedModel,
        batches: &[usize],
    ) -> Result<Vec<(u32, f64)>, ModelError> {
        let name = &model.model().name;
        model.instance().measure(name, batches).await
    }

    /// Predicts `inputs` with `model`: returns one outcome per input, in order. More inputs than
    /// [`LoadedModel::chunk_inputs`] are split into chunks. Waits while the executor has its
    /// maximum number of chunks. Dropping the future or cancelling stops the work within one
    /// batch.
    ///
    /// # Errors
    /// [`PredictError::Cancelled`], or the model's failure. An image that cannot be read is not an
    /// error but [`Outcome::Unreadable`].
    pub async fn predict(
        &self,
        model: &LoadedModel,
        inputs: Vec<Input>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Outcome>, PredictError> {
        let answered = self.answer(model, inputs, false, cancel).await?;
        Ok(answered.outcomes)
    }

    /// Like [`Executor::predict`], with the identity of each input as in [`Prepared::ids`]. Once a
    /// chunk is submitted its work continues while the future is not polled; but a permit that is
    /// granted meanwhile is held until it is polled.
    ///
    /// # Errors
    /// Same as [`Executor::predict`].
    pub async fn predict_identified(
        &self,
        model: &LoadedModel,
        inputs: Vec<Input>,
        cancel: &CancellationToken,
    ) -> Result<(Vec<Outcome>, Vec<Option<InputId>>), PredictError> {
        let answered = self.answer(model, inputs, true, cancel).await?;
        Ok((answered.outcomes, answered.ids))
    }

    /// Predicts images that are prepared already: `images` of them in the layout of the model, one
    /// after another.
    ///
    /// # Errors
    /// [`PredictError::NotPrepared`] if these are not so many images of the model, and those of
    /// [`Executor::predict`].
    pub(crate) async fn predict_tensor(
        &self,
        model: &LoadedModel,
        (images, numbers): (usize, &[f32]),
        cancel: &CancellationToken,
    ) -> Result<Vec<Outcome>, PredictError> {
        let spec = match model.form() {
            Form::Tensor(spec) if Some(numbers.len()) == images.checked_mul(spec.image_len()) => {
                spec.clone()
            }
            _ => {
                let model = model.model().name.clone();
                return Err(PredictError::NotPrepared { model });
            }
        };
        let caller = self.caller();
        let size = Size::of(images, self.chunk_inputs_for(&[model]));
        let permit = self.inner.chunks.acquire(caller, size, 1);
        let permit = Arc::new(unless_cancelled(cancel, permit).await?);
        let mut tensor = self.inner.pipeline.tensor();
        tensor.extend_from_slice(numbers);
        let chunk = Chunk {
            content: Contents::Images(Images {
                tensors: vec![(spec, tensor)],
                encoded: None,
            }),
            _permit: permit,
        };
        let places = (0..images).map(Place::At).collect();
        let (reply, answer) = Reply::new(caller, cancel);
        let reply = reply.on_account(self.account.as_ref());
        match Piece::of_all(reply, model.model().clone(), chunk, places, Vec::new()) {
            Ok(piece) => model.instance().infer(piece),
            Err((reply, answer)) => reply.send(Ok(answer)),
        }
        Ok(unless_cancelled(cancel, answer).await??.outcomes)
    }

    async fn answer(
        &self,
        model: &LoadedModel,
        inputs: Vec<Input>,
        identified: bool,
        cancel: &CancellationToken,
    ) -> Result<Answered, PredictError> {
        if cancel.is_cancelled() {
            return Err(PredictError::Cancelled);
        }
        let count = inputs.len();
        if inputs.iter().all(|input| matches!(input, Input::Null)) {
            return Ok(Answered {
                outcomes: vec![Outcome::Null; count],
                ids: vec![None; if identified { count } else { 0 }],
            });
        }
        let mut answers = Vec::new();
        let (caller, chunk_inputs) = (self.caller(), self.chunk_inputs_for(&[model]));
        for inputs in split(inputs, chunk_inputs) {
            let size = Size::of(inputs.len(), chunk_inputs);
            let permit = self.inner.chunks.acquire(caller, size, 1);
            let permit = Arc::new(unless_cancelled(cancel, permit).await?);
            let (reply, answer) = Reply::new(caller, cancel);
            let reply = reply.on_account(self.account.as_ref());
            let ticket = Ticket {
                goal: Goal::Outcomes(model.clone(), reply),
                identified,
                within: self.within.clone(),
                permit,
            };
            self.inner.pipeline.submit(Submitted { ticket, inputs });
            answers.push(answer);
        }
        let mut answered = Answered {
            outcomes: Vec::with_capacity(count),
            ids: Vec::with_capacity(if identified { count } else { 0 }),
        };
        for answer in answers {
            let answer = unless_cancelled(cancel, answer).await??;
            answered.outcomes.extend(answer.outcomes);
            answered.ids.extend(answer.ids);
        }
        Ok(answered)
    }

    /// Fetches, decodes and preprocesses inputs once, for all of `models`: one tensor per distinct
    /// input spec. [`Executor::infer`] then runs any of them. Waits while the executor has its
    /// maximum number of chunks; see [`Prepared`] for the effect of holding them.
    ///
    /// # Errors
    /// [`PredictError::Cancelled`] and [`PredictError::Stopped`]. An image that cannot be read
    /// becomes [`Outcome::Unreadable`].
    pub async fn prepare(
        &self,
        models: &[LoadedModel],
        inputs: Vec<Input>,
        cancel: &CancellationToken,
    ) -> Result<Prepared, PredictError> {
        let by_ref: Vec<&LoadedModel> = models.iter().collect();
        let chunk_inputs = self.chunk_inputs_for(&by_ref);
        let forms = forms(&by_ref);
        let (caller, size) = (self.caller(), Size::of(inputs.len(), chunk_inputs));
        let chunks = split(inputs, chunk_inputs);
        // All permits at once: two callers that each hold some and wait for more would deadlock.
        let permits = self.inner.chunks.acquire(caller, size, chunks.len());
        let permits = Arc::new(unless_cancelled(cancel, permits).await?);
        let mut answers = Vec::with_capacity(chunks.len());
        for inputs in chunks {
            let (reply, answer) = Reply::new(caller, cancel);
            let reply = reply.on_account(self.account.as_ref());
            let ticket = Ticket {
                goal: Goal::Prepared(forms.clone(), reply),
                identified: true,
                within: self.within.clone(),
                permit: permits.clone(),
            };
            self.inner.pipeline.submit(Submitted { ticket, inputs });
            answers.push(answer);
        }
        let mut chunks = Vec::with_capacity(answers.len());
        for answer in answers {
            chunks.push(unless_cancelled(cancel, answer).await??);
        }
        Ok(Prepared::new(chunks, chunk_inputs))
    }

    /// The outcomes of the inputs of `prepared` with the indices `rows`, in that order.
    ///
    /// # Errors
    /// [`PredictError::NotPrepared`] for a model with an input spec that `prepared` was not made
    /// for, and those of [`Executor::predict`].
    pub async fn infer(
        &self,
        prepared: &Prepared,
        model: &LoadedModel,
        rows: &[usize],
        cancel: &CancellationToken,
    ) -> Result<Vec<Outcome>, PredictError> {
        if cancel.is_cancelled() {
            return Err(PredictError::Cancelled);
        }
        let runs = prepared.runs(model, rows, (cancel, self.account.as_ref()))?;
        unless_cancelled(cancel, runs.outcomes()).await?
    }

    /// The identity of each input's current content, for images in bytes and local files. `None`
    /// for an input that cannot be accessed or has just changed, for NULL, and for columns. A file
    /// may change between this and a prediction: kept outputs use [`Prepared::ids`].
    ///
    /// # Errors
    /// [`PredictError::Cancelled`] and [`PredictError::Stopped`].
    pub async fn identify(
        &self,
        inputs: &[Input],
        cancel: &CancellationToken,
    ) -> Result<Vec<Option<InputId>>, PredictError> {
        let mut answers = Vec::with_capacity(inputs.len().div_ceil(IDENTIFIED_TOGETHER));
        let caller = self.caller();
        for inputs in inputs.chunks(IDENTIFIED_TOGETHER) {
            let (reply, answer) = Reply::new(caller, cancel);
            let reply = reply.on_account(self.account.as_ref());
            self.inner.pipeline.identify(Identified {
                inputs: inputs.to_vec(),
                within: self.within.clone(),
                reply,
            });
            answers.push(answer);
        }
        let mut ids = Vec::with_capacity(inputs.len());
        for answer in answers {
            ids.extend(unless_cancelled(cancel, answer).await??);
        }
        Ok(ids)
    }

    /// The caller of this executor's work.
    fn caller(&self) -> CallerId {
        let account = self.account.as_ref();
        account.map_or_else(CallerId::new, |account| account.caller())
    }

    /// Number of inputs per chunk for all of these models, such that the chunk's tensors together
    /// stay within `tensor_bytes_max`.
    fn chunk_inputs_for(&self, models: &[&LoadedModel]) -> usize {
        let forms = forms(models);
        let numbers = forms.iter().map(|form| match form {
            Form::Tensor(spec) => spec.image_len(),
            Form::Encoded | Form::Rows => 0,
        });
        let numbers: usize = numbers.sum();
        let input_bytes = numbers.saturating_mul(size_of::<f32>()).max(1);
        let fitting = self.inner.tensor_bytes_max / input_bytes as u64;
        let wanted = models.iter().map(|model| model.chunk_inputs()).min();
        usize::try_from(fitting)
            .unwrap_or(usize::MAX)
            .clamp(1, wanted.unwrap_or(1).max(1))
    }
}

/// The distinct forms in which the models take their inputs.
fn forms(models: &[&LoadedModel]) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    for form in models.iter().map(|model| model.form()) {
        if !forms.contains(form) {
            forms.push(form.clone());
        }
    }
    forms
}

async fn unless_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, PredictError> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(PredictError::Cancelled),
        done = work => Ok(done),
    }
}

/// Splits inputs into chunks of at most `chunk_max`; does not copy if there is only one.
fn split(inputs: Vec<Input>, chunk_max: usize) -> Vec<Vec<Input>> {
    if inputs.len() <= chunk_max {
        return vec![inputs];
    }
    let count = inputs.len().div_ceil(chunk_max);
    let mut inputs = inputs.into_iter();
    (0..count)
        .map(|_| inputs.by_ref().take(chunk_max).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splitting_keeps_all_inputs_in_order() {
        for (len, chunk_max) in [(0, 4), (1, 4), (4, 4), (5, 4), (9, 4), (3, 1)] {
            let inputs: Vec<_> = (0..len)
                .map(|i: u8| Input::Location(bytes::Bytes::from(vec![i])))
                .collect();
            let chunks = split(inputs.clone(), chunk_max);
            assert!(chunks.iter().all(|chunk| chunk.len() <= chunk_max));
            assert_eq!(chunks.concat(), inputs);
        }
    }
}

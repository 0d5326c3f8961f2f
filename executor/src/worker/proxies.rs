//! What proxies ask of a worker beside the Open Inference Protocol.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use predictsql_catalog::{Model, ModelOptions};
use tokio::time::timeout;
use tonic::{Request, Response, Status, Streaming};

use super::Worker;
use super::models::model;
use crate::backend::LoadedModel;
use crate::error::ModelError;
use crate::oip::Failure;
use crate::oip::worker::measure_response::Run;
use crate::oip::worker::model_part::Part;
use crate::oip::worker::worker_server::Worker as WorkerService;
use crate::oip::worker::{
    LoadResponse, MeasureRequest, MeasureResponse, ModelPart, StateRequest, StateResponse,
    TryResponse,
};

/// Maximum time between two parts of a model.
const PART_TIME_MAX: Duration = Duration::from_secs(30);

/// A model as a proxy sends it, and its file if it is sent too.
struct Sent {
    model: Arc<Model>,
    file: Option<Bytes>,
}

impl Worker {
    /// Reads a stream of parts to its end.
    async fn receive(&self, mut parts: Streaming<ModelPart>) -> Result<Sent, Status> {
        let first = next(&mut parts).await?.and_then(|first| first.part);
        let Some(Part::Model(sent)) = first else {
            return Err(Status::invalid_argument("the first message has the model"));
        };
        let options: ModelOptions = serde_json::from_str(&sent.options)
            .map_err(|error| Status::invalid_argument(format!("options: {error}")))?;
        let model = model(&sent.name, &sent.uri, &sent.sha256, options);
        let bytes_max = self.executor().model_bytes_max();
        let mut file: Option<BytesMut> = None;
        let mut turn = None;
        while let Some(next) = next(&mut parts).await? {
            if turn.is_none() {
                turn = Some(self.0.files.acquire().await);
            }
            let Some(Part::File(part)) = next.part else {
                return Err(Status::invalid_argument("only the file follows the model"));
            };
            let file = file.get_or_insert_default();
            let bytes = (file.len() as u64).saturating_add(part.len() as u64);
            if bytes > bytes_max {
                let uri = model.uri.clone();
                let error = ModelError::TooLarge {
                    uri,
                    bytes,
                    bytes_max,
                };
                return Err(Failure::Load(error).status());
            }
            file.extend_from_slice(&part);
        }
        Ok(Sent {
            model,
            file: file.map(BytesMut::freeze),
        })
    }

    /// Keeps the file of a model, if it was sent.
    pub(super) async fn keep(&self, model: &Arc<Model>, file: Option<Bytes>) -> Result<(), Status> {
        let Some(file) = file else {
            return Ok(());
        };
        let (executor, model) = (self.executor().clone(), model.clone());
        let keeping = move || executor.keep_model_file(&model, &file);
        match tokio::task::spawn_blocking(keeping).await {
            Ok(kept) => kept.map_err(|error| Failure::Load(error).status()),
            Err(error) => Err(Status::internal(error.to_string())),
        }
    }
}

#[tonic::async_trait]
impl WorkerService for Worker {
    async fn state(&self, _: Request<StateRequest>) -> Result<Response<StateResponse>, Status> {
        let executor = self.executor();
        Ok(Response::new(StateResponse {
            ready: self.is_ready(),
            pieces: u32::try_from(executor.threads()).unwrap_or(u32::MAX),
            device: executor.device().name().to_string(),
            image_roots: executor.remote_image_roots(),
        }))
    }

    async fn load(
        &self,
        request: Request<Streaming<ModelPart>>,
    ) -> Result<Response<LoadResponse>, Status> {
        let _entered = self.enter()?;
        let sent = self.receive(request.into_inner()).await?;
        self.keep(&sent.model, sent.file).await?;
        let loaded = self.executor().load(&sent.model).await;
        let loaded = loaded.map_err(|error| Failure::Load(error).status())?;
        let name = hex::encode(sent.model.output_id());
        self.0.models.add(&name, &sent.model);
        Ok(Response::new(load_response(name, &loaded)))
    }

    async fn r#try(
        &self,
        request: Request<Streaming<ModelPart>>,
    ) -> Result<Response<TryResponse>, Status> {
        let _entered = self.enter()?;
        let sent = self.receive(request.into_inner()).await?;
        self.keep(&sent.model, sent.file).await?;
        let tried = self.executor().inspect_pinned(&sent.model).await;
        let tried = tried.map_err(|error| Failure::Load(error).status())?;
        let warnings = tried.warnings.iter().map(serde_json::to_string);
        let warnings: Result<Vec<_>, _> = warnings.collect();
        Ok(Response::new(TryResponse {
            bytes: tried.bytes,
            seconds_per_input: tried.seconds_per_image,
            warnings: warnings.map_err(|error| Status::internal(error.to_string()))?,
        }))
    }

    async fn measure(
        &self,
        request: Request<MeasureRequest>,
    ) -> Result<Response<MeasureResponse>, Status> {
        let _entered = self.enter()?;
        let request = request.into_inner();
        let known = self.0.models.find(&request.name);
        let known = known.ok_or_else(|| Failure::NotLoaded.status())?;
        let failed = |error| Failure::Load(error).status();
        let loaded = self.executor().load(&known.model).await.map_err(failed)?;
        let batches = request.batches.iter();
        let batches = batches.map(|batch| usize::try_from(*batch).unwrap_or(usize::MAX));
        let batches: Vec<usize> = batches.collect();
        let measured = self.executor().measure(&loaded, &batches).await;
        let runs = measured.map_err(failed)?.into_iter();
        Ok(Response::new(MeasureResponse {
            runs: runs
                .map(|(inputs, seconds)| Run { inputs, seconds })
                .collect(),
        }))
    }
}

/// The next message of a client that goes on sending.
async fn next(parts: &mut Streaming<ModelPart>) -> Result<Option<ModelPart>, Status> {
    let late = |_| Status::deadline_exceeded("no part of the model came for a while");
    timeout(PART_TIME_MAX, parts.message())
        .await
        .map_err(late)?
}

fn load_response(name: String, loaded: &LoadedModel) -> LoadResponse {
    LoadResponse {
        name,
        batch_inputs: loaded.batch_images() as u64,
        chunk_inputs: loaded.chunk_inputs() as u64,
        seconds_per_input: loaded.seconds_per_image(),
        load_seconds: loaded.load_seconds(),
        memory_bytes: loaded.memory_bytes(),
    }
}

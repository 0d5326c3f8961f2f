//! The Open Inference Protocol over a worker.

use std::sync::Arc;
use std::time::Instant;

use predictsql_catalog::ModelOptions;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::inputs::{self, Asked, Described, Outputs};
use super::models::{Known, model};
use super::statistics::ModelCounts;
use super::{Entered, Worker};
use crate::error::PredictError;
use crate::oip::Failure;
use crate::oip::inference::grpc_inference_service_server::GrpcInferenceService;
use crate::oip::inference::model_metadata_response::TensorMetadata;
use crate::oip::inference::model_repository_parameter::ParameterChoice;
use crate::oip::inference::repository_index_response::ModelIndex;
use crate::oip::inference::{
    InferStatistics, ModelConfigRequest, ModelConfigResponse, ModelInferRequest,
    ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, ModelStatistics, ModelStatisticsRequest, ModelStatisticsResponse,
    RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
    RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse,
    ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse,
    ServerReadyRequest, ServerReadyResponse, StatisticDuration,
};

/// The only version of a model.
const VERSION: &str = "1";
/// Extensions of the protocol that a worker serves.
const EXTENSIONS: [&str; 3] = ["model_repository", "statistics", "binary_tensor_data"];

/// Counts a request as failed unless it was answered.
struct Counting {
    known: Arc<Known>,
    since: Instant,
    answered: bool,
    _entered: Entered,
}

impl Drop for Counting {
    fn drop(&mut self) {
        if !self.answered {
            tracing::debug!(model = self.known.name, "a request ended without an answer");
            self.known.counters.failed(self.since.elapsed());
        }
    }
}

impl Worker {
    fn known(&self, name: &str) -> Result<Arc<Known>, Status> {
        let known = self.0.models.find(name);
        known.ok_or_else(|| Failure::NotLoaded.status())
    }

    /// Answers a request. Dropping the future ends its work.
    async fn infer(&self, request: ModelInferRequest) -> Result<ModelInferResponse, Status> {
        let mut counting = Counting {
            _entered: self.enter()?,
            known: self.known(&request.model_name)?,
            since: Instant::now(),
            answered: false,
        };
        let known = counting.known.clone();
        let account = self.0.callers.account(inputs::caller(&request));
        let executor = self.executor().on_account(&account);
        let loaded = executor.load(&known.model).await;
        let loaded = loaded.map_err(|error| Failure::Load(error).status())?;
        let asked = inputs::of_request(&known.model, &request)?;
        let (id, identified) = (request.id.clone(), inputs::is_identified(&request));
        // The inputs share its memory; the rest of it is not needed.
        drop(request);
        let count = asked.len();
        // Not cancelled by anything else than dropping the future.
        let never = CancellationToken::new();
        let without_ids = |outcomes| (outcomes, Vec::new());
        let answered = match asked {
            Asked::Inputs(asked) if identified => {
                executor.predict_identified(&loaded, asked, &never).await
            }
            Asked::Inputs(asked) => {
                let outcomes = executor.predict(&loaded, asked, &never).await;
                outcomes.map(without_ids)
            }
            Asked::Tensor(images, numbers) => {
                let tensor = (images, &numbers[..]);
                let outcomes = executor.predict_tensor(&loaded, tensor, &never).await;
                outcomes.map(without_ids)
            }
        };
        let (outcomes, ids) = answered.map_err(|error| failed(&error))?;
        let mut outputs = Outputs::of_outcomes(&known.model, &outcomes);
        if identified {
            outputs.identities(&ids);
        }
        let spent = account.seconds();
        known
            .counters
            .succeeded(count, counting.since.elapsed(), spent);
        counting.answered = true;
        Ok(ModelInferResponse {
            model_name: known.name.clone(),
            model_version: VERSION.to_string(),
            id,
            parameters: inputs::times(spent),
            outputs: outputs.tensors,
            raw_output_contents: outputs.raw,
        })
    }

    /// Loads a model that another client than a proxy names: its file is sent, or is below the
    /// model roots.
    async fn load_named(&self, request: RepositoryModelLoadRequest) -> Result<(), Status> {
        let _entered = self.enter()?;
        let failed = |error| Failure::Load(error).status();
        let name = &request.model_name;
        let config = match parameter(&request, "config") {
            Some(ParameterChoice::StringParam(config)) => config,
            _ => {
                return Err(Status::invalid_argument(
                    "the parameter 'config' is missing: JSON with uri and options",
                ));
            }
        };
        let config: LoadConfig = serde_json::from_str(config).map_err(|error| {
            Status::invalid_argument(format!("the parameter 'config': {error}"))
        })?;
        let sent = request.parameters.iter().find_map(|(key, parameter)| {
            match (key.starts_with("file:"), &parameter.parameter_choice) {
                (true, Some(ParameterChoice::BytesParam(file))) => Some(file.clone()),
                _ => None,
            }
        });
        let uri = config.uri.unwrap_or_else(|| name.clone());
        let options = &config.options;
        let known = config.sha256.or_else(|| {
            let sent = sent.as_ref()?;
            Some(hex::encode(Sha256::digest(sent)))
        });
        // A file that nobody has tried may hang or crash whoever loads it.
        let (sha256, is_tried) = match known {
            Some(sha256) => (sha256, false),
            None => {
                let tried = self.executor().inspect(&uri, options).await;
                (tried.map_err(failed)?.sha256, true)
            }
        };
        let model = model(name, &uri, &sha256, config.options);
        if is_output_id(name) && *name != hex::encode(model.output_id()) {
            return Err(Status::invalid_argument(
                "names of 32 hexadecimal digits are those of proxies' models",
            ));
        }
        self.keep(&model, sent).await?;
        if !is_tried {
            let tried = self.executor().inspect_pinned(&model).await;
            tried.map_err(failed)?;
        }
        self.executor().load(&model).await.map_err(failed)?;
        self.0.models.add(name, &model);
        Ok(())
    }
}

/// The parameter `config` of a model that is loaded by name.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadConfig {
    /// Its file below the worker's model roots [default: the model's name].
    uri: Option<String>,
    /// Of the file, lower-case hex.
    sha256: Option<String>,
    options: ModelOptions,
}

/// Whether a name may be one under which proxies find their models.
fn is_output_id(name: &str) -> bool {
    name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit())
}

fn parameter<'r>(
    request: &'r RepositoryModelLoadRequest,
    name: &str,
) -> Option<&'r ParameterChoice> {
    request.parameters.get(name)?.parameter_choice.as_ref()
}

/// The status of a failed prediction.
fn failed(error: &PredictError) -> Status {
    match error {
        PredictError::Load(error) => Failure::Load(error.clone()).status(),
        PredictError::Stopped | PredictError::Cancelled => Failure::Busy.status(),
        PredictError::NotPrepared { .. } => {
            Status::invalid_argument("the tensor's shape is not that of the model's images")
        }
        PredictError::Model { reason, .. } => Failure::Model {
            reason: reason.clone(),
        }
        .status(),
        other => Failure::Model {
            reason: other.to_string(),
        }
        .status(),
    }
}

#[tonic::async_trait]
impl GrpcInferenceService for Worker {
    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        let ready = self.is_ready();
        Ok(Response::new(ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let known = self.0.models.find(&request.get_ref().name);
        let ready = self.is_ready() && known.is_some();
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: "predictsql".to_string(),
            version: env!("CARGO_PKG_VERSION").to_string(),
            extensions: EXTENSIONS.map(str::to_string).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let known = self.known(&request.get_ref().name)?;
        let metadata = |(name, datatype, shape): Described| TensorMetadata {
            name,
            datatype: datatype.to_string(),
            shape,
        };
        let (inputs, outputs) = inputs::described(&known.model);
        Ok(Response::new(ModelMetadataResponse {
            name: known.name.clone(),
            versions: vec![VERSION.to_string()],
            platform: "onnxruntime_onnx".to_string(),
            inputs: inputs.into_iter().map(metadata).collect(),
            outputs: outputs.into_iter().map(metadata).collect(),
        }))
    }

    /// What a worker knows of a model is in its metadata.
    async fn model_config(
        &self,
        _: Request<ModelConfigRequest>,
    ) -> Result<Response<ModelConfigResponse>, Status> {
        Err(Status::unimplemented("there is no ModelConfig"))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        self.infer(request.into_inner()).await.map(Response::new)
    }

    async fn model_statistics(
        &self,
        request: Request<ModelStatisticsRequest>,
    ) -> Result<Response<ModelStatisticsResponse>, Status> {
        let name = &request.get_ref().name;
        let known = match name.is_empty() {
            true => self.0.models.all(),
            false => vec![self.known(name)?],
        };
        let of = |known: &Arc<Known>| statistics(&known.name, &known.counters.counts());
        Ok(Response::new(ModelStatisticsResponse {
            model_stats: known.iter().map(of).collect(),
        }))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let ready_only = request.get_ref().ready && !self.is_ready();
        let of = |known: &Arc<Known>| ModelIndex {
            name: known.name.clone(),
            version: VERSION.to_string(),
            state: "READY".to_string(),
            reason: String::new(),
        };
        let known = self.0.models.all();
        let models = known.iter().filter(|_| !ready_only).map(of).collect();
        Ok(Response::new(RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        self.load_named(request.into_inner()).await?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        if let Some(known) = self.0.models.remove(&request.get_ref().model_name) {
            self.executor().unload(&known.model);
        }
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }
}

/// Counts as the protocol has them.
fn statistics(name: &str, counts: &ModelCounts) -> ModelStatistics {
    let duration = |count: u64, seconds: f64| {
        Some(StatisticDuration {
            count,
            ns: (seconds * 1e9) as u64,
        })
    };
    let succeeded = counts.succeeded;
    ModelStatistics {
        name: name.to_string(),
        version: VERSION.to_string(),
        last_inference: counts.last_ms,
        inference_count: counts.inputs,
        // Runs are shared by requests of several models and are not counted.
        execution_count: 0,
        inference_stats: Some(InferStatistics {
            success: duration(succeeded, counts.succeeded_time.as_secs_f64()),
            fail: duration(counts.failed, counts.failed_time.as_secs_f64()),
            queue: None,
            compute_input: duration(
                succeeded,
                counts.fetching_seconds + counts.preparing_seconds,
            ),
            compute_infer: duration(succeeded, counts.inferring_seconds),
            compute_output: None,
        }),
    }
}

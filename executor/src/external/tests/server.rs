//! A scripted server of the Open Inference Protocol on a free loopback port.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use half::f16;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::oip::inference::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use crate::oip::inference::model_infer_response::InferOutputTensor;
use crate::oip::inference::model_metadata_response::TensorMetadata;
use crate::oip::inference::*;
use crate::oip::{self};

/// What a server does with a request of ModelInfer.
pub(super) enum Reply {
    Answer(ModelInferResponse),
    Fail(Status),
    /// It never answers.
    Stall,
}

type Infer = dyn Fn(&ModelInferRequest) -> Reply + Send + Sync;

/// What a server says and does.
#[derive(Clone)]
pub(super) struct Script {
    pub(super) live: bool,
    pub(super) ready: bool,
    pub(super) metadata: ModelMetadataResponse,
    /// What ModelConfig says, if it is served.
    pub(super) max_batch_size: Option<i32>,
    pub(super) infer: Arc<Infer>,
}

/// A running server.
#[derive(Clone)]
pub(super) struct Scripted {
    pub(super) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    /// Requests of ModelInfer.
    inferred: Arc<AtomicUsize>,
    pub(super) stop: CancellationToken,
}

pub(super) fn tensor(name: &str, datatype: &str, shape: &[i64]) -> TensorMetadata {
    TensorMetadata {
        name: name.to_string(),
        datatype: datatype.to_string(),
        shape: shape.to_vec(),
    }
}

/// An answer with one output of FP32.
pub(super) fn answer(name: &str, shape: &[i64], numbers: &[f32]) -> ModelInferResponse {
    ModelInferResponse {
        model_name: "colour".to_string(),
        model_version: "1".to_string(),
        outputs: vec![InferOutputTensor {
            name: name.to_string(),
            datatype: "FP32".to_string(),
            shape: shape.to_vec(),
            ..InferOutputTensor::default()
        }],
        raw_output_contents: vec![oip::of_singles(numbers)],
        ..ModelInferResponse::default()
    }
}

/// Ten times the mean of each of three channels, which come one after another: logits.
pub(super) fn channels(request: &ModelInferRequest) -> ModelInferResponse {
    let (input, raw) = (&request.inputs[0], &request.raw_input_contents[0]);
    let numbers = numbers(&input.datatype, raw);
    let images = input.shape[0];
    let plane = numbers.len() / (3 * images as usize);
    let mean = |plane: &[f32]| 10.0 * plane.iter().sum::<f32>() / plane.len() as f32;
    let logits: Vec<f32> = numbers.chunks(plane).map(mean).collect();
    answer("logits", &[images, 3], &logits)
}

/// The elements of a tensor as pixels of 0..1.
fn numbers(datatype: &str, raw: &Bytes) -> Vec<f32> {
    match datatype {
        "FP32" => raw
            .as_chunks()
            .0
            .iter()
            .map(|n| f32::from_le_bytes(*n))
            .collect(),
        "FP16" => raw
            .as_chunks()
            .0
            .iter()
            .map(|n| f16::from_le_bytes(*n).to_f32())
            .collect(),
        "UINT8" => raw.iter().map(|byte| f32::from(*byte) / 255.0).collect(),
        other => panic!("{other}"),
    }
}

impl Script {
    /// A model `colour` over images of 8 x 8 pixels, which answers with [`channels`].
    pub(super) fn colour() -> Self {
        Self {
            live: true,
            ready: true,
            metadata: ModelMetadataResponse {
                name: "colour".to_string(),
                versions: vec!["1".to_string()],
                platform: "scripted".to_string(),
                inputs: vec![tensor("pixels", "FP32", &[-1, 3, 8, 8])],
                outputs: vec![tensor("logits", "FP32", &[-1, 3])],
            },
            max_batch_size: None,
            infer: Arc::new(|request| Reply::Answer(channels(request))),
        }
    }
}

impl Scripted {
    /// Starts a server.
    pub(super) fn start(script: Script) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            script: Arc::new(Mutex::new(script)),
            inferred: Arc::default(),
            stop: CancellationToken::new(),
        };
        server.serve(listener);
        server
    }

    /// Starts it again at its address, after a stop.
    pub(super) fn restart(&mut self) {
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.stop = CancellationToken::new();
        self.serve(listener);
    }

    fn serve(&self, listener: std::net::TcpListener) {
        let service = GrpcInferenceServiceServer::new(self.clone());
        let service = service.max_decoding_message_size(usize::MAX);
        let (router, stop) = (Server::builder().add_service(service), self.stop.clone());
        // Its connections are closed with the runtime.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                tokio::select! {
                    served = router.serve_with_incoming(TcpIncoming::from(listener)) => served.unwrap(),
                    () = stop.cancelled() => {}
                }
            });
        });
    }

    /// Changes what it says and does.
    pub(super) fn change(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.script.lock().unwrap());
    }

    /// The URI of its model.
    pub(super) fn uri(&self) -> String {
        format!("external-oip://{}/colour", self.address)
    }

    /// Number of requests to run the model so far.
    pub(super) fn inferred(&self) -> usize {
        self.inferred.load(Ordering::Relaxed)
    }

    fn script(&self) -> Script {
        self.script.lock().unwrap().clone()
    }
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl GrpcInferenceService for Scripted {
    async fn server_live(&self, _: Request<ServerLiveRequest>) -> Answered<ServerLiveResponse> {
        let live = self.script().live;
        Ok(Response::new(ServerLiveResponse { live }))
    }

    async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Answered<ServerReadyResponse> {
        Err(Status::unimplemented(""))
    }

    async fn model_ready(&self, _: Request<ModelReadyRequest>) -> Answered<ModelReadyResponse> {
        let ready = self.script().ready;
        Ok(Response::new(ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Answered<ServerMetadataResponse> {
        Err(Status::unimplemented(""))
    }

    async fn model_metadata(
        &self,
        _: Request<ModelMetadataRequest>,
    ) -> Answered<ModelMetadataResponse> {
        Ok(Response::new(self.script().metadata))
    }

    async fn model_config(&self, _: Request<ModelConfigRequest>) -> Answered<ModelConfigResponse> {
        let Some(max_batch_size) = self.script().max_batch_size else {
            return Err(Status::unimplemented("no ModelConfig"));
        };
        let config = Some(ModelConfig { max_batch_size });
        Ok(Response::new(ModelConfigResponse { config }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Answered<ModelInferResponse> {
        self.inferred.fetch_add(1, Ordering::Relaxed);
        let infer = self.script().infer;
        match infer(request.get_ref()) {
            Reply::Answer(answer) => Ok(Response::new(answer)),
            Reply::Fail(status) => Err(status),
            Reply::Stall => std::future::pending().await,
        }
    }

    async fn model_statistics(
        &self,
        _: Request<ModelStatisticsRequest>,
    ) -> Answered<ModelStatisticsResponse> {
        Err(Status::unimplemented(""))
    }

    async fn repository_index(
        &self,
        _: Request<RepositoryIndexRequest>,
    ) -> Answered<RepositoryIndexResponse> {
        Err(Status::unimplemented(""))
    }

    async fn repository_model_load(
        &self,
        _: Request<RepositoryModelLoadRequest>,
    ) -> Answered<RepositoryModelLoadResponse> {
        Err(Status::unimplemented(""))
    }

    async fn repository_model_unload(
        &self,
        _: Request<RepositoryModelUnloadRequest>,
    ) -> Answered<RepositoryModelUnloadResponse> {
        Err(Status::unimplemented(""))
    }
}

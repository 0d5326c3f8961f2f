//! One external server: its connection, deadlines, and what is asked again.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::model_uri::ModelUri;
use crate::address::Address;
use crate::error::ModelError;
use crate::message::one_line;
use crate::oip::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use crate::oip::inference::{
    ModelConfigRequest, ModelInferRequest, ModelInferResponse, ModelMetadataRequest,
    ModelMetadataResponse, ModelReadyRequest, ServerLiveRequest,
};

/// Maximum time to connect.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(2);
/// Time between two pings of a connection that has requests, and for their answers.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Maximum size of an answer that is not one of ModelInfer, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 1 << 20;
/// How often a request is sent at most, if the server has no time or the connection fails.
const ATTEMPTS_MAX: u32 = 4;
/// Time until a request is sent again for the first time; then twice as long each time.
const PAUSE: Duration = Duration::from_millis(50);
/// How much later than this end the server and the transport are told to give a request up, so
/// that the error is this end's.
const SERVER_LATER: Duration = Duration::from_secs(1);
/// Maximum length of a server's message that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 400;

type Client = GrpcInferenceServiceClient<Channel>;

/// An external server.
#[derive(Debug)]
pub(super) struct Server {
    address: Address,
    /// For what describes models.
    describing: Client,
    inferring: Client,
    /// Maximum duration of a request, repetitions included.
    request_max: Duration,
    /// Time for which the metadata of a model is believed.
    metadata_max: Duration,
}

impl Server {
    /// A server, which is connected to with the first request. To be called on the runtime of its
    /// connection. `None`: the address is none of HTTP.
    pub(super) fn new(
        address: Address,
        (request_max, metadata_max): (Duration, Duration),
        answer_bytes_max: u64,
    ) -> Option<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).ok()?;
        let channel = endpoint
            .connect_timeout(CONNECT_TIME_MAX)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .initial_stream_window_size(8 << 20)
            .initial_connection_window_size(64 << 20)
            .connect_lazy();
        let answer_bytes_max = usize::try_from(answer_bytes_max).unwrap_or(usize::MAX);
        let client = Client::new(channel).max_encoding_message_size(usize::MAX);
        Some(Self {
            address,
            describing: client
                .clone()
                .max_decoding_message_size(DESCRIPTION_BYTES_MAX),
            inferring: client.max_decoding_message_size(answer_bytes_max),
            request_max,
            metadata_max,
        })
    }

    /// Time for which the metadata of a model is believed.
    pub(super) fn metadata_max(&self) -> Duration {
        self.metadata_max
    }

    /// Its address in words.
    pub(super) fn address(&self) -> String {
        self.address.to_string()
    }

    /// Checks that the server is live and the model ready.
    pub(super) async fn check_ready(&self, uri: &ModelUri) -> Result<(), ModelError> {
        let live = self.ask(ServerLiveRequest {}, |request| {
            let mut client = self.describing.clone();
            async move { client.server_live(request).await }
        });
        if !live.await?.live {
            return Err(self.lost("is not live".to_string()));
        }
        let request = ModelReadyRequest {
            name: uri.model.clone(),
            version: uri.version.clone(),
        };
        let ready = self.ask(request, |request| {
            let mut client = self.describing.clone();
            async move { client.model_ready(request).await }
        });
        match ready.await?.ready {
            true => Ok(()),
            false => Err(self.lost(format!("has no model '{}' that is ready", in_words(uri)))),
        }
    }

    /// What the server says of a model.
    pub(super) async fn metadata(
        &self,
        uri: &ModelUri,
    ) -> Result<ModelMetadataResponse, ModelError> {
        let request = ModelMetadataRequest {
            name: uri.model.clone(),
            version: uri.version.clone(),
        };
        let asked = self.ask(request, |request| {
            let mut client = self.describing.clone();
            async move { client.model_metadata(request).await }
        });
        asked.await
    }

    /// Maximum inputs of a request, if the server has Triton's extension that tells it.
    pub(super) async fn batch_inputs_max(
        &self,
        uri: &ModelUri,
    ) -> Result<Option<usize>, ModelError> {
        let request = ModelConfigRequest {
            name: uri.model.clone(),
            version: uri.version.clone(),
        };
        let asked = self.ask(request, |request| {
            let mut client = self.describing.clone();
            async move { client.model_config(request).await }
        });
        let inputs_max = match asked.await {
            Ok(answer) => answer.config.unwrap_or_default().max_batch_size,
            Err(ModelError::ServerRefused { .. }) => 0,
            Err(error) => return Err(error),
        };
        Ok(usize::try_from(inputs_max).ok().filter(|most| *most > 0))
    }

    /// Runs a model.
    pub(super) async fn infer(
        &self,
        request: ModelInferRequest,
    ) -> Result<ModelInferResponse, ModelError> {
        let asked = self.ask(request, |request| {
            let mut client = self.inferring.clone();
            async move { client.model_infer(request).await }
        });
        asked.await
    }

    /// Sends a request until it is answered, at most [`ATTEMPTS_MAX`] times and until the
    /// deadline. Running a model changes nothing, so a request may be sent twice.
    async fn ask<Q: Clone, A, F: Future<Output = Result<Response<A>, Status>>>(
        &self,
        message: Q,
        send: impl Fn(Request<Q>) -> F,
    ) -> Result<A, ModelError> {
        let until = Instant::now() + self.request_max;
        let mut attempts = 1;
        let mut pause = PAUSE;
        loop {
            let mut request = Request::new(message.clone());
            let left = until.saturating_duration_since(Instant::now());
            request.set_timeout(left.saturating_add(SERVER_LATER));
            let Ok(answered) = timeout_at(until, send(request)).await else {
                return Err(self.late());
            };
            let status = match answered {
                Ok(answer) => return Ok(answer.into_inner()),
                Err(status) => status,
            };
            if attempts >= ATTEMPTS_MAX || !may_pass(&status) {
                return Err(self.error(&status));
            }
            if timeout_at(until, sleep(pause)).await.is_err() {
                return Err(self.error(&status));
            }
            attempts += 1;
            pause *= 2;
        }
    }

    fn late(&self) -> ModelError {
        let seconds = self.request_max.as_secs();
        self.lost(format!(
            "did not answer within {seconds} s (external_oip_request_seconds_max)"
        ))
    }

    fn lost(&self, reason: String) -> ModelError {
        ModelError::ServerLost {
            address: self.address(),
            reason,
        }
    }

    /// The error of a status.
    fn error(&self, status: &Status) -> ModelError {
        let said = match status.message() {
            "" => status.code().description(),
            message => message,
        };
        let mut said = one_line(said, MESSAGE_CHARS_MAX);
        match status.code() {
            Code::DeadlineExceeded => self.late(),
            _ if may_pass(status) => {
                if let Some(cause) = cause(status) {
                    said = format!("{said}: {cause}");
                }
                self.lost(format!("does not answer ({said})"))
            }
            // This end of the connection refuses answers that are too long.
            Code::OutOfRange if said.contains("decoded message length too large") => {
                ModelError::ServerAnswer {
                    address: self.address(),
                    reason: format!("it is longer than model_output_bytes_max allows ({said})"),
                }
            }
            _ => ModelError::ServerRefused {
                address: self.address(),
                reason: said,
            },
        }
    }
}

/// Whether a request may succeed if it is sent again: the server has no time, or the connection
/// failed.
fn may_pass(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        Code::Unknown | Code::Internal | Code::Cancelled => {
            // A status of the server has no cause.
            causes(status).next().is_some()
        }
        _ => false,
    }
}

/// The causes of a status, each that of the one before.
fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(status), |error| error.source())
}

/// The last cause of a connection's failure.
fn cause(status: &Status) -> Option<String> {
    let error = causes(status).last()?;
    Some(one_line(&error.to_string(), MESSAGE_CHARS_MAX))
}

/// A model in words.
fn in_words(uri: &ModelUri) -> String {
    match uri.version.as_str() {
        "" => uri.model.clone(),
        version => format!("{}' of version '{version}", uri.model),
    }
}

//! Serves a worker's services over gRPC.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use super::Worker;
use crate::oip::inference::grpc_inference_service_server::GrpcInferenceServiceServer;
use crate::oip::worker::worker_server::WorkerServer;
use crate::secret::SecretPem;

/// Time between two pings of a connection without traffic, and that a client has to answer one.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Maximum bytes of a message of [`WorkerServer`]: parts of files.
const PART_BYTES_MAX: usize = 16 << 20;
/// Maximum streams of a connection; a proxy has about four requests for each piece under way.
const STREAMS_MAX: u32 = 1_024;

/// Certificate and key of a worker, in PEM, and the authorities of its clients.
#[derive(Debug, Clone)]
pub struct WorkerTls {
    /// Certificate chain.
    pub certificate: Vec<u8>,
    /// Private key.
    pub key: SecretPem,
    /// Only clients with a certificate of one of these are let in. `None`: any client.
    pub client_authorities: Option<Vec<u8>>,
}

/// Why a worker cannot serve.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The listener or its settings.
    #[error("cannot serve workers' requests: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The system's.
    #[error("cannot serve workers' requests: {0}")]
    Listener(#[from] io::Error),
}

impl Worker {
    /// Serves clients until the worker stops; then requests under way are answered, and this
    /// returns.
    ///
    /// # Errors
    /// TLS settings that cannot be used, and failures of the listener.
    pub async fn serve(self, listener: TcpListener) -> Result<(), WorkerError> {
        let config = &self.0.config;
        let bytes_max = config.request_bytes_max;
        let inference = GrpcInferenceServiceServer::new(self.clone())
            .max_decoding_message_size(bytes_max)
            .max_encoding_message_size(usize::MAX);
        let worker = WorkerServer::new(self.clone()).max_decoding_message_size(PART_BYTES_MAX);
        let mut server = Server::builder()
            .tcp_nodelay(true)
            .http2_keepalive_interval(Some(KEEPALIVE))
            .http2_keepalive_timeout(Some(KEEPALIVE))
            .max_concurrent_streams(STREAMS_MAX);
        if let Some(tls) = &config.tls {
            let identity = Identity::from_pem(&tls.certificate, &tls.key.0);
            let mut of_server = ServerTlsConfig::new().identity(identity);
            if let Some(authorities) = &tls.client_authorities {
                of_server = of_server.client_ca_root(Certificate::from_pem(authorities));
            }
            server = server.tls_config(of_server)?;
        }
        let stopping = self.0.stopping.clone();
        server
            .add_service(inference)
            .add_service(worker)
            .serve_with_incoming_shutdown(
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                stopping.cancelled_owned(),
            )
            .await?;
        Ok(())
    }
}

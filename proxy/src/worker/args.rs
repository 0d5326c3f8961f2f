//! Flags of `predictsql worker`.

use crate::config::{Endpoint, root};
use predictsql_executor::{DeviceChoice, StorageRoot};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Flags of `predictsql worker`.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct WorkerArgs {
    /// Settings file (TOML) with the tables [worker] and [executor]
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_WORKER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address for proxies and other clients, over gRPC [default: 127.0.0.1:8001]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PREDICTSQL_WORKER_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Address for /metrics, /healthz and /readyz, or off [default: 127.0.0.1:8002]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PREDICTSQL_WORKER_HTTP")]
    pub http: Option<Endpoint>,
    /// What models run on: cpu or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE", env = "PREDICTSQL_WORKER_DEVICE")]
    pub device: Option<DeviceChoice>,
    /// CPU threads for decoding and inference together [default: one per core]
    #[arg(long, value_name = "NUMBER", env = "PREDICTSQL_WORKER_THREADS")]
    pub threads: Option<usize>,
    /// Folder, bucket or URL below which images may be read by URI; may be repeated
    #[arg(long = "image-root", value_name = "DIR|URI", value_parser = root())]
    pub image_roots: Vec<StorageRoot>,
    /// Folder, bucket or URL below which models may be loaded; may be repeated. Files that are not
    /// there are sent by the proxy
    #[arg(long = "model-root", value_name = "DIR|URI", value_parser = root())]
    pub model_roots: Vec<StorageRoot>,
    /// Folder for files of models that proxies send or that are read from remote storage
    /// [default: a temporary one]
    #[arg(long, value_name = "DIR", env = "PREDICTSQL_WORKER_MODEL_CACHE_DIR")]
    pub model_cache_dir: Option<PathBuf>,
    /// Certificate that clients are shown, with its intermediates (PEM); needs --tls-key
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_WORKER_TLS_CERTIFICATE")]
    pub tls_certificate: Option<PathBuf>,
    /// Key of that certificate (PEM)
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_WORKER_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Certificates of the authorities of clients (PEM): others are refused
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_WORKER_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
}

//! Flags of `predictsql serve`.

use super::endpoint::Endpoint;
use super::tls::{ClientTlsArgs, StoreTlsArgs};
use crate::account::StoreAddress;
use clap::builder::{OsStringValueParser, TypedValueParser};
use predictsql_executor::{DeviceChoice, StorageRoot};
use std::net::SocketAddr;
use std::path::PathBuf;

/// Default directory of an embedded store.
pub(super) const DATA_DIR_DEFAULT: &str = "./predictsql-data";

/// Parses a root, which may be a path of any bytes.
pub(crate) fn root() -> impl TypedValueParser<Value = StorageRoot> {
    OsStringValueParser::new().try_map(|given| StorageRoot::parse(&given))
}

/// Flags of `predictsql serve`, each also an environment variable.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServeArgs {
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_CONFIG")]
    pub config: Option<PathBuf>,
    /// Address for MySQL clients [default: 127.0.0.1:3307]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PREDICTSQL_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// The backing store: mysql://HOST:PORT or unix:/PATH
    #[arg(long, value_name = "URL", env = "PREDICTSQL_STORE")]
    pub store: Option<StoreAddress>,
    /// Run a private MariaDB as the store, with its data in DIR [default: ./predictsql-data]
    #[arg(long, value_name = "DIR", env = "PREDICTSQL_EMBEDDED", num_args = 0..=1, require_equals = true,
          default_missing_value = DATA_DIR_DEFAULT)]
    pub embedded: Option<PathBuf>,
    /// The proxy's own account at the store; its password is in PREDICTSQL_SERVICE_PASSWORD
    #[arg(long, value_name = "NAME", env = "PREDICTSQL_SERVICE_USER")]
    pub service_user: Option<String>,
    /// Address for /metrics, /healthz and /readyz, or off [default: 127.0.0.1:9307]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PREDICTSQL_HTTP")]
    pub http: Option<Endpoint>,
    /// Address for SHOW SESSIONS and KILL SESSION, or off; its password is in
    /// PREDICTSQL_ADMIN_PASSWORD [default: 127.0.0.1:6307 where a password is set]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PREDICTSQL_ADMIN")]
    pub admin: Option<Endpoint>,
    /// Schema of the catalog and of the functions [default: ml]
    #[arg(long, value_name = "NAME", env = "PREDICTSQL_SCHEMA")]
    pub schema: Option<String>,
    /// Predict statements that take so many milliseconds or more are logged with their plan;
    /// 0 for none [default: 10000]
    #[arg(long, value_name = "MILLISECONDS", env = "PREDICTSQL_SLOW_QUERY_MS")]
    pub slow_query_ms: Option<u64>,
    /// TLS with clients.
    #[command(flatten)]
    pub tls: ClientTlsArgs,
    /// TLS with the store.
    #[command(flatten)]
    pub store_tls: StoreTlsArgs,
    /// Folder, bucket or URL below which images may be read; may be repeated
    #[arg(long = "image-root", value_name = "DIR|URI", value_parser = root())]
    pub image_roots: Vec<StorageRoot>,
    /// Folder, bucket or URL below which models may be loaded; may be repeated
    #[arg(long = "model-root", value_name = "DIR|URI", value_parser = root())]
    pub model_roots: Vec<StorageRoot>,
    /// What models run on in this process: cpu or cuda:N [default: cpu]
    #[arg(long, value_name = "DEVICE", env = "PREDICTSQL_DEVICE")]
    pub device: Option<DeviceChoice>,
    /// Address of a worker that runs the models in place of this process; may be repeated, and a
    /// name may stand for several
    #[arg(long = "worker", value_name = "HOST:PORT")]
    pub workers: Vec<String>,
    /// Price of an hour of one CPU thread, in any unit of money: that of @ml_max_cost
    #[arg(long, value_name = "PRICE", env = "PREDICTSQL_PRICE_PER_DEVICE_HOUR")]
    pub price_per_device_hour: Option<f64>,
}

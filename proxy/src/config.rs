//! Settings: read as typed (file, environment, flags), then checked as meant. Nothing is bound before all is valid.
//!
//! A flag wins over its environment variable, which wins over the file, which wins over the default.

mod accounts;
mod cache;
mod endpoint;
mod executor;
mod images;
mod lane;
mod limits;
mod logins;
mod planner;
mod settings;
mod slow;
mod tls;

pub use accounts::{AdminConfig, ServiceLogin};
pub use cache::CacheConfig;
pub use endpoint::{Endpoint, EndpointError};
pub use lane::LaneConfig;
pub use limits::LimitsConfig;
pub use logins::LoginLimits;
pub use planner::PlannerConfig;
pub use tls::{ClientTlsArgs, ClientTlsConfig, StoreTlsArgs};

use crate::account::StoreAddress;
use crate::live::SlowLog;
use crate::tls::StoreTlsConfig;
use accounts::ADMIN_PASSWORD_VARIABLE;
use predictsql_catalog::store::SchemaName;
use predictsql_executor::ExecutorConfig;
use serde::Deserialize;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where an embedded store lies unless a directory is given.
const DATA_DIR_DEFAULT: &str = "./predictsql-data";
/// Environment variable of the embedded store's root password.
const ROOT_PASSWORD_VARIABLE: &str = "PREDICTSQL_ROOT_PASSWORD";
/// Port of metrics and health on loopback, unless an address is given.
const HTTP_PORT_DEFAULT: u16 = 9307;

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
    /// Address for SHOW SESSIONS and KILL SESSION, or off; its password is in PREDICTSQL_ADMIN_PASSWORD
    /// [default: 127.0.0.1:6307 where a password is set]
    #[arg(long, value_name = "ADDRESS:PORT", env = "PREDICTSQL_ADMIN")]
    pub admin: Option<Endpoint>,
    /// Schema of the catalog and of the functions [default: ml]
    #[arg(long, value_name = "NAME", env = "PREDICTSQL_SCHEMA")]
    pub schema: Option<String>,
    /// Predict statements that take so many milliseconds or more are logged with their plan; 0 for none [default: 10000]
    #[arg(long, value_name = "MILLISECONDS", env = "PREDICTSQL_SLOW_QUERY_MS")]
    pub slow_query_ms: Option<u64>,
    /// TLS with clients.
    #[command(flatten)]
    pub tls: ClientTlsArgs,
    /// TLS with the store.
    #[command(flatten)]
    pub store_tls: StoreTlsArgs,
    /// Folder below which images may be read; may be repeated
    #[arg(long = "image-root", value_name = "DIR")]
    pub image_roots: Vec<PathBuf>,
    /// Folder below which models may be loaded; may be repeated
    #[arg(long = "model-root", value_name = "DIR")]
    pub model_roots: Vec<PathBuf>,
    /// Price of an hour of one CPU thread, in any unit of money: that of @ml_max_cost
    #[arg(long, value_name = "PRICE", env = "PREDICTSQL_PRICE_PER_DEVICE_HOUR")]
    pub price_per_device_hour: Option<f64>,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The settings file cannot be read.
    #[error("cannot read settings from {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The settings file is not TOML, or has a key or a value that is not known.
    #[error("settings file {}: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line and reason.
        source: Box<toml::de::Error>,
    },
    /// A password file cannot be read.
    #[error("cannot read the password in {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No store.
    #[error(
        "no store is named: give --store mysql://HOST:PORT, or --embedded for a private MariaDB"
    )]
    NoStore,
    /// Two stores.
    #[error("--store and --embedded exclude each other: give one")]
    TwoStores,
    /// An open door.
    #[error(
        "--embedded with --listen {listen} would let anyone on the network in as root: \
         listen on 127.0.0.1, or set a root password in {ROOT_PASSWORD_VARIABLE}"
    )]
    OpenToAll {
        /// The address asked for.
        listen: SocketAddr,
    },
    /// An admin endpoint that nobody could log in to.
    #[error(
        "--admin needs a password: set {ADMIN_PASSWORD_VARIABLE}, or password_file of [admin] in the settings file"
    )]
    AdminPassword,
    /// A value that cannot work.
    #[error("setting {name}: {reason}")]
    Value {
        /// The setting's name.
        name: &'static str,
        /// Why, and what would do.
        reason: String,
    },
}

/// The settings file, as typed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ConfigFile {
    listen: Option<SocketAddr>,
    store: Option<String>,
    embedded: Option<PathBuf>,
    http: Option<Endpoint>,
    schema: Option<String>,
    runtimes: Option<usize>,
    connections_max: Option<usize>,
    connect_timeout_ms: Option<u64>,
    login_seconds_max: Option<u64>,
    logins_max_by_address: Option<usize>,
    command_stall_seconds_max: Option<u64>,
    idle_seconds_max: Option<u64>,
    stop_seconds_max: Option<u64>,
    store_stop_seconds_max: Option<u64>,
    inspect_bytes_max: Option<usize>,
    slow_query_ms: Option<u64>,
    slow_query_literals: Option<bool>,
    tls: tls::ClientTlsFile,
    store_tls: tls::StoreTlsFile,
    service: accounts::ServiceFile,
    admin: accounts::AdminFile,
    executor: executor::ExecutorFile,
    lane: lane::LaneFile,
    cache: cache::CacheFile,
    limits: limits::LimitsFile,
    planner: planner::PlannerFile,
}

/// Where the data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// A server that runs already.
    External(StoreAddress),
    /// A private server of the proxy.
    Embedded {
        /// Its directory.
        data_dir: PathBuf,
    },
}

/// Settings as meant, checked.
#[derive(Clone)]
pub struct Config {
    /// Address for MySQL clients.
    pub listen: SocketAddr,
    /// The store.
    pub store: StoreConfig,
    /// Metrics and health.
    pub http: Endpoint,
    /// The admin endpoint.
    pub admin: AdminConfig,
    /// Root password of an embedded store. `None` leaves what it has: empty in a new one.
    pub root_password: Option<String>,
    /// Login of the service account; none leaves predict statements with an error. Unused with an embedded store.
    pub service: Option<ServiceLogin>,
    /// Schema of the catalog.
    pub schema: SchemaName,
    /// Relay threads.
    pub runtimes: usize,
    /// Clients at once.
    pub connections_max: usize,
    /// Longest wait for a connection to the store.
    pub connect_timeout: Duration,
    /// How long clients are waited for.
    pub logins: LoginLimits,
    /// How long a session may do nothing, also in a transaction; none for as long as the store lets it.
    pub idle_time_max: Option<Duration>,
    /// How long a stop may take, but for the end of an embedded store.
    pub stop_time_max: Duration,
    /// How long the embedded store may take to end before it is killed.
    pub store_stop_time_max: Duration,
    /// TLS with clients.
    pub tls: ClientTlsConfig,
    /// TLS with the store.
    pub store_tls: StoreTlsConfig,
    /// Longest command, in bytes, that is looked at for predictions.
    pub inspect_bytes_max: usize,
    /// Which predict statements are logged as slow.
    pub slow_log: SlowLog,
    /// Images, models, threads.
    pub executor: ExecutorConfig,
    /// What plans are costed with.
    pub planner: PlannerConfig,
    /// Limits of predict statements.
    pub lane: LaneConfig,
    /// Outputs of models that are kept.
    pub cache: CacheConfig,
    /// What statements may have models do.
    pub limits: LimitsConfig,
}

impl Config {
    /// The defaults, for `store`.
    #[must_use]
    pub fn new(store: StoreConfig) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3307)),
            store,
            http: Endpoint::IfFree(SocketAddr::from(([127, 0, 0, 1], HTTP_PORT_DEFAULT))),
            admin: AdminConfig::off(),
            root_password: None,
            service: None,
            schema: SchemaName::default(),
            runtimes: std::thread::available_parallelism().map_or(1, NonZero::get),
            connections_max: 1000,
            connect_timeout: Duration::from_secs(5),
            logins: LoginLimits::default(),
            idle_time_max: None,
            stop_time_max: Duration::from_secs(30),
            store_stop_time_max: Duration::from_secs(30),
            tls: ClientTlsConfig::default(),
            store_tls: StoreTlsConfig::default(),
            inspect_bytes_max: 1 << 20,
            slow_log: slow::DEFAULT,
            executor: ExecutorConfig::default(),
            planner: PlannerConfig::default(),
            lane: LaneConfig::default(),
            cache: CacheConfig::default(),
            limits: LimitsConfig::default(),
        }
    }

    /// Reads file and environment and puts `args` over them.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(args: &ServeArgs) -> Result<Self, ConfigError> {
        let file = args
            .config
            .as_deref()
            .map(read_file)
            .transpose()?
            .unwrap_or_default();
        Self::resolve(args, file, |variable| {
            std::env::var(variable)
                .ok()
                .filter(|value| !value.is_empty())
        })
    }

    fn resolve(
        args: &ServeArgs,
        file: ConfigFile,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::new(store(args, &file)?);
        config.root_password = environment(ROOT_PASSWORD_VARIABLE);
        config.service = accounts::service(args, &file.service, &environment)?;
        config.admin = accounts::admin(args, &file.admin, &environment)?;
        set(&mut config.listen, args.listen.or(file.listen));
        set(&mut config.http, args.http.or(file.http));
        if let Some(name) = args.schema.as_deref().or(file.schema.as_deref()) {
            config.schema =
                SchemaName::parse(name).map_err(|error| value("schema", error.to_string()))?;
        }
        set(&mut config.runtimes, file.runtimes);
        set(&mut config.connections_max, file.connections_max);
        set(&mut config.inspect_bytes_max, file.inspect_bytes_max);
        slow::take(
            &mut config.slow_log,
            args.slow_query_ms.or(file.slow_query_ms),
            file.slow_query_literals,
        );
        set(
            &mut config.connect_timeout,
            file.connect_timeout_ms.map(Duration::from_millis),
        );
        config.idle_time_max = file
            .idle_seconds_max
            .filter(|&seconds| seconds > 0)
            .map(Duration::from_secs);
        config.tls = ClientTlsConfig::resolve(&args.tls, &file.tls)?;
        config.store_tls = args.store_tls.over(file.store_tls);
        set(
            &mut config.stop_time_max,
            file.stop_seconds_max.map(Duration::from_secs),
        );
        set(
            &mut config.store_stop_time_max,
            file.store_stop_seconds_max.map(Duration::from_secs),
        );
        config.logins.take(
            file.login_seconds_max,
            file.logins_max_by_address,
            file.command_stall_seconds_max,
        );
        config.lane.take(file.lane);
        config.cache.take(&file.cache);
        config.limits.take(file.limits);
        config
            .planner
            .take(args.price_per_device_hour, &file.planner);
        let roots = (&args.image_roots[..], &args.model_roots[..]);
        executor::take(&mut config.executor, roots, file.executor);
        config.check()?;
        Ok(config)
    }

    /// Makes the settings that need no restart those of `other`.
    pub(crate) fn take_over(&mut self, other: &Self) {
        self.connections_max = other.connections_max;
        self.connect_timeout = other.connect_timeout;
        self.logins = other.logins;
        self.idle_time_max = other.idle_time_max;
        self.stop_time_max = other.stop_time_max;
        self.inspect_bytes_max = other.inspect_bytes_max;
        self.tls = other.tls.clone();
        self.store_tls = other.store_tls.clone();
    }

    /// Checks what the types do not: also for a configuration that was made by hand.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let embedded = matches!(self.store, StoreConfig::Embedded { .. });
        if embedded && !self.listen.ip().is_loopback() && self.root_password.is_none() {
            return Err(ConfigError::OpenToAll {
                listen: self.listen,
            });
        }
        tls::check_store(&self.store_tls, &self.store)?;
        if self.admin.listen != Endpoint::Off && self.admin.login.is_none() {
            return Err(ConfigError::AdminPassword);
        }
        let zero = [
            ("runtimes", self.runtimes == 0),
            ("connections_max", self.connections_max == 0),
            ("connect_timeout_ms", self.connect_timeout.is_zero()),
            ("login_seconds_max", self.logins.login_time_max.is_zero()),
            ("inspect_bytes_max", self.inspect_bytes_max == 0),
        ];
        if let Some((name, _)) = zero.into_iter().find(|(_, zero)| *zero) {
            return Err(value(name, "must be at least 1".to_owned()));
        }
        self.planner.check()
    }
}

fn value(name: &'static str, reason: String) -> ConfigError {
    ConfigError::Value { name, reason }
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}

fn read_file(path: &Path) -> Result<ConfigFile, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text).map_err(|source| ConfigError::Parse {
        path: path.to_owned(),
        source: Box::new(source),
    })
}

/// A store named by flag or environment replaces one that the file names, whichever kind.
fn store(args: &ServeArgs, file: &ConfigFile) -> Result<StoreConfig, ConfigError> {
    let in_file = file
        .store
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|error: crate::account::AddressError| value("store", error.to_string()))?;
    let pair = |store: Option<StoreAddress>, data_dir: Option<PathBuf>| match (store, data_dir) {
        (Some(_), Some(_)) => Err(ConfigError::TwoStores),
        (Some(store), None) => Ok(StoreConfig::External(store)),
        (None, Some(data_dir)) => Ok(StoreConfig::Embedded { data_dir }),
        (None, None) => Err(ConfigError::NoStore),
    };
    match pair(args.store.clone(), args.embedded.clone()) {
        Err(ConfigError::NoStore) => pair(in_file, file.embedded.clone()),
        decided => decided,
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

//! Settings: read as typed (file, environment, flags), then checked as meant. Nothing is bound before all is valid.
//!
//! A flag wins over its environment variable, which wins over the file, which wins over the default.

mod cache;
mod endpoint;
mod images;
mod limits;
mod planner;
mod settings;
mod slow;
mod tls;

pub use cache::CacheConfig;
pub use endpoint::{Endpoint, EndpointError};
pub use limits::LimitsConfig;
pub use planner::PlannerConfig;
pub use tls::{ClientTlsArgs, ClientTlsConfig, StoreTlsArgs};

use crate::account::StoreAddress;
use crate::admin::AdminLogin;
use crate::live::SlowLog;
use crate::tls::StoreTlsConfig;
use predictsql_catalog::store::SchemaName;
use predictsql_executor::ExecutorConfig;
use serde::Deserialize;
use std::net::SocketAddr;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where an embedded store lies unless a directory is given.
const DATA_DIR_DEFAULT: &str = "./predictsql-data";
/// Environment variable of the service account's password.
const SERVICE_PASSWORD_VARIABLE: &str = "PREDICTSQL_SERVICE_PASSWORD";
/// Environment variable of the embedded store's root password.
const ROOT_PASSWORD_VARIABLE: &str = "PREDICTSQL_ROOT_PASSWORD";
/// Environment variable of the admin endpoint's password.
const ADMIN_PASSWORD_VARIABLE: &str = "PREDICTSQL_ADMIN_PASSWORD";
/// User of the admin endpoint unless one is named.
const ADMIN_USER_DEFAULT: &str = "admin";
/// Port of metrics and health on loopback, unless an address is given.
const HTTP_PORT_DEFAULT: u16 = 9307;
/// Port of the admin endpoint on loopback, where a password is configured and no address is given.
const ADMIN_PORT_DEFAULT: u16 = 6307;

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
    idle_seconds_max: Option<u64>,
    stop_seconds_max: Option<u64>,
    inspect_bytes_max: Option<usize>,
    slow_query_ms: Option<u64>,
    slow_query_literals: Option<bool>,
    tls: tls::ClientTlsFile,
    store_tls: tls::StoreTlsFile,
    service: ServiceFile,
    admin: AdminFile,
    executor: ExecutorFile,
    lane: LaneFile,
    cache: cache::CacheFile,
    limits: limits::LimitsFile,
    planner: planner::PlannerFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ServiceFile {
    user: Option<String>,
    password_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct AdminFile {
    listen: Option<Endpoint>,
    user: Option<String>,
    password_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct ExecutorFile {
    ort_library: Option<PathBuf>,
    image_roots: Option<Vec<PathBuf>>,
    model_roots: Option<Vec<PathBuf>>,
    threads: Option<usize>,
    fetch_threads: Option<usize>,
    image_bytes_max: Option<u64>,
    image_pixels_max: Option<u64>,
    image_side_pixels_max: Option<u64>,
    image_decode_bytes_max: Option<u64>,
    decoding_bytes_max: Option<u64>,
    fetched_bytes_max: Option<u64>,
    model_bytes_max: Option<u64>,
    tensor_bytes_max: Option<u64>,
    batch_images_max: Option<usize>,
    queue_chunks_max: Option<usize>,
    models_loaded_max: Option<usize>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct LaneFile {
    spool_memory_bytes_max: Option<u64>,
    spool_disk_bytes_max: Option<u64>,
    spool_dir: Option<PathBuf>,
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

/// The service account's login at an external store.
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceLogin {
    /// User name.
    pub user: String,
    /// Password; none for an account without one.
    pub password: Option<String>,
}

/// The password stays out of logs.
impl std::fmt::Debug for ServiceLogin {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ServiceLogin")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// The admin endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where it listens.
    pub listen: Endpoint,
    /// Who may use it; none without a password.
    pub login: Option<AdminLogin>,
}

/// Limits of predict statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneConfig {
    /// Rows waiting to be predicted, in memory, per statement, bytes.
    pub spool_memory_bytes_max: u64,
    /// Rows waiting to be predicted, on disk, per statement, bytes.
    pub spool_disk_bytes_max: u64,
    /// Where the latter lie.
    pub spool_dir: PathBuf,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self {
            spool_memory_bytes_max: 8 << 20,
            spool_disk_bytes_max: 4 << 30,
            spool_dir: std::env::temp_dir(),
        }
    }
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
    /// How long a session may do nothing, also in a transaction; none for as long as the store lets it.
    pub idle_time_max: Option<Duration>,
    /// How long a stop waits for statements and transactions to end.
    pub stop_time_max: Duration,
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
            admin: AdminConfig {
                listen: Endpoint::Off,
                login: None,
            },
            root_password: None,
            service: None,
            schema: SchemaName::default(),
            runtimes: std::thread::available_parallelism().map_or(1, NonZero::get),
            connections_max: 1000,
            connect_timeout: Duration::from_secs(5),
            idle_time_max: None,
            stop_time_max: Duration::from_secs(30),
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
        config.service = service(args, &file.service, &environment)?;
        config.admin = admin(args, &file.admin, &environment)?;
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
            &mut config.lane.spool_memory_bytes_max,
            file.lane.spool_memory_bytes_max,
        );
        set(
            &mut config.lane.spool_disk_bytes_max,
            file.lane.spool_disk_bytes_max,
        );
        set(&mut config.lane.spool_dir, file.lane.spool_dir);
        config.cache.take(&file.cache);
        config.limits.take(file.limits);
        config
            .planner
            .take(args.price_per_device_hour, &file.planner);
        executor(&mut config.executor, args, file.executor);
        config.check()?;
        Ok(config)
    }

    /// Makes the settings that need no restart those of `other`.
    pub(crate) fn take_over(&mut self, other: &Self) {
        self.connections_max = other.connections_max;
        self.connect_timeout = other.connect_timeout;
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

fn service(
    args: &ServeArgs,
    file: &ServiceFile,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<ServiceLogin>, ConfigError> {
    let Some(user) = args.service_user.clone().or_else(|| file.user.clone()) else {
        return Ok(None);
    };
    let in_environment = environment(SERVICE_PASSWORD_VARIABLE);
    let password = password(in_environment, file.password_file.as_deref())?;
    Ok(Some(ServiceLogin { user, password }))
}

/// The password of the environment, else that of the file.
fn password(
    in_environment: Option<String>,
    file: Option<&Path>,
) -> Result<Option<String>, ConfigError> {
    let (None, Some(path)) = (&in_environment, file) else {
        return Ok(in_environment);
    };
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Password {
        path: path.to_owned(),
        source,
    })?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// The endpoint is on by default where somebody could log in to it.
fn admin(
    args: &ServeArgs,
    file: &AdminFile,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<AdminConfig, ConfigError> {
    let in_environment = environment(ADMIN_PASSWORD_VARIABLE);
    let password = password(in_environment, file.password_file.as_deref())?;
    let user = file.user.as_deref().unwrap_or(ADMIN_USER_DEFAULT);
    let login = password
        .filter(|password| !password.is_empty())
        .map(|password| AdminLogin::new(user, &password));
    let by_default = match login {
        Some(_) => Endpoint::IfFree(SocketAddr::from(([127, 0, 0, 1], ADMIN_PORT_DEFAULT))),
        None => Endpoint::Off,
    };
    let listen = args.admin.or(file.listen).unwrap_or(by_default);
    Ok(AdminConfig { listen, login })
}

fn executor(config: &mut ExecutorConfig, args: &ServeArgs, file: ExecutorFile) {
    let roots = |flags: &[PathBuf], file| (!flags.is_empty()).then(|| flags.to_vec()).or(file);
    set(
        &mut config.image_roots,
        roots(&args.image_roots, file.image_roots),
    );
    set(
        &mut config.model_roots,
        roots(&args.model_roots, file.model_roots),
    );
    if file.ort_library.is_some() {
        config.ort_library = file.ort_library;
    }
    if let Some(threads) = file.threads {
        config.threads = threads;
        // As the default does, in proportion to the threads.
        config.queue_chunks_max = threads.saturating_mul(4).saturating_add(4);
    }
    set(&mut config.fetch_threads, file.fetch_threads);
    images::take(config, &file);
    set(&mut config.fetched_bytes_max, file.fetched_bytes_max);
    set(&mut config.model_bytes_max, file.model_bytes_max);
    set(&mut config.tensor_bytes_max, file.tensor_bytes_max);
    set(&mut config.batch_images_max, file.batch_images_max);
    set(&mut config.queue_chunks_max, file.queue_chunks_max);
    set(&mut config.models_loaded_max, file.models_loaded_max);
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

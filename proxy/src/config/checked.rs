//! Resolved and checked settings.

use super::accounts::{self, AdminConfig, ServiceLogin};
use super::args::ServeArgs;
use super::cache::CacheConfig;
use super::endpoint::Endpoint;
use super::error::{ConfigError, value};
use super::executor;
use super::file::{ConfigFile, read_file};
use super::lane::LaneConfig;
use super::limits::LimitsConfig;
use super::logins::LoginLimits;
use super::over::set;
use super::planner::PlannerConfig;
use super::slow;
use super::store::{StoreConfig, store};
use super::tls::{self, ClientTlsConfig};
use super::variables::ROOT_PASSWORD_VARIABLE;
use super::workers::WorkersSettings;
use crate::live::SlowLog;
use crate::tls::StoreTlsConfig;
use predictsql_catalog::store::SchemaName;
use predictsql_executor::{DeviceChoice, ExecutorConfig};
use std::net::SocketAddr;
use std::num::NonZero;
use std::time::Duration;

/// Default port of metrics and health on loopback.
const HTTP_PORT_DEFAULT: u16 = 9307;

/// Resolved and checked settings.
#[derive(Clone)]
pub struct Config {
    /// Address for MySQL clients.
    pub listen: SocketAddr,
    /// The store.
    pub store: StoreConfig,
    /// Endpoint of metrics and health.
    pub http: Endpoint,
    /// The admin endpoint.
    pub admin: AdminConfig,
    /// Root password of an embedded store. `None` keeps the existing one; a new store's is empty.
    pub root_password: Option<String>,
    /// Login of the service account; without one, predict statements fail with an error. Unused
    /// with an embedded store.
    pub service: Option<ServiceLogin>,
    /// Schema of the catalog.
    pub schema: SchemaName,
    /// Number of relay threads.
    pub runtimes: usize,
    /// Maximum concurrent clients.
    pub connections_max: usize,
    /// Timeout of a connection attempt to the store.
    pub connect_timeout: Duration,
    /// Limits of waiting for clients.
    pub logins: LoginLimits,
    /// Idle timeout of a session, also in a transaction; none leaves it to the store.
    pub idle_time_max: Option<Duration>,
    /// Maximum duration of a stop, excluding the shutdown of an embedded store.
    pub stop_time_max: Duration,
    /// Time for the embedded store to shut down before it is killed.
    pub store_stop_time_max: Duration,
    /// TLS on the client leg.
    pub tls: ClientTlsConfig,
    /// TLS on the store leg.
    pub store_tls: StoreTlsConfig,
    /// Maximum length of a command inspected for predictions, in bytes.
    pub inspect_bytes_max: usize,
    /// Maximum memory in which long commands are answered, of all sessions, in bytes.
    pub inspect_memory_bytes_max: u64,
    /// Maximum disk space in which long commands wait, of all sessions, in bytes.
    pub inspect_disk_bytes_max: u64,
    /// Which predict statements are logged as slow.
    pub slow_log: SlowLog,
    /// Images, models, threads.
    pub executor: ExecutorConfig,
    /// Processes that run the models in place of this one.
    pub workers: WorkersSettings,
    /// Cost parameters of plans.
    pub planner: PlannerConfig,
    /// Limits of predict statements.
    pub lane: LaneConfig,
    /// Settings of kept model outputs.
    pub cache: CacheConfig,
    /// Limits of inferences.
    pub limits: LimitsConfig,
}

impl Config {
    /// The default settings, with `store`.
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
            inspect_bytes_max: 64 << 20,
            inspect_memory_bytes_max: 1 << 30,
            inspect_disk_bytes_max: 16 << 30,
            slow_log: slow::DEFAULT,
            executor: ExecutorConfig::default(),
            planner: PlannerConfig::default(),
            workers: WorkersSettings::default(),
            lane: LaneConfig::default(),
            cache: CacheConfig::default(),
            limits: LimitsConfig::default(),
        }
    }

    /// Reads file and environment and overrides them with `args`.
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

    pub(super) fn resolve(
        args: &ServeArgs,
        file: ConfigFile,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::new(store(
            (args.store.clone(), args.embedded.clone()),
            (file.store.as_deref(), file.embedded.clone()),
        )?);
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
        set(
            &mut config.inspect_memory_bytes_max,
            file.inspect_memory_bytes_max,
        );
        set(
            &mut config.inspect_disk_bytes_max,
            file.inspect_disk_bytes_max,
        );
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
        executor::take(&mut config.executor, roots, file.executor)?;
        set(&mut config.executor.provider.device, args.device);
        config.workers.take(&args.workers, file.workers)?;
        config.check()?;
        Ok(config)
    }

    /// Copies the settings of `other` that can change without a restart.
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

    /// Checks what the types do not enforce; needed also for configurations built in code.
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
        if self.executor.provider.device != DeviceChoice::Cpu && !self.workers.addresses.is_empty()
        {
            let reason = "models run on workers, which have a device of their own".to_owned();
            return Err(value("executor.device", reason));
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

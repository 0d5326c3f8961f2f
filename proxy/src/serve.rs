//! `predictsql serve`: creates all parts, runs them, and stops them in order.
//!
//! ```text
//! Config --start--> Server (store runs, account set up, address bound) --run--> accepting
//!     --stop--> no new clients -> sessions drain -> account closed -> embedded store stopped
//! ```
//! The total duration of a stop is bounded, see [`crate::stop`].

use crate::account::{
    AccountConfig, AccountError, PeerTrust, ServiceAccount, StoreAddress, peer_trust,
};
use crate::admin::{self, Admin};
use crate::config::{Config, ConfigError, ServeArgs, StoreConfig};
use crate::embedded::{EmbeddedError, EmbeddedOptions, EmbeddedStore, StoreStatus};
use crate::http::{self, Status};
use crate::init::{InitError, init_embedded};
use crate::lane::{Lane, LaneContext};
use crate::live::{IDLE_SWEEP_PERIOD, Live};
use crate::metrics::Metrics;
use crate::observed::Observed;
use crate::open_files;
use crate::predict::{self, Planner};
use crate::relay::{Acceptor, BoundListener, SessionConfig};
use crate::reload::{self, Settings};
use crate::shared_limits;
use crate::stop::{self, StopTime, StopWatch};
use crate::tls::TlsError;
use predictsql_executor::{Executor, ExecutorConfig, StartError};
use predictsql_optimizer::planner::CostModel;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Store connections beyond those of clients: for the service account, and for an admin who
/// investigates a problem.
const STORE_CONNECTIONS_SPARE: usize = 50;

/// Why the proxy cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Invalid settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The requested address.
        listen: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The embedded store cannot be started.
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The embedded store crashed too often.
    #[error("the embedded store could not be kept running: the end of {} says why", log.display())]
    StoreFailed {
        /// The store's error log.
        log: PathBuf,
    },
    /// The catalog of the embedded store could not be set up.
    #[error("cannot set up the catalog: {0}")]
    Init(#[from] InitError),
    /// Every client could log in as the system user of the proxy.
    #[error(
        "the store at {store} lets '{user}' in by the socket's owner, so every client of the proxy could be \
         '{user}': use --store mysql://HOST:PORT, or run the proxy as a system user without such an account"
    )]
    TrustingStore {
        /// The store.
        store: StoreAddress,
        /// The account, named like the system user of the proxy.
        user: String,
    },
    /// Every client might be able to log in as the system user of the proxy.
    #[error(
        "cannot check whether the store at {store} lets accounts in by the socket's owner ({reason}), which would \
         open them to every client of the proxy: see that the store runs and takes logins, and that the proxy's \
         system user is in /etc/passwd; or use --store mysql://HOST:PORT"
    )]
    TrustUnknown {
        /// The store.
        store: StoreAddress,
        /// Why the check failed.
        reason: String,
    },
    /// The service account failed.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// A certificate or a key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The executor cannot be started.
    #[error(transparent)]
    Executor(#[from] StartError),
    /// A folder of the embedded store cannot be created.
    #[error("cannot create {}: {source}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// An error of threads, signals or sockets.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// A proxy that is ready to accept clients.
pub struct Server {
    runtime: Runtime,
    acceptor: Acceptor,
    address: SocketAddr,
    store: StoreAddress,
    lane: Arc<LaneContext>,
    settings: Settings,
    operators: Operators,
    embedded: Option<EmbeddedStore>,
}

/// The endpoints for operators, before they are served.
struct Operators {
    settings: Settings,
    live: Arc<Live>,
    http: Option<std::net::TcpListener>,
    admin: Option<std::net::TcpListener>,
}

/// Loads the settings, serves until SIGTERM or SIGINT, and stops.
///
/// # Errors
/// See [`ServeError`].
pub fn run(args: &ServeArgs) -> Result<(), ServeError> {
    let server = Server::start(Config::load(args)?)?;
    let stopping = CancellationToken::new();
    stop::on_signals(stopping.clone())?;
    server.reload_on_hangup(args)?;
    let (address, store) = (server.address(), server.store());
    // An error is ignored: standard output may be closed.
    let _ = writeln!(io::stdout(), "ready: listening on {address}, store {store}");
    server.run(stopping)
}

impl Server {
    /// Starts everything except accepting clients. Blocks, for seconds if an embedded store must
    /// be created.
    ///
    /// # Errors
    /// See [`ServeError`]; nothing keeps running after an error.
    pub fn start(mut config: Config) -> Result<Self, ServeError> {
        config.check()?;
        open_files::raise_limit(config.connections_max);
        let listen = config.listen;
        // First, so that an address in use is reported before a store is started.
        let listener =
            BoundListener::bind(listen).map_err(|source| ServeError::Listen { listen, source })?;
        let http = config.http.bind("http").map_err(cannot_listen)?;
        let admin = config.admin.listen.bind("admin").map_err(cannot_listen)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .thread_name("main")
            .enable_all()
            .build()?;
        let embedded = start_embedded(&config)?;
        if let Some(store) = &embedded {
            own_roots(&mut config.executor, store.data_dir())?;
        }
        let store = store_address(&config, embedded.as_ref())?;
        if embedded.is_none() {
            runtime.block_on(check_trust(&store))?;
        }
        let account = runtime.block_on(start_account(&config, embedded.as_ref(), &store))?;
        let live = Live::new(Arc::new(Metrics::new()));
        let live = Arc::new(live.with_slow_log(config.slow_log));
        let cache = predict::start(&config.cache.limits, &account, live.metrics());
        let lane = Arc::new(LaneContext {
            planner: Planner::new(cost_model(&config)),
            observed: Observed::default(),
            cache,
            cache_mode: config.cache.mode,
            limits: config.limits.clone(),
            live: Arc::clone(&live),
            schema: config.schema.clone(),
            executor: Executor::new(executor_config(&config)?)?,
            account,
            spool: shared_limits::spool(&config),
            long_data_bytes_max: config.inspect_bytes_max,
        });
        let executor = lane.executor.clone();
        // Models that are dropped, through this proxy or another one, are unloaded with the first
        // snapshot that does not contain them.
        lane.account.tell_snapshots(move |snapshot| {
            executor.retain(snapshot.models().cloned().collect());
        });
        let settings = Settings::start(config, store.clone())?;
        let operators = Operators {
            live,
            settings: settings.clone(),
            http,
            admin,
        };
        let acceptor = start_acceptor(listener, &settings, &store, &lane, &operators.live)?;
        Ok(Self {
            address: acceptor.local_addr()?,
            runtime,
            acceptor,
            store,
            lane,
            settings,
            operators,
            embedded,
        })
    }

    /// The address that clients connect to, with the actual port where port 0 was requested.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Address of the store.
    #[must_use]
    pub fn store(&self) -> &StoreAddress {
        &self.store
    }

    /// The parts used by predict statements.
    #[must_use]
    pub fn lane(&self) -> &Arc<LaneContext> {
        &self.lane
    }

    /// The embedded store, if there is one.
    #[must_use]
    pub fn embedded(&self) -> Option<&EmbeddedStore> {
        self.embedded.as_ref()
    }

    /// Loads the settings again at each SIGHUP, with the flags `args`.
    ///
    /// # Errors
    /// The signal handler cannot be created.
    pub fn reload_on_hangup(&self, args: &ServeArgs) -> io::Result<()> {
        let _inside = self.runtime.enter();
        let control = self.acceptor.control();
        let reloading = self.settings.on_hangup(args.clone(), control)?;
        self.runtime.spawn(reloading);
        Ok(())
    }

    /// Serves until `stopping` is cancelled, then stops in order. Blocks.
    ///
    /// # Errors
    /// The listener cannot be used, or the embedded store failed permanently.
    pub fn run(self, stopping: CancellationToken) -> Result<(), ServeError> {
        let Self {
            runtime,
            acceptor,
            store: store_address,
            lane,
            settings,
            operators,
            embedded,
            ..
        } = self;
        let store_stop_time_max = match embedded {
            Some(_) => settings.config().store_stop_time_max,
            None => Duration::ZERO,
        };
        let served: io::Result<(StopTime, StopWatch)> = runtime.block_on(async {
            if let Some(store) = &embedded {
                tokio::spawn(stop_with_store(store.status(), stopping.clone()));
            }
            let status = Status::new(
                Arc::clone(&operators.live),
                Arc::clone(&lane),
                store_address,
                stopping.clone(),
            );
            tokio::spawn(settings.clone().watch_certificate());
            tokio::spawn(sweep_idle(settings, Arc::clone(&operators.live)));
            let answering = operators.serve(Arc::new(status))?;
            let stop = acceptor.run(stopping).await?;
            let watch = stop.watch(store_stop_time_max);
            drop(answering);
            let closing = async {
                lane.cache.close().await;
                lane.account.close().await;
            };
            // The other half is for the steps after this.
            if timeout(stop.left() / 2, closing).await.is_err() {
                tracing::warn!("the service account's connections could not be closed in time");
            }
            Ok((stop, watch))
        });
        let stop = match &served {
            Ok((stop, _)) => *stop,
            Err(_) => StopTime::begin(Duration::ZERO),
        };
        // The executor's threads end when the last reference to it is dropped; some may still be
        // working.
        let leftover_time_max = stop.left() / 2;
        let executor_ended = stop.within("leftovers", move || {
            runtime.shutdown_timeout(leftover_time_max);
            drop(lane);
        });
        let failed = embedded.and_then(stop_embedded);
        tracing::info!("stopped");
        if !executor_ended {
            tracing::warn!("a model does not end: leaving it");
            stop::end_process();
        }
        match failed {
            Some(log) => Err(ServeError::StoreFailed { log }),
            None => Ok(served.map(|_| ())?),
        }
    }
}

/// Stops the embedded store; returns its error log if it failed permanently.
fn stop_embedded(mut store: EmbeddedStore) -> Option<PathBuf> {
    let failed = *store.status().borrow() == StoreStatus::Failed;
    tracing::info!("stopping the embedded store");
    store.stop();
    failed.then(|| store.log())
}

impl Operators {
    /// Serves the operators' endpoints until the returned tasks are dropped.
    fn serve(self, status: Arc<Status>) -> io::Result<JoinSet<()>> {
        let mut answering = JoinSet::new();
        if let Some(listener) = self.http {
            let listener = TcpListener::from_std(listener)?;
            answering.spawn(http::serve(listener, Arc::clone(&status)));
        }
        if let (Some(listener), Some(login)) =
            (self.admin, self.settings.config().admin.login.clone())
        {
            let port = listener.local_addr()?.port();
            let admin = Admin::new(status, self.settings, login, port);
            answering.spawn(admin::serve(
                TcpListener::from_std(listener)?,
                Arc::new(admin),
            ));
        }
        Ok(answering)
    }
}

/// Settings of the executor, those of other tables included.
fn executor_config(config: &Config) -> Result<ExecutorConfig, ConfigError> {
    Ok(ExecutorConfig {
        trial: Some(config.limits.trial.clone()),
        workers: config.workers.read()?,
        ..config.executor.clone()
    })
}

/// The error of an endpoint that cannot be bound.
fn cannot_listen((listen, source): (SocketAddr, io::Error)) -> ServeError {
    ServeError::Listen { listen, source }
}

/// Ends sessions that wait for their clients for longer than the settings allow.
async fn sweep_idle(settings: Settings, live: Arc<Live>) {
    let mut ticks = tokio::time::interval(IDLE_SWEEP_PERIOD);
    loop {
        ticks.tick().await;
        let config = settings.config();
        live.sweep_idle(config.idle_time_max.unwrap_or_default());
        live.sweep_stalled(config.logins.command_stall_time_max);
    }
}

/// Cancels `stopping` when the embedded store has failed permanently, since no client can be
/// served without it.
async fn stop_with_store(mut status: watch::Receiver<StoreStatus>, stopping: CancellationToken) {
    let failed = status.wait_for(|status| *status == StoreStatus::Failed);
    if failed.await.is_ok() {
        stopping.cancel();
    }
}

/// Address of the store.
fn store_address(
    config: &Config,
    embedded: Option<&EmbeddedStore>,
) -> Result<StoreAddress, ServeError> {
    match (embedded, &config.store) {
        (Some(embedded), _) => Ok(StoreAddress::Unix(embedded.socket().to_owned())),
        (None, StoreConfig::External(address)) => Ok(address.clone()),
        (None, StoreConfig::Embedded { .. }) => Err(ConfigError::NoStore.into()),
    }
}

/// Rejects a store that would authenticate the proxy's clients as system users of the proxy's
/// machine.
async fn check_trust(store: &StoreAddress) -> Result<(), ServeError> {
    let store = || store.clone();
    match peer_trust(&store()).await {
        PeerTrust::Refused => Ok(()),
        PeerTrust::Trusted(user) => Err(ServeError::TrustingStore {
            store: store(),
            user,
        }),
        PeerTrust::Unknown(reason) => Err(ServeError::TrustUnknown {
            store: store(),
            reason,
        }),
    }
}

fn start_embedded(config: &Config) -> Result<Option<EmbeddedStore>, ServeError> {
    let StoreConfig::Embedded { data_dir } = &config.store else {
        return Ok(None);
    };
    let mut options = EmbeddedOptions::new(data_dir);
    options.root_password = config.root_password.clone();
    options.stop_seconds_max = config.store_stop_time_max.as_secs();
    let connections = config
        .connections_max
        .saturating_add(STORE_CONNECTIONS_SPARE);
    options.connections_max = u32::try_from(connections).unwrap_or(u32::MAX);
    Ok(Some(EmbeddedStore::start(&options)?))
}

/// Without configured roots, uses folders in the directory of the embedded store.
fn own_roots(executor: &mut ExecutorConfig, data_dir: &Path) -> Result<(), ServeError> {
    let roots = [
        ("images", &mut executor.image_roots),
        ("models", &mut executor.model_roots),
    ];
    for (name, roots) in roots {
        if roots.is_empty() {
            let path = data_dir.join(name);
            std::fs::create_dir_all(&path).map_err(|source| ServeError::Folder {
                path: path.clone(),
                source,
            })?;
            roots.push(path.into());
        }
    }
    Ok(())
}

async fn start_account(
    config: &Config,
    embedded: Option<&EmbeddedStore>,
    store: &StoreAddress,
) -> Result<ServiceAccount, ServeError> {
    if let Some(embedded) = embedded {
        let password = config.root_password.as_deref();
        let account = init_embedded(store, password, embedded.data_dir(), &config.schema).await?;
        let account = ServiceAccount::start(account)?;
        read_views(&account).await;
        return Ok(account);
    }
    let Some(login) = &config.service else {
        tracing::warn!("no service account is configured: predict statements will be refused");
        return Ok(ServiceAccount::none());
    };
    let mut account = AccountConfig::new(store.clone(), &login.user, login.password.clone());
    account.schema = config.schema.clone();
    account.tls = config.store_tls.service();
    let account = ServiceAccount::start(account)?;
    if let Err(error) = account.check().await {
        // Plain SQL is served anyway, and the store may become available later.
        tracing::warn!(%error, "the service account cannot work yet");
        if error.is_about_set_up() {
            account.told_of_views();
        }
        account.watch_views();
    } else {
        read_views(&account).await;
    }
    Ok(account)
}

/// Reads the views that predict before the first client is accepted.
async fn read_views(account: &ServiceAccount) {
    // A failure is logged and retried.
    let _ = account.refresh_views().await;
    account.watch_views();
}

/// Cost parameters of plans besides the measurements of models.
fn cost_model(config: &Config) -> CostModel {
    CostModel {
        threads: u32::try_from(config.executor.threads).unwrap_or(u32::MAX),
        price_per_device_second: config.planner.price_per_device_second(),
        ..CostModel::default()
    }
}

fn start_acceptor(
    listener: BoundListener,
    settings: &Settings,
    store: &StoreAddress,
    lane: &Arc<LaneContext>,
    live: &Arc<Live>,
) -> io::Result<Acceptor> {
    let config = settings.config();
    let sessions = SessionConfig {
        store: store.clone(),
        tls: settings.tls(),
        connect_timeout: config.connect_timeout,
        login_time_max: config.logins.login_time_max,
        admission: Arc::default(),
        inspect_bytes_max: config.inspect_bytes_max,
        held: shared_limits::held(&config),
        drain: CancellationToken::new(),
        stop: CancellationToken::new(),
        live: Arc::clone(live),
    };
    let lane = Arc::clone(lane);
    Acceptor::start(listener, reload::limits(&config), sessions, move |facts| {
        Lane::new(
            Arc::clone(&lane),
            facts.capabilities,
            facts.database.as_deref(),
        )
    })
}

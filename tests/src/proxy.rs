//! The real `predictsql` binary, serving a store on a free loopback port.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mysql_async::OptsBuilder;
use rustix::process::{Pid, Signal};

use crate::apparel;
use crate::binary::{SERVICE_PASSWORD, binary_command, ort_library};
use crate::eventually::eventually;
use crate::http::{endpoint_address, metrics};
use crate::process::{Process, new_dir};
use crate::store::{Store, opts};
use crate::wire::Wire;
use crate::worker::{Worker, WorkerSettings, workers_table};

/// How long a proxy may take to stop in order before it is killed at the end of a test.
const STOP_PATIENCE: Duration = Duration::from_secs(20);

/// Number of workers that run the models of each proxy, if it is set: everything that is tested of
/// a proxy holds with workers too.
const WORKERS_VARIABLE: &str = "PREDICTSQL_TEST_WORKERS";

/// How to run a proxy. The defaults have a service account and the roots of [`apparel`].
#[derive(Debug, Clone)]
pub struct Settings {
    /// Lines of the settings file before its tables, such as `connections_max = 3`.
    pub top: String,
    /// Lines of its table `[executor]`, but for the roots.
    pub executor: String,
    /// Lines of its table `[lane]`.
    pub lane: String,
    /// Its other tables, with their heads.
    pub tables: String,
    /// Schema of the catalog: each has tasks and models of its own.
    pub schema: String,
    /// Whether `predictsql init` runs and the service account is configured.
    pub service_account: bool,
    /// Folders below which images may be read.
    pub image_roots: Vec<PathBuf>,
    /// Folders below which models may be loaded.
    pub model_roots: Vec<PathBuf>,
    /// Password of the admin endpoint, which is on with it and off without. Its user is `admin`.
    pub admin_password: Option<String>,
    /// Further environment variables; an empty value removes one.
    pub environment: Vec<(String, String)>,
    /// Size beyond which no file of the proxy, or of an embedded store, can grow, in bytes: a
    /// write fails, as on a full disk.
    pub file_bytes_max: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            top: String::new(),
            executor: String::new(),
            lane: String::new(),
            tables: String::new(),
            schema: "ml".to_owned(),
            service_account: true,
            image_roots: vec![apparel::photos().root().to_owned()],
            model_roots: vec![apparel::model_root()],
            admin_password: None,
            environment: Vec::new(),
            file_bytes_max: None,
        }
    }
}

/// A proxy that was not to be had.
#[derive(Debug)]
pub struct NotStarted {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote.
    pub log: String,
}

/// A running proxy. It is stopped when dropped; its log is shown when the test has failed.
pub struct Proxy {
    address: SocketAddr,
    /// Workers of its own, see [`WORKERS_VARIABLE`].
    _workers: Vec<Worker>,
    config: PathBuf,
    process: Mutex<Process>,
}

impl Proxy {
    /// The proxy of [`Store::shared`], with default settings and no models.
    pub fn shared() -> &'static Proxy {
        static PROXY: OnceLock<Proxy> = OnceLock::new();
        PROXY.get_or_init(|| Proxy::start(Store::shared(), &Settings::default()))
    }

    /// The proxy of [`Store::shared`] with task `apparel` and all models of the zoo.
    pub fn with_zoo() -> &'static Proxy {
        static MADE: OnceLock<()> = OnceLock::new();
        let proxy = Self::shared();
        MADE.get_or_init(|| apparel::create_zoo(&mut proxy.root(), |_| true));
        proxy
    }

    /// Serves `store`.
    #[track_caller]
    pub fn start(store: &Store, settings: &Settings) -> Proxy {
        Self::start_by_way_of(&store.url(), store, settings)
    }

    /// Serves `store`, which it finds at `url`.
    #[track_caller]
    pub fn start_by_way_of(url: &str, store: &Store, settings: &Settings) -> Proxy {
        let mut service = String::new();
        if settings.service_account {
            let user = format!("service_{}", settings.schema);
            store.init(&settings.schema, &user);
            service = format!("[service]\nuser = {user:?}\n");
        }
        let store = format!("store = {url:?}\n");
        Self::try_start(&store, &service, settings).expect("the proxy starts")
    }

    /// Serves an embedded store in `dir`. Service account and roots are its own; those of
    /// `settings` are not used.
    ///
    /// # Errors
    /// It ended at once.
    pub fn embedded(dir: &Path, settings: &Settings) -> Result<Proxy, NotStarted> {
        Self::try_start(&format!("embedded = {dir:?}\n"), "", settings)
    }

    /// Serves the store at `url`, without a service account.
    ///
    /// # Errors
    /// It ended at once.
    pub fn serving(url: &str, settings: &Settings) -> Result<Proxy, NotStarted> {
        Self::try_start(&format!("store = {url:?}\n"), "", settings)
    }

    fn try_start(store: &str, service: &str, settings: &Settings) -> Result<Proxy, NotStarted> {
        let dir = new_dir("proxy");
        let config = dir.join("predictsql.toml");
        let workers = own_workers(settings);
        let mut file = settings_file(store, service, settings);
        if !workers.is_empty() {
            file = format!("{file}\n{}", workers_table(&workers));
        }
        std::fs::write(&config, file).unwrap();
        let mut command = binary_command();
        command.arg("serve").arg("--config").arg(&config);
        command.env(
            "PREDICTSQL_LOG",
            "debug,mysql_async=info,h2=info,tower=info",
        );
        command.env("PREDICTSQL_SERVICE_PASSWORD", SERVICE_PASSWORD);
        if let Some(password) = &settings.admin_password {
            command.env("PREDICTSQL_ADMIN_PASSWORD", password);
            command.env("PREDICTSQL_ADMIN", "127.0.0.1:0");
        }
        for (name, value) in &settings.environment {
            if value.is_empty() {
                command.env_remove(name);
            } else {
                command.env(name, value);
            }
        }
        if let Some(bytes) = settings.file_bytes_max {
            command = limited(&command, bytes);
        }
        let mut process = Process::spawn("predictsql", command, &dir.join("log")).unwrap();
        let ready = eventually("the proxy is ready", || {
            if let Some(address) = ready_address(&process.log()) {
                return Some(Ok(address));
            }
            process.try_wait().map(Err)
        });
        match ready {
            Ok(address) => Ok(Proxy {
                address,
                _workers: workers,
                config,
                process: Mutex::new(process),
            }),
            Err(status) => Err(NotStarted {
                status,
                log: process.log(),
            }),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it tells metrics and health over HTTP.
    ///
    /// # Panics
    /// It does not.
    pub fn http(&self) -> SocketAddr {
        endpoint_address(&self.log(), "http").expect("the HTTP endpoint is on")
    }

    /// Where its admin endpoint listens.
    ///
    /// # Panics
    /// It does not.
    pub fn admin(&self) -> SocketAddr {
        endpoint_address(&self.log(), "admin").expect("the admin endpoint is on")
    }

    /// The value of a series of `/metrics` without labels.
    ///
    /// # Panics
    /// There is none.
    pub fn metric(&self, series: &str) -> u64 {
        let text = metrics(self.http());
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        let found = lines.find(|(name, _)| *name == series);
        let (_, value) = found.unwrap_or_else(|| panic!("no {series} in {text}"));
        value.parse().unwrap()
    }

    /// Images that models have looked at since it started.
    pub fn images_inferred(&self) -> u64 {
        self.metric("predictsql_images_inferred_total")
    }

    /// The proxy's process.
    pub fn pid(&self) -> Pid {
        self.process().pid()
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        self.process().log()
    }

    /// A raw session as `root`.
    pub fn root(&self) -> Wire {
        Wire::login(self.address, "root", "", None).unwrap()
    }

    /// Options of a mysql_async connection as `root`.
    pub fn opts(&self) -> OptsBuilder {
        opts(self.address, "root", "")
    }

    /// Changes its settings file, which it reads again at SIGHUP.
    pub fn rewrite_settings(&self, change: impl FnOnce(String) -> String) {
        let settings = std::fs::read_to_string(&self.config).unwrap();
        std::fs::write(&self.config, change(settings)).unwrap();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.process().signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait(&self) -> ExitStatus {
        self.process().wait()
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.process().terminate(STOP_PATIENCE);
    }
}

/// The address in the line that says that clients may come.
fn ready_address(log: &str) -> Option<SocketAddr> {
    let line = log
        .split_inclusive('\n')
        .find_map(|line| line.strip_prefix("ready: listening on "))?;
    let (address, _) = line.split_once(',')?;
    line.ends_with('\n').then(|| address.parse().unwrap())
}

fn settings_file(store: &str, service: &str, settings: &Settings) -> String {
    let mut file = format!(
        "listen = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n{store}schema = {:?}\n",
        settings.schema
    );
    write!(file, "{}\n{service}[executor]\n", settings.top).unwrap();
    writeln!(file, "ort_library = {:?}", ort_library()).unwrap();
    if !service.is_empty() || !settings.service_account {
        writeln!(file, "image_roots = {:?}", settings.image_roots).unwrap();
        writeln!(file, "model_roots = {:?}", settings.model_roots).unwrap();
    }
    write!(file, "{}\n[lane]\n{}\n", settings.executor, settings.lane).unwrap();
    file + &settings.tables
}

/// Workers for a proxy that has none of its own.
fn own_workers(settings: &Settings) -> Vec<Worker> {
    let count = std::env::var(WORKERS_VARIABLE).map_or(0, |count| count.parse().unwrap());
    if settings.tables.contains("[workers]") {
        return Vec::new();
    }
    let start = |_| {
        Worker::start(&WorkerSettings {
            executor: settings.executor.clone(),
            ..WorkerSettings::default()
        })
    };
    (0..count).map(start).collect()
}

/// The same command where files cannot grow beyond `bytes`. The signal that tells so is ignored:
/// what is left is an error of the write.
fn limited(command: &Command, bytes: usize) -> Command {
    let mut limited = Command::new("prlimit");
    limited
        .arg(format!("--fsize={bytes}"))
        .args(["sh", "-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

//! The embedded store: a private MariaDB server that the proxy starts, supervises and stops.
//!
//! All its files are in one directory; nothing is written outside of it:
//!
//! ```text
//! DIR/predictsql.lock   held (flock) by the proxy that uses DIR; contains its process id
//! DIR/store/            the server's own data directory
//! DIR/store.sock        the listening socket; there is no TCP port
//! DIR/store.log         its error log
//! DIR/files/            the only directory accessible to LOAD_FILE and INTO OUTFILE
//! DIR/tmp/              the server's temporary files
//! ```
//!
//! The server ends when the proxy ends in any way (see [`shim`]). After a crash of both, the next
//! start recovers automatically.

mod directory;
mod error;
mod install;
pub mod shim;
mod supervisor;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mysql_async::OptsBuilder;
use tokio::sync::watch;

use directory::{DataDirectory, SocketPlace};
pub use error::EmbeddedError;
pub use supervisor::StoreStatus;
use supervisor::{Launch, Supervisor};

/// Options of an embedded store.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// The directory of the store; created if it is missing.
    pub data_dir: PathBuf,
    /// Password of `root`@`localhost`. `None` keeps the existing one; a new store's is empty.
    pub root_password: Option<String>,
    /// Maximum number of connections to the store, including the proxy's own.
    pub connections_max: u32,
    /// Size of InnoDB's buffer pool, in bytes.
    pub buffer_pool_bytes: u64,
    /// Timeout for the start of the server, including crash recovery; also for the end of a server
    /// left behind by an earlier proxy.
    pub start_seconds_max: u64,
    /// Time for the server to shut down before it is killed.
    pub stop_seconds_max: u64,
    /// The `predictsql` binary, used to end the server together with this process (see [`shim`]).
    pub shim: PathBuf,
}

impl EmbeddedOptions {
    /// Default settings for a store in `data_dir`, run from the `predictsql` binary itself.
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            root_password: None,
            connections_max: 1_100,
            buffer_pool_bytes: 128 << 20,
            start_seconds_max: 120,
            stop_seconds_max: 60,
            shim: PathBuf::from("/proc/self/exe"),
        }
    }
}

/// A running embedded store. Dropping it stops the server.
pub struct EmbeddedStore {
    // Declared in drop order: first the server, then its socket's directory and the lock.
    supervisor: Supervisor,
    socket: SocketPlace,
    directory: DataDirectory,
    root_password: Option<String>,
}

impl EmbeddedStore {
    /// Starts the store in `options.data_dir`, creating it if there is none, and returns when it
    /// accepts connections. Blocks the calling thread for seconds.
    ///
    /// # Errors
    /// See [`EmbeddedError`]; nothing keeps running after an error.
    pub fn start(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let mariadbd = install::find("mariadbd")?;
        let directory = DataDirectory::open(&options.data_dir)?;
        if directory.store().exists() {
            directory.check_tablespace()?;
        } else {
            install::create_store(&directory, &mariadbd, options.root_password.as_deref())?;
        }
        directory.wait_until_free(Duration::from_secs(options.start_seconds_max))?;
        let socket = SocketPlace::choose(&directory)?;
        let password_file = directory.password_file(options.root_password.as_deref())?;
        let launch = Launch {
            program: options.shim.clone(),
            arguments: shim::arguments(
                &mariadbd,
                &server_arguments(options, &directory, &socket, password_file.as_deref()),
            ),
            socket: socket.path().to_owned(),
            log: directory.log(),
            start_time_max: Duration::from_secs(options.start_seconds_max),
            stop_time_max: Duration::from_secs(options.stop_seconds_max),
        };
        let supervisor = Supervisor::start(launch)?;
        tracing::info!(directory = %directory.path().display(), "embedded store is running");
        Ok(Self {
            supervisor,
            socket,
            directory,
            root_password: options.root_password.clone(),
        })
    }

    /// The Unix socket of the store.
    pub fn socket(&self) -> &Path {
        self.socket.path()
    }

    /// The directory of the store, as an absolute path.
    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// The server's error log.
    pub fn log(&self) -> PathBuf {
        self.directory.log()
    }

    /// Connection options for the proxy's own login as `root`, for set-up.
    pub fn root_opts(&self) -> OptsBuilder {
        OptsBuilder::default()
            .socket(Some(self.socket().to_string_lossy().into_owned()))
            .user(Some("root"))
            .pass(self.root_password.clone())
    }

    /// State of the server; changes when it ends, is running again, or has failed permanently.
    pub fn status(&self) -> watch::Receiver<StoreStatus> {
        self.supervisor.status()
    }

    /// Shuts the server down and waits for it, for at most `stop_seconds_max`; then kills it,
    /// which loses no committed data. Blocks; a second call does nothing.
    pub fn stop(&mut self) {
        self.supervisor.stop();
    }
}

/// The server's command line. The option files of the machine's own MariaDB are never read.
fn server_arguments(
    options: &EmbeddedOptions,
    directory: &DataDirectory,
    socket: &SocketPlace,
    password_file: Option<&Path>,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["--no-defaults".into()];
    let mut path = |name: &str, value: &Path| {
        let mut argument = OsString::from(name);
        argument.push(value);
        arguments.push(argument);
    };
    path("--datadir=", &directory.store());
    path("--socket=", socket.path());
    path("--pid-file=", &directory.path().join("store.pid"));
    path("--log-error=", &directory.log());
    path("--secure-file-priv=", &directory.files());
    path("--tmpdir=", &directory.tmp());
    if let Some(file) = password_file {
        path("--init-file=", file);
    }
    arguments.extend(
        [
            "--skip-networking",
            "--skip-log-bin",
            // Behind a proxy the peer of the socket is always the proxy: authentication by the
            // peer's system user would admit any client.
            "--unix-socket=OFF",
            "--character-set-server=utf8mb4",
            "--max-allowed-packet=67108864",
        ]
        .map(OsString::from),
    );
    arguments.push(format!("--max-connections={}", options.connections_max).into());
    arguments.push(format!("--innodb-buffer-pool-size={}", options.buffer_pool_bytes).into());
    arguments.extend(install::run_as_user());
    arguments
}

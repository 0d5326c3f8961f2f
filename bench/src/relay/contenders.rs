//! Who is compared: the private store, HAProxy and PredictSQL in front of it, each started here.

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::client::{DATABASE, USER};
use super::error::RelayBenchError;
use super::programs::{self, Programs};
use super::server::{Server, free_address};

/// Hidden first argument with which this program is `predictsql serve`.
pub const SERVE: &str = "serve";
/// Hidden first argument with which this program is `predictsql worker`.
pub const WORK: &str = "worker";
/// Connections that idle at once: as many as PredictSQL takes by default.
pub const CONNECTIONS: usize = 1000;

/// A way to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// No proxy.
    Direct,
    /// HAProxy in TCP mode.
    Haproxy,
    /// PredictSQL with its defaults.
    Predictsql,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Direct, Self::Haproxy, Self::Predictsql];
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Haproxy => "haproxy",
            Self::Predictsql => "predictsql",
        })
    }
}

/// The servers, which take logins.
pub struct Contenders {
    /// The store itself.
    pub direct: Server,
    /// HAProxy.
    pub haproxy: Server,
    /// PredictSQL.
    pub predictsql: Server,
}

impl Contenders {
    /// The server of a way.
    pub fn server(&self, way: Way) -> &Server {
        match way {
            Way::Direct => &self.direct,
            Way::Haproxy => &self.haproxy,
            Way::Predictsql => &self.predictsql,
        }
    }

    /// The process whose CPU time is the proxy's.
    pub fn proxy_pid(&self, way: Way) -> Option<u32> {
        (way != Way::Direct).then(|| self.server(way).pid())
    }
}

/// Starts a MariaDB that holds all data in memory and keeps no log of changes: what a proxy adds
/// is clearest in front of a fast store.
///
/// # Errors
/// It cannot be set up or does not start.
pub fn start_store(programs: &Programs, folder: &Path) -> Result<Server, RelayBenchError> {
    let data = folder.join("data");
    let flag = |name: &str, path: &Path| {
        let mut flag = OsString::from(format!("--{name}="));
        flag.push(path);
        flag
    };
    let as_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    let user = as_root.then_some("--user=root");
    programs::run(
        Command::new(&programs.install_db)
            .arg("--no-defaults")
            .arg(flag("datadir", &data))
            .args(["--skip-test-db", "--skip-name-resolve"])
            .arg("--auth-root-authentication-method=normal")
            .args(user),
    )?;
    let init = folder.join("init.sql");
    let accounts = format!(
        "CREATE DATABASE IF NOT EXISTS {DATABASE};\n\
         CREATE USER IF NOT EXISTS {USER}@'127.0.0.1';\n\
         GRANT ALL ON {DATABASE}.* TO {USER}@'127.0.0.1';\n"
    );
    write(&init, &accounts)?;
    let address = free_address()?;
    let mut command = Command::new(&programs.mariadbd);
    command
        .arg("--no-defaults")
        .arg(flag("datadir", &data))
        .arg(flag("socket", &folder.join("s")))
        .arg(flag("pid-file", &folder.join("pid")))
        .arg(flag("init-file", &init))
        .arg(format!("--port={}", address.port()))
        .arg(format!("--max-connections={}", CONNECTIONS + 200))
        .args(["--bind-address=127.0.0.1", "--skip-name-resolve"])
        .args(["--skip-log-bin", "--performance-schema=off"])
        .args([
            "--innodb-buffer-pool-size=256M",
            "--innodb-log-file-size=64M",
        ])
        .arg("--innodb-flush-log-at-trx-commit=0")
        .args(["--character-set-server=utf8mb4", "--back-log=1024"])
        .args(user);
    let mut store = Server::start("mariadbd", &mut command, address, folder)?;
    store.ready()?;
    Ok(store)
}

/// Starts HAProxy in TCP mode: one thread a core, no log, no health checks,
/// keep-alive as PredictSQL has it.
///
/// # Errors
/// It does not start.
pub fn start_haproxy(
    programs: &Programs,
    store: SocketAddr,
    threads: usize,
    folder: &Path,
) -> Result<Server, RelayBenchError> {
    let address = free_address()?;
    let path = folder.join("haproxy.cfg");
    write(&path, &haproxy_config(address, store, threads))?;
    let mut command = Command::new(&programs.haproxy);
    command.arg("-db").arg("-f").arg(&path);
    let mut haproxy = Server::start("haproxy", &mut command, address, folder)?;
    haproxy.ready()?;
    Ok(haproxy)
}

fn haproxy_config(listen: SocketAddr, store: SocketAddr, threads: usize) -> String {
    let connections_max = CONNECTIONS * 2;
    format!(
        "global\n    nbthread {threads}\n    maxconn {connections_max}\n\
         defaults\n    mode tcp\n    option tcpka\n    maxconn {connections_max}\n    \
         timeout connect 5s\n    timeout client 8h\n    timeout server 8h\n\
         listen store\n    bind {listen} backlog 1024\n    server store {store}\n"
    )
}

/// How PredictSQL is started.
#[derive(Debug, Clone)]
pub struct Predictsql {
    /// The binary.
    pub program: PathBuf,
    /// The store's address.
    pub store: SocketAddr,
}

impl Predictsql {
    /// Starts it, with all that the environment may say about it taken away.
    /// It may not be ready yet.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&self, folder: &Path) -> Result<Server, RelayBenchError> {
        let address = free_address()?;
        let mut command = Command::new(&self.program);
        command
            .args([SERVE, "--store"])
            .arg(format!("mysql://{}", self.store))
            .arg(format!("--listen={address}"))
            .arg("--http=127.0.0.1:0");
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PREDICTSQL_") {
                command.env_remove(name);
            }
        }
        Server::start("predictsql", &mut command, address, folder)
    }
}

fn write(path: &Path, text: &str) -> Result<(), RelayBenchError> {
    fs::write(path, text).map_err(|source| RelayBenchError::File {
        path: path.to_owned(),
        source,
    })
}

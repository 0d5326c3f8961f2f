//! Private MariaDB servers on a Unix socket and a free loopback port, with real grants.

use std::collections::HashSet;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use mysql_async::OptsBuilder;
use rustix::process::{Pid, Signal};

use crate::binary;
use crate::eventually::eventually;
use crate::process::{Process, new_dir, workplace};
use crate::wire::Wire;

/// Ports are taken between choosing and listening, by other stores too.
const PORT_TRIES: usize = 5;

/// A running server. `root` has no password, over the socket and from 127.0.0.1.
pub struct Store {
    dir: PathBuf,
    address: SocketAddr,
    process: Mutex<Process>,
    arguments: Vec<String>,
    /// Schemas that `predictsql init` has set up.
    initialised: Mutex<HashSet<String>>,
}

impl Store {
    /// The server that the tests of one process share: each uses a database and users of its own,
    /// and leaves global settings alone.
    pub fn shared() -> &'static Store {
        static STORE: OnceLock<Store> = OnceLock::new();
        STORE.get_or_init(Store::own)
    }

    /// A server for one test, which may break it.
    pub fn own() -> Store {
        Self::start(&[])
    }

    /// A server for one test, with further arguments.
    pub fn start(arguments: &[&str]) -> Store {
        let dir = new_dir("store");
        let copied = Command::new("cp")
            .args(["-a", "--reflink=auto"])
            .arg(template())
            .arg(dir.join("data"))
            .status()
            .unwrap();
        assert!(copied.success(), "copying the template of the store failed");
        let arguments: Vec<String> = arguments.iter().map(|&given| given.to_owned()).collect();
        for _ in 0..PORT_TRIES {
            let address = free_address();
            let mut process = spawn(&dir, address, &arguments);
            if wait_until_ready(&mut process, address) {
                return Store {
                    dir,
                    address,
                    process: Mutex::new(process),
                    arguments,
                    initialised: Mutex::default(),
                };
            }
            assert!(
                process.log().contains("Address already in use"),
                "mariadbd ended: {}",
                process.log()
            );
        }
        panic!("no free port in {PORT_TRIES} tries");
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server's process.
    pub fn pid(&self) -> Pid {
        self.process().pid()
    }

    /// Path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.join("s")
    }

    /// As the proxy's `--store` takes it.
    pub fn url(&self) -> String {
        format!("mysql://{}", self.address)
    }

    /// A raw session as `root`.
    pub fn root(&self) -> Wire {
        Wire::login(self.address, "root", "", None).unwrap()
    }

    /// Options of a mysql_async connection as `root`, directly.
    pub fn opts(&self) -> OptsBuilder {
        opts(self.address, "root", "")
    }

    /// Kills the server as a crash does, and waits for its end.
    pub fn kill(&self) {
        let mut process = self.process();
        process.signal(Signal::KILL);
        process.wait();
    }

    /// Starts the server again after [`kill`](Self::kill), where it was.
    pub fn restart(&self) {
        let mut process = spawn(&self.dir, self.address, &self.arguments);
        assert!(
            wait_until_ready(&mut process, self.address),
            "{}",
            process.log()
        );
        *self.process() = process;
    }

    /// Number of sessions of `user` in the store.
    pub fn sessions_of(&self, root: &mut Wire, user: &str) -> usize {
        let count = root.value(&format!(
            "SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{user}'"
        ));
        count.unwrap().parse().unwrap()
    }

    /// Runs `predictsql init` for a schema, once.
    pub fn init(&self, schema: &str, service_user: &str) {
        let mut initialised = self
            .initialised
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if initialised.insert(schema.to_owned()) {
            binary::init(&self.url(), schema, service_user);
        }
    }

    fn process(&self) -> std::sync::MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Options of a mysql_async connection.
pub fn opts(address: SocketAddr, user: &str, password: &str) -> OptsBuilder {
    OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some(user))
        .pass((!password.is_empty()).then_some(password))
        .prefer_socket(false)
}

/// An address on which nobody listens.
pub fn free_address() -> SocketAddr {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
}

fn spawn(dir: &Path, address: SocketAddr, arguments: &[String]) -> Process {
    let (init, tmp) = (dir.join("init.sql"), dir.join("tmp"));
    fs::create_dir_all(&tmp).unwrap();
    let root = "CREATE USER IF NOT EXISTS root@'127.0.0.1';\n\
                GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;\n";
    fs::write(&init, root).unwrap();
    let mut command = Command::new(server_program());
    command
        .arg("--no-defaults")
        .arg(format!("--datadir={}", dir.join("data").display()))
        .arg(format!("--socket={}", dir.join("s").display()))
        .arg(format!("--pid-file={}", dir.join("pid").display()))
        .arg(format!("--init-file={}", init.display()))
        .arg(format!("--secure-file-priv={}", dir.display()))
        // A server that starts clears its own; a common one would hold the tables of others.
        .arg(format!("--tmpdir={}", tmp.display()))
        .arg(format!("--port={}", address.port()))
        .args([
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
        ])
        .args(SIZES)
        .args([
            "--innodb-flush-log-at-trx-commit=0",
            "--max-connections=300",
        ])
        .args(["--character-set-server=utf8mb4", "--max-allowed-packet=64M"])
        .args(["--local-infile=1", "--plugin-load-add=auth_ed25519"])
        .args(as_root())
        .args(arguments);
    Process::spawn("mariadbd", command, &dir.join("log"))
        .expect("mariadbd is needed: apt-get install mariadb-server")
}

const SIZES: [&str; 2] = ["--innodb-buffer-pool-size=16M", "--innodb-log-file-size=8M"];

fn wait_until_ready(process: &mut Process, address: SocketAddr) -> bool {
    eventually("mariadbd answers", || {
        if process.try_wait().is_some() {
            return Some(false);
        }
        TcpStream::connect(address).is_ok().then_some(true)
    })
}

/// A data directory as `mariadb-install-db` makes it, made once per test process.
fn template() -> &'static Path {
    static TEMPLATE: OnceLock<PathBuf> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let dir = workplace().join("template");
        let installed = Command::new("mariadb-install-db")
            .arg("--no-defaults")
            .arg(format!("--datadir={}", dir.display()))
            .arg(format!("--tmpdir={}", workplace().display()))
            .args(["--skip-test-db", "--skip-name-resolve"])
            .arg("--auth-root-authentication-method=normal")
            .args(SIZES)
            .args(as_root())
            .output()
            .expect("mariadb-install-db is needed: apt-get install mariadb-server");
        assert!(
            installed.status.success(),
            "{}",
            String::from_utf8_lossy(&installed.stderr)
        );
        dir
    })
}

fn as_root() -> Option<&'static str> {
    let root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    root.then_some("--user=root")
}

/// Not on every user's PATH.
fn server_program() -> &'static str {
    let places = ["/usr/sbin/mariadbd", "/usr/libexec/mariadbd"];
    places
        .into_iter()
        .find(|place| Path::new(place).exists())
        .unwrap_or("mariadbd")
}

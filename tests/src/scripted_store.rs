//! A store that logs clients in as MySQL 8 does, for what no MariaDB has: `caching_sha2_password` with its fast and
//! full paths and `sha256_password`, over TCP, TLS or a Unix socket. Behind the login it answers a few statements.
//!
//! Written after the protocol's manual, and sharing no code with the proxy's handshake: it is its judge.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>

mod authentication;
mod leg;
mod packets;
mod session;

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use authentication::{Plugin, Way};

use tokio_rustls::rustls::ServerConfig;

use crate::authority::Pair;
use leg::Leg;

/// An account of the store. Its host part is any.
#[derive(Debug, Clone)]
pub struct Account {
    /// User name.
    pub user: String,
    /// Its password; empty for none.
    pub password: String,
    /// How it proves it.
    pub plugin: Plugin,
    /// Whether its logins must be over TLS (`REQUIRE SSL`).
    pub requires_tls: bool,
}

impl Account {
    /// An account that may log in over any connection.
    pub fn new(user: &str, password: &str, plugin: Plugin) -> Self {
        Self {
            user: user.to_owned(),
            password: password.to_owned(),
            plugin,
            requires_tls: false,
        }
    }

    /// The same, with `REQUIRE SSL`.
    #[must_use]
    pub fn require_tls(mut self) -> Self {
        self.requires_tls = true;
        self
    }
}

/// What the store is like.
#[derive(Debug, Clone)]
pub struct Script {
    /// Whom it knows.
    pub accounts: Vec<Account>,
    /// The plugin of the greeting (`authentication_policy`); accounts of another are asked to switch.
    pub default_plugin: Plugin,
    /// Whether it offers TLS.
    pub tls: Option<Pair>,
    /// Whether it has an RSA key pair: without one, plain legs have no full authentication.
    pub rsa: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            accounts: Vec::new(),
            default_plugin: Plugin::CachingSha2,
            tls: None,
            rsa: true,
        }
    }
}

/// How an attempt to log in went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The user name that was given.
    pub user: String,
    /// How the password came.
    pub way: Way,
    /// Whether it came over TLS.
    pub tls: bool,
    /// Whether it was let in.
    pub granted: bool,
}

/// A running store. It ends when dropped.
pub struct ScriptedStore {
    address: Address,
    state: Arc<State>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug, Clone)]
enum Address {
    Tcp(SocketAddr),
    Socket(PathBuf),
}

/// What its sessions share.
struct State {
    script: Script,
    tls: Option<Arc<ServerConfig>>,
    /// SHA256(SHA256(password)) of the users that have proved their password in full.
    cache: Mutex<HashMap<String, [u8; 32]>>,
    attempts: Mutex<Vec<Attempt>>,
    sessions: AtomicU32,
    stopping: AtomicBool,
}

impl ScriptedStore {
    /// Listens on a free loopback port.
    pub fn start(script: Script) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        Self::accept(script, address, move || {
            let (stream, _) = listener.accept()?;
            stream.set_nodelay(true)?;
            Ok(Leg::Tcp(stream))
        })
    }

    /// Listens on a Unix socket.
    pub fn on_socket(script: Script, path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        Self::accept(script, Address::Socket(path.to_owned()), move || {
            Ok(Leg::Socket(listener.accept()?.0))
        })
    }

    fn accept(
        script: Script,
        address: Address,
        mut next: impl FnMut() -> io::Result<Leg> + Send + 'static,
    ) -> Self {
        if script.rsa {
            // Not within somebody's login, whose time is limited.
            authentication::private_key();
        }
        let state = Arc::new(State {
            tls: script.tls.as_ref().map(leg::server_config),
            script,
            cache: Mutex::default(),
            attempts: Mutex::default(),
            sessions: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        let accepting = std::thread::spawn(move || {
            while let Ok(leg) = next() {
                if shared.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let state = Arc::clone(&shared);
                std::thread::spawn(move || session::serve(leg, &state));
            }
        });
        Self {
            address,
            state,
            accepting: Some(accepting),
        }
    }

    /// As the proxy's setting `store` takes it.
    pub fn url(&self) -> String {
        match &self.address {
            Address::Tcp(address) => format!("mysql://{address}"),
            Address::Socket(path) => format!("unix:{}", path.display()),
        }
    }

    /// Where it listens.
    ///
    /// # Panics
    /// It does on a Unix socket.
    pub fn address(&self) -> SocketAddr {
        match self.address {
            Address::Tcp(address) => address,
            Address::Socket(_) => panic!("the store listens on a socket"),
        }
    }

    /// Forgets who has proved a password in full, as `FLUSH PRIVILEGES` and a restart do.
    pub fn forget(&self) {
        lock(&self.state.cache).clear();
    }

    /// The attempts to log in so far, in order.
    pub fn attempts(&self) -> Vec<Attempt> {
        lock(&self.state.attempts).clone()
    }

    /// Takes the attempts so far, in order.
    pub fn take_attempts(&self) -> Vec<Attempt> {
        std::mem::take(&mut *lock(&self.state.attempts))
    }
}

impl Drop for ScriptedStore {
    fn drop(&mut self) {
        self.state.stopping.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let woken = match &self.address {
            Address::Tcp(address) => TcpStream::connect(address).is_ok(),
            Address::Socket(path) => UnixStream::connect(path).is_ok(),
        };
        if let (true, Some(accepting)) = (woken, self.accepting.take()) {
            let _ = accepting.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

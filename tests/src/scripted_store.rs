//! A store that logs clients in as MySQL 8 does, for what no MariaDB has: `caching_sha2_password`
//! with its fast and full paths and `sha256_password`, over TCP, TLS or a Unix socket. Behind the
//! login it answers a few statements.
//!
//! Written after the protocol's manual, and sharing no code with the proxy's handshake:
//! it is its judge.
//! <https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html>

mod authentication;
mod leg;
mod packets;
mod script;
mod session;
mod state;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use leg::Leg;
pub use script::{Account, Attempt, Plugin, Script, Way};
use state::{State, lock};

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

//! A server of the benchmark: a child process with a log, on a loopback port of its own.

use std::fs::{self, File};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::client::Client;
use super::error::RelayBenchError;

/// Longest wait for a server that starts.
const START_TIME_MAX: Duration = Duration::from_secs(60);
/// Pause between two tries to log in.
const TRY_INTERVAL: Duration = Duration::from_millis(1);
/// Lines of a log that an error shows.
const LOG_LINES_SHOWN: usize = 12;

/// A running server. Dropping it kills the process: none has anything to keep.
pub struct Server {
    name: &'static str,
    child: Child,
    address: SocketAddr,
    log: PathBuf,
    started: Instant,
}

impl Server {
    /// Starts `command`, which is to take logins on `address`;
    /// what it says goes to a file in `folder`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(
        name: &'static str,
        command: &mut Command,
        address: SocketAddr,
        folder: &Path,
    ) -> Result<Self, RelayBenchError> {
        let log = folder.join(format!("{name}.log"));
        let file = |source| RelayBenchError::File {
            path: log.clone(),
            source,
        };
        let out = File::create(&log).map_err(file)?;
        let error = out.try_clone().map_err(file)?;
        let command = command.stdin(Stdio::null()).stdout(out).stderr(error);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| RelayBenchError::Program {
            program: name.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            name,
            child,
            address,
            log,
            started,
        })
    }

    /// Waits until a client can log in, and tells how long that took from the start of the
    /// process.
    ///
    /// # Errors
    /// The process ends, or nobody can log in for a minute.
    pub fn ready(&mut self) -> Result<Duration, RelayBenchError> {
        loop {
            let tried = Client::login(self.address, None);
            let took = self.started.elapsed();
            let Err(error) = tried else {
                return Ok(took);
            };
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failed(format!("ended with {status}")));
            }
            if took > START_TIME_MAX {
                return Err(self.failed(format!("is not ready: {error}")));
            }
            std::thread::sleep(TRY_INTERVAL);
        }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    fn failed(&self, reason: String) -> RelayBenchError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        RelayBenchError::Server {
            name: self.name,
            reason,
            log: last_lines(&log),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The end of a log.
pub fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.trim_end().lines().collect();
    let first = lines.len().saturating_sub(LOG_LINES_SHOWN);
    lines.get(first..).unwrap_or_default().join("\n")
}

/// A loopback address on which nobody listens.
///
/// # Errors
/// There is no loopback.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind(("127.0.0.1", 0))?.local_addr()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_server_that_ends_is_told_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such option; exit 1"]);
        let address = free_address().unwrap();
        let mut server = Server::start("sh", &mut command, address, folder.path()).unwrap();
        let error = server.ready().unwrap_err().to_string();
        assert!(
            error.contains("exit status: 1") && error.contains("no such option"),
            "{error}"
        );
    }

    #[test]
    fn only_the_end_of_a_long_log_is_shown() {
        let log: String = (0..100).map(|line| format!("{line}\n")).collect();
        let end = last_lines(&log);
        assert!(end.starts_with("88\n") && end.ends_with("\n99"), "{end}");
    }
}

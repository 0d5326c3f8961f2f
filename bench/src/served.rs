//! `predictsql serve` as a process of its own, with a private store: its addresses, its metrics,
//! its memory.

use std::fs::{self, File};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{cpu, relay};

/// Longest wait for it to start or to stop.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Lines of its log that an error shows.
const LOG_LINES_SHOWN: usize = 12;
/// The counter of inferred images.
const IMAGES_INFERRED: &str = "predictsql_images_inferred_total";
/// What resets the peak of a process's memory when written to its `clear_refs` (proc(5)).
const RESET_PEAK: &str = "5";

/// What to start.
#[derive(Debug, Default)]
pub struct Program {
    /// The predictsql binary; `None`: this program itself, which holds the same code.
    pub predictsql: Option<PathBuf>,
    /// The ONNX Runtime library.
    pub ort_library: PathBuf,
    /// Further flags of `serve`.
    pub flags: Vec<String>,
    /// Further variables of its environment.
    pub environment: Vec<(&'static str, String)>,
}

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ServedError {
    /// The proxy did not start or ended early.
    #[error("predictsql: {reason}; the end of its log:\n{log}")]
    Proxy {
        /// What happened.
        reason: String,
        /// Last lines of its log.
        log: String,
    },
    /// Files, sockets, processes.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// A running proxy. Dropping it kills it, and its store with it.
pub struct Proxy {
    child: Child,
    log: PathBuf,
    address: SocketAddr,
    http: SocketAddr,
}

impl Proxy {
    /// Starts it with an embedded store in `data_dir`, and waits until clients may come.
    ///
    /// # Errors
    /// It does not start.
    pub async fn start(
        wanted: &Program,
        folder: &Path,
        data_dir: &Path,
    ) -> Result<Self, ServedError> {
        let program = match &wanted.predictsql {
            Some(program) => program.clone(),
            None => std::env::current_exe()?,
        };
        let log = folder.join("predictsql.log");
        let output = File::create(&log)?;
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("PREDICTSQL_") {
                command.env_remove(name);
            }
        }
        command
            .arg(relay::SERVE)
            .arg(format!("--embedded={}", data_dir.display()))
            .args(["--listen=127.0.0.1:0", "--http=127.0.0.1:0"])
            .args(&wanted.flags)
            .env("PREDICTSQL_ORT_LIB", &wanted.ort_library)
            .envs(wanted.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut proxy = Self {
            child: command.spawn()?,
            log,
            address: unknown,
            http: unknown,
        };
        let started = Instant::now();
        loop {
            let log = fs::read_to_string(&proxy.log)?;
            let said = |mark| address_after(&log, mark);
            if let (Some(address), Some(http)) =
                (said("ready: listening on "), said(" http: listening on "))
            {
                (proxy.address, proxy.http) = (address, http);
                return Ok(proxy);
            }
            if let Some(status) = proxy.child.try_wait()? {
                return Err(proxy.failed(format!("ended with {status}")));
            }
            if started.elapsed() > PATIENCE {
                return Err(proxy.failed("is not ready".to_owned()));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Images that it has run through models so far.
    ///
    /// # Errors
    /// Its metrics cannot be read.
    pub async fn images_inferred(&self) -> Result<u64, ServedError> {
        let mut stream = TcpStream::connect(self.http).await?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            .await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        counter(&text, IMAGES_INFERRED)
            .ok_or_else(|| self.failed(format!("its metrics have no {IMAGES_INFERRED}")))
    }

    /// Seconds of CPU that it has used, to a clock tick; its store is another process.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu_seconds(&self) -> Result<f64, ServedError> {
        Ok(cpu::process_seconds(self.child.id())?)
    }

    /// From here on its peak is counted anew.
    ///
    /// # Errors
    /// The kernel does not let it.
    pub fn forget_peak(&self) -> Result<(), ServedError> {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), RESET_PEAK)?;
        Ok(())
    }

    /// The most memory that it has held, in MiB.
    ///
    /// # Errors
    /// It is gone.
    pub fn peak_rss_mib(&self) -> Result<f64, ServedError> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        peak_mib(&status).ok_or_else(|| self.failed("tells no peak of its memory".to_owned()))
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(mut self) -> Result<(), ServedError> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(io::Error::from)?;
        let asked = Instant::now();
        while self.child.try_wait()?.is_none() {
            if asked.elapsed() > PATIENCE {
                return Err(self.failed("does not stop".to_owned()));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn failed(&self, reason: String) -> ServedError {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.trim_end().lines().collect();
        let first = lines.len().saturating_sub(LOG_LINES_SHOWN);
        ServedError::Proxy {
            reason,
            log: lines.get(first..).unwrap_or_default().join("\n"),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The address that a whole line of the log names after `mark`.
fn address_after(log: &str, mark: &str) -> Option<SocketAddr> {
    let whole = log
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    let mut after = whole.filter_map(|line| line.split_once(mark));
    let (_, address) = after.next()?;
    let end = address.find([',', ' ', '\n'])?;
    address.get(..end)?.parse().ok()
}

fn counter(metrics: &str, name: &str) -> Option<u64> {
    let line = metrics.lines().find(|line| line.starts_with(name))?;
    let value: f64 = line.rsplit(' ').next()?.parse().ok()?;
    Some(value as u64)
}

fn peak_mib(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_proxy_says_is_understood() {
        let log = "2026 INFO serve: http: listening on 127.0.0.1:91\nready: listening on 127.0.0.1:33, store unix:/s\n\
                   ready: listening on 127.0.0.1";
        let port = |mark| address_after(log, mark).map(|address| address.port());
        assert_eq!(port("ready: listening on "), Some(33));
        assert_eq!(port(" http: listening on "), Some(91));
        assert_eq!(
            address_after("ready: listening on 127.0.0.1:3", "listening on "),
            None
        );
        assert_eq!(
            counter("# HELP a_total x\na_total 12\n", "a_total"),
            Some(12)
        );
        assert_eq!(peak_mib("VmPeak:\t 9 kB\nVmHWM:\t    2048 kB\n"), Some(2.0));
    }
}

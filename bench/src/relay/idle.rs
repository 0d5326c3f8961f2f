//! What a connection costs that does nothing, and how long a start takes.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use super::client::Client;
use super::contenders::{CONNECTIONS, Predictsql};
use super::error::RelayBenchError;

/// Connections that are made first, so that what a proxy allocates once is not counted.
const CONNECTIONS_BEFORE: usize = 16;
/// Starts of which the median is told.
const STARTS: usize = 7;

/// Proportional set size that each idle connection adds to a process, up to [`CONNECTIONS`], KiB.
/// Each has logged in and run a statement.
///
/// # Errors
/// A login fails, or the process is gone.
pub fn kib_per_connection(address: SocketAddr, pid: u32) -> Result<f64, RelayBenchError> {
    let open = |count: usize| -> io::Result<Vec<Client>> {
        let one = |_| {
            let mut client = Client::login(address, None)?;
            client.query("SELECT 1")?;
            client.rest();
            Ok(client)
        };
        (0..count).map(one).collect()
    };
    let more = CONNECTIONS - CONNECTIONS_BEFORE;
    let failed = RelayBenchError::client;
    let first = open(CONNECTIONS_BEFORE).map_err(failed("opening connections"))?;
    let before = pss_kib(pid)?;
    let others = open(more).map_err(failed("opening idle connections"))?;
    let after = pss_kib(pid)?;
    drop((first, others));
    Ok((after - before) / more as f64)
}

fn pss_kib(pid: u32) -> Result<f64, RelayBenchError> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = pss.and_then(|pss| pss.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.ok_or_else(|| io::Error::other("smaps_rollup has another format than expected").into())
}

/// Milliseconds from the start of PredictSQL's process to a client's first login through it, in
/// several starts, with the store running.
///
/// # Errors
/// It does not start.
pub fn start_ms(predictsql: &Predictsql, folder: &Path) -> Result<Vec<f64>, RelayBenchError> {
    let one = |_| {
        let took = predictsql.start(folder)?.ready()?;
        Ok(took.as_secs_f64() * 1e3)
    };
    (0..STARTS).map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_process_has_a_size() {
        assert!(pss_kib(std::process::id()).unwrap() > 100.0);
    }
}

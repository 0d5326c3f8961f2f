//! The workloads: sysbench's statements by its own client, and a scan by ours.

use std::fmt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::client::{Client, DATABASE, USER};
use super::contenders::Way;
use super::error::RelayBenchError;
use super::programs;
use super::server::Server;

/// Rows of the only table.
pub const ROWS: u64 = 200_000;
/// About 190 bytes a row.
const SCAN: &str = "SELECT * FROM sbtest1";

/// What is asked of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// `oltp_point_select`: one row by its key.
    PointSelect {
        /// Clients at once.
        threads: u32,
    },
    /// `oltp_read_only`: transactions of 10 point selects and 4 ranges of 100 rows.
    ReadOnly {
        /// Clients at once.
        threads: u32,
    },
    /// One client reads the whole table.
    Scan,
}

impl Workload {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::PointSelect { threads: 8 },
        Self::PointSelect { threads: 32 },
        Self::ReadOnly { threads: 8 },
        Self::ReadOnly { threads: 32 },
        Self::Scan,
    ];
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PointSelect { threads } => write!(f, "point_select_{threads}"),
            Self::ReadOnly { threads } => write!(f, "read_only_{threads}"),
            Self::Scan => f.write_str("scan_200k"),
        }
    }
}

/// What a slice of load came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Done {
    /// Queries answered.
    pub queries: u64,
    /// Queries a second.
    pub rate: f64,
}

/// Makes the load.
#[derive(Debug, Clone, Copy)]
pub struct Load<'a> {
    /// The program.
    pub sysbench: &'a Path,
    /// How long a slice takes.
    pub slice: Duration,
}

impl Load<'_> {
    /// Makes and fills the table, and has the store read it once.
    ///
    /// # Errors
    /// The store refuses.
    pub fn fill(&self, store: &Server) -> Result<(), RelayBenchError> {
        let mut command = self.sysbench("oltp_read_only", store);
        programs::run(command.arg("prepare"))?;
        let failed = RelayBenchError::client;
        let mut client =
            Client::login(store.address(), Some(DATABASE)).map_err(failed("logging in"))?;
        for statement in ["ANALYZE TABLE sbtest1", SCAN] {
            client
                .query(statement)
                .map_err(failed("reading the table"))?;
        }
        Ok(())
    }

    /// One slice of `workload` against `server`.
    ///
    /// # Errors
    /// A statement fails, or a scan does not give every row.
    pub fn run(&self, workload: Workload, server: &Server) -> Result<Done, RelayBenchError> {
        match workload {
            Workload::PointSelect { threads } => self.oltp("oltp_point_select", threads, server),
            Workload::ReadOnly { threads } => self.oltp("oltp_read_only", threads, server),
            Workload::Scan => self.scan(server),
        }
    }

    fn oltp(&self, script: &str, threads: u32, server: &Server) -> Result<Done, RelayBenchError> {
        let mut command = self.sysbench(script, server);
        command
            .arg(format!("--threads={threads}"))
            .arg(format!("--time={}", self.slice.as_secs()))
            .arg("run");
        let said = programs::run(&mut command)?;
        parse(&said).ok_or_else(|| {
            RelayBenchError::Worthless(format!("sysbench had errors, or is not 1.0:\n{said}"))
        })
    }

    /// Prepared statements and all else as sysbench does by default.
    fn sysbench(&self, script: &str, server: &Server) -> Command {
        let address = server.address();
        let mut command = Command::new(self.sysbench);
        command
            .arg(script)
            .arg("--db-driver=mysql")
            .arg(format!("--mysql-host={}", address.ip()))
            .arg(format!("--mysql-port={}", address.port()))
            .arg(format!("--mysql-user={USER}"))
            .arg(format!("--mysql-db={DATABASE}"))
            .arg("--tables=1")
            .arg(format!("--table-size={ROWS}"));
        command
    }

    fn scan(&self, server: &Server) -> Result<Done, RelayBenchError> {
        let failed = RelayBenchError::client;
        let mut client =
            Client::login(server.address(), Some(DATABASE)).map_err(failed("logging in"))?;
        let (begin, mut scans) = (Instant::now(), 0);
        while scans == 0 || begin.elapsed() < self.slice {
            let rows = client.query(SCAN).map_err(failed("scanning"))?;
            if rows != ROWS {
                return Err(RelayBenchError::Worthless(format!(
                    "a scan gave {rows} of {ROWS} rows"
                )));
            }
            scans += 1;
        }
        Ok(Done {
            queries: scans,
            rate: scans as f64 / begin.elapsed().as_secs_f64(),
        })
    }
}

/// What a run of sysbench tells; `None` where it tells of errors, too.
fn parse(said: &str) -> Option<Done> {
    let after = |label: &str| {
        let line = said.lines().find(|line| line.trim().starts_with(label))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    let (queries, per_second) = after("queries:")?.split_once('(')?;
    let errors = after("ignored errors:")?.split_whitespace().next()?;
    if errors != "0" {
        return None;
    }
    Some(Done {
        queries: queries.trim().parse().ok()?,
        rate: per_second.split_whitespace().next()?.parse().ok()?,
    })
}

/// The order of the ways in a round: each is first, middle and last equally often,
/// and each follows each other.
pub fn order(round: usize) -> [Way; 3] {
    let mut ways = Way::ALL;
    ways.rotate_left(round % Way::ALL.len());
    if round % 2 == 1 {
        ways.reverse();
    }
    ways
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SAID: &str = "SQL statistics:\n    queries performed:\n        read:    10\n        total:  16\n    \
        transactions:                        10     (5.00 per sec.)\n    \
        queries:                             16     (8.25 per sec.)\n    \
        ignored errors:                      0      (0.00 per sec.)\n";

    #[test]
    fn sysbench_is_understood() {
        let done = parse(SAID).unwrap();
        assert_eq!((done.queries, done.rate), (16, 8.25));
        assert_eq!(parse(&SAID.replace("0      (", "2      (")), None);
        assert_eq!(parse("FATAL: no"), None);
    }

    #[test]
    fn every_way_has_every_place_equally_often() {
        for way in Way::ALL {
            for place in 0..3 {
                let times = (0..6).filter(|round| order(*round)[place] == way).count();
                assert_eq!(times, 2, "{way} at {place}");
            }
        }
    }
}

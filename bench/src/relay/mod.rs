//! `predictsql-bench relay`: plain SQL through PredictSQL, through HAProxy in TCP mode, and
//! without a proxy, in one run.
//!
//! ```text
//! find programs -> private store, HAProxy, PredictSQL -> starts, idle connections
//!     -> rounds: each workload by each way, in turns -> table, JSON
//! ```
//!
//! Store, clients and proxy share the machine's cores, so what a proxy spends is missing
//! elsewhere: a ratio to direct is that of a machine that has nothing to spare.

pub mod client;
mod contenders;
mod error;
mod idle;
mod load;
pub mod programs;
mod report;
mod rounds;
pub mod server;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use predictsql_proxy::open_files;
use tokio::signal::unix::{SignalKind, signal};

use crate::{cpu, history};
use contenders::{Contenders, Predictsql};
pub use contenders::{SERVE, WORK};
pub use error::RelayBenchError;
use load::{Load, Workload};
use programs::Programs;
use report::{Idle, Report};

/// Flags of `predictsql-bench relay`.
#[derive(Debug, Clone, clap::Args)]
pub struct RelayArgs {
    /// Shorter slices and fewer rounds, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// Rounds [default: 7 with --quick, else 13]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Seconds of one workload by one way in one round [default: 2 with --quick, else 6]
    #[arg(long, value_name = "SECONDS")]
    slice_seconds: Option<u64>,
    /// Measure this workload only; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    only: Vec<String>,
    /// The predictsql binary [default: this program itself, which holds the same code]
    #[arg(long, value_name = "FILE")]
    predictsql: Option<PathBuf>,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(long, value_name = "FILE", default_value = "bench/history/relay.jsonl")]
    history: PathBuf,
}

impl RelayArgs {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 7 } else { 13 })
    }

    fn slice_seconds(&self) -> u64 {
        let default = if self.quick { 2 } else { 6 };
        self.slice_seconds.unwrap_or(default)
    }

    fn workloads(&self) -> Result<Vec<Workload>, RelayBenchError> {
        if self.only.is_empty() {
            return Ok(Workload::ALL.to_vec());
        }
        let known = |name: &String| {
            let found = Workload::ALL.iter().find(|one| one.to_string() == *name);
            found.copied().ok_or_else(|| {
                let names = Workload::ALL.map(|one| one.to_string()).join(", ");
                RelayBenchError::Flag(format!("--only {name}: the workloads are {names}"))
            })
        };
        self.only.iter().map(known).collect()
    }
}

/// Runs the benchmark and prints its result.
///
/// # Errors
/// See [`RelayBenchError`]. Nothing keeps running.
pub fn run(args: &RelayArgs) -> Result<(), RelayBenchError> {
    let workloads = args.workloads()?;
    if args.rounds() == 0 || args.slice_seconds() == 0 {
        return Err(RelayBenchError::Flag(
            "--rounds and --slice-seconds must be greater than 0".to_owned(),
        ));
    }
    let programs = Programs::find()?;
    let interrupted = watch_signals()?;
    open_files::raise_limit(contenders::CONNECTIONS);
    let report = measure(args, &programs, &workloads, &interrupted)?;
    println!("\n{}", report.table());
    if let Some(warning) = report.warning() {
        eprintln!("warning: {warning}");
    }
    let json = report.json();
    if args.save || !args.quick {
        history::append(&args.history, &json)?;
    }
    println!("{json}");
    Ok(())
}

fn measure(
    args: &RelayArgs,
    programs: &Programs,
    workloads: &[Workload],
    interrupted: &AtomicBool,
) -> Result<Report, RelayBenchError> {
    let work_dir = tempfile::tempdir()?;
    let folder = work_dir.path();
    println!("starting the store in {}", folder.display());
    let store = contenders::start_store(programs, folder)?;
    let load = Load {
        sysbench: &programs.sysbench,
        slice: Duration::from_secs(args.slice_seconds()),
    };
    println!("filling a table of {} rows", load::ROWS);
    load.fill(&store)?;
    let program = match &args.predictsql {
        Some(program) => program.clone(),
        None => std::env::current_exe()?,
    };
    let predictsql = Predictsql {
        program,
        store: store.address(),
    };
    let start_ms = idle::start_ms(&predictsql, folder)?;
    let mut contenders = Contenders {
        haproxy: contenders::start_haproxy(programs, store.address(), cpu::cores(), folder)?,
        predictsql: predictsql.start(folder)?,
        direct: store,
    };
    contenders.predictsql.ready()?;
    let idle = Idle {
        predictsql_kib: kib_per_connection(&contenders.predictsql)?,
        haproxy_kib: kib_per_connection(&contenders.haproxy)?,
    };
    if interrupted.load(Relaxed) {
        return Err(RelayBenchError::Interrupted);
    }
    let measured = rounds::measure(&contenders, &load, workloads, args.rounds(), interrupted)?;
    Ok(Report {
        versions: programs.versions(),
        cores: cpu::cores(),
        slice_seconds: args.slice_seconds(),
        series: measured.series,
        repeated: measured.repeated,
        idle,
        start_ms,
    })
}

fn kib_per_connection(server: &server::Server) -> Result<f64, RelayBenchError> {
    idle::kib_per_connection(server.address(), server.pid())
}

/// What is returned becomes true at the first SIGINT or SIGTERM,
/// so that the servers end with this program.
fn watch_signals() -> Result<Arc<AtomicBool>, RelayBenchError> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        )
    };
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn({
            let interrupted = Arc::clone(&interrupted);
            move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                });
                interrupted.store(true, Relaxed);
            }
        })?;
    Ok(interrupted)
}

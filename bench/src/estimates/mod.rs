//! `predictsql-bench estimates`: the seconds that EXPLAIN expects of a statement beside those that
//! it then takes.
//!
//! ```text
//! demo's shop -> for each statement: EXPLAIN, then ANALYZE of the same
//!     cold: without kept outputs; for every COLD_BLOCK statements the proxy starts anew
//!     warm: run once before, with kept outputs                        -> table, JSON
//! ```
//!
//! EXPLAIN comes first, so that it knows nothing of the run that it is compared with. A proxy that
//! has just started has observed nothing and loaded no model; the later statements of a block may
//! find models loaded, and their estimates corrected by the first ones.

mod report;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use predictsql_proxy::demo::dataset;
use serde_json::Value;
use tokio::signal::unix::{SignalKind, signal};

use crate::history;
use crate::served::{Program, Proxy, ServedError};
use report::{Measured, Report};

/// Name of the hidden subcommand that sets the demo's shop up.
pub const DEMO: &str = "demo";

/// The statements, each ended by a semicolon and a line break.
const STATEMENTS: &str = include_str!("statements.sql");
/// Statements between two starts of the proxy while outputs are not kept.
const COLD_BLOCK: usize = 10;
/// With `--quick`, one statement of so many is measured.
const QUICK_STEP: usize = 4;

/// Flags of `predictsql-bench estimates`.
#[derive(Debug, Clone, clap::Args)]
pub struct EstimatesArgs {
    /// A quarter of the statements, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/estimates.jsonl"
    )]
    history: PathBuf,
    /// Data directory of a demo that is set up already [default: a new one]
    #[arg(long, value_name = "DIR")]
    demo_dir: Option<PathBuf>,
    /// Folder that holds zoo.json and the models that it lists
    #[arg(long, value_name = "DIR", default_value = "bench/zoo")]
    zoo: PathBuf,
    /// Folder of the Fashion-MNIST files
    #[arg(long, value_name = "DIR", default_value = dataset::DATASET_DIR)]
    dataset: PathBuf,
    /// The ONNX Runtime library
    #[arg(
        long,
        value_name = "FILE",
        env = "PREDICTSQL_ORT_LIB",
        default_value = ".cache/onnxruntime/libonnxruntime.so"
    )]
    ort_library: PathBuf,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum EstimatesError {
    /// The demo did not set itself up.
    #[error("the demo ended with {status}; the end of its output:\n{output}")]
    Demo {
        /// How it ended.
        status: std::process::ExitStatus,
        /// Its last lines.
        output: String,
    },
    /// The proxy did not start or ended early.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// A statement was refused.
    #[error("{statement}: {source}")]
    Sql {
        /// The statement.
        statement: String,
        /// The answer.
        source: mysql_async::Error,
    },
    /// A plan lacks a figure.
    #[error("no result: {0}")]
    Worthless(String),
    /// SIGINT or SIGTERM.
    #[error("stopped by a signal")]
    Interrupted,
    /// Files, sockets, processes.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Runs the benchmark and prints its result.
///
/// # Errors
/// See [`EstimatesError`]. Nothing keeps running.
pub fn run(args: &EstimatesArgs) -> Result<(), EstimatesError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        tokio::select! {
            measured = measure(args) => measured,
            _ = interrupt.recv() => Err(EstimatesError::Interrupted),
            _ = terminate.recv() => Err(EstimatesError::Interrupted),
        }
    })?;
    println!("\n{}", report.table());
    let json = report.json();
    if args.save || !args.quick {
        history::append(&args.history, &json)?;
    }
    println!("{json}");
    Ok(())
}

async fn measure(args: &EstimatesArgs) -> Result<Report, EstimatesError> {
    let work_dir = tempfile::tempdir()?;
    let data_dir = match &args.demo_dir {
        Some(folder) => folder.clone(),
        None => {
            let folder = work_dir.path().join("data");
            println!("setting the demo up in {}", folder.display());
            set_up(args, work_dir.path(), &folder)?;
            folder
        }
    };
    let program = Program {
        ort_library: args.ort_library.clone(),
        ..Program::default()
    };
    let step = if args.quick { QUICK_STEP } else { 1 };
    let statements: Vec<&str> = statements().into_iter().step_by(step).collect();
    let start = async || Proxy::start(&program, work_dir.path(), &data_dir).await;
    let mut report = Report::default();
    for block in statements.chunks(COLD_BLOCK) {
        let proxy = start().await?;
        let mut conn = connect(&proxy).await?;
        query(&mut conn, "SET @ml_cache = 'off'").await?;
        for statement in block {
            report.cold.push(compare(&mut conn, statement).await?);
        }
        close(conn).await;
        proxy.stop()?;
    }
    let proxy = start().await?;
    let mut conn = connect(&proxy).await?;
    query(&mut conn, "SET @ml_cache = 'on'").await?;
    for statement in &statements {
        conn.query_drop(*statement)
            .await
            .map_err(failed(statement))?;
        report.warm.push(compare(&mut conn, statement).await?);
    }
    close(conn).await;
    proxy.stop()?;
    Ok(report)
}

/// Fills a data directory by the demo, in a process of its own.
fn set_up(args: &EstimatesArgs, folder: &Path, data_dir: &Path) -> Result<(), EstimatesError> {
    let log = folder.join("demo.log");
    let output = File::create(&log)?;
    let status = Command::new(std::env::current_exe()?)
        .args([DEMO, "--exit", "--listen=127.0.0.1:0"])
        .arg("--data-dir")
        .arg(data_dir)
        .arg("--zoo")
        .arg(&args.zoo)
        .arg("--dataset")
        .arg(&args.dataset)
        .env(
            "PREDICTSQL_ORT_LIB",
            std::path::absolute(&args.ort_library)?,
        )
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .status()?;
    if status.success() {
        return Ok(());
    }
    let output = std::fs::read_to_string(&log)?;
    let lines: Vec<&str> = output.lines().collect();
    let last = lines.get(lines.len().saturating_sub(10)..);
    Err(EstimatesError::Demo {
        status,
        output: last.unwrap_or_default().join("\n"),
    })
}

async fn connect(proxy: &Proxy) -> Result<Conn, EstimatesError> {
    let address = proxy.address();
    let opts = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        .user(Some("root"))
        .db_name(Some("shop"))
        .prefer_socket(false);
    Conn::new(opts).await.map_err(failed("connecting"))
}

async fn close(conn: Conn) {
    // The measurements are done.
    let _ = conn.disconnect().await;
}

async fn query(conn: &mut Conn, sql: &str) -> Result<(), EstimatesError> {
    conn.query_drop(sql).await.map_err(failed(sql))
}

fn failed(statement: &str) -> impl FnOnce(mysql_async::Error) -> EstimatesError {
    let statement = statement.to_owned();
    |source| EstimatesError::Sql { statement, source }
}

/// Asks what a statement will take, then has it run.
async fn compare(conn: &mut Conn, statement: &str) -> Result<Measured, EstimatesError> {
    let explained = plan(conn, &format!("EXPLAIN FORMAT=JSON {statement}")).await?;
    let analyzed = plan(conn, &format!("ANALYZE FORMAT=JSON {statement}")).await?;
    let actual = &analyzed["actual"];
    let Some(taken) = actual["seconds"].as_f64() else {
        let reason = format!("ANALYZE tells no seconds of {statement}");
        return Err(EstimatesError::Worthless(reason));
    };
    Ok(Measured {
        statement: statement.to_owned(),
        expected: explained["seconds"]["expected"].as_f64(),
        taken,
        images: actual["images_inferred"].as_u64().unwrap_or(0),
    })
}

async fn plan(conn: &mut Conn, sql: &str) -> Result<Value, EstimatesError> {
    let answer: Option<String> = conn.query_first(sql).await.map_err(failed(sql))?;
    let text = answer.unwrap_or_default();
    serde_json::from_str(&text)
        .map_err(|error| EstimatesError::Worthless(format!("{sql}: {error}: {text}")))
}

/// The statements, without comments.
fn statements() -> Vec<&'static str> {
    let parts = STATEMENTS.split(";\n").map(|part| {
        let mut rest = part.trim_start();
        while let Some((_, after)) = rest.strip_prefix("--").and_then(|c| c.split_once('\n')) {
            rest = after.trim_start();
        }
        rest
    });
    parts.filter(|statement| !statement.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifty_statements_stand_without_their_comments() {
        let statements = statements();
        assert_eq!(statements.len(), 50);
        for statement in statements {
            let verb = statement.split(' ').next();
            assert!(matches!(verb, Some("SELECT" | "WITH")), "{statement}");
            assert!(statement.contains("ml."), "{statement}");
        }
    }
}

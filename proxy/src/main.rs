//! The `predictsql` binary.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use predictsql_executor::{limit_heaps, try_model_if_asked};
use predictsql_proxy::config::ServeArgs;
use predictsql_proxy::demo::{self, DemoArgs};
use predictsql_proxy::embedded::shim;
use predictsql_proxy::init::{self, InitArgs};
use predictsql_proxy::serve;
use predictsql_proxy::worker::{self, WorkerArgs};
use tracing_subscriber::EnvFilter;

/// A MySQL-compatible proxy that answers predictions as SQL.
#[derive(Debug, Parser)]
#[command(name = "predictsql", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Relay MySQL clients to a store and answer their predict statements
    Serve(Box<ServeArgs>),
    /// Show what it does: a small shop with photos, set up and queried
    Demo(Box<DemoArgs>),
    /// Run models for proxies and other clients, over gRPC
    Worker(Box<WorkerArgs>),
    /// Set up the catalog and the service account in a store
    Init(Box<InitArgs>),
}

fn main() -> ExitCode {
    // Before anything else, and before any thread exists.
    forbid_telemetry();
    limit_heaps();
    if let Some(code) = shim::run_if_asked().or_else(try_model_if_asked) {
        return code;
    }
    let cli = Cli::parse();
    log_to_stderr(match cli.command {
        // The demo prints its own progress.
        Command::Demo(_) => "warn",
        _ => "info",
    });
    let done: Result<ExitCode, Box<dyn std::error::Error>> = match cli.command {
        Command::Serve(args) => serve::run(&args)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
        Command::Worker(args) => worker::run(&args)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
        Command::Init(args) => run_init(&args).map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => demo::run(&args).map_err(Into::into),
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("predictsql: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Disables telemetry of ONNX Runtime. Builds with telemetry start it when the library is loaded,
/// write the data to be sent below the user's folders, and only this variable prevents it: calls
/// into the library come too late.
#[allow(
    unsafe_code,
    reason = "the environment can be set in no other way, and only before there are threads"
)]
fn forbid_telemetry() {
    // SAFETY: `main` calls it first, when there is no other thread that could read the
    // environment.
    unsafe { std::env::set_var("ORT_DISABLE_TELEMETRY", "1") }
}

fn run_init(args: &InitArgs) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(init::run(args))?)
}

/// Logs messages of at least `level`, unless the environment sets another filter.
fn log_to_stderr(level: &str) {
    let filter = EnvFilter::try_from_env("PREDICTSQL_LOG").unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        // Internal errors would be written to the same place by a macro that panics if standard
        // error is closed.
        .log_internal_errors(false)
        .init();
}

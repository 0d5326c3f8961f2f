//! `predictsql-bench`: the benchmarks of PredictSQL, one subcommand each.
//!
//! Each compares what is measured with a yardstick in the same run, round by round, since absolute
//! figures do not travel from one machine to another. The last line on stdout is one JSON object.

mod cpu;
mod decode;
mod estimates;
mod fairness;
mod history;
mod objects;
mod photo;
mod plan;
mod predict;
mod relay;
mod repository;
mod selection;
mod semantics;
mod served;
mod soak;
mod statistics;
mod workers;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use decode::DecodeArgs;
use estimates::EstimatesArgs;
use fairness::FairnessArgs;
use objects::ObjectsArgs;
use plan::PlanArgs;
use predict::{PredictArgs, bare};
use predictsql_executor::try_model_if_asked;
use predictsql_proxy::config::ServeArgs;
use predictsql_proxy::demo::{self, DemoArgs};
use predictsql_proxy::embedded::shim;
use predictsql_proxy::serve;
use predictsql_proxy::worker::{self, WorkerArgs};
use relay::RelayArgs;
use selection::SelectionArgs;
use semantics::SemanticsArgs;
use soak::SoakArgs;
use tracing_subscriber::EnvFilter;
use workers::WorkersArgs;

/// Benchmarks of PredictSQL; the last line that each prints is its result as JSON.
#[derive(Debug, Parser)]
#[command(name = "predictsql-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Images a second end to end through SQL, beside bare loops over ONNX Runtime
    Predict(PredictArgs),
    /// The bare loop, on orders from `predict`
    #[command(name = bare::COMMAND, hide = true)]
    BareLoop(bare::BareArgs),
    /// The seconds that EXPLAIN expects, beside those that statements take
    Estimates(EstimatesArgs),
    /// The demo's set-up, for `estimates`
    #[command(name = estimates::DEMO, hide = true)]
    Demo(DemoArgs),
    /// Large JPEGs decoded to a part of their size, beside the same ones decoded whole
    Decode(DecodeArgs),
    /// A statement of one image, alone and beside statements of many
    Fairness(FairnessArgs),
    /// Images of an S3 server that takes its time, beside the same ones as local files
    Objects(ObjectsArgs),
    /// Time to plan model choice, and how far plans are from the best known
    Plan(PlanArgs),
    /// Plain SQL through PredictSQL, beside HAProxy and no proxy
    Relay(RelayArgs),
    /// What choosing among models gains, on numbers and on the real zoo
    Selection(SelectionArgs),
    /// A prediction as a column of many rows, beside a stored column
    Semantics(SemanticsArgs),
    /// Mixed load with kills: what must hold holds, and the memory does not grow
    Soak(SoakArgs),
    /// The same images by one worker, by two, and without workers
    Workers(WorkersArgs),
    /// PredictSQL itself, as `predictsql serve`, for `relay` and `semantics`
    #[command(name = relay::SERVE, hide = true)]
    Serve(Box<ServeArgs>),
    /// The same as `predictsql worker`, for `workers`
    #[command(name = relay::WORK, hide = true)]
    Work(Box<WorkerArgs>),
}

fn main() -> ExitCode {
    // Before anything else, and before any thread exists: the embedded store starts through it,
    // and models are tried.
    if let Some(code) = shim::run_if_asked().or_else(try_model_if_asked) {
        return code;
    }
    let cli = Cli::parse();
    log_to_stderr(match cli.command {
        Command::Serve(_) | Command::Work(_) => "info",
        _ => "warn",
    });
    let done: Result<(), Box<dyn std::error::Error>> = match cli.command {
        Command::Estimates(args) => estimates::run(&args).map_err(Into::into),
        Command::Demo(args) => match demo::run(&args) {
            Ok(code) => return code,
            Err(error) => Err(error.into()),
        },
        Command::Predict(args) => predict::run(&args).map_err(Into::into),
        Command::Decode(args) => decode::run(&args).map_err(Into::into),
        Command::Fairness(args) => fairness::run(&args).map_err(Into::into),
        Command::BareLoop(args) => bare::run(&args).map_err(Into::into),
        Command::Objects(args) => objects::run(&args).map_err(Into::into),
        Command::Plan(args) => plan::run(&args).map_err(Into::into),
        Command::Relay(args) => relay::run(&args).map_err(Into::into),
        Command::Selection(args) => selection::run(&args).map_err(Into::into),
        Command::Semantics(args) => semantics::run(&args).map_err(Into::into),
        Command::Soak(args) => soak::run(&args).map_err(Into::into),
        Command::Serve(args) => serve::run(&args).map_err(Into::into),
        Command::Work(args) => worker::run(&args).map_err(Into::into),
        Command::Workers(args) => workers::run(&args).map_err(Into::into),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("predictsql-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Logs from `level` on, unless the environment says otherwise.
fn log_to_stderr(level: &str) {
    let filter = EnvFilter::try_from_env("PREDICTSQL_LOG").unwrap_or_else(|_| level.into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
}

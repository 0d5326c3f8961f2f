//! `predictsql worker`: an executor served over gRPC, to proxies and to other clients of the Open
//! Inference Protocol.

mod args;
mod metrics;
mod settings;

use crate::config::ConfigError;
use crate::http::{self, Observed};
use crate::stop::{self, StopTime};
use metrics::metrics_text;
use predictsql_executor::{Executor, StartError, Worker, WorkerError};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use args::WorkerArgs;
use settings::Settings;

/// Why a worker cannot run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Invalid settings.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {listen}: {source}")]
    Listen {
        /// The requested address.
        listen: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The executor cannot be started.
    #[error(transparent)]
    Executor(#[from] StartError),
    /// The service cannot be offered.
    #[error(transparent)]
    Serve(#[from] WorkerError),
    /// An error of threads, signals or files.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// Loads the settings, serves until SIGTERM or SIGINT, answers the requests under way, and stops.
///
/// # Errors
/// See [`RunError`].
pub fn run(args: &WorkerArgs) -> Result<(), RunError> {
    let settings = Settings::load(args)?;
    // One thread receives requests and sends answers; the executor's threads do the work.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stopping = CancellationToken::new();
    stop::on_signals(stopping.clone())?;
    runtime.block_on(serve(settings, stopping))
}

async fn serve(settings: Settings, stopping: CancellationToken) -> Result<(), RunError> {
    let listen = settings.listen;
    let failed = |source| RunError::Listen { listen, source };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() && !settings.checks_clients() {
        tracing::warn!(
            "whoever can connect to {address} can run models, and read images below the image roots: let in only \
             clients with a certificate (--tls-client-ca), or only proxies by the network's rules"
        );
    }
    let executor = Executor::new(settings.executor)?;
    let worker = Worker::new(executor, settings.worker, stopping.clone());
    let http = settings.http.bind("http");
    let http = http.map_err(|(listen, source)| RunError::Listen { listen, source })?;
    if let Some(listener) = http {
        let observed = Arc::new(WorkerStatus(worker.clone()));
        tokio::spawn(http::serve(TcpListener::from_std(listener)?, observed));
    }
    let serving = worker.clone().serve(listener);
    // An error is ignored: standard output may be closed.
    let _ = writeln!(io::stdout(), "ready: worker listening on {address}");
    let mut serving = Box::pin(serving);
    tokio::select! {
        served = &mut serving => served?,
        () = stopping.cancelled() => {
            // Also a thread that hangs in a model does not keep the process.
            std::mem::forget(StopTime::begin(settings.stop_time_max).watch(Duration::ZERO));
            drain(serving, &worker, settings.stop_time_max).await?;
        }
    }
    Ok(())
}

/// Lets the requests under way end, for a time.
async fn drain(
    serving: impl Future<Output = Result<(), WorkerError>>,
    worker: &Worker,
    time_max: Duration,
) -> Result<(), RunError> {
    match timeout(time_max, serving).await {
        Ok(served) => served?,
        Err(_) => {
            let requests = worker.requests();
            tracing::warn!(requests, "stopped before all requests were answered");
        }
    }
    Ok(())
}

/// What the HTTP endpoint of a worker shows.
struct WorkerStatus(Worker);

impl Observed for WorkerStatus {
    fn metrics_text(&self) -> String {
        metrics_text(&self.0)
    }

    async fn not_ready(&self) -> Option<String> {
        let stopping = !self.0.is_ready();
        stopping.then(|| "the worker is stopping".to_owned())
    }
}

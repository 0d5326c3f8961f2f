//! `predictsql demo`: a small shop with photos, predicted by the models of `bench/zoo`.
//!
//! The demo is an ordinary client: it starts a proxy with an embedded store in its own process,
//! and then sets everything up by SQL through the proxy's port. Completed steps are kept for the
//! next start; an interrupted step is repeated.

pub mod dataset;
mod drill_down;
mod error;
mod evaluate;
pub mod pictures;
mod progress;
mod queries;
pub mod shop;
pub mod zoo;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use mysql_async::{Conn, OptsBuilder};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, StoreConfig};
use crate::serve::Server;
use crate::stop;
use dataset::Split;
pub use error::DemoError;

/// Number of training images in the table `labelled`: images that were not used to train any
/// model.
const LABELLED: usize = 10_000;

/// Flags of `predictsql demo`.
#[derive(Debug, Clone, clap::Args)]
pub struct DemoArgs {
    /// Directory of the demo's store, images and models; made where missing
    #[arg(long, value_name = "DIR", default_value = "./predictsql-data")]
    pub data_dir: PathBuf,
    /// Address for MySQL clients
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3307")]
    pub listen: SocketAddr,
    /// Folder that holds zoo.json and the models that it lists
    #[arg(long, value_name = "DIR", default_value = "bench/zoo")]
    pub zoo: PathBuf,
    /// Folder of the Fashion-MNIST files
    #[arg(long, value_name = "DIR", default_value = dataset::DATASET_DIR)]
    pub dataset: PathBuf,
    /// Stop after the queries instead of serving on
    #[arg(long, env = "DEMO_EXIT", value_parser = FalseyValueParser::new())]
    pub exit: bool,
}

/// Sets the demo up, runs its queries, and serves until SIGINT or SIGTERM. The exit code is a
/// failure if a query failed.
///
/// # Errors
/// See [`DemoError`]. The proxy and its store are stopped in this case.
pub fn run(args: &DemoArgs) -> Result<ExitCode, DemoError> {
    // Check for missing files before anything is started.
    let models = zoo::read(&args.zoo)?;
    let test = Split::read(&args.dataset, "t10k")?;
    let labelled = Split::read(&args.dataset, "train")?.last(LABELLED);

    println!(
        "starting the proxy and its store in {} (the first time takes some seconds)",
        args.data_dir.display()
    );
    let data_dir = args.data_dir.clone();
    let mut config = Config::new(StoreConfig::Embedded { data_dir });
    config.listen = args.listen;
    let server = Server::start(config)?;
    let stopping = CancellationToken::new();
    stop::on_signals(stopping.clone())?;

    let show = Show {
        proxy: server.address(),
        images: args.data_dir.join("images"),
        model_root: args.data_dir.join("models"),
        args: args.clone(),
        models,
        test,
        labelled,
    };
    let executor = server.lane().executor.clone();
    let shown = std::thread::Builder::new().name("demo".to_owned()).spawn({
        let stopping = stopping.clone();
        move || {
            let result = show.run(|| executor.images_inferred());
            // Stopped meanwhile: resulting errors are not reported.
            let interrupted = stopping.is_cancelled();
            if show.args.exit || result.is_err() {
                stopping.cancel();
            }
            (result, interrupted)
        }
    })?;
    server.run(stopping)?;
    println!("stopped");
    match shown.join() {
        // Stopped by the user: the normal end of serving, but not of running the queries.
        Ok((_, true)) if !args.exit => Ok(ExitCode::SUCCESS),
        Ok((Ok(0), false)) => Ok(ExitCode::SUCCESS),
        Ok((Ok(_), _)) => Ok(ExitCode::FAILURE),
        Ok((Err(error), _)) => Err(error),
        Err(_panic) => Ok(ExitCode::FAILURE),
    }
}

/// State of the demo's client side.
struct Show {
    proxy: SocketAddr,
    images: PathBuf,
    model_root: PathBuf,
    args: DemoArgs,
    models: Vec<zoo::ZooModel>,
    test: Split,
    labelled: Split,
}

impl Show {
    /// Sets up and runs the queries; returns how many failed.
    fn run(&self, images_inferred: impl Fn() -> u64) -> Result<usize, DemoError> {
        println!("setting up (what is there already is kept)");
        pictures::write_all(&self.images, "test", &self.test)?;
        pictures::write_all(&self.images, "labelled", &self.labelled)?;
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?
            .block_on(self.set_up())?;
        let mut failed = queries::run_all(self.proxy, images_inferred)?;
        failed += usize::from(!drill_down::run(self.proxy, &mut io::stdout().lock())?);
        self.say_goodbye(failed)?;
        Ok(failed)
    }

    async fn set_up(&self) -> Result<(), DemoError> {
        let options = OptsBuilder::default()
            .ip_or_hostname(self.proxy.ip().to_string())
            .tcp_port(self.proxy.port())
            // Otherwise the client library would connect to the store's own socket, bypassing the
            // proxy.
            .prefer_socket(false)
            .user(Some("root"));
        let connecting = DemoError::sql("connecting to the proxy");
        let mut conn = Conn::new(options).await.map_err(connecting)?;
        shop::create(&mut conn, &self.test, &self.labelled).await?;
        zoo::create(&mut conn, &self.args.zoo, &self.models, &self.model_root).await?;
        evaluate::run(&mut conn).await?;
        let closing = DemoError::sql("closing the connection");
        conn.disconnect().await.map_err(closing)
    }

    fn say_goodbye(&self, failed: usize) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if failed > 0 {
            writeln!(out, "\n{failed} of the queries failed")?;
        }
        if self.args.exit {
            return Ok(());
        }
        writeln!(out, "\nServing on {}. Connect with", self.proxy)?;
        writeln!(out, "\n    {}\n", queries::client_command(self.proxy))?;
        writeln!(out, "press Ctrl-C to stop")?;
        out.flush()
    }
}

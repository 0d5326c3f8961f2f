//! `predictsql-bench predict`: images a second end to end through SQL, beside a bare loop over
//! ONNX Runtime and a short Python script, on the same files with the same model and threads.
//!
//! ```text
//! set up (store, proxy, PNG files, model) -> calibrate the loops
//!     -> rounds: sql, bare, python, ... -> labels must agree -> table, JSON
//! ```
//!
//! The contenders take turns, in an order that changes from round to round, so that what else the
//! machine does weighs on all of them alike.

pub mod bare;
mod calibrate;
mod child;
mod error;
mod job;
mod report;
mod rounds;
mod shop;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use predictsql_executor::Executor;
use predictsql_proxy::config::{Config, StoreConfig};
use predictsql_proxy::demo::dataset::{self, Split};
use predictsql_proxy::demo::{pictures, zoo};
use predictsql_proxy::predict::CacheMode;
use predictsql_proxy::serve::Server;
use tokio_util::sync::CancellationToken;

use crate::history;
use child::LoopProcess;
pub use error::BenchError;
use job::Job;
use report::Report;
use rounds::Contenders;
use shop::Shop;

/// The nice value that the executor gives its threads: the loops run with the same, so that other
/// work on the machine takes as much from them.
const NICE: i32 = 5;
/// The library that `scripts/setup.sh` fetches.
const LIBRARY_DEFAULT: &str = ".cache/onnxruntime/libonnxruntime.so";
/// The Python that `scripts/setup.sh` makes.
const PYTHON_DEFAULT: &str = ".cache/venv/bin/python";

/// Flags of `predictsql-bench predict`.
#[derive(Debug, Clone, clap::Args)]
pub struct PredictArgs {
    /// Fewer and shorter rounds, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// Rounds of each contender [default: 5 with --quick, else 11]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Seconds that a round should take [default: 4 with --quick, else 8]
    #[arg(long, value_name = "SECONDS")]
    round_seconds: Option<f64>,
    /// A model of the zoo that reads grey images
    #[arg(long, value_name = "NAME", default_value = "apparel_large")]
    model: String,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/predict.jsonl"
    )]
    history: PathBuf,
    /// Folder that holds zoo.json and the models that it lists
    #[arg(long, value_name = "DIR", default_value = "bench/zoo")]
    zoo: PathBuf,
    /// Folder of the Fashion-MNIST files
    #[arg(long, value_name = "DIR", default_value = dataset::DATASET_DIR)]
    dataset: PathBuf,
    /// The ONNX Runtime library
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_ORT_LIB", default_value = LIBRARY_DEFAULT)]
    ort_library: PathBuf,
    /// A Python that has onnxruntime, Pillow and NumPy (bench/python/requirements.txt)
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_TEST_PYTHON", default_value = PYTHON_DEFAULT)]
    python: PathBuf,
    /// The loop in Python
    #[arg(long, value_name = "FILE", default_value = "bench/python/bare_loop.py")]
    python_loop: PathBuf,
}

impl PredictArgs {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 5 } else { 11 })
    }

    fn round_seconds(&self) -> f64 {
        let default = if self.quick { 4.0 } else { 8.0 };
        self.round_seconds.unwrap_or(default)
    }
}

/// Runs the benchmark and prints its result.
///
/// # Errors
/// See [`BenchError`]. Nothing keeps running.
pub fn run(args: &PredictArgs) -> Result<(), BenchError> {
    if args.rounds() == 0
        || args.round_seconds().partial_cmp(&0.0) != Some(std::cmp::Ordering::Greater)
    {
        return Err(BenchError::Flag(
            "--rounds and --round-seconds must be greater than 0".to_owned(),
        ));
    }
    let model = chosen_model(args)?;
    let test = Split::read(&args.dataset, "t10k")?;
    let work_dir = tempfile::tempdir()?;
    let data_dir = work_dir.path().join("data");
    println!("starting the proxy and its store in {}", data_dir.display());
    let mut config = Config::new(StoreConfig::Embedded {
        data_dir: data_dir.clone(),
    });
    config.listen.set_port(0);
    config.executor.ort_library = Some(args.ort_library.clone());
    // Every round is to run the model.
    config.cache.mode = CacheMode::Off;
    let threads = config.executor.threads;
    let server = Server::start(config)?;
    let stopping = CancellationToken::new();
    predictsql_proxy::stop::on_signals(stopping.clone())?;
    let bench = Bench {
        args: args.clone(),
        model,
        test,
        data_dir,
        threads,
        proxy: server.address(),
        executor: server.lane().executor.clone(),
    };
    let measured = std::thread::Builder::new()
        .name("bench".to_owned())
        .spawn({
            let stopping = stopping.clone();
            move || {
                let _stop_at_the_end = stopping.drop_guard();
                bench.run()
            }
        })?;
    server.run(stopping)?;
    let report = measured
        .join()
        .map_err(|_| BenchError::Worthless("the benchmark's thread died".to_owned()))??;
    publish(args, &report)
}

/// Prints the report, last the JSON line, and adds it to the history where asked.
fn publish(args: &PredictArgs, report: &Report) -> Result<(), BenchError> {
    println!("\n{}", report.table());
    if let Some(doubt) = report.doubt() {
        return Err(BenchError::Worthless(doubt));
    }
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

fn chosen_model(args: &PredictArgs) -> Result<zoo::ZooModel, BenchError> {
    let models = zoo::read(&args.zoo)?;
    let names: Vec<_> = models.iter().map(|model| model.name.clone()).collect();
    let wanted = |model: &zoo::ZooModel| {
        model.name == args.model
            && model.channels == 1
            && model.size == (dataset::SIDE, dataset::SIDE)
    };
    models.into_iter().find(wanted).ok_or_else(|| {
        BenchError::Flag(format!(
            "--model {}: the zoo has {}",
            args.model,
            names.join(", ")
        ))
    })
}

/// All that the client side needs.
struct Bench {
    args: PredictArgs,
    model: zoo::ZooModel,
    test: Split,
    data_dir: PathBuf,
    threads: usize,
    proxy: std::net::SocketAddr,
    executor: Executor,
}

impl Bench {
    fn run(&self) -> Result<Report, BenchError> {
        let image_root = self.data_dir.join("images");
        pictures::write_all(&image_root, shop::IMAGE_FOLDER, &self.test)?;
        let mut shop = Shop::connect(self.proxy, self.executor.clone(), &self.data_dir)?;
        shop.create_model(&self.args.zoo, &self.model, &self.data_dir.join("models"))?;
        let job = self.write_job(&image_root)?;
        let mut bare = LoopProcess::start("bare", bare_command(&job)?)?;
        let mut python = self.start_python(&job)?;
        let bare_order = calibrate::fastest_bare(&mut bare)?;
        let python_order = python.as_mut().map(calibrate::fastest_python).transpose()?;
        let images = calibrate::images_of(bare_order.images_per_s, self.args.round_seconds());
        shop.fill(images, self.test.count())?;
        let contenders = Contenders {
            shop,
            bare: (bare, bare_order.order(images)),
            python: python.zip(python_order.map(|fastest| fastest.order(images))),
            model: &self.model,
            images,
        };
        let measured = contenders.measure(self.args.rounds())?;
        Ok(Report {
            model: self.model.name.clone(),
            images,
            threads: self.threads,
            sql: measured.sql,
            bare: measured.bare,
            python: measured.python,
            bare_order: bare_order.order(images),
            python_agrees: measured.python_agrees,
        })
    }

    fn write_job(&self, image_root: &Path) -> Result<PathBuf, BenchError> {
        let one = |values: &[f64]| values.first().copied().unwrap_or_default();
        let job = Job {
            library: self.args.ort_library.clone(),
            model: self.args.zoo.join(&self.model.file),
            size: self.model.size,
            mean: one(&self.model.mean),
            std: one(&self.model.std),
            images: shop::image_paths(image_root, self.test.count()),
            threads: self.threads,
            nice: NICE,
        };
        let path = self.data_dir.join("job.json");
        std::fs::write(&path, serde_json::to_vec(&job)?)?;
        Ok(path)
    }

    /// The loop in Python; none, and a word about it, where Python cannot run it.
    fn start_python(&self, job: &Path) -> Result<Option<LoopProcess>, BenchError> {
        let PredictArgs {
            python,
            python_loop,
            ..
        } = &self.args;
        let imports = Command::new(python)
            .args(["-c", "import numpy, onnxruntime, PIL"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !imports.is_ok_and(|status| status.success()) {
            println!(
                "python: not measured, since {0} cannot import onnxruntime, numpy and PIL \
                 (scripts/setup.sh bench installs them)",
                python.display()
            );
            return Ok(None);
        }
        let mut command = Command::new(python);
        command.arg(python_loop).arg(job);
        LoopProcess::start("python", command).map(Some)
    }
}

fn bare_command(job: &Path) -> Result<Command, BenchError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(bare::COMMAND).arg(job);
    Ok(command)
}

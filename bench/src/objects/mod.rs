//! `predictsql-bench objects`: images of an S3 server where each request takes a while, beside the
//! same number of images on the local disk, both for the first time and with default settings.
//!
//! ```text
//! S3 server (waits), private store, proxy -> one model, images -> rounds: remote, local, ...
//!     -> the remote images once more, of which the outputs are kept -> table, JSON
//! ```

mod server;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use predictsql_proxy::demo::dataset::{self, Split};
use predictsql_proxy::demo::{DemoError, pictures, zoo};
use serde_json::{Value, json};

use crate::history;
use crate::served::{Program, Proxy, ServedError};
use crate::statistics::Summary;
use server::{KEY, Server};

/// The bucket, and the folder of the images within it and below the local root.
const BUCKET: &str = "photos";
const FOLDER: &str = "test";

/// Flags of `predictsql-bench objects`.
#[derive(Debug, Clone, clap::Args)]
pub struct ObjectsArgs {
    /// Fewer and smaller rounds, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// Rounds of remote and of local images [default: 3 with --quick, else 5]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Images of each place in a round
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    images: usize,
    /// Time that the server waits before each answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 30)]
    delay_ms: u64,
    /// A model of the zoo that reads grey images
    #[arg(long, value_name = "NAME", default_value = "apparel_nano")]
    model: String,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/objects.jsonl"
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
    /// The predictsql binary [default: this program itself, which holds the same code]
    #[arg(long, value_name = "FILE")]
    predictsql: Option<PathBuf>,
}

impl ObjectsArgs {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 5 })
    }

    /// Images of all rounds and places.
    fn wanted(&self) -> usize {
        2 * self.images * self.rounds()
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum ObjectsError {
    /// A flag cannot be followed.
    #[error("{0}")]
    Flag(String),
    /// Images or models could not be set up.
    #[error(transparent)]
    SetUp(#[from] DemoError),
    /// The proxy did not start or ended early.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// A statement was refused.
    #[error("{0}")]
    Sql(#[from] mysql_async::Error),
    /// The result would be worth nothing.
    #[error("no result: {0}")]
    Worthless(String),
    /// Files and sockets.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// Images a second of one statement over each place, both new to the proxy.
#[derive(Debug, Clone, Copy)]
struct Round {
    remote: f64,
    local: f64,
}

/// Runs the benchmark and prints its result.
///
/// # Errors
/// See [`ObjectsError`]. Nothing keeps running.
pub fn run(args: &ObjectsArgs) -> Result<(), ObjectsError> {
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

async fn measure(args: &ObjectsArgs) -> Result<Value, ObjectsError> {
    let work_dir = tempfile::tempdir()?;
    let buckets = work_dir.path().join("buckets");
    let local = work_dir.path().join("local");
    write_images(args, &[&buckets.join(BUCKET), &local])?;
    let server = Server::start(&buckets, Duration::from_millis(args.delay_ms))?;
    let data_dir = work_dir.path().join("data");
    let proxy = Proxy::start(&program(args, &server, &local), work_dir.path(), &data_dir).await?;
    let mut conn = connect(&proxy).await?;
    fill(&mut conn, args, &data_dir.join("models")).await?;
    let mut rounds = Vec::new();
    for number in 0..args.rounds() {
        let round = round(&mut conn, args.images, number).await?;
        println!(
            "{:.0} images/s remote, {:.0} local",
            round.remote, round.local
        );
        rounds.push(round);
    }
    let requests = server.requests();
    let kept = speed(&mut conn, &remote_root(), (0, args.images)).await?;
    // How the connection ends changes nothing.
    let _ = conn.disconnect().await;
    proxy.stop()?;
    Ok(report(args, &rounds, kept, requests))
}

/// Writes the images of all rounds below each root. What the one place has answered is found by
/// content, so the other has images of its own.
fn write_images(args: &ObjectsArgs, roots: &[&Path]) -> Result<(), ObjectsError> {
    let wanted = args.wanted();
    let images = Split::read(&args.dataset, "t10k")?.last(wanted);
    if wanted == 0 || images.count() < wanted {
        return Err(ObjectsError::Flag(format!(
            "--images, --rounds: the dataset has {} images, and {wanted} are needed",
            images.count()
        )));
    }
    for root in roots {
        std::fs::create_dir_all(root)?;
        pictures::write_all(root, FOLDER, &images)?;
    }
    Ok(())
}

/// Makes the model known, and a table of the paths.
async fn fill(conn: &mut Conn, args: &ObjectsArgs, models: &Path) -> Result<(), ObjectsError> {
    let wanted: Vec<_> = (zoo::read(&args.zoo)?.into_iter())
        .filter(|model| model.name == args.model)
        .collect();
    if wanted.is_empty() {
        return Err(ObjectsError::Flag(
            "--model: the zoo has no such model".into(),
        ));
    }
    zoo::create(conn, &args.zoo, &wanted, models).await?;
    for sql in ["CREATE DATABASE bench", "USE bench"] {
        conn.query_drop(sql).await?;
    }
    let last = args.wanted();
    conn.query_drop(format!(
        "CREATE TABLE photos (id INT PRIMARY KEY, path VARCHAR(100)) \
         SELECT seq AS id, CONCAT('{FOLDER}/', LPAD(seq, 5, '0'), '.png') AS path FROM seq_1_to_{last}"
    ))
    .await?;
    Ok(())
}

/// A statement over each place. Whoever is first finds other caches: in turns.
async fn round(conn: &mut Conn, images: usize, number: usize) -> Result<Round, ObjectsError> {
    let root = remote_root();
    let (first, second) = (2 * number * images, (2 * number + 1) * images);
    let (a, b) = ((first, second), (second, second + images));
    if number.is_multiple_of(2) {
        let remote = speed(conn, &root, a).await?;
        let local = speed(conn, "", b).await?;
        return Ok(Round { remote, local });
    }
    let local = speed(conn, "", b).await?;
    let remote = speed(conn, &root, a).await?;
    Ok(Round { remote, local })
}

fn report(args: &ObjectsArgs, rounds: &[Round], kept: f64, requests: (u64, u64)) -> Value {
    let of = |of: fn(&Round) -> f64| {
        let values: Vec<f64> = rounds.iter().map(of).collect();
        Summary::of(&values).map_or([f64::NAN; 3], |s| [s.low, s.median, s.high])
    };
    let [low, remote, high] = of(|round| round.remote).map(f64::round);
    let [_, local, _] = of(|round| round.local);
    let [_, ratio, _] = of(|round| round.remote / round.local);
    let per_image = |requests: u64| {
        let read = (rounds.len() * args.images) as f64;
        (requests as f64 / read * 100.0).round() / 100.0
    };
    json!({
        "benchmark": "objects",
        "model": args.model,
        "delay_ms": args.delay_ms,
        "images_per_round": args.images,
        "rounds": rounds.len(),
        "images_per_s_remote": remote,
        "images_per_s_remote_by_round": [low, remote, high],
        "images_per_s_local": local.round(),
        "ratio_to_local": (ratio * 1e3).round() / 1e3,
        "images_per_s_kept": kept.round(),
        "requests_per_image": per_image(requests.0),
        "heads_per_image": per_image(requests.1),
    })
}

fn remote_root() -> String {
    format!("s3://{BUCKET}/")
}

fn program(args: &ObjectsArgs, server: &Server, local: &Path) -> Program {
    Program {
        predictsql: args.predictsql.clone(),
        ort_library: args.ort_library.clone(),
        flags: vec![
            format!("--image-root={}", local.display()),
            format!("--image-root={}", remote_root()),
        ],
        environment: vec![
            ("AWS_ACCESS_KEY_ID", KEY.0.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", KEY.1.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", format!("http://{}", server.address)),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ],
    }
}

async fn connect(proxy: &Proxy) -> Result<Conn, ObjectsError> {
    let address = proxy.address();
    let options = OptsBuilder::default()
        .ip_or_hostname(address.ip().to_string())
        .tcp_port(address.port())
        // The client library would otherwise go on to the store's own socket, past the proxy.
        .prefer_socket(false)
        .user(Some("root"));
    Ok(Conn::new(options).await?)
}

/// Images a second of a statement over the images after `first`, up to `last`, below a root.
async fn speed(
    conn: &mut Conn,
    root: &str,
    (first, last): (usize, usize),
) -> Result<f64, ObjectsError> {
    let sql = format!(
        "SELECT COUNT(ml.predict('apparel', CONCAT('{root}', path))) FROM photos \
         WHERE id > {first} AND id <= {last}"
    );
    let begin = Instant::now();
    let counted: Option<usize> = conn.query_first(sql).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let images = last - first;
    match counted == Some(images) {
        true => Ok(images as f64 / seconds),
        false => Err(ObjectsError::Worthless(format!(
            "{counted:?} of {images} images were answered"
        ))),
    }
}

//! `predictsql-bench semantics`: what a prediction as a column costs, on a table where few inputs come in
//! many rows, beside a stored column in the same run.
//!
//! ```text
//! private store, proxy -> images, model, 1,000,000 rows -> first run -> store its labels as a column
//!     -> rounds: predicted, stored, ... -> many distinct tabular inputs, memory -> table, JSON
//! ```
//!
//! The proxy is a process of its own, so that its memory is the proxy's alone.

mod error;
mod proxy;
mod report;
mod shop;

use std::path::PathBuf;

use predictsql_proxy::demo::dataset::{self, Split};
use predictsql_proxy::demo::{pictures, zoo};
use tokio::signal::unix::{SignalKind, signal};

use crate::history;
pub use error::SemanticsError;
use proxy::Proxy;
use report::{Report, Round};
use shop::Shop;

/// Folder of the images below the image root.
const IMAGE_FOLDER: &str = "test";

/// Flags of `predictsql-bench semantics`.
#[derive(Debug, Clone, clap::Args)]
pub struct SemanticsArgs {
    /// Fewer rounds, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// Rounds of the statement and of its yardstick [default: 5 with --quick, else 11]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Rows of the table of photos
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    rows: usize,
    /// Distinct photos in them, at most the images of the dataset
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    images: usize,
    /// Rows of the table of numbers, all different
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    flowers: usize,
    /// A model of the zoo that reads grey images
    #[arg(long, value_name = "NAME", default_value = "apparel_small")]
    model: String,
    /// A model of four measures of irises, with a tensor of scores
    #[arg(
        long,
        value_name = "FILE",
        default_value = "executor/tests/columns/iris_tensor.onnx"
    )]
    iris: PathBuf,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/semantics.jsonl"
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

impl SemanticsArgs {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 5 } else { 11 })
    }

    fn check(&self, images: usize) -> Result<(), SemanticsError> {
        let wrong = |text: String| Err(SemanticsError::Flag(text));
        if self.rounds() == 0 || self.rows == 0 || self.images == 0 || self.flowers == 0 {
            return wrong("--rounds, --rows, --images and --flowers must be greater than 0".into());
        }
        if self.images > images || self.images > self.rows {
            return wrong(format!(
                "--images: the dataset has {images}, and the table {} rows",
                self.rows
            ));
        }
        Ok(())
    }
}

/// Runs the benchmark and prints its result.
///
/// # Errors
/// See [`SemanticsError`]. Nothing keeps running.
pub fn run(args: &SemanticsArgs) -> Result<(), SemanticsError> {
    let images = Split::read(&args.dataset, "t10k")?.last(args.images);
    args.check(images.count())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        );
        tokio::select! {
            measured = measure(args, &images) => measured,
            _ = interrupt.recv() => Err(SemanticsError::Interrupted),
            _ = terminate.recv() => Err(SemanticsError::Interrupted),
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

async fn measure(args: &SemanticsArgs, images: &Split) -> Result<Report, SemanticsError> {
    let work_dir = tempfile::tempdir()?;
    let data_dir = work_dir.path().join("data");
    println!("starting the proxy and its store in {}", data_dir.display());
    let proxy = Proxy::start(args, work_dir.path(), &data_dir).await?;
    pictures::write_all(&data_dir.join("images"), IMAGE_FOLDER, images)?;
    let mut shop = Shop::connect(proxy.address()).await?;
    let models: Vec<_> = (zoo::read(&args.zoo)?.into_iter())
        .filter(|model| model.name == args.model)
        .collect();
    let model_root = data_dir.join("models");
    shop.create_models(&args.zoo, &models, &model_root).await?;
    println!("filling a table of {} rows", args.rows);
    shop.fill_photos(args.rows, args.images).await?;

    let before = proxy.images_inferred().await?;
    let first_seconds = shop.predicted().await?;
    let images_first = proxy.images_inferred().await? - before;
    println!("first run: {images_first} images, {first_seconds:.2} s; storing the labels");
    shop.store_labels().await?;

    let before = proxy.images_inferred().await?;
    let mut rounds = Vec::new();
    for number in 0..args.rounds() {
        // Whoever is first finds other caches: in turns.
        let round = match number % 2 {
            0 => {
                let predicted_seconds = shop.predicted().await?;
                Round {
                    predicted_seconds,
                    stored_seconds: shop.stored().await?,
                }
            }
            _ => Round {
                stored_seconds: shop.stored().await?,
                predicted_seconds: shop.predicted().await?,
            },
        };
        rounds.push(round);
    }
    let images_later = proxy.images_inferred().await? - before;
    shop.check_labels().await?;

    println!("filling a table of {} different flowers", args.flowers);
    shop.create_iris(&args.iris, &model_root).await?;
    shop.fill_flowers(args.flowers).await?;
    proxy.forget_peak()?;
    let flowers_seconds = shop.flowers(args.flowers).await?;
    let peak_rss_mib = proxy.peak_rss_mib()?;
    shop.disconnect().await;
    proxy.stop()?;
    Ok(Report {
        rows: args.rows,
        images: args.images,
        flowers: args.flowers,
        images_first,
        images_second: images_later,
        first_seconds,
        rounds,
        flowers_seconds,
        peak_rss_mib,
    })
}

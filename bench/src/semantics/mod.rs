//! `predictsql-bench semantics`: what a prediction as a column costs, on a table where few inputs
//! come in many rows, beside a stored column in the same run.
//!
//! ```text
//! private store, proxy -> images, model, 1,000,000 rows -> first run
//!     -> store its labels as a column
//!     -> rounds: predicted, stored, ... -> many distinct tabular inputs, memory -> table, JSON
//! ```
//!
//! The proxy is a process of its own, so that its memory is the proxy's alone.

mod args;
mod error;
mod report;
mod shop;

use predictsql_proxy::demo::dataset::Split;
use predictsql_proxy::demo::{pictures, zoo};
use tokio::signal::unix::{SignalKind, signal};

use crate::history;
use crate::served::{Program, Proxy};
pub use args::SemanticsArgs;
pub use error::SemanticsError;
use report::{Report, Round};
use shop::{IMAGE_FOLDER, Shop};

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
    let program = Program {
        predictsql: args.predictsql.clone(),
        ort_library: args.ort_library.clone(),
        ..Program::default()
    };
    let proxy = Proxy::start(&program, work_dir.path(), &data_dir).await?;
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

//! `predictsql-bench decode`: what decoding large JPEGs to a part of their size saves, and whether
//! labels stay what they are.
//!
//! ```text
//! proxy over the photos; models twice: decode = 'scaled' and 'exact'
//!     -> CPU: 12 megapixels, baseline and progressive, in turns, by a model that costs nothing
//!     -> labels: 2,000 photos, by a network of photos -> table, JSON
//! ```

mod agreement;
mod args;
mod error;
mod library;
mod report;

pub use args::DecodeArgs;
use args::Way;
pub use error::DecodeError;
use library::Library;
use report::{Costs, Report, Turn};

use crate::history;

/// Folders of photos of 12 megapixels, and what their files are.
const LARGE: [(&str, &str); 2] = [("baseline", "12mp"), ("progressive", "12mp_progressive")];
/// Photos whose labels are compared.
const LABELLED: &str = "large";

/// Runs the benchmark and prints its result.
///
/// # Errors
/// See [`DecodeError`]. Nothing keeps running.
pub fn run(args: &DecodeArgs) -> Result<(), DecodeError> {
    if args.rounds() == 0 || args.images() == 0 {
        let text = "--rounds and --images must be greater than 0";
        return Err(DecodeError::Flag(text.to_owned()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let report = runtime.block_on(measure(args))?;
    println!("\n{}", report.table());
    let json = report.json();
    if args.save || !args.quick {
        history::append(&args.history, &json)?;
    }
    println!("{json}");
    Ok(())
}

async fn measure(args: &DecodeArgs) -> Result<Report, DecodeError> {
    let mut library = Library::start(args).await?;
    let mut costs = Vec::new();
    for (kind, folder) in LARGE {
        costs.push(costs_of(&mut library, kind, folder, args.rounds()).await?);
    }
    library.fill(LABELLED, Some(args.images())).await?;
    println!("labels of {} photos", args.images());
    let scaled = library.labels(LABELLED, Way::Scaled).await?;
    let exact = library.labels(LABELLED, Way::Exact).await?;
    library.stop().await?;
    let agreement = agreement::compare(&scaled, &exact)?;
    Ok(Report { costs, agreement })
}

/// CPU of both ways over the photos of a folder, one right after the other, in an order that
/// changes from round to round.
async fn costs_of(
    library: &mut Library,
    kind: &'static str,
    folder: &str,
    rounds: usize,
) -> Result<Costs, DecodeError> {
    let images = library.fill(folder, None).await?;
    for way in [Way::Scaled, Way::Exact] {
        // Loads the model, and reads the files into the system's cache.
        library.cpu_seconds(folder, way, images).await?;
    }
    let mut turns = Vec::new();
    for number in 0..rounds {
        let mut ways = [Way::Scaled, Way::Exact];
        ways.rotate_left(number % 2);
        let mut turn = Turn::default();
        for way in ways {
            let ms = library.cpu_seconds(folder, way, images).await? / images as f64 * 1e3;
            match way {
                Way::Scaled => turn.scaled_ms = ms,
                Way::Exact => turn.exact_ms = ms,
            }
        }
        println!(
            "{kind}: {:.1} ms of CPU scaled, {:.1} ms exact",
            turn.scaled_ms, turn.exact_ms
        );
        turns.push(turn);
    }
    Ok(Costs {
        kind,
        images,
        turns,
    })
}

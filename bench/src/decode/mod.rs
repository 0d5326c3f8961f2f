//! `predictsql-bench decode`: what decoding large JPEGs to a part of their size saves, and whether
//! labels stay what they are.
//!
//! ```text
//! proxy over the photos; models twice: decode = 'scaled' and 'exact'
//!     -> CPU: 12 megapixels, baseline and progressive, in turns, by a model that costs nothing
//!     -> labels: 2,000 photos, by a network of photos -> table, JSON
//! ```

mod agreement;
mod library;
mod report;

use std::io;
use std::path::PathBuf;

use library::Library;
use report::{Costs, Report, Turn};

use crate::history;
use crate::photo;
use crate::served::ServedError;

/// Folders of photos of 12 megapixels, and what their files are.
const LARGE: [(&str, &str); 2] = [("baseline", "12mp"), ("progressive", "12mp_progressive")];
/// Photos whose labels are compared.
const LABELLED: &str = "large";

/// Flags of `predictsql-bench decode`.
#[derive(Debug, Clone, clap::Args)]
pub struct DecodeArgs {
    /// Fewer rounds and photos, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// Rounds of the CPU's measurement [default: 3 with --quick, else 9]
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Photos whose labels are compared [default: 200 with --quick, else all 2000]
    #[arg(long, value_name = "N")]
    images: Option<usize>,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/decode.jsonl"
    )]
    history: PathBuf,
    /// Folder of the photos and their models, as scripts/setup.sh bench makes it
    #[arg(long, value_name = "DIR", default_value = photo::FOLDER_DEFAULT)]
    photos: PathBuf,
    /// The ONNX Runtime library
    #[arg(
        long,
        value_name = "FILE",
        env = "PREDICTSQL_ORT_LIB",
        default_value = ".cache/onnxruntime/libonnxruntime.so"
    )]
    ort_library: PathBuf,
}

impl DecodeArgs {
    fn rounds(&self) -> usize {
        self.rounds.unwrap_or(if self.quick { 3 } else { 9 })
    }

    fn images(&self) -> usize {
        self.images.unwrap_or(if self.quick { 200 } else { 2000 })
    }
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// A flag cannot be followed.
    #[error("{0}")]
    Flag(String),
    /// The proxy did not start or ended early.
    #[error(transparent)]
    Served(#[from] ServedError),
    /// A statement was refused.
    #[error("{0}")]
    Sql(#[from] mysql_async::Error),
    /// The result would be worth nothing.
    #[error("no result: {0}")]
    Worthless(String),
    /// Files, processes.
    #[error("{0}")]
    System(#[from] io::Error),
}

/// How the models of a pair decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To a part of the size where that is enough: the default.
    Scaled,
    /// At their own size.
    Exact,
}

impl Way {
    /// The value of the option `decode`, and the end of the model's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scaled => "scaled",
            Self::Exact => "exact",
        }
    }
}

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

//! `predictsql-bench selection`: what choosing among models gains, on repositories described by
//! numbers and on the real zoo, always measured on rows that nothing of the planner has seen.

mod chart;
mod error;
mod held_out;
mod real;
mod report;
mod strategies;
mod synthetic;
mod tables;

use std::path::PathBuf;

use predictsql_proxy::demo::dataset;

use crate::history;
use crate::repository::{Errors, Repository};
pub use error::SelectionError;
use report::Report;

/// The library that `scripts/setup.sh` fetches.
const LIBRARY_DEFAULT: &str = ".cache/onnxruntime/libonnxruntime.so";

/// Flags of `predictsql-bench selection`.
#[derive(Debug, Clone, clap::Args)]
pub struct SelectionArgs {
    /// Fewer queries, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// A repository described by numbers, in place of one of the published shape
    #[arg(long, value_name = "FILE")]
    zoo: Option<PathBuf>,
    /// Only that kind of errors, in place of both
    #[arg(long, value_enum)]
    errors: Option<Errors>,
    /// Seed of all chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Leave out the real zoo
    #[arg(long)]
    synthetic_only: bool,
    /// The real zoo only
    #[arg(long, conflicts_with = "synthetic_only")]
    real_only: bool,
    /// Folder that holds zoo.json and the models that it lists
    #[arg(long, value_name = "DIR", default_value = "bench/zoo")]
    models: PathBuf,
    /// Folder of the Fashion-MNIST files
    #[arg(long, value_name = "DIR", default_value = dataset::DATASET_DIR)]
    dataset: PathBuf,
    /// The ONNX Runtime library
    #[arg(long, value_name = "FILE", env = "PREDICTSQL_ORT_LIB", default_value = LIBRARY_DEFAULT)]
    ort_library: PathBuf,
    /// Folder for the table and the plots
    #[arg(long, value_name = "DIR", default_value = "bench/results/selection")]
    results: PathBuf,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(
        long,
        value_name = "FILE",
        default_value = "bench/history/selection.jsonl"
    )]
    history: PathBuf,
}

/// Runs the experiments and prints their result.
///
/// # Errors
/// See [`SelectionError`].
pub fn run(args: &SelectionArgs) -> Result<(), SelectionError> {
    let repository = match &args.zoo {
        Some(file) => Repository::read(file)?,
        None => Repository::published_shape(125, 80, args.seed),
    };
    let errors = match args.errors {
        _ if args.real_only => Vec::new(),
        Some(errors) => vec![errors],
        None => vec![Errors::Independent, Errors::Correlated],
    };
    let (queries, certified) = if args.quick { (6, 300) } else { (30, 1_000) };
    let measure = |errors: Errors| {
        let name = match errors {
            Errors::Independent => "independent",
            Errors::Correlated => "correlated",
        };
        let drawn = strategies::draw(&repository, errors, args.seed);
        let compared = strategies::strategies(&repository, &drawn, queries, errors, args.seed);
        let certificates = synthetic::certificates(certified, errors, args.seed);
        let foreign = synthetic::foreign(&repository, &drawn, queries * 3, args.seed);
        (name, compared, certificates, foreign)
    };
    let measure = &measure;
    let mut report = Report {
        source: repository.source.clone(),
        uncovered: repository.uncovered().len(),
        strategies: Vec::new(),
        certificates: Vec::new(),
        foreign: Vec::new(),
        real: None,
    };
    println!("E1, E3, E4, E8");
    // Side by side: what is timed is the CPU time of a thread.
    std::thread::scope(|threads| {
        let measure = |errors| threads.spawn(move || measure(errors));
        let running: Vec<_> = errors.into_iter().map(measure).collect();
        for measured in running {
            let (name, all, certificates, (with, without)) =
                measured.join().map_err(|_| SelectionError::Died)?;
            report.strategies.push((name, all));
            report.certificates.push((name, certificates));
            report.foreign.push((name, with, without));
        }
        Ok::<(), SelectionError>(())
    })?;
    if !args.synthetic_only {
        report.real = Some(real::run(&real::Setting {
            zoo: args.models.clone(),
            dataset: args.dataset.clone(),
            ort_library: args.ort_library.clone(),
            draws: if args.quick { 1 } else { 3 },
            rounds: if args.quick { 1 } else { 3 },
            seed: args.seed,
        })?);
    }
    report.write(&args.results)?;
    println!("\n{}", report.markdown());
    let json = report.json();
    if args.save || !args.quick {
        history::append(&args.history, &json)?;
    }
    println!("{json}");
    Ok(())
}

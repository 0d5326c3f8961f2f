//! `predictsql-bench plan`: how long it takes to plan, and how far plans are from the best that a
//! long search finds, over repositories described by numbers.

mod report;

use std::path::PathBuf;
use std::time::Instant;

use predictsql_optimizer::planner::{
    Blocks, Constraints, CostModel, Estimate, Metric, Plan, Query, Strategy, decide,
    replays_default,
};
use thiserror::Error;

use crate::cpu::thread_cpu_seconds;
use crate::history;
use crate::repository::{Dice, Drawn, Errors, Repository, RepositoryError, Rows};
use report::{Gap, Report, ShapeReport};

/// Models, classes, needed classes.
const SHAPES: [(usize, usize, usize); 4] = [
    (50, 100, 10),
    (125, 80, 10),
    (200, 1_000, 20),
    (500, 1_000, 50),
];
/// Rows as an evaluation leaves them for planning.
const ROWS: Rows = Rows {
    cal: 1_536,
    plan: 1_536,
    cert: 2_048,
    held_out: 4_000,
};
/// Replays of a long search.
const LONG_SEARCH_REPLAYS: u32 = 1_000_000;
/// Inputs of a query.
const INPUTS: u64 = 1_024;
/// Least accuracy that a third of the queries asks for.
const LEAST: f64 = 0.7;

/// Flags of `predictsql-bench plan`.
#[derive(Debug, Clone, clap::Args)]
pub struct PlanArgs {
    /// Fewer queries, and nothing is added to the history
    #[arg(long)]
    quick: bool,
    /// Queries planned a shape [default: 200 with --quick, else 1000]
    #[arg(long, value_name = "N")]
    queries: Option<usize>,
    /// A repository described by numbers, in place of ones of the published shape
    #[arg(long, value_name = "FILE")]
    zoo: Option<PathBuf>,
    /// Whether models fail on the same inputs
    #[arg(long, value_enum, default_value = "correlated")]
    errors: Errors,
    /// Let at most this many models know each class
    #[arg(long, value_name = "N")]
    able: Option<usize>,
    /// Seed of all chance
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Add the result to the history, also with --quick
    #[arg(long)]
    save: bool,
    /// File of the history
    #[arg(long, value_name = "FILE", default_value = "bench/history/plan.jsonl")]
    history: PathBuf,
}

/// Why there is no result.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The history cannot be written.
    #[error("history: {0}")]
    History(#[from] std::io::Error),
    /// A query that must have a plan has none.
    #[error("no plan: {0}")]
    NoPlan(#[from] predictsql_optimizer::Refusal),
}

impl PlanArgs {
    fn queries(&self) -> usize {
        self.queries
            .unwrap_or(if self.quick { 200 } else { 1_000 })
            .max(1)
    }

    fn scarce(&self, repository: Repository) -> Repository {
        match self.able {
            Some(able) => repository.with_choice(able, self.seed),
            None => repository,
        }
    }

    /// Queries that a long search is held against.
    fn compared(&self) -> usize {
        self.queries().min(if self.quick { 12 } else { 60 })
    }
}

/// Runs the benchmark and prints its result.
///
/// # Errors
/// See [`PlanError`].
pub fn run(args: &PlanArgs) -> Result<(), PlanError> {
    let mut report = Report::new(args.seed, args.errors);
    match &args.zoo {
        Some(file) => {
            let repository = args.scarce(Repository::read(file)?);
            report.source.clone_from(&repository.source);
            report.uncovered = repository.uncovered().len();
            for needed in [1, 2, 5, 10, 20, 40, 80] {
                if needed <= repository.classes.len() - report.uncovered {
                    report.shapes.push(measure(args, &repository, needed)?);
                }
            }
        }
        None => {
            for (models, classes, needed) in SHAPES {
                let repository = Repository::published_shape(models, classes, args.seed);
                let repository = args.scarce(repository);
                report.uncovered += repository.uncovered().len();
                report.shapes.push(measure(args, &repository, needed)?);
            }
        }
    }
    println!("{}", report.table());
    let json = report.json();
    if args.save || !args.quick {
        history::append(&args.history, &json)?;
    }
    println!("{json}");
    Ok(())
}

/// Plans queries of `needed` classes.
fn measure(
    args: &PlanArgs,
    repository: &Repository,
    needed: usize,
) -> Result<ShapeReport, PlanError> {
    let drawn = repository.draw(ROWS, args.errors, args.seed);
    let uncovered = repository.uncovered();
    let known: Vec<usize> = (0..repository.classes.len())
        .filter(|c| !uncovered.contains(c))
        .collect();
    let mut dice = Dice::new(args.seed, needed as u64);
    let mut shape = ShapeReport::new(repository.models.len(), repository.classes.len(), needed);
    let long = |asked: &Asked<'_>, plan: &Plan| -> Result<Gap, PlanError> {
        let best = asked.plan(LONG_SEARCH_REPLAYS)?;
        Ok(gap(asked, plan, &best))
    };
    for number in 0..args.queries() {
        let classes = dice.some(&known, needed);
        let blocks = Blocks::any_of(&classes, repository.classes.len(), false);
        let asked = Asked::new(&drawn, &blocks, number)?;
        let (start, cpu) = (Instant::now(), thread_cpu_seconds());
        let plan = asked.plan(replays_default(drawn.models.len()));
        shape.seconds.push(start.elapsed().as_secs_f64());
        shape.cpu_seconds.push(thread_cpu_seconds() - cpu);
        match plan {
            Ok(plan) if number < args.compared() => {
                shape.gaps.push(long(&asked, &plan)?);
                let seen = drawn.held_out_metric(&plan.decision, plan.metric);
                let missed = seen
                    .zip(plan.searched.value())
                    .map(|(seen, expected)| expected - seen);
                shape
                    .optimism_points
                    .extend(missed.map(|missed| 100.0 * missed));
            }
            Ok(_) => {}
            Err(_) => shape.refused += 1,
        }
    }
    Ok(shape)
}

/// A query, of one of three kinds in turn: without constraint, within a budget,
/// with a least accuracy.
struct Asked<'a> {
    drawn: &'a Drawn,
    query: Query<'a>,
    constraints: Constraints,
    kind: usize,
}

impl<'a> Asked<'a> {
    fn new(drawn: &'a Drawn, blocks: &'a Blocks, number: usize) -> Result<Self, PlanError> {
        let query = Query {
            task: &drawn.task,
            named: None,
            blocks,
            metric: Metric::F1,
            prior: None,
            rows: Estimate::Exact(INPUTS),
            scores_needed: false,
        };
        let mut asked = Self {
            drawn,
            query,
            constraints: Constraints::none(&drawn.task),
            kind: number % 3,
        };
        match asked.kind {
            1 => {
                // A budget that is neither generous nor hopeless:
                // half of what the models cost that are best a class.
                let strategy = Strategy::BestPerClass;
                let plan = asked.with(strategy, 0)?;
                let price = plan.price(asked.query.rows, &CostModel::default());
                asked.constraints.max_seconds = price.map(|price| price.seconds.expected / 2.0);
            }
            2 => asked.constraints.min_accuracy = Some(LEAST),
            _ => {}
        }
        Ok(asked)
    }

    fn plan(&self, replays: u32) -> Result<Plan, PlanError> {
        self.with(Strategy::Optimal, replays)
    }

    fn with(&self, strategy: Strategy, replays: u32) -> Result<Plan, PlanError> {
        let (models, statistics) = (&self.drawn.models, Some(&self.drawn.statistics));
        let costs = CostModel::default();
        Ok(decide(
            &self.query,
            &self.constraints,
            strategy,
            models,
            statistics,
            &costs,
            replays,
        )?)
    }
}

/// How far a plan is from the one of a long search: in points where the best is looked for, in
/// cost where the cheapest is.
fn gap(asked: &Asked<'_>, plan: &Plan, best: &Plan) -> Gap {
    let value = |plan: &Plan| plan.searched.value().unwrap_or(0.0);
    let cost = |plan: &Plan| {
        let price = plan.price(asked.query.rows, &CostModel::default());
        price.map_or(0.0, |price| price.seconds.expected)
    };
    match asked.kind {
        1 => Gap::Points(100.0 * (value(best) - value(plan))),
        _ => Gap::Cost(cost(plan) / cost(best)),
    }
}

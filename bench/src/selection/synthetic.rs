//! Experiments on repositories described by numbers: E1 (strategies), E3 (estimates), E4 (certificates) and
//! E8 (foreign classes).

use std::collections::BTreeMap;
use std::time::Instant;

use predictsql_optimizer::distinctions::Distinctions;
use predictsql_optimizer::planner::certificate::{lower_bound, upper_bound};
use predictsql_optimizer::planner::{
    Blocks, Constraints, CostModel, Estimate, Metric, Plan, Query, Strategy, decide,
    replays_default,
};

use super::held_out;
use crate::repository::{Dice, Drawn, Errors, Repository, Rows};

/// Rows as an evaluation leaves them, and many that show what plans are really worth.
const ROWS: Rows = Rows {
    cal: 1_536,
    plan: 1_536,
    cert: 4_096,
    held_out: 8_000,
};

/// Needed classes of a query.
pub const NEEDED: [usize; 7] = [1, 2, 5, 10, 20, 40, 80];

/// Models able to answer a class.
pub const ABLE: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// Inputs of a query, by which the seconds of planning are shared: a power of two, as budgets are planned with.
const INPUTS: u64 = 8_192;

/// The strategies that are compared. Those that weigh costs get the seconds that `best_per_class` takes.
pub const COMPARED: [(&str, Strategy, bool); 7] = [
    ("optimal", Strategy::Optimal, true),
    ("greedy", Strategy::Greedy, true),
    ("best_per_class", Strategy::BestPerClass, false),
    ("most_accurate", Strategy::MostAccurate, false),
    ("cheapest", Strategy::Cheapest, false),
    ("best_single", Strategy::BestSingle, false),
    ("random", Strategy::Random(7), false),
];

/// Means over the queries of one setting and strategy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cell {
    /// Queries planned.
    pub queries: u32,
    /// Queries without a plan.
    pub refused: u32,
    f1: f64,
    seconds: f64,
    planning: f64,
    estimate_error: f64,
    independence_error: f64,
}

impl Cell {
    fn mean(&self, sum: f64) -> f64 {
        sum / f64::from(self.queries.max(1))
    }

    /// F1 on held-out rows.
    pub fn f1(&self) -> f64 {
        self.mean(self.f1)
    }

    /// Seconds of inference and planning an input.
    pub fn seconds(&self) -> f64 {
        self.mean(self.seconds)
    }

    /// Seconds of planning a query.
    pub fn planning(&self) -> f64 {
        self.mean(self.planning)
    }

    /// Of the estimate by replay, in points.
    pub fn estimate_error(&self) -> f64 {
        self.mean(self.estimate_error) * 100.0
    }

    /// Of an estimate that takes errors for independent, in points.
    pub fn independence_error(&self) -> f64 {
        self.mean(self.independence_error) * 100.0
    }
}

/// Setting: needed classes, models able per class (`usize::MAX`: as published), strategy.
pub type Key = (usize, usize, &'static str);

/// E1 and E3: strategies over needed classes, and over models able to answer.
pub fn strategies(
    repository: &Repository,
    queries: usize,
    errors: Errors,
    seed: u64,
) -> BTreeMap<Key, Cell> {
    let mut cells = BTreeMap::new();
    let drawn = repository.draw(ROWS, errors, seed);
    for needed in NEEDED {
        measure(
            &mut cells,
            repository,
            &drawn,
            (needed, usize::MAX),
            queries,
            seed,
        );
    }
    for able in ABLE {
        let scarce = repository.with_choice(able, seed);
        let drawn = scarce.draw(ROWS, errors, seed);
        measure(&mut cells, &scarce, &drawn, (10, able), queries, seed);
    }
    cells
}

fn measure(
    cells: &mut BTreeMap<Key, Cell>,
    repository: &Repository,
    drawn: &Drawn,
    (needed, able): (usize, usize),
    queries: usize,
    seed: u64,
) {
    let known = known(repository);
    if known.len() < needed {
        return;
    }
    let mut dice = Dice::new(seed, (needed * 100 + able % 97) as u64);
    for _ in 0..queries {
        let classes = dice.some(&known, needed);
        let blocks = blocks(&classes, repository.classes.len());
        let budget = plan(drawn, &blocks, Strategy::BestPerClass, None, None)
            .ok()
            .and_then(|(plan, _)| plan.price(Estimate::Exact(INPUTS), &CostModel::default()))
            .map(|price| price.seconds.expected);
        for (name, strategy, has_budget) in COMPARED {
            let cell = cells.entry((needed, able, name)).or_default();
            let budget = budget.filter(|_| has_budget);
            match plan(drawn, &blocks, strategy, budget, None) {
                Ok((plan, planning)) => cell.add(drawn, &blocks, &plan, planning),
                Err(()) => cell.refused += 1,
            }
        }
    }
}

impl Cell {
    fn add(&mut self, drawn: &Drawn, blocks: &Blocks, plan: &Plan, planning: f64) {
        let held = held_out::run(drawn, blocks, plan);
        self.queries += 1;
        self.f1 += held.f1();
        self.seconds += held.seconds + planning / INPUTS as f64;
        self.planning += planning;
        let estimate = plan.accuracy.value().unwrap_or(0.0);
        self.estimate_error += (estimate - held.f1()).abs();
        self.independence_error += (independent(drawn, blocks, plan) - held.f1()).abs();
    }
}

/// What is expected where each model is right as often as it was on labelled rows of the class, whatever the
/// others say: a row is right if any model that knows its class is.
fn independent(drawn: &Drawn, blocks: &Blocks, plan: &Plan) -> f64 {
    let classes = (0..drawn.task.classes.len()).filter(|c| blocks.needs(*c));
    let (mut sum, mut count) = (0.0, 0_u32);
    for class in classes {
        let outcome = u16::try_from(class + 1).unwrap_or(0);
        let rows = || {
            let truths = drawn.statistics.plan.iter().enumerate();
            truths
                .filter(move |(_, t)| **t == outcome)
                .map(|(row, _)| row)
        };
        let mut wrong = 1.0;
        for voter in plan.decision.voters() {
            let Some(measured) = drawn.statistics.model(voter.model.id) else {
                continue;
            };
            let right = rows()
                .filter(|row| {
                    measured
                        .plan
                        .get(*row)
                        .is_some_and(|v| v.outcome() == outcome)
                })
                .count();
            if voter.outcomes.contains(&outcome) {
                wrong *= 1.0 - right as f64 / rows().count().max(1) as f64;
            }
        }
        sum += 1.0 - wrong;
        count += 1;
    }
    sum / f64::from(count.max(1))
}

/// Certificates that were given, and how many did not hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Certificates {
    /// Queries.
    pub queries: u64,
    /// Promises.
    pub promised: u64,
    /// Promises above what the plan really reaches.
    pub violated: u64,
}

impl Certificates {
    /// Share of the queries whose promise did not hold, and between which two it lies with 95 %.
    pub fn violation_rate(&self) -> (f64, f64, f64) {
        (
            self.violated as f64 / self.queries.max(1) as f64,
            lower_bound(self.violated, self.queries, 0.025),
            upper_bound(self.violated, self.queries, 0.025),
        )
    }

    /// Share of the queries that nothing was promised to.
    pub fn refusal_rate(&self) -> f64 {
        1.0 - self.promised as f64 / self.queries.max(1) as f64
    }
}

/// E4: queries that ask for accuracies that are hard to reach, over repositories drawn anew.
pub fn certificates(queries: u64, errors: Errors, seed: u64) -> Certificates {
    const QUERIES_A_DRAW: u64 = 20;
    /// Enough that what is measured on them is what is true, to a fraction of a point.
    const MANY: Rows = Rows {
        cal: 1_000,
        plan: 1_024,
        cert: 1_024,
        held_out: 20_000,
    };
    let mut certificates = Certificates::default();
    let mut dice = Dice::new(seed, 0xE4);
    for draw in 0..queries.div_ceil(QUERIES_A_DRAW) {
        let repository = Repository::published_shape(30, 10, seed + draw);
        let drawn = repository.draw(MANY, errors, seed + draw);
        let known = known(&repository);
        for _ in 0..QUERIES_A_DRAW.min(queries - certificates.queries) {
            let needed = 1 + dice.below(known.len().min(6));
            let blocks = blocks(&dice.some(&known, needed), repository.classes.len());
            certificates.queries += 1;
            // As near to what can be reached as makes promises break, if they do.
            let Ok((best, _)) = plan(&drawn, &blocks, Strategy::MostAccurate, None, None) else {
                continue;
            };
            let reached = best.accuracy.value().unwrap_or(0.0);
            let least = (reached - 0.08 * dice.uniform()).max(0.0);
            if let Ok((plan, _)) = plan(&drawn, &blocks, Strategy::Optimal, None, Some(least)) {
                certificates.promised += 1;
                let held = held_out::run(&drawn, &blocks, &plan);
                certificates.violated += u64::from(held.f1() < least);
            }
        }
    }
    certificates
}

/// E8: shares of foreign inputs that are taken for a needed class, with and without a floor under
/// calibrated scores.
pub fn foreign(repository: &Repository, queries: usize, errors: Errors, seed: u64) -> (f64, f64) {
    let drawn = repository.draw(ROWS, errors, seed);
    let mut dice = Dice::new(seed, 0xE8);
    let (mut with, mut without, mut count) = (0.0, 0.0, 0_u32);
    let known = known(repository);
    for _ in 0..queries {
        let blocks = blocks(&dice.some(&known, 2), repository.classes.len());
        let Ok((plan, _)) = plan(&drawn, &blocks, Strategy::MostAccurate, None, None) else {
            continue;
        };
        let mut unsure = plan.decision.clone();
        unsure.floor = 0;
        with += held_out::run(&drawn, &blocks, &plan).false_positive_rate();
        without += held_out::of_decision(&drawn, &blocks, &unsure).false_positive_rate();
        count += 1;
    }
    let mean = |sum: f64| sum / f64::from(count.max(1));
    (mean(with), mean(without))
}

fn known(repository: &Repository) -> Vec<usize> {
    let uncovered = repository.uncovered();
    let classes = 0..repository.classes.len();
    classes.filter(|c| !uncovered.contains(c)).collect()
}

/// Each needed class is told from the others; all that are not needed are one.
fn blocks(needed: &[usize], classes: usize) -> Blocks {
    let signature = |outcome: usize| {
        let class = outcome.checked_sub(1)?;
        needed.contains(&class).then_some(class)
    };
    let distinctions = Distinctions::from_signatures((0..=classes).map(signature));
    Blocks::new(&distinctions, classes, false)
}

fn plan(
    drawn: &Drawn,
    blocks: &Blocks,
    strategy: Strategy,
    max_seconds: Option<f64>,
    min_accuracy: Option<f64>,
) -> Result<(Plan, f64), ()> {
    let query = Query {
        task: &drawn.task,
        named: None,
        blocks,
        metric: Metric::F1,
        prior: None,
        rows: Estimate::Exact(INPUTS),
        scores_needed: false,
    };
    let constraints = Constraints {
        max_seconds,
        min_accuracy,
        ..Constraints::none(&drawn.task)
    };
    let replays = replays_default(drawn.models.len());
    let begin = Instant::now();
    let plan = decide(
        &query,
        &constraints,
        strategy,
        &drawn.models,
        Some(&drawn.statistics),
        &CostModel::default(),
        replays,
    );
    let seconds = begin.elapsed().as_secs_f64();
    plan.map(|plan| (plan, seconds)).map_err(|_| ())
}

//! Experiments on repositories described by numbers: E4 (certificates) and E8 (foreign classes),
//! and how a query is planned there.

use predictsql_optimizer::distinctions::Distinctions;
use predictsql_optimizer::planner::certificate::{lower_bound, upper_bound};
use predictsql_optimizer::planner::{
    Blocks, Constraints, CostModel, Estimate, Metric, Plan, Query, Strategy, decide,
    replays_default,
};

use super::held_out;
use crate::cpu::thread_cpu_seconds;
use crate::repository::{Dice, Drawn, Errors, Repository, Rows};

/// Inputs of a query, by which the seconds of planning are shared: a power of two,
/// as budgets are planned with.
pub const INPUTS: u64 = 8_192;

/// Certificates that were given, and how many did not hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Certificates {
    /// Queries.
    pub queries: u64,
    /// Promises.
    pub promised: u64,
    /// Promises above what the plan really reaches.
    pub violated: u64,
    /// Refusals although the most accurate plan really reaches what was asked for.
    pub timid: u64,
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

/// Labelled rows of E4 that certify.
pub const CERTIFYING: usize = 1_024;

/// E4: queries that ask for accuracies that are hard to reach, over repositories drawn anew. First
/// of those that ask whether an input shows any of their classes,
/// then of those that tell these apart.
pub fn certificates(queries: u64, errors: Errors, seed: u64) -> [Certificates; 2] {
    const QUERIES_A_DRAW: u64 = 20;
    /// Enough that what is measured on them is what is true, to a fraction of a point.
    const MANY: Rows = Rows {
        cal: 1_000,
        plan: 1_024,
        cert: CERTIFYING,
        held_out: 20_000,
    };
    let mut kinds = [Certificates::default(); 2];
    let mut dice = Dice::new(seed, 0xE4);
    for draw in 0..queries.div_ceil(QUERIES_A_DRAW) {
        let repository = Repository::published_shape(30, 10, seed + draw);
        let drawn = repository.draw(MANY, errors, seed + draw);
        let known = known(&repository);
        for number in draw * QUERIES_A_DRAW..queries.min((draw + 1) * QUERIES_A_DRAW) {
            let count = 1 + dice.below(known.len().min(6));
            let needed = dice.some(&known, count);
            let [any, each] = &mut kinds;
            let (certificates, blocks) = match number % 2 {
                0 => (
                    any,
                    Blocks::any_of(&needed, repository.classes.len(), false),
                ),
                _ => (each, blocks(&needed, repository.classes.len())),
            };
            certificates.ask(&drawn, &blocks, dice.uniform());
        }
    }
    kinds
}

impl Certificates {
    /// Asks for as much as the best plan seems to reach, less up to 8 points by `chance`: as near
    /// to what can be reached as makes promises break, if they do.
    fn ask(&mut self, drawn: &Drawn, blocks: &Blocks, chance: f64) {
        self.queries += 1;
        let Ok((best, _)) = plan(drawn, blocks, Strategy::MostAccurate, None, None) else {
            return;
        };
        let reached = best.searched.value().unwrap_or(0.0);
        let least = (reached - 0.08 * chance).max(0.0);
        let f1 = |plan| held_out::run(drawn, blocks, plan).f1();
        match plan(drawn, blocks, Strategy::Optimal, None, Some(least)) {
            Ok((plan, _)) => {
                self.promised += 1;
                self.violated += u64::from(f1(&plan) < least);
            }
            Err(()) => self.timid += u64::from(f1(&best) >= least),
        }
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            queries: self.queries + other.queries,
            promised: self.promised + other.promised,
            violated: self.violated + other.violated,
            timid: self.timid + other.timid,
        }
    }
}

/// E8: shares of foreign inputs that are taken for a needed class, with and without a floor under
/// calibrated scores.
pub fn foreign(repository: &Repository, drawn: &Drawn, queries: usize, seed: u64) -> (f64, f64) {
    let mut dice = Dice::new(seed, 0xE8);
    let (mut with, mut without, mut count) = (0.0, 0.0, 0_u32);
    let known = known(repository);
    for _ in 0..queries {
        let blocks = blocks(&dice.some(&known, 2), repository.classes.len());
        let Ok((plan, _)) = plan(drawn, &blocks, Strategy::MostAccurate, None, None) else {
            continue;
        };
        let mut unsure = plan.decision.clone();
        unsure.floor = 0;
        with += held_out::run(drawn, &blocks, &plan).false_positive_rate();
        without += held_out::of_decision(drawn, &blocks, &unsure).false_positive_rate();
        count += 1;
    }
    let mean = |sum: f64| sum / f64::from(count.max(1));
    (mean(with), mean(without))
}

/// Positions of classes that any model knows.
pub fn known(repository: &Repository) -> Vec<usize> {
    let uncovered = repository.uncovered();
    let classes = 0..repository.classes.len();
    classes.filter(|c| !uncovered.contains(c)).collect()
}

/// Each needed class is told from the others; all that are not needed are one.
pub fn blocks(needed: &[usize], classes: usize) -> Blocks {
    let signature = |outcome: usize| {
        let class = outcome.checked_sub(1)?;
        needed.contains(&class).then_some(class)
    };
    let distinctions = Distinctions::from_signatures((0..=classes).map(signature));
    Blocks::new(&distinctions, classes, false)
}

/// Plans a query of [`INPUTS`] inputs, and takes the time: that of the CPU,
/// as nothing is waited for.
pub fn plan(
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
    let begin = thread_cpu_seconds();
    let plan = decide(
        &query,
        &constraints,
        strategy,
        &drawn.models,
        Some(&drawn.statistics),
        &CostModel::default(),
        replays,
    );
    let seconds = thread_cpu_seconds() - begin;
    plan.map(|plan| (plan, seconds)).map_err(|_| ())
}

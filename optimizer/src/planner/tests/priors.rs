//! Tests that promises hold on the population that a prior declares.

use predictsql_catalog::{ClassShares, TaskStatistics};

use super::repository::{Dice, Repository, Shape, costs};
use super::search::{naive, on_unseen};
use crate::Refusal;
use crate::planner::certificate::{FAILURE_PROBABILITY, lower_bound};
use crate::planner::thinning::Rates;
use crate::planner::{Blocks, Constraints, Metric, Plan, Prior, Query, Strategy, decide};

const CLASSES: usize = 6;

/// Six classes with equal frequency in the labelled rows, and ten models.
fn repository(seed: u64) -> Repository {
    let shape = Shape {
        classes: CLASSES,
        models: 10,
        plan: 150,
        cert: 300,
        coverage: 0.8,
    };
    Repository::new(shape, seed.wrapping_mul(977))
}

/// Half of the inputs show one class; the others have random shares.
fn tilted(dice: &mut Dice) -> Vec<f64> {
    let mut weights = vec![0.0];
    weights.extend((0..CLASSES).map(|_| dice.uniform()));
    let rest: f64 = weights.iter().sum();
    weights[1 + dice.below(CLASSES)] += rest;
    weights
}

fn ask(
    repository: &Repository,
    query: &Query<'_>,
    strategy: Strategy,
    min_accuracy: Option<f64>,
) -> Result<Plan, Refusal> {
    let constraints = Constraints {
        min_accuracy,
        ..repository.constraints()
    };
    let (models, statistics) = (&repository.models, Some(&repository.statistics));
    decide(
        query,
        &constraints,
        strategy,
        models,
        statistics,
        &costs(),
        150,
    )
}

#[test]
fn promises_of_a_declared_population_fail_no_more_often_than_they_say() {
    let (mut promised, mut broken, mut refused) = (0_u32, 0_u32, 0_u32);
    for seed in 0..1_000 {
        let mut dice = Dice::new(seed);
        let mut repository = repository(seed);
        let weights = tilted(&mut dice);
        repository.redraw_unseen(&weights, &mut dice);
        let needed = 1 + dice.below(CLASSES);
        let (blocks, metric) = if needed == CLASSES {
            (Blocks::every_class(CLASSES, false), Metric::Accuracy)
        } else {
            (repository.filter(needed), Metric::F1)
        };
        let prior = Prior::new(&weights);
        let query = Query {
            prior: prior.as_ref(),
            ..repository.query(&blocks, metric)
        };
        // Close to the apparent optimum, where a promise is most at risk.
        let best = ask(&repository, &query, Strategy::MostAccurate, None).ok();
        let best = best.and_then(|plan| plan.searched.value());
        let least = best.unwrap_or(0.8) - 0.25 * dice.uniform();
        let Ok(plan) = ask(&repository, &query, Strategy::Optimal, Some(least)) else {
            refused += 1;
            continue;
        };
        promised += 1;
        broken += u32::from(on_unseen(&plan, metric, &repository) < least);
    }
    let rate = f64::from(broken) / f64::from(promised);
    println!("{broken} of {promised} promises broken, {refused} refused");
    assert!(promised > 300 && refused > 50, "{promised} {refused}");
    assert!(rate <= FAILURE_PROBABILITY, "{broken} of {promised}");
}

#[test]
fn bounds_of_thinned_rows_hold_with_shares_that_the_rows_themselves_tell() {
    // Extreme class differences: one is always answered right, one never, one in two of three
    // cases.
    let (shares, prior, right) = ([0.6, 0.3, 0.1], [0.3, 0.2, 0.5], [1.0, 0.0, 0.66]);
    let truth: f64 = prior.iter().zip(right).map(|(p, r)| p * r).sum();
    let declared = Prior::new(&[0.0, prior[0], prior[1], prior[2]]).expect("weights");
    let mut dice = Dice::new(11);
    let (mut broken, mut kept) = (0.0, 0.0);
    const RUNS: f64 = 20_000.0;
    for _ in 0..RUNS as u32 {
        let mut rows = |count: u16| -> Vec<u16> {
            let mut draw = || match dice.uniform() {
                u if u < shares[0] => 1,
                u if u < shares[0] + shares[1] => 2,
                _ => 3,
            };
            (0..count).map(|_| draw()).collect()
        };
        let statistics = TaskStatistics {
            task: "t".to_owned(),
            task_version: 1,
            epoch: 1,
            population: String::new(),
            plan: rows(150).into(),
            cert: rows(300).into(),
            models: Vec::new(),
        };
        let thinned = Rates::new(&declared, &statistics).thin(&statistics.cert);
        let (mut rows, mut found) = (0, 0);
        for (row, truth) in (0..).zip(&*statistics.cert) {
            if thinned.keeps(row) {
                rows += 1;
                found += u64::from(dice.uniform() < right[usize::from(*truth) - 1]);
            }
        }
        broken += f64::from(u8::from(
            lower_bound(found, rows, FAILURE_PROBABILITY) > truth,
        )) / RUNS;
        kept += rows as f64 / RUNS;
    }
    println!("{broken} of the bounds are too high, of {kept} rows");
    assert!((55.0..65.0).contains(&kept), "a fifth of the rows: {kept}");
    assert!((0.005..=FAILURE_PROBABILITY).contains(&broken), "{broken}");
}

#[test]
fn what_is_expected_is_what_the_declared_population_shows() {
    let (mut off, mut off_unweighted) = (0.0, 0.0);
    for seed in 0..60 {
        let mut dice = Dice::new(seed);
        let mut repository = repository(seed);
        let weights = tilted(&mut dice);
        repository.redraw_unseen(&weights, &mut dice);
        let blocks = Blocks::every_class(CLASSES, false);
        let prior = Prior::new(&weights);
        let query = repository.query(&blocks, Metric::Accuracy);
        let weighted = Query {
            prior: prior.as_ref(),
            ..query.clone()
        };
        for (query, off) in [(&weighted, &mut off), (&query, &mut off_unweighted)] {
            let plan = ask(&repository, query, Strategy::BestSingle, None).expect("a plan");
            let id = plan.decision.stages[0].voters[0].model.id;
            let votes = repository.unseen_votes(id);
            let truth = naive(&plan, Metric::Accuracy, &repository.unseen, |_, row| {
                votes[row]
            });
            *off += (truth - plan.accuracy.value().expect("measured")).abs() / 60.0;
        }
    }
    assert!(
        off < 0.04 && off_unweighted > 2.0 * off,
        "{off} {off_unweighted}"
    );
}

#[test]
fn the_rows_own_shares_plan_as_no_prior_does() {
    let repository = repository(4);
    let blocks = repository.filter(2);
    let query = repository.query(&blocks, Metric::F1);
    let statistics = &repository.statistics;
    let all = || statistics.plan.iter().chain(&*statistics.cert);
    let share = |class: usize| {
        let rows = all()
            .filter(|truth| usize::from(**truth) == class + 1)
            .count();
        rows as f64 / all().count() as f64
    };
    let shares = repository
        .task
        .classes
        .iter()
        .cloned()
        .zip((0..).map(share));
    let shares = ClassShares::new(shares).expect("shares");
    let prior = Prior::declared(&shares, &repository.task, Some(statistics)).expect("known");
    assert_eq!(prior, None);
    // A prior equal to the labelled rows' shares keeps all rows when they are counted.
    let mut own = vec![0.0; CLASSES + 1];
    all().for_each(|truth| own[usize::from(*truth)] += 1.0);
    let prior = Prior::new(&own);
    let weighted = Query {
        prior: prior.as_ref(),
        ..query.clone()
    };
    let plan = |query| ask(&repository, query, Strategy::Optimal, None).expect("a plan");
    let (with, without) = (plan(&weighted), plan(&query));
    let rows = |plan: &Plan| plan.guarantee.expect("an interval").rows;
    assert!(
        rows(&with) + 3 >= rows(&without),
        "{} {}",
        rows(&with),
        rows(&without)
    );
}

#[test]
fn refusals_count_rows_of_the_declared_population() {
    let repository = repository(3);
    let blocks = Blocks::every_class(CLASSES, false);
    let prior = Prior::new(&[0.0, 0.75, 0.05, 0.05, 0.05, 0.05, 0.05]);
    let query = Query {
        prior: prior.as_ref(),
        ..repository.query(&blocks, Metric::Accuracy)
    };
    let plan = ask(&repository, &query, Strategy::MostAccurate, None).expect("a plan");
    let counted = plan.guarantee.expect("an interval").rows;
    // The class with a share of three quarters has about 50 of 300 rows.
    assert!((50..90).contains(&counted), "{counted}");
    let seen = plan.guarantee.expect("an interval").observed;
    let refused = ask(
        &repository,
        &query,
        Strategy::MostAccurate,
        Some(seen - 0.01),
    );
    let said = refused.expect_err("too few rows").message;
    let rows = format!("on {counted} labelled rows (of the declared prior)");
    assert!(said.contains(&rows), "{said}");
    assert!(said.contains("in the prior's shares, could do"), "{said}");
}

#[test]
fn classes_of_the_prior_that_no_row_shows_are_told() {
    let mut repository = repository(5);
    let shown = repository.statistics.cert.iter().map(|t| (*t).max(2));
    repository.statistics.cert = shown.collect();
    let blocks = repository.filter(2);
    let prior = Prior::new(&[0.0, 0.2, 0.2, 0.2, 0.2, 0.2, 0.0]);
    let query = Query {
        prior: prior.as_ref(),
        ..repository.query(&blocks, Metric::F1)
    };
    let plan = ask(&repository, &query, Strategy::Optimal, None).expect("a plan");
    assert_eq!(plan.unshown, [0]);
    assert_eq!(
        plan.population,
        "simulated, classes weighted by the declared prior"
    );
}

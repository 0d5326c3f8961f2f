//! Tests that promises hold, and that refusals state what is missing.

use super::repository::{Dice, Repository, Shape, costs};
use super::search::on_unseen;
use crate::planner::certificate::FAILURE_PROBABILITY;
use crate::planner::{Blocks, Constraints, Metric, Strategy, decide};

#[test]
fn promises_fail_no_more_often_than_they_say() {
    let (mut promised, mut broken, mut refused) = (0_u32, 0_u32, 0_u32);
    for seed in 0..1_000 {
        let mut dice = Dice::new(seed);
        let shape = Shape {
            classes: 6,
            models: 10,
            plan: 150,
            cert: 300,
            coverage: 0.8,
        };
        let repository = Repository::new(shape, seed.wrapping_mul(977));
        let needed = 1 + dice.below(6);
        let (blocks, metric) = if needed == 6 {
            (Blocks::every_class(6, false), Metric::Accuracy)
        } else {
            let blocks = if dice.uniform() < 0.5 {
                repository.filter(needed)
            } else {
                repository.each(needed)
            };
            (blocks, Metric::F1)
        };
        let query = repository.query(&blocks, metric);
        let ask = |strategy, min_accuracy| {
            let constraints = Constraints {
                min_accuracy,
                ..repository.constraints()
            };
            let statistics = Some(&repository.statistics);
            decide(
                &query,
                &constraints,
                strategy,
                &repository.models,
                statistics,
                &costs(),
                150,
            )
        };
        // Close to the apparent optimum, where a promise is most at risk.
        let best = ask(Strategy::MostAccurate, None)
            .ok()
            .and_then(|plan| plan.searched.value());
        let least = best.unwrap_or(0.8) - 0.16 * dice.uniform();
        let plan = ask(Strategy::Optimal, Some(least));
        let Ok(plan) = plan else {
            refused += 1;
            continue;
        };
        promised += 1;
        broken += u32::from(on_unseen(&plan, metric, &repository) < least);
    }
    // The unseen rows are few (4,000) and add sampling error; the margin of the promise allows for
    // it.
    let rate = f64::from(broken) / f64::from(promised);
    assert!(promised > 300 && refused > 50, "{promised} {refused}");
    println!("{broken} of {promised} promises broken, {refused} refused");
    assert!(rate <= FAILURE_PROBABILITY, "{broken} of {promised}");
}

#[test]
fn refusals_say_what_can_be_had_and_what_is_missing() {
    let shape = Shape {
        classes: 4,
        models: 6,
        plan: 200,
        cert: 60,
        coverage: 1.0,
    };
    let repository = Repository::new(shape, 3);
    let blocks = Blocks::every_class(4, false);
    let query = repository.query(&blocks, Metric::Accuracy);
    let ask = |min_accuracy, statistics| {
        let constraints = Constraints {
            min_accuracy: Some(min_accuracy),
            ..repository.constraints()
        };
        let models = &repository.models;
        decide(
            &query,
            &constraints,
            Strategy::Optimal,
            models,
            statistics,
            &costs(),
            500,
        )
        .map(|plan| plan.guarantee)
        .map_err(|refusal| refusal.message)
    };
    let statistics = Some(&repository.statistics);
    let none = ask(0.9, None).expect_err("nothing measured");
    assert!(none.contains("EVALUATE TASK t ON"), "{none}");
    let hopeless = ask(0.9999, statistics).expect_err("too much");
    assert!(
        hopeless.contains("on 60 labelled rows, at least 0."),
        "{hopeless}"
    );
    assert!(
        hopeless.contains("better models are needed, most of all for 'c"),
        "{hopeless}"
    );
    let best = ask(0.5, statistics).expect("modest").expect("a guarantee");
    assert_eq!(
        (best.at_least, best.is_asked_for, best.rows),
        (0.5, true, 60)
    );
    let bound: f64 = hopeless
        .split("at least ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .and_then(|number| number.parse().ok())
        .expect("a number");
    assert!(
        ask(bound, statistics).is_ok(),
        "what can be had can be had: {bound}"
    );
    let close = ask(bound + 0.04, statistics).expect_err("needs more rows");
    assert!(
        close.contains("more labelled rows for certification could do"),
        "{close}"
    );
}

#[test]
fn limits_keep_plans_affordable() {
    let shape = Shape {
        classes: 5,
        models: 9,
        plan: 200,
        cert: 60,
        coverage: 0.8,
    };
    let repository = Repository::new(shape, 8);
    let blocks = Blocks::every_class(5, false);
    let mut query = repository.query(&blocks, Metric::Accuracy);
    query.rows = crate::planner::Estimate::Exact(1_024);
    let ask = |max_seconds| {
        let constraints = Constraints {
            max_seconds: Some(max_seconds),
            ..repository.constraints()
        };
        let statistics = Some(&repository.statistics);
        decide(
            &query,
            &constraints,
            Strategy::Optimal,
            &repository.models,
            statistics,
            &costs(),
            2_000,
        )
    };
    let mut last = 0.0;
    for max_seconds in [20.0, 40.0, 80.0, 400.0] {
        let plan = ask(max_seconds).expect("affordable");
        let price = plan.price(query.rows, &costs()).expect("known");
        assert!(price.seconds.expected <= max_seconds, "{price:?}");
        let accuracy = plan.searched.value().expect("measured");
        assert!(
            accuracy >= last,
            "more time is never worse: {accuracy} {last}"
        );
        last = accuracy;
    }
    let refused = ask(0.1).expect_err("too little").message;
    assert!(
        refused.contains("max_seconds = 0.1 cannot be kept: the cheapest plan takes"),
        "{refused}"
    );
}

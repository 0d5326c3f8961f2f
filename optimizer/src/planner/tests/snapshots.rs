//! Snapshots of plans as text.

use super::repository::{Repository, Shape, costs};
use crate::planner::{Constraints, Metric, Strategy, decide};

fn text(strategy: Strategy, min_accuracy: Option<f64>) -> String {
    let shape = Shape {
        classes: 6,
        models: 6,
        plan: 300,
        cert: 900,
        coverage: 1.0,
    };
    let repository = Repository::new(shape, 11);
    let blocks = repository.filter(3);
    let query = repository.query(&blocks, Metric::F1);
    let constraints = Constraints {
        min_accuracy,
        ..repository.constraints()
    };
    let statistics = Some(&repository.statistics);
    let models = &repository.models;
    match decide(
        &query,
        &constraints,
        strategy,
        models,
        statistics,
        &costs(),
        1_000,
    ) {
        Ok(plan) => plan.to_string(),
        Err(refusal) => refusal.message,
    }
}

#[test]
fn one_model_that_knows_enough_answers_alone() {
    let expected = "\
stage 1: m03; 100.0 % of rows, 8.80 ms each
other below 0.172
F1: 0.9737 expected
seen 0.9737, at least 0.9630 (95 %, 900 rows)
gap: 0.00 points, 0.0 % of cost
rejected: m02 (knows no class that is needed)
rejected: m01 (-5.10 points for 1.30 ms an image)
rejected: m04 (-5.49 points for 33.71 ms an image)
rejected: m05 (+0.04 points for 12.70 ms an image)
rejected: m06 (-3.29 points for 18.31 ms an image)
";
    assert_eq!(text(Strategy::Optimal, None), expected);
}

#[test]
fn the_cheapest_cover_is_worth_less() {
    let expected = "\
stage 1: m01, m03; 100.0 % of rows, 10.09 ms each
F1: 0.9447 expected
seen 0.9447, at least 0.9303 (95 %, 900 rows)
rejected: m02 (knows no class that is needed)
rejected: m04 (-2.85 points for 33.71 ms an image)
rejected: m05 (+1.63 points for 12.70 ms an image)
rejected: m06 (-0.91 points for 18.31 ms an image)
";
    assert_eq!(text(Strategy::Cheapest, None), expected);
}

#[test]
fn a_refusal_says_what_can_be_had() {
    let expected = "min_accuracy = 0.99 (F1) cannot be promised: the plan likeliest to keep it reaches 0.968 on 900 \
        labelled rows, at least 0.956 with 95 % confidence, which can be had; better models are needed, \
        most of all for 'c0' (recall 0.99)";
    assert_eq!(text(Strategy::Optimal, Some(0.99)), expected);
}

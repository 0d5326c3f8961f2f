//! Random views over predictions, views of these, and random statements over them, against the
//! same over the naive functions.
//!
//! `PREDICTSQL_TEST_SEED` repeats a run, `PREDICTSQL_TEST_VIEW_ROUNDS` makes it longer or shorter.

use std::fmt::Write as _;

use predictsql_tests::Store;
use predictsql_tests::process::checkout;

use super::case::Case;
use super::fixture::made;
use super::generator::choices::{Choices, seed_of, usual_seed};
use super::generator::views::{OverViews, View, ViewGenerator};
use super::pair::Pair;
use super::schemas::{LANE, NAIVE, in_schema};
use super::tally::Tally;
use super::verdict::Verdict;
use super::{changes, shop};

/// Sets of views, each with a session of its own.
const ROUNDS: usize = 10;
/// Views over tables, over those, and over the latter.
const LEVELS: [usize; 3] = [5, 4, 3];
const STATEMENTS: usize = 30;
const PLANS: [&str; 4] = ["NULL", "'temporary'", "NULL", "'inline'"];
/// Of 100 answers, those that may be refused with 1235.
const REFUSED_PERCENT_MAX: usize = 1;
/// Failures that are shown.
const FAILURES_MAX: usize = 5;
/// What the run was, below the folder of what is built.
const SUMMARY: &str = "differential-summary-views";

/// Makes the views that the store takes, on both sides.
fn make_views(pair: &mut Pair, generator: &mut ViewGenerator) -> Vec<View> {
    let mut views: Vec<View> = Vec::new();
    for (level, count) in LEVELS.into_iter().enumerate() {
        let below = views.clone();
        let below = match level {
            0 => Vec::new(),
            _ => below[below.len().saturating_sub(LEVELS[level - 1])..].to_vec(),
        };
        for number in 0..count {
            let view = generator.view(&format!("v{level}{number}"), &below);
            let made = pair.naive.query(&in_schema(&view.sql, NAIVE));
            if let Err(error) = made {
                let lane = pair.lane.error(&in_schema(&view.sql, LANE));
                assert_eq!(lane.code, error.code, "{}", view.sql);
                continue;
            }
            pair.lane.run(&in_schema(&view.sql, LANE));
            views.push(view);
        }
    }
    views
}

fn compare(pair: &mut Pair, statement: &OverViews, binary: bool) -> Verdict {
    let mut case = Case {
        sql: statement.sql.clone(),
        ordered: statement.ordered,
        infers_not_null: statement.sql.contains("LEFT JOIN"),
        ..Case::default()
    };
    case = case.with(statement.params.clone());
    if !statement.changes {
        return pair.read(&case, binary);
    }
    pair.both("START TRANSACTION");
    let mut verdict = changes::compare_answers(pair, &case, binary);
    if matches!(verdict, Verdict::Same | Verdict::SameError) {
        let left = Case {
            sql: "SELECT * FROM p ORDER BY id".to_owned(),
            ordered: true,
            ..Case::default()
        };
        if let Verdict::Different(difference) = pair.read(&left, false) {
            verdict = Verdict::Different(format!("left behind: {difference}"));
        }
    }
    pair.both("ROLLBACK");
    verdict
}

/// What a person needs to see a failure again.
fn shown(views: &[View], statement: &OverViews, plan: &str, difference: &str) -> String {
    let mut text = String::new();
    for view in views {
        writeln!(text, "{};", view.sql).unwrap();
    }
    writeln!(text, "SET @ml_plan = {plan};").unwrap();
    writeln!(
        text,
        "{}; -- {:?}\n{difference}",
        statement.sql, statement.params
    )
    .unwrap();
    text
}

#[test]
fn random_views_answer_as_the_naive_evaluation_does_or_are_refused() {
    let setting = |name: &str| {
        let value = std::env::var(format!("PREDICTSQL_TEST_{name}")).ok()?;
        value.parse::<u64>().ok()
    };
    let seed = setting("SEED").unwrap_or_else(usual_seed);
    let rounds = setting("VIEW_ROUNDS").map_or(ROUNDS, |rounds| rounds as usize);
    println!("random views: PREDICTSQL_TEST_SEED={seed} repeats them");
    let mut store = Store::shared().root();
    for database in ["rvl", "rvn"] {
        made().1.create_tables(&mut store, database, shop::SMALL);
    }
    let (mut tally, mut failures) = (Tally::default(), Vec::new());
    let (mut views_made, mut statements, mut not_changed) = (0, 0, 0);
    for round in 0..rounds {
        let mut pair = Pair::using("rvl", "rvn");
        let plan = PLANS[round % PLANS.len()];
        pair.lane.run(&format!("SET @ml_plan = {plan}"));
        let mut generator = ViewGenerator::new(Choices::seeded(seed_of(seed, round)));
        let views = make_views(&mut pair, &mut generator);
        views_made += views.len();
        for _ in 0..STATEMENTS {
            let statement = generator.statement(&views);
            statements += 1;
            for binary in [false, true] {
                let verdict = compare(&mut pair, &statement, binary);
                if let Verdict::Refused(reason) = &verdict
                    && statement.may_be_refused
                    && reason.contains("its query takes its place")
                {
                    not_changed += 1;
                    continue;
                }
                tally.count(&verdict);
                match &verdict {
                    Verdict::Different(difference) if failures.len() < FAILURES_MAX => {
                        failures.push(shown(&views, &statement, plan, difference));
                    }
                    Verdict::Refused(reason) => {
                        println!("refused: {}\n    {reason}", statement.sql)
                    }
                    _ => {}
                }
            }
        }
    }
    let summary = format!(
        "differential: {statements} random statements over {views_made} random views of seed {seed}: {} answers compared, {}; besides, \
         {not_changed} changes by way of views whose query takes their place were refused",
        tally.compared(),
        tally.brief()
    );
    std::fs::write(
        checkout().join("target").join(SUMMARY),
        format!("{summary}\n"),
    )
    .unwrap();
    println!("{summary}\n{tally}");
    assert!(failures.is_empty(), "{summary}\n{}", failures.join("\n"));
    assert!(
        tally.refusals() * 100 <= tally.answers() * REFUSED_PERCENT_MAX,
        "too many are refused: {tally}"
    );
}

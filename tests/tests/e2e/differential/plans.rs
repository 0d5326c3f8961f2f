//! Each physical plan forced over the statements written by hand.

use super::{Case, Pair, Tally, Verdict, case, corpus, selects};

/// All statements without changes.
fn cases() -> Vec<Case> {
    let mut cases = corpus::all();
    cases.extend(selects::SELECTS.iter().map(|sql| case(*sql)));
    cases.extend(selects::with_parameters());
    assert!(cases.len() >= 250, "{} statements", cases.len());
    cases
}

/// A session for a case, by a plan.
fn open(case: Option<&Case>, plan: &str) -> Pair {
    let mut pair = Pair::open();
    pair.lane.run(&format!("SET @ml_plan = {plan}"));
    for setup in case.into_iter().flat_map(|case| &case.setup) {
        pair.both(setup);
    }
    pair
}

/// Runs cases under a plan, by both protocols. What differs fails.
fn compare(cases: &[Case], plan: &str) -> Tally {
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    let mut plain = open(None, plan);
    for case in cases {
        let mut own;
        let pair = match case.setup.is_empty() {
            true => &mut plain,
            false => {
                own = open(Some(case), plan);
                &mut own
            }
        };
        for binary in [false, true] {
            let verdict = pair.read(case, binary);
            tally.count(&verdict);
            if let Verdict::Different(difference) = verdict {
                let Case { sql, setup, .. } = case;
                wrong.push(format!(
                    "binary {binary}: {sql} {setup:?}\n    {difference}"
                ));
                // The session may be lost.
                *pair = open(Some(case), plan);
            }
        }
    }
    println!("{} statements by plan {plan}: {tally}", cases.len());
    let count = wrong.len();
    assert!(
        wrong.is_empty(),
        "{count} by plan {plan}:\n{}",
        wrong.join("\n")
    );
    tally
}

#[test]
fn the_chosen_plan_answers_as_the_naive_evaluation_does() {
    assert_eq!(compare(&cases(), "NULL").refusals(), 0);
}

#[test]
fn relations_in_temporary_tables_answer_as_the_naive_evaluation_does() {
    assert_eq!(compare(&cases(), "'temporary'").refusals(), 0);
}

#[test]
fn inline_relations_answer_as_the_naive_evaluation_does() {
    assert_eq!(compare(&cases(), "'inline'").refusals(), 0);
}

#[test]
fn stream_plans_answer_as_the_naive_evaluation_does_or_refuse() {
    let cases = corpus::all();
    let tally = compare(&cases, "'stream'");
    assert!(tally.refusals() * 10 < tally.answers(), "{tally}");
}

//! Each physical plan forced over the statements written by hand.

use predictsql_tests::Proxy;

use super::case::{Case, case};
use super::fixture::{fixture, second_proxy};
use super::pair::Pair;
use super::tally::Tally;
use super::verdict::Verdict;
use super::{corpus, selects};

/// All statements without changes.
fn cases() -> Vec<Case> {
    let mut cases = corpus::all();
    cases.extend(selects::SELECTS.iter().map(|sql| case(*sql)));
    cases.extend(selects::with_parameters());
    assert!(cases.len() >= 250, "{} statements", cases.len());
    cases
}

/// How statements are run.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    plan: &'static str,
    cache: &'static str,
    proxy: fn() -> &'static Proxy,
}

impl Way {
    pub fn plan(plan: &'static str) -> Self {
        Self {
            plan,
            cache: "NULL",
            proxy: fixture,
        }
    }

    /// A session for a case.
    fn open(self, case: Option<&Case>) -> Pair {
        let mut pair = Pair::through((self.proxy)(), "df", "df");
        let (plan, cache) = (self.plan, self.cache);
        pair.lane
            .run(&format!("SET @ml_plan = {plan}, @ml_cache = {cache}"));
        for setup in case.into_iter().flat_map(|case| &case.setup) {
            pair.both(setup);
        }
        pair
    }

    /// Runs cases by both protocols. What differs fails.
    pub fn compare(self, cases: &[Case]) -> Tally {
        let (mut tally, mut wrong) = (Tally::default(), Vec::new());
        let mut plain = self.open(None);
        for case in cases {
            let mut own;
            let pair = match case.setup.is_empty() {
                true => &mut plain,
                false => {
                    own = self.open(Some(case));
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
                    *pair = self.open(Some(case));
                }
            }
        }
        let Self { plan, cache, .. } = self;
        let of = format!("{} statements by plan {plan}, cache {cache}", cases.len());
        println!("{of}: {tally}");
        assert!(
            wrong.is_empty(),
            "{} of {of}:\n{}",
            wrong.len(),
            wrong.join("\n")
        );
        tally
    }
}

#[test]
fn the_chosen_plan_answers_as_the_naive_evaluation_does() {
    assert_eq!(Way::plan("NULL").compare(&cases()).refusals(), 0);
}

#[test]
fn relations_in_temporary_tables_answer_as_the_naive_evaluation_does() {
    assert_eq!(Way::plan("'temporary'").compare(&cases()).refusals(), 0);
}

#[test]
fn inline_relations_answer_as_the_naive_evaluation_does() {
    assert_eq!(Way::plan("'inline'").compare(&cases()).refusals(), 0);
}

#[test]
fn stream_plans_answer_as_the_naive_evaluation_does_or_refuse() {
    let cases = corpus::all();
    let tally = Way::plan("'stream'").compare(&cases);
    assert!(tally.refusals() * 10 < tally.answers(), "{tally}");
}

/// The second time all answers come from the cache.
#[test]
fn kept_outputs_answer_as_the_naive_evaluation_does() {
    let cases = cases();
    let way = Way {
        plan: "NULL",
        cache: "'on'",
        proxy: second_proxy,
    };
    assert_eq!(way.compare(&cases).refusals(), 0);
    let before = second_proxy().images_inferred();
    assert!(before > 0);
    assert_eq!(way.compare(&cases).refusals(), 0);
    assert_eq!(second_proxy().images_inferred() - before, 0);
}

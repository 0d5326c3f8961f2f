//! Execution order of several predictions in a condition on a row.
//!
//! A prediction is a test that may decide several leaves of the condition. Evaluation of a row
//! stops as soon as the result of the condition is certain.

use predictsql_catalog::{TaskStatistics, Vote};

use super::decision::Decision;
use super::query::{Estimate, Prior};
use super::replay::weights;

/// Assumed share of rows that pass a test without measurements.
const SHARE_UNKNOWN: f64 = 0.5;

/// A condition over tests, in three-valued logic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Condition {
    /// The value of the test with this index.
    Test(usize),
    /// NOT
    Not(Box<Condition>),
    /// AND
    All(Vec<Condition>),
    /// OR
    Any(Vec<Condition>),
}

/// Expected figures of a test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Test {
    /// Share of the rows for which it is true.
    pub share: Estimate<f64>,
    /// Seconds of work per row.
    pub seconds: Estimate<f64>,
}

/// Expected figures of a condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    /// Its tests in execution order, each with the share of the rows that the tests before it do
    /// not decide.
    pub made: Vec<(usize, f64)>,
    /// Share of the rows that pass.
    pub passing: f64,
}

/// Value of a test for a row: true, false or NULL; `None` while it is unknown.
pub type Known = Option<Option<bool>>;

/// The possible values of a condition.
#[derive(Debug, Clone, Copy)]
struct Possible {
    yes: bool,
    no: bool,
    null: bool,
}

impl Condition {
    /// Whether a row passes; `None` while this depends on unknown tests.
    pub fn passes(&self, known: &[Known]) -> Option<bool> {
        match self.possible(known) {
            Possible { yes: false, .. } => Some(false),
            Possible {
                no: false,
                null: false,
                ..
            } => Some(true),
            _ => None,
        }
    }

    /// Whether the result may still depend on a test.
    pub fn depends_on(&self, test: usize, known: &[Known]) -> bool {
        match self {
            Self::Test(own) => *own == test && known.get(test).copied().flatten().is_none(),
            _ if self.possible(known).is_one() => false,
            Self::Not(condition) => condition.depends_on(test, known),
            Self::All(conditions) | Self::Any(conditions) => {
                conditions.iter().any(|c| c.depends_on(test, known))
            }
        }
    }

    fn possible(&self, known: &[Known]) -> Possible {
        let fold =
            |conditions: &[Self], none: Possible, both: fn(Possible, Possible) -> Possible| {
                conditions
                    .iter()
                    .map(|c| c.possible(known))
                    .fold(none, both)
            };
        match self {
            Self::Test(test) => match known.get(*test).copied().flatten() {
                None => Possible {
                    yes: true,
                    no: true,
                    null: true,
                },
                Some(is) => Possible {
                    yes: is == Some(true),
                    no: is == Some(false),
                    null: is.is_none(),
                },
            },
            Self::Not(condition) => condition.possible(known).opposite(),
            Self::All(conditions) => fold(conditions, Possible::YES, Possible::and),
            Self::Any(conditions) => fold(conditions, Possible::YES.opposite(), |a, b| {
                a.opposite().and(b.opposite()).opposite()
            }),
        }
    }

    /// The tests in the best execution order: for an AND, those that drop most rows for their cost
    /// first; for an OR, those that pass most. Each test stands at its first use.
    pub fn order(&self, tests: &[Test]) -> Vec<usize> {
        let expected = self.expected(tests);
        expected.made.into_iter().map(|(test, _)| test).collect()
    }

    /// Expected figures of the condition, if its tests run in that order and are independent.
    pub fn expected(&self, tests: &[Test]) -> Expected {
        let dearest = tests
            .iter()
            .filter_map(|t| t.seconds.value())
            .fold(0.0, f64::max);
        let expected: Vec<(f64, f64)> = tests
            .iter()
            .map(|test| {
                let share = test.share.value().unwrap_or(SHARE_UNKNOWN).clamp(0.0, 1.0);
                (share, test.seconds.value().unwrap_or(dearest))
            })
            .collect();
        let Part {
            share,
            order: mut made,
            ..
        } = self.part(&expected);
        let mut seen = vec![false; tests.len()];
        made.retain(|(test, _)| {
            seen.get_mut(*test)
                .is_some_and(|seen| !std::mem::replace(seen, true))
        });
        Expected {
            made,
            passing: share,
        }
    }

    fn part(&self, tests: &[(f64, f64)]) -> Part {
        match self {
            Self::Test(test) => {
                let (share, seconds) = tests.get(*test).copied().unwrap_or((SHARE_UNKNOWN, 0.0));
                Part {
                    share,
                    seconds,
                    order: vec![(*test, 1.0)],
                }
            }
            Self::Not(condition) => condition.part(tests).opposite(),
            Self::All(conditions) => Part::all(
                conditions
                    .iter()
                    .map(|condition| condition.part(tests))
                    .collect(),
            ),
            Self::Any(conditions) => {
                let parts = conditions
                    .iter()
                    .map(|condition| condition.part(tests).opposite());
                Part::all(parts.collect()).opposite()
            }
        }
    }
}

impl Possible {
    const YES: Self = Self {
        yes: true,
        no: false,
        null: false,
    };

    fn opposite(self) -> Self {
        Self {
            yes: self.no,
            no: self.yes,
            null: self.null,
        }
    }

    fn is_one(self) -> bool {
        [self.yes, self.no, self.null]
            .map(u8::from)
            .iter()
            .sum::<u8>()
            == 1
    }

    fn and(self, other: Self) -> Self {
        Self {
            yes: self.yes && other.yes,
            no: self.no || other.no,
            null: self.null && (other.yes || other.null) || other.null && (self.yes || self.null),
        }
    }
}

/// Expected figures of a part of a condition, for ordering.
struct Part {
    /// Share of rows for which it is true.
    share: f64,
    /// Expected seconds per row.
    seconds: f64,
    /// Its tests, each with the share of the part's rows that it runs on.
    order: Vec<(usize, f64)>,
}

impl Part {
    fn opposite(self) -> Self {
        Self {
            share: 1.0 - self.share,
            ..self
        }
    }

    /// Sorted by (share - 1) / seconds, ascending (Hellerstein and Stonebraker 1993); parts of
    /// equal rank stay in written order.
    fn all(mut parts: Vec<Self>) -> Self {
        parts.sort_by(|a, b| a.rank().total_cmp(&b.rank()));
        let mut all = Self {
            share: 1.0,
            seconds: 0.0,
            order: Vec::new(),
        };
        for part in parts {
            let reaching = all.share;
            let reached = part.order.into_iter().map(|(t, r)| (t, r * reaching));
            all.order.extend(reached);
            all.seconds += reaching * part.seconds;
            all.share *= part.share;
        }
        all
    }

    fn rank(&self) -> f64 {
        (self.share - 1.0) / self.seconds.max(f64::MIN_POSITIVE)
    }
}

/// The share of the labelled rows, weighted by a prior, for which a decision's answer passes;
/// `passes` takes an outcome (class position plus one, or 0). Absent if the votes of one of its
/// models are unknown.
pub fn share_passing(
    decision: &Decision,
    statistics: Option<&TaskStatistics>,
    prior: Option<&Prior>,
    passes: impl Fn(u16) -> bool,
) -> Estimate<f64> {
    let Some(statistics) = statistics.filter(|s| !s.plan.is_empty()) else {
        return Estimate::Absent;
    };
    let votes = decision
        .voters()
        .map(|voter| Some((voter.model.id, statistics.model(voter.model.id)?)));
    let Some(votes) = votes.collect::<Option<Vec<_>>>() else {
        return Estimate::Absent;
    };
    let vote = |id: u64, row: usize| {
        let of_model = votes.iter().find(|(model, _)| *model == id);
        of_model
            .and_then(|(_, votes)| votes.plan.get(row))
            .copied()
            .unwrap_or(Vote::default())
    };
    let weights = weights(&statistics.plan, decision.blocks.outcomes(), prior);
    let (mut passing, mut all) = (0.0, 0.0);
    for (row, truth) in statistics.plan.iter().enumerate() {
        let weight = weights.get(usize::from(*truth)).copied().unwrap_or(0.0);
        all += weight;
        if weight > 0.0 && passes(decision.answer(|v| vote(v.model.id, row))) {
            passing += weight;
        }
    }
    match all > 0.0 {
        true => Estimate::Inexact(passing / all),
        false => Estimate::Absent,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn test(share: f64, seconds: f64) -> Test {
        Test {
            share: Estimate::Inexact(share),
            seconds: Estimate::Inexact(seconds),
        }
    }

    fn all(count: usize) -> Condition {
        Condition::All((0..count).map(Condition::Test).collect())
    }

    /// Expected seconds of tests in that order, each run only where the condition is still
    /// undecided: over all outcomes of independent tests.
    fn expected(condition: &Condition, tests: &[Test], order: &[usize]) -> f64 {
        (0_u32..1 << tests.len())
            .map(|outcome| {
                let is = |t: usize| outcome >> t & 1 == 1;
                let chance = |t: usize| {
                    let share = tests[t].share.value().expect("known");
                    if is(t) { share } else { 1.0 - share }
                };
                let mut known: Vec<Known> = vec![None; tests.len()];
                let mut seconds = 0.0;
                for &t in order {
                    if condition.passes(&known).is_some() {
                        break;
                    }
                    seconds += tests[t].seconds.value().expect("known");
                    known[t] = Some(Some(is(t)));
                }
                seconds * (0..tests.len()).map(chance).product::<f64>()
            })
            .sum()
    }

    fn permutations(items: Vec<usize>) -> Vec<Vec<usize>> {
        if items.is_empty() {
            return vec![vec![]];
        }
        let with = |first: usize| {
            let rest = items.iter().copied().filter(|i| *i != first).collect();
            permutations(rest).into_iter().map(move |mut order| {
                order.insert(0, first);
                order
            })
        };
        items.clone().into_iter().flat_map(with).collect()
    }

    proptest! {
        #[test]
        fn no_order_of_an_and_or_an_or_is_cheaper(
            tests in proptest::collection::vec((0.05..0.95, 0.1..10.0), 1..5), is_and in any::<bool>(),
        ) {
            let tests: Vec<Test> = tests.into_iter().map(|(s, c)| test(s, c)).collect();
            let leaves: Vec<Condition> = (0..tests.len()).map(Condition::Test).collect();
            let condition = if is_and { Condition::All(leaves) } else { Condition::Any(leaves) };
            let ours = expected(&condition, &tests, &condition.order(&tests));
            for order in permutations((0..tests.len()).collect()) {
                prop_assert!(ours <= expected(&condition, &tests, &order) + 1e-9);
            }
        }
    }

    proptest! {
        #[test]
        fn rows_expected_at_a_test_are_those_that_no_test_before_decides(
            tests in proptest::collection::vec((0.05..0.95, 0.1..10.0), 3..6), is_and in any::<bool>(),
        ) {
            let tests: Vec<Test> = tests.into_iter().map(|(s, c)| test(s, c)).collect();
            // The last two form a nested part: each test appears once.
            let (first, inner) = (0..tests.len() - 2, tests.len() - 2..tests.len());
            let leaf = |range: std::ops::Range<usize>| range.map(Condition::Test).collect::<Vec<_>>();
            let mut outer = leaf(first);
            let condition = if is_and {
                outer.push(Condition::Any(leaf(inner)));
                Condition::All(outer)
            } else {
                outer.push(Condition::Not(Box::new(Condition::Any(leaf(inner)))));
                Condition::Any(outer)
            };
            let found = condition.expected(&tests);
            let seconds: f64 = found.made.iter()
                .map(|(t, reached)| reached * tests[*t].seconds.value().expect("known")).sum();
            // Each test runs where the condition depends on it: a nested part that is decided is
            // skipped.
            let naive: f64 = (0_u32..1 << tests.len()).map(|outcome| {
                let is = |t: usize| outcome >> t & 1 == 1;
                let chance: f64 = tests.iter().enumerate().map(|(t, of)| {
                    let share = of.share.value().expect("known");
                    if is(t) { share } else { 1.0 - share }
                }).product();
                let mut known: Vec<Known> = vec![None; tests.len()];
                let mut seconds = 0.0;
                for &(t, _) in &found.made {
                    if condition.depends_on(t, &known) {
                        seconds += tests[t].seconds.value().expect("known");
                        known[t] = Some(Some(is(t)));
                    }
                }
                seconds * chance
            }).sum();
            prop_assert!((seconds - naive).abs() < 1e-9, "{} {}", seconds, naive);
        }
    }

    /// Conditions over four tests.
    fn conditions() -> impl Strategy<Value = Condition> {
        let leaf = (0_usize..4).prop_map(Condition::Test);
        leaf.prop_recursive(3, 12, 3, |inner| {
            let several = proptest::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                inner.prop_map(|c| Condition::Not(Box::new(c))),
                several.clone().prop_map(Condition::All),
                several.prop_map(Condition::Any),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_a_condition_does_not_depend_on_does_not_change_it(
            condition in conditions(),
            known in proptest::collection::vec(proptest::option::of(proptest::option::of(any::<bool>())), 4),
            rest in proptest::collection::vec(proptest::option::of(any::<bool>()), 4),
            test in 0_usize..4,
        ) {
            prop_assume!(known[test].is_none() && !condition.depends_on(test, &known));
            let with = |is: Option<bool>| {
                let mut all: Vec<Known> = known.iter().zip(&rest).map(|(k, r)| k.or(Some(*r))).collect();
                all[test] = Some(is);
                condition.passes(&all)
            };
            prop_assert!(with(None).is_some());
            prop_assert_eq!(with(Some(true)), with(Some(false)));
            prop_assert_eq!(with(Some(true)), with(None));
        }
    }

    #[test]
    fn rows_stop_when_they_are_decided() {
        // (0 AND 1) OR NOT 2
        let condition = Condition::Any(vec![all(2), Condition::Not(Box::new(Condition::Test(2)))]);
        let (yes, no, null) = (Some(Some(true)), Some(Some(false)), Some(None));
        assert_eq!(condition.passes(&[None, None, None]), None);
        assert_eq!(condition.passes(&[None, None, no]), Some(true));
        assert_eq!(condition.passes(&[no, None, yes]), Some(false));
        assert_eq!(
            condition.passes(&[null, None, yes]),
            Some(false),
            "NULL AND x is never true"
        );
        assert_eq!(condition.passes(&[yes, null, no]), Some(true));
        assert_eq!(condition.passes(&[yes, yes, null]), Some(true));
        assert_eq!(condition.passes(&[yes, None, null]), None);
        assert_eq!(all(0).passes(&[]), Some(true));
    }

    #[test]
    fn what_is_not_known_is_not_taken_for_free() {
        let absent = Test {
            share: Estimate::Absent,
            seconds: Estimate::Absent,
        };
        let tests = [absent, test(0.5, 1.0), test(0.9, 2.0), test(0.1, 1.0)];
        assert_eq!(all(4).order(&tests), [3, 1, 0, 2]);
        let twice = Condition::All(vec![
            Condition::Test(1),
            Condition::Test(0),
            Condition::Test(1),
        ]);
        assert_eq!(twice.order(&tests[..2]), [1, 0]);
        assert_eq!(all(3).order(&[absent; 3]), [0, 1, 2], "as written");
    }
}

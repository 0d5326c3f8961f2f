//! Tests of replay against naive evaluation, and of branch and bound against brute force.

use std::collections::HashMap;

use predictsql_catalog::{ModelStatistics, Vote};
use proptest::prelude::*;

use super::repository::{Repository, Shape, costs};
use crate::planner::blocks::OTHER;
use crate::planner::branch;
use crate::planner::cost::Costs;
use crate::planner::frontier::{Found, Goal};
use crate::planner::replay::{Key, Sample, Tally};
use crate::planner::rows::Chosen;
use crate::planner::search::{Problem, Search};
use crate::planner::{Blocks, Metric, Plan, Strategy, decide};

fn shape(models: usize) -> Shape {
    Shape {
        classes: 6,
        models,
        plan: 90,
        cert: 40,
        coverage: 0.7,
    }
}

/// The metric of a plan on rows that were not used for planning.
pub(super) fn on_unseen(plan: &Plan, metric: Metric, repository: &Repository) -> f64 {
    let voters = plan.decision.voters().map(|v| v.model.id);
    let votes: HashMap<u64, Vec<Vote>> =
        voters.map(|id| (id, repository.unseen_votes(id))).collect();
    naive(plan, metric, &repository.unseen, |id, row| votes[&id][row])
}

/// The metric of a plan's answers, evaluated row by row by its definition.
pub(super) fn naive(
    plan: &Plan,
    metric: Metric,
    truths: &[u16],
    votes: impl Fn(u64, usize) -> Vote,
) -> f64 {
    let blocks = &plan.decision.blocks;
    let (mut right, mut found, mut claimed, mut needed) = (0.0, 0.0, 0.0, 0.0);
    for (row, truth) in truths.iter().enumerate() {
        let answer = plan.decision.answer(|voter| votes(voter.model.id, row));
        let is_right = blocks.are_alike(answer, *truth);
        let is_needed = |outcome: u16| {
            usize::from(outcome)
                .checked_sub(1)
                .is_some_and(|c| blocks.needs(c))
        };
        right += f64::from(u8::from(is_right));
        claimed += f64::from(u8::from(is_needed(answer)));
        needed += f64::from(u8::from(is_needed(*truth)));
        found += f64::from(u8::from(is_right && is_needed(*truth)));
    }
    match metric {
        Metric::Accuracy => right / truths.len() as f64,
        Metric::F1 => 2.0 * found / (claimed + needed),
    }
}

/// The owned data of a search problem.
struct Parts {
    sample: Sample,
    keys: Vec<Key>,
    costs: Costs,
    has_other: bool,
    metric: Metric,
    candidates: u16,
}

impl Parts {
    fn new(repository: &Repository, blocks: &Blocks, metric: Metric) -> Self {
        let truths = &repository.statistics.plan;
        let sample = Sample::new(truths, blocks, None, &Chosen::all(truths, blocks));
        let mut keys = Vec::new();
        for model in &repository.statistics.models {
            sample.project(&model.plan, blocks, None, &mut keys);
        }
        let costed: Vec<(_, Option<&ModelStatistics>)> = repository
            .models
            .iter()
            .map(|m| (m.clone(), repository.statistics.model(m.id).map(|s| &**s)))
            .collect();
        Self {
            sample,
            keys,
            costs: Costs::new(&costed, &costs()),
            has_other: blocks.has_other(),
            metric,
            candidates: u16::try_from(repository.models.len()).expect("few"),
        }
    }

    fn problem(&self) -> Problem<'_> {
        Problem {
            sample: &self.sample,
            keys: &self.keys,
            candidates: self.candidates,
            metric: self.metric,
            costs: &self.costs,
            has_other: self.has_other,
        }
    }
}

/// All sets, with cost and value.
fn all_sets(problem: &Problem<'_>, floor: u16) -> Vec<(Vec<u16>, f64, f64)> {
    (1_u32..1 << problem.candidates)
        .map(|bits| {
            let set: Vec<u16> = (0..problem.candidates)
                .filter(|m| bits >> m & 1 == 1)
                .collect();
            let best = problem.best(&set, floor);
            let value = problem.value(problem.sample.tally(&best, &best));
            let seconds = problem.costs.of(&set).seconds;
            (set, seconds, value)
        })
        .collect()
}

fn metrics() -> impl proptest::strategy::Strategy<Value = Metric> {
    prop_oneof![Just(Metric::Accuracy), Just(Metric::F1)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_expected_is_what_the_decision_answers(
        seed in any::<u64>(), needed in 1_usize..=6, metric in metrics(), kind in 0_usize..6,
    ) {
        let repository = Repository::new(shape(8), seed);
        let blocks = if needed == 6 { Blocks::every_class(6, false) } else { repository.filter(needed) };
        let metric = if blocks.has_other() { metric } else { Metric::Accuracy };
        let strategy = [
            Strategy::Optimal, Strategy::Greedy, Strategy::All, Strategy::Random(seed),
            Strategy::BestPerClass, Strategy::MostAccurate,
        ][kind];
        let query = repository.query(&blocks, metric);
        let statistics = Some(&repository.statistics);
        let plan = decide(
            &query, &repository.constraints(), strategy, &repository.models, statistics, &costs(), 500,
        );
        // A query for classes that no model knows has no measured plan.
        let Ok(plan) = plan else { return Ok(()) };
        let Some(searched) = plan.searched.value() else { return Ok(()) };
        let votes = |id: u64, row: usize| repository.statistics.model(id).expect("measured").plan[row];
        let value = naive(&plan, metric, &repository.statistics.plan, votes);
        prop_assert!((value - searched).abs() < 1e-6, "{value} {searched}");
        let cert = &repository.statistics.cert;
        prop_assume!(metric == Metric::Accuracy || cert.iter().any(|t| blocks.truth(*t) != OTHER));
        let votes = |id: u64, row: usize| repository.statistics.model(id).expect("measured").cert[row];
        let value = naive(&plan, metric, cert, votes);
        let expected = plan.accuracy.value().expect("measured");
        prop_assert!((value - expected).abs() < 1e-6, "{value} {expected}");
    }

    #[test]
    fn branch_and_bound_finds_what_brute_force_finds(
        seed in any::<u64>(), models in 1_usize..=12, needed in 1_usize..=5, metric in metrics(),
        floor in prop_oneof![Just(0_u16), Just(20_000), Just(45_000)], budget in 0.0..0.15,
        target in prop_oneof![Just(None), proptest::strategy::Strategy::prop_map(0.3..0.95, Some)],
    ) {
        let repository = Repository::new(shape(models), seed);
        let blocks = repository.filter(needed);
        let parts = Parts::new(&repository, &blocks, metric);
        let problem = parts.problem();
        prop_assume!(parts.sample.tells(metric));
        let goal = Goal {
            value_min: target,
            seconds_max: if target.is_some() { f64::INFINITY } else { budget },
        };
        let mut search = Search::new(&problem, u32::MAX);
        search.order = (0..problem.candidates).collect();
        let start = Found { set: vec![], floor, seconds: 0.0, value: 0.0, is_tuned: false };
        let gap = branch::run(&mut search, goal, &start);
        prop_assert_eq!(gap, branch::Gap::default());
        let best = all_sets(&problem, floor)
            .into_iter()
            .filter(|(_, seconds, _)| goal.affords(*seconds))
            .reduce(|a, b| if goal.prefers((b.1, b.2), (a.1, a.2)) { b } else { a });
        let found = search.frontier.best(&goal);
        match (best, found) {
            (Some((_, seconds, value)), Some(found)) => {
                let is_enough = target.is_some_and(|least| value >= least);
                if is_enough {
                    prop_assert!((found.seconds - seconds).abs() < 1e-12, "{found:?} {seconds}");
                } else {
                    prop_assert!((found.value - value).abs() < 1e-12, "{found:?} {value}");
                }
            }
            (best, found) => prop_assert_eq!(best.is_none(), found.is_none()),
        }
    }

    #[test]
    fn bounds_hold_for_every_completion(
        seed in any::<u64>(), needed in 1_usize..=5, metric in metrics(), chosen in 0_u32..128,
    ) {
        let repository = Repository::new(shape(7), seed);
        let blocks = repository.filter(needed);
        let parts = Parts::new(&repository, &blocks, metric);
        let problem = parts.problem();
        prop_assume!(parts.sample.tells(metric));
        let now: Vec<u16> = (0..7).filter(|m| chosen >> m & 1 == 1).collect();
        let rest: Vec<u16> = (0..7).filter(|m| chosen >> m & 1 == 0).collect();
        let best = problem.best(&now, 9_000);
        let mut right = vec![Key::MIN; parts.sample.rows()];
        rest.iter().for_each(|m| parts.sample.raise_right(problem.votes(*m), &mut right));
        let most = parts.sample.reachable(&best, &right);
        let bound = parts.sample.value_bound(metric, most);
        let tally = parts.sample.tally(&best, &best);
        for bits in 0_u32..1 << rest.len() {
            let added: Vec<u16> =
                rest.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1).map(|(_, m)| *m).collect();
            let all: Vec<u16> = now.iter().chain(&added).copied().collect();
            let votes = problem.best(&all, 9_000);
            let reached = parts.sample.tally(&votes, &votes);
            let value = problem.value(reached);
            prop_assert!(value <= bound + 1e-9);
            // The sum of all weights is a quarter of the 32-bit range; sums over several models
            // may overflow it.
            let gains: Vec<Tally> =
                added.iter().map(|m| parts.sample.gains(&best, problem.votes(*m))).collect();
            let sum = |of: fn(&Tally) -> u32| u64::from(of(&tally)) + gains.iter().map(|g| u64::from(of(g))).sum::<u64>();
            prop_assert!(u64::from(reached.found) <= sum(|t| t.found));
            prop_assert!(u64::from(reached.rejected) <= sum(|t| t.rejected));
            let (by_found, by_rejected, constant) = parts.sample.linear(metric, value);
            let sum = by_found * f64::from(reached.found) + by_rejected * f64::from(reached.rejected);
            prop_assert!(sum + constant >= -1.0, "what is reached passes the linear test");
        }
    }

    #[test]
    fn the_best_floor_and_the_thresholds_are_those_of_trying_each(
        seed in any::<u64>(), needed in 1_usize..=5, metric in metrics(),
    ) {
        let repository = Repository::new(shape(5), seed);
        let blocks = repository.filter(needed);
        let parts = Parts::new(&repository, &blocks, metric);
        let problem = parts.problem();
        prop_assume!(parts.sample.tells(metric));
        let all = problem.best(&[0, 1, 2, 3, 4], 0);
        let at = |floor: u16| {
            let votes = problem.best(&[0, 1, 2, 3, 4], floor);
            problem.value(parts.sample.tally(&votes, &votes))
        };
        let best = (0..256).map(|step| (step << 8) as u16).map(|floor| (floor, at(floor)));
        let best = best.reduce(|a, b| if b.1 > a.1 { b } else { a });
        prop_assert_eq!(Some(parts.sample.best_floor(metric, &all)), best);

        let first = problem.best(&[0], 0);
        let floor = vec![parts.sample.floor(30_000); parts.sample.rows()];
        // With the votes of both stages, and with those of the second alone.
        for then in [all, problem.best(&[1, 2], 0)] {
            let steps = parts.sample.cascades(&first, &then, 30_000);
            for (number, (tally, _)) in steps.iter().enumerate().take(255) {
                let threshold = crate::planner::thresholds::threshold(number);
                let answers = crate::planner::thresholds::cascade(&first, &then, threshold);
                prop_assert_eq!(parts.sample.tally(&answers, &floor), *tally);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_part_of_the_rows_stands_for_all(seed in any::<u64>(), needed in 1_usize..=5, metric in metrics()) {
        let shape = Shape { plan: 6_000, ..shape(5) };
        let repository = Repository::new(shape, seed);
        let blocks = repository.filter(needed);
        let value = |rows_max: usize| {
            let truths = &repository.statistics.plan;
            let votes: Vec<&[Vote]> =
                repository.statistics.models.iter().map(|m| m.plan.as_slice()).collect();
            let chosen = Chosen::new(truths, &blocks, rows_max, &votes);
            let sample = Sample::new(truths, &blocks, None, &chosen);
            assert_eq!(sample.rows(), rows_max.min(6_000));
            let mut best = vec![sample.floor(20_000); sample.rows()];
            for model in &repository.statistics.models {
                let mut keys = Vec::new();
                sample.project(&model.plan, &blocks, None, &mut keys);
                crate::planner::replay::raise(&mut best, &keys);
            }
            sample.value(metric, sample.tally(&best, &best))
        };
        let (all, part) = (value(usize::MAX), value(1_024));
        // At least 400 rows of each kind: five standard deviations.
        prop_assert!((all - part).abs() < 0.1, "{all} {part}");
    }
}

//! Tests that answers depend only on their documented inputs.

use std::sync::Arc;

use predictsql_catalog::{Model, Task, TaskStatistics, Vote};
use proptest::prelude::*;

use super::repository::{Dice, Repository, Shape, costs, statistics};
use super::search::naive;
use crate::fixture::{model, task};
use crate::planner::ordering::share_passing;
use crate::planner::{
    Basis, Blocks, Constraints, Estimate, Metric, Plan, Prior, Query, Reason, Strategy, decide,
};

const SHAPE: Shape = Shape {
    classes: 8,
    models: 14,
    plan: 160,
    cert: 80,
    coverage: 0.6,
};

fn plan(repository: &Repository, needed: usize, strategy: Strategy, replays: u32) -> Option<Plan> {
    let blocks = repository.filter(needed);
    let query = repository.query(&blocks, Metric::F1);
    let constraints = repository.constraints();
    let statistics = Some(&repository.statistics);
    decide(
        &query,
        &constraints,
        strategy,
        &repository.models,
        statistics,
        &costs(),
        replays,
    )
    .ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_same_question_has_the_same_answer_in_any_order(
        seed in any::<u64>(), needed in 1_usize..8, replays in 0_u32..1_500,
    ) {
        let mut repository = Repository::new(SHAPE, seed);
        let before = plan(&repository, needed, Strategy::Optimal, replays);
        prop_assert_eq!(&plan(&repository, needed, Strategy::Optimal, replays), &before);
        // The models are created and listed in another order.
        repository.models.reverse();
        repository.statistics.models.reverse();
        let renumbered = |id: u64| 1_000 - id;
        for m in &mut repository.models {
            Arc::make_mut(m).id = renumbered(m.id);
        }
        for s in &mut repository.statistics.models {
            Arc::make_mut(s).model = renumbered(s.model);
        }
        let after = plan(&repository, needed, Strategy::Optimal, replays);
        let text = |plan: &Option<Plan>| plan.as_ref().map(ToString::to_string);
        prop_assert_eq!(text(&after), text(&before));
        let floor = |plan: &Option<Plan>| plan.as_ref().map(|p| p.decision.floor);
        prop_assert_eq!(floor(&after), floor(&before));
    }

    #[test]
    fn where_no_model_knows_all_the_best_a_class_set_the_bar(
        seed in any::<u64>(), needed in 2_usize..8,
    ) {
        let repository = Repository::new(Shape { coverage: 0.4, ..SHAPE }, seed);
        let classes: Vec<String> = repository.task.classes[..needed].to_vec();
        let knows_all = |m: &Arc<Model>| classes.iter().all(|c| m.covers.contains(c));
        prop_assume!(!repository.models.iter().any(knows_all));
        let plan = |strategy| plan(&repository, needed, strategy, 600);
        let Some(best) = plan(Strategy::BestPerClass) else { return Ok(()) };
        let ours = plan(Strategy::Optimal).expect("a plan");
        let (value, bar) = (ours.searched.value(), best.searched.value());
        prop_assert!(value.expect("measured") >= bar.expect("measured") - 0.01 - 1e-9);
    }

    #[test]
    fn shares_that_pass_are_those_of_the_answers(seed in any::<u64>(), needed in 1_usize..8) {
        let repository = Repository::new(SHAPE, seed);
        let statistics = Some(&repository.statistics);
        let Some(plan) = plan(&repository, needed, Strategy::Greedy, 300) else { return Ok(()) };
        let blocks = plan.decision.blocks.clone();
        let is_needed = |outcome: u16| outcome > 0 && blocks.needs(usize::from(outcome) - 1);
        let share = share_passing(&plan.decision, statistics, None, is_needed).value();
        let none = share_passing(&plan.decision, statistics, None, |o| !is_needed(o)).value();
        prop_assert!((share.expect("measured") + none.expect("measured") - 1.0).abs() < 1e-12);
        prop_assert_eq!(share_passing(&plan.decision, None, None, |_| true), Estimate::Absent);
    }

    #[test]
    fn the_number_of_replays_is_kept_to(seed in any::<u64>(), replays in 100_u32..2_000) {
        let repository = Repository::new(SHAPE, seed);
        // Margin for the last evaluations of the chains and the tuning of floors, which every
        // search needs.
        let most = replays + 400;
        if let Some(plan) = plan(&repository, 5, Strategy::Optimal, replays) {
            prop_assert!(plan.replays <= most, "{} of {replays}", plan.replays);
        }
    }

    #[test]
    fn reweighting_is_drawing_rows_anew(
        seed in any::<u64>(), copies in proptest::collection::vec(1_usize..5, 8), needed in 1_usize..8,
    ) {
        let repository = Repository::new(SHAPE, seed);
        let rows = repository.statistics.plan.clone();
        let copies_of = |truth: &u16| copies[usize::from(*truth) - 1];
        // The prior corresponds to a sample that repeats each row as often as `copies` says for
        // its class.
        let mut weights = vec![0.0; 9];
        rows.iter().for_each(|t| weights[usize::from(*t)] += copies_of(t) as f64);
        let prior = Prior::new(&weights).expect("positive");
        let blocks = repository.filter(needed);
        let mut query = repository.query(&blocks, Metric::Accuracy);
        query.prior = Some(&prior);
        let constraints = repository.constraints();
        let statistics = Some(&repository.statistics);
        let plan = decide(
            &query, &constraints, Strategy::Greedy, &repository.models, statistics, &costs(), 300,
        );
        let Ok(plan) = plan else { return Ok(()) };
        let Some(expected) = plan.searched.value() else { return Ok(()) };
        let drawn: Vec<usize> =
            (0..rows.len()).flat_map(|row| std::iter::repeat_n(row, copies_of(&rows[row]))).collect();
        let truths: Vec<u16> = drawn.iter().map(|row| rows[*row]).collect();
        let votes = |id: u64, row: usize| {
            repository.statistics.model(id).expect("measured").plan[drawn[row]]
        };
        let value = naive(&plan, Metric::Accuracy, &truths, votes);
        prop_assert!((value - expected).abs() < 0.001, "{value} {expected}: a prior has steps");
    }
}

#[test]
fn unknown_things_that_specialists_claim_are_other() {
    // Two specialists for cats and dogs, with high scores on those and low scores on everything
    // else; a third of the rows shows cars.
    let task = task("t", &["cat", "dog", "car"]);
    let mut dice = Dice::new(5);
    let truths: Vec<u16> = (0..300).map(|row| row % 3 + 1).collect();
    let mut votes = |mine: u16| -> Vec<Vote> {
        let vote = |truth: &u16| {
            let sure = if *truth == mine { 0.8 } else { 0.1 };
            Vote::new(((sure + 0.15 * dice.uniform()) * 65_535.0) as u16, mine)
        };
        truths.iter().map(vote).collect()
    };
    let measured = [1, 2].map(|id| {
        let (plan, cert) = (votes(id), votes(id));
        Arc::new(statistics(u64::from(id), 1, plan, cert, 0.001))
    });
    let statistics = TaskStatistics {
        task: "t".to_owned(),
        task_version: 1,
        epoch: 1,
        population: String::new(),
        plan: truths.clone().into(),
        cert: truths.into(),
        models: measured.to_vec(),
    };
    let models = [
        Arc::new(model(1, "cats", &["cat"], None)),
        Arc::new(model(2, "dogs", &["dog"], None)),
    ];
    let blocks = Blocks::any_of(&[0, 1], 3, false);
    let query = filter(&task, &blocks);
    let constraints = Constraints {
        min_accuracy: Some(0.9),
        ..Constraints::none(&task)
    };
    let plan = decide(
        &query,
        &constraints,
        Strategy::Optimal,
        &models,
        Some(&statistics),
        &costs(),
        500,
    )
    .expect("both together");
    let answer = |cat: u16, dog: u16| {
        plan.decision.answer(|v| {
            if v.model.id == 1 {
                Vote::new(cat, 1)
            } else {
                Vote::new(dog, 2)
            }
        })
    };
    assert_eq!((answer(60_000, 9_000), answer(9_000, 60_000)), (1, 2));
    assert_eq!(answer(9_000, 9_500), 3, "a car");
}

fn filter<'a>(task: &'a Task, blocks: &'a Blocks) -> Query<'a> {
    Query {
        task,
        named: None,
        blocks,
        metric: Metric::F1,
        prior: None,
        rows: Estimate::Absent,
        scores_needed: false,
    }
}

#[test]
fn without_measurements_the_default_rule_guesses() {
    let repository = Repository::new(Shape { models: 3, ..SHAPE }, 1);
    let all: Vec<&str> = repository.task.classes.iter().map(String::as_str).collect();
    let mut models = repository.models.clone();
    models.push(Arc::new(model(9, "full", &all, Some(0.5))));
    let blocks = repository.filter(2);
    let query = repository.query(&blocks, Metric::F1);
    let mut stale = repository.statistics.clone();
    stale.task_version = 2;
    for statistics in [None, Some(&stale)] {
        let constraints = repository.constraints();
        let plan = decide(
            &query,
            &constraints,
            Strategy::Optimal,
            &models,
            statistics,
            &costs(),
            500,
        )
        .expect("a guess");
        assert!(plan.is_guess());
        assert_eq!(plan.accuracy, Estimate::Absent);
        assert_eq!(plan.decision.stages[0].voters[0].model.name, "full");
        assert!(
            plan.rejected
                .iter()
                .all(|r| r.reason == Reason::NotFullCoverage)
        );
    }
    let named = Query {
        named: Some(&models[0]),
        ..query
    };
    let constraints = repository.constraints();
    let statistics = Some(&repository.statistics);
    let plan = decide(
        &named,
        &constraints,
        Strategy::Optimal,
        &models,
        statistics,
        &costs(),
        500,
    )
    .expect("named");
    assert_eq!(plan.basis, Basis::Named);
    let outcome = plan.decision.stages[0].voters[0].outcomes[0];
    assert_eq!(
        plan.decision.answer(|_| Vote::new(1, outcome)),
        outcome,
        "no floor"
    );
    assert_eq!(
        plan.decision.answer(|_| Vote::new(60_000, 0)),
        0,
        "NULL for none of its classes"
    );
}

#[test]
fn the_best_on_few_rows_is_not_taken_by_chance() {
    // With few rows of the needed classes and many others, the search finds sets that are best by
    // chance. Re-evaluated on more rows, together with the plans of simpler strategies, the choice
    // is no worse than theirs.
    let shape = Shape {
        classes: 40,
        models: 30,
        plan: 6_000,
        cert: 6_000,
        coverage: 0.5,
    };
    let (mut optimal, mut others) = (0.0, [0.0; 2]);
    for seed in 0..6 {
        let repository = Repository::new(shape, seed);
        let blocks = repository.filter(2);
        let mut query = repository.query(&blocks, Metric::F1);
        query.rows = Estimate::Exact(1_024);
        let value = |strategy| {
            let constraints = Constraints {
                max_seconds: Some(60.0),
                ..repository.constraints()
            };
            let (models, statistics) = (&repository.models, Some(&repository.statistics));
            let plan = decide(
                &query,
                &constraints,
                strategy,
                models,
                statistics,
                &costs(),
                400,
            );
            plan.ok().and_then(|plan| plan.accuracy.value())
        };
        let found = value(Strategy::Optimal).expect("affordable");
        optimal += found;
        for (sum, strategy) in others
            .iter_mut()
            .zip([Strategy::Greedy, Strategy::BestPerClass])
        {
            // Other strategies may have no plan within the limit.
            *sum += value(strategy).unwrap_or(found);
        }
    }
    assert!(
        others.iter().all(|sum| optimal >= sum - 0.02),
        "{optimal} {others:?}"
    );
}

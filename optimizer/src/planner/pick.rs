//! Strategies: produce the candidate plans of a problem, in the order in which they are tried.

use super::branch::{self, Gap};
use super::cascades::cascades;
use super::choice::Choice;
use super::frontier::{Frontier, Goal};
use super::measured::{Candidate, Measured};
use super::query::{Metric, Strategy};
use super::search::{Problem, Search};
use super::sequence::{Asked, sequence};

/// One-sided 95 % quantile of the normal distribution, matching the failure probability of
/// promises.
const DEVIATIONS: f64 = 1.645;
/// Maximum number of plans that are re-evaluated on more rows, where the best is searched for.
const SEEN_AGAIN_MAX: usize = 8;
/// Minimum share of the replays for branch and bound, as a divisor.
const BRANCH_SHARE: u32 = 4;

/// Plans in the order in which they are tried, and search statistics.
#[derive(Debug)]
pub(super) struct Picked {
    /// Without `min_accuracy` the first affordable one is chosen; with it the last one that is
    /// certified before the first failure.
    pub(super) choices: Vec<Choice>,
    pub(super) gap: Option<Gap>,
    pub(super) replays: u32,
}

/// Runs a strategy.
pub(super) fn pick(
    measured: &Measured<'_>,
    problem: &Problem<'_>,
    strategy: Strategy,
    replays_max: u32,
) -> Picked {
    let mut search = Search::new(problem, replays_max);
    let mut gap = None;
    let one_only = measured.query.scores_needed || strategy == Strategy::BestSingle;
    let best_only = strategy == Strategy::MostAccurate;
    let choices = match strategy {
        _ if one_only => {
            search.singles();
            search.tune();
            let is_best = strategy == Strategy::BestSingle;
            let goal = if is_best {
                measured.goal()
            } else {
                measured.search_goal(&mut search, true)
            };
            in_turn(measured, choices(&search.frontier), &goal, false, vec![])
        }
        Strategy::Optimal | Strategy::MostAccurate => {
            let alone = search.singles();
            let goal = if best_only {
                measured.goal()
            } else {
                measured.search_goal(&mut search, false)
            };
            // Single models are kept, so that sets that only seem better do not hide them.
            search.tune();
            let singles = choices(&search.frontier);
            let (mut plans, found, greedy) = optimal(&mut search, &goal, &alone);
            plans.extend(singles);
            gap = Some(found);
            let others = measured.worth_a_look(&search, &goal, greedy);
            in_turn(measured, plans, &goal, best_only, others)
        }
        Strategy::Greedy => {
            let alone = search.singles();
            let goal = measured.search_goal(&mut search, false);
            let mut chain = Search::new(problem, replays_max);
            chain.greedy(goal.seconds_max, true, &alone);
            search.replays += chain.replays;
            in_turn(measured, choices(&chain.frontier), &goal, false, vec![])
        }
        fixed => {
            search.offer_tuned(&measured.fixed_set(problem, fixed));
            choices(&search.frontier)
        }
    };
    Picked {
        choices,
        gap,
        replays: search.replays,
    }
}

fn choices(frontier: &Frontier) -> Vec<Choice> {
    frontier.iter().map(Choice::of).collect()
}

/// Greedy chains, refinement, branch and bound, cascades. Returns all undominated plans, the gap,
/// and the best plan of the first chain.
fn optimal(
    search: &mut Search<'_, '_>,
    goal: &Goal,
    alone: &[f64],
) -> (Vec<Choice>, Gap, Option<Choice>) {
    let by_rate = search.greedy(goal.seconds_max, true, alone);
    let greedy = search.frontier.best(goal).map(Choice::of);
    let by_gain = search.greedy(goal.seconds_max, false, alone);
    let mut order = Vec::new();
    for m in by_rate
        .into_iter()
        .chain(by_gain)
        .chain(search.order.iter().copied())
    {
        if !order.contains(&m) {
            order.push(m);
        }
    }
    search.order = order;
    let all = search.replays_max;
    search.replays_max = all - (all - search.replays.min(all)) / BRANCH_SHARE;
    if let Some(start) = search.frontier.best(goal).cloned() {
        search.refine(&start, goal);
    }
    search.replays_max = all;
    let start = search.frontier.best(goal).cloned();
    let gap = start.map_or_else(Gap::default, |start| branch::run(search, *goal, &start));
    search.tune();
    let mut plans = choices(&search.frontier);
    let serves = search.frontier.best(goal);
    let (cascades, replays) = cascades(search.problem, &search.frontier, serves);
    plans.extend(cascades);
    search.replays += replays;
    (plans, gap, greedy)
}

/// Sorts plans into the order in which they are tried. `others` are re-evaluated together with the
/// best of them.
fn in_turn(
    measured: &Measured<'_>,
    plans: Vec<Choice>,
    goal: &Goal,
    best_only: bool,
    others: Vec<Choice>,
) -> Vec<Choice> {
    let limit = measured.seconds_max();
    if let Some(least) = measured.constraints.min_accuracy {
        if best_only {
            let mut most = unbeaten(plans);
            most.reverse();
            most.truncate(SEEN_AGAIN_MAX);
            return measured.best_of(most, &Goal::BEST).into_iter().collect();
        }
        return sequence(measured.seen_again(plans), &measured.asked(least));
    }
    let cheapest = plans
        .iter()
        .map(|p| p.seconds)
        .fold(f64::INFINITY, f64::min);
    let affordable = plans
        .into_iter()
        .filter(|p| p.seconds <= limit || p.seconds <= cheapest);
    let mut best: Vec<Choice> = affordable.collect();
    let of = |plan: &Choice| (plan.seconds, plan.value);
    best.sort_by(|a, b| goal.order(of(a), of(b)));
    best.dedup();
    best.truncate(if goal.value_min.is_none() {
        SEEN_AGAIN_MAX
    } else {
        1
    });
    best.extend(others);
    measured.best_of(best, goal).into_iter().collect()
}

/// Pareto-optimal plans, in ascending order of cost.
fn unbeaten(mut plans: Vec<Choice>) -> Vec<Choice> {
    plans.sort_by(|a, b| {
        a.seconds
            .total_cmp(&b.seconds)
            .then(b.value.total_cmp(&a.value))
    });
    let mut best = f64::NEG_INFINITY;
    plans.retain(|plan| {
        let is_better = plan.value > best;
        best = best.max(plan.value);
        is_better
    });
    plans
}

impl Measured<'_> {
    /// The goal, after single models were evaluated. Without constraint: as good as the best
    /// single model, minus the slack; if no model knows all needed classes, the set of the best
    /// models per class competes, too. Under a limit: the best within it.
    fn search_goal(&self, search: &mut Search<'_, '_>, one_only: bool) -> Goal {
        if let Some(least) = self.constraints.min_accuracy {
            let value_min = Some(self.expected_to_certify(least));
            return Goal {
                value_min,
                ..Goal::BEST
            };
        }
        if self.seconds_max().is_finite() {
            return self.goal();
        }
        let hits = self.hits();
        let knows_all = |m: &Vec<u32>| m.iter().all(|hits| *hits > 0);
        if !one_only && !hits.iter().any(knows_all) {
            search.offer_tuned(&best_per_class(&hits));
        }
        let best = search
            .frontier
            .best(&Goal::BEST)
            .map_or(0.0, |found| found.value);
        let slack = self.constraints.slack_points / 100.0;
        Goal {
            value_min: Some(best - slack),
            ..Goal::BEST
        }
    }

    /// Plans of simpler strategies, where the best is searched for and there are more rows for
    /// re-evaluation: the plans of the search may be better on its rows by chance only.
    fn worth_a_look(
        &self,
        search: &Search<'_, '_>,
        goal: &Goal,
        greedy: Option<Choice>,
    ) -> Vec<Choice> {
        if goal.value_min.is_some()
            || self.constraints.min_accuracy.is_some()
            || !self.has_more_rows()
        {
            return Vec::new();
        }
        let problem = search.problem;
        let mut fixed = Search::new(problem, 0);
        let tuned = [Strategy::Cheapest, Strategy::BestPerClass].map(|strategy| {
            fixed.frontier = Frontier::default();
            fixed.offer_tuned(&self.fixed_set(problem, strategy));
            choices(&fixed.frontier)
        });
        let all = greedy.into_iter().chain(tuned.into_iter().flatten());
        all.filter(|choice| goal.affords(choice.seconds)).collect()
    }

    /// Parameters of the tests of plans for a promise.
    fn asked(&self, least: f64) -> Asked {
        let needed = self.expected_to_certify(least);
        let deviation = (needed - least) / DEVIATIONS;
        let (certify, _) = self.rows_to_certify();
        let seen = self.rows_seen().max(1) as f64;
        Asked {
            needed,
            deviation,
            deviation_seen: deviation * (certify / seen).sqrt(),
        }
    }

    /// The metric that must be observed for `least` to be certified in about half of the cases.
    fn expected_to_certify(&self, least: f64) -> f64 {
        // Answers on certification rows are not used here; only their class frequencies are, if a
        // prior is declared.
        let (rows, needed) = self.rows_to_certify();
        let deviations = |share: f64, rows: f64| {
            (share + DEVIATIONS * (share * (1.0 - share) / rows.max(1.0)).sqrt()).min(1.0)
        };
        match self.query.metric {
            Metric::Accuracy => deviations(least, rows),
            // The share of found rows among those that F1 counts, assuming as many missed rows as
            // false claims.
            Metric::F1 => {
                let found = least / (2.0 - least);
                let rows = 2.0 * needed / (1.0 + found);
                let seen = deviations(found, rows);
                2.0 * seen / (1.0 + seen)
            }
        }
    }

    /// The set of a strategy without search.
    fn fixed_set(&self, problem: &Problem<'_>, strategy: Strategy) -> Vec<u16> {
        let all = 0..problem.candidates;
        match strategy {
            Strategy::BestPerClass => best_per_class(&self.hits()),
            Strategy::Cheapest => {
                let mut by_cost: Vec<u16> = all.collect();
                let infer = |m: &u16| self.costs.infer(usize::from(*m));
                by_cost.sort_by(|a, b| infer(a).total_cmp(&infer(b)));
                self.cheapest_cover(by_cost)
            }
            Strategy::Random(seed) => self.first_cover(shuffled(all.collect(), seed)),
            _ => all.collect(),
        }
    }

    /// Candidates in order, skipping those that know no needed class beyond the candidates before
    /// them.
    fn first_cover(&self, order: Vec<u16>) -> Vec<u16> {
        let mut covered = vec![false; self.query.blocks.outcomes()];
        let mut set = Vec::new();
        for m in order {
            let mut adds = false;
            for class in self.known(m) {
                let place = covered.get_mut(class).filter(|c| !**c);
                adds |= place.map(|c| *c = true).is_some();
            }
            if adds {
                set.push(m);
            }
        }
        set
    }

    /// An approximately cheapest cover: greedy by cost per newly known class.
    fn cheapest_cover(&self, order: Vec<u16>) -> Vec<u16> {
        let mut covered = vec![false; self.query.blocks.outcomes()];
        let mut set: Vec<u16> = Vec::new();
        loop {
            let rate = |m: &u16| {
                let new = self
                    .known(*m)
                    .filter(|c| covered.get(*c) == Some(&false))
                    .count();
                (new > 0).then(|| (self.costs.infer(usize::from(*m)) / new as f64, *m))
            };
            let next = order
                .iter()
                .filter_map(rate)
                .reduce(|a, b| if b.0 < a.0 { b } else { a });
            let Some((_, m)) = next else {
                return set;
            };
            for class in self.known(m) {
                covered.get_mut(class).into_iter().for_each(|c| *c = true);
            }
            set.push(m);
        }
    }

    /// For each candidate, the number of searched rows it answers right, per needed class that has
    /// rows.
    fn hits(&self) -> Vec<Vec<u32>> {
        let truths = &self.statistics.plan;
        let mut place = vec![None; self.query.blocks.outcomes()];
        let mut classes = 0;
        let mut rows = Vec::new();
        for row in self.sample.rows_needed() {
            let row = usize::from(*row);
            let truth = truths.get(row).copied().unwrap_or(0);
            let class = usize::from(truth)
                .checked_sub(1)
                .filter(|c| self.query.blocks.needs(*c));
            let Some(place) = class.and_then(|class| place.get_mut(class)) else {
                continue;
            };
            let place = *place.get_or_insert_with(|| {
                classes += 1;
                classes - 1
            });
            rows.push((row, truth, place));
        }
        let hits = |m: &Candidate<'_>| {
            let mut hits = vec![0; classes];
            for (row, truth, place) in &rows {
                let is_right = m
                    .statistics
                    .plan
                    .get(*row)
                    .is_some_and(|v| v.outcome() == *truth);
                hits.get_mut(*place)
                    .into_iter()
                    .for_each(|h| *h += u32::from(is_right));
            }
            hits
        };
        self.candidates.iter().map(hits).collect()
    }
}

/// For each class the candidate with most right rows; the first of equals.
fn best_per_class(hits: &[Vec<u32>]) -> Vec<u16> {
    let classes = hits.first().map_or(0, Vec::len);
    let best = |class: usize| {
        let of_class = |m: u16| {
            hits.get(usize::from(m))
                .and_then(|hits| hits.get(class))
                .copied()
        };
        let candidates = 0..u16::try_from(hits.len()).unwrap_or(u16::MAX);
        let able = candidates.filter_map(|m| Some((of_class(m).filter(|hits| *hits > 0)?, m)));
        able.reduce(|a, b| if b.0 > a.0 { b } else { a })
            .map(|(_, m)| m)
    };
    let mut set: Vec<u16> = (0..classes).filter_map(best).collect();
    set.sort_unstable();
    set.dedup();
    set.truncate(super::search::SET_MODELS_MAX);
    // If no candidate answers any row right, any set is as good.
    if set.is_empty() { vec![0] } else { set }
}

/// A shuffle with a built-in generator, so that a seed gives the same order on every platform
/// (SplitMix64).
fn shuffled(mut items: Vec<u16>, seed: u64) -> Vec<u16> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    };
    for last in (1..items.len()).rev() {
        let other = next() % (last as u64 + 1);
        items.swap(last, usize::try_from(other).unwrap_or(0));
    }
    items
}

//! Search for sets of models: greedy chains, then removals, swaps and additions around the best of
//! them, then branch and bound, all within one limit on replays.

use super::cost::{Costs, Work};
use super::frontier::{Found, Frontier, Goal};
use super::query::Metric;
use super::replay::{Key, Sample, Tally, combine, raise};

/// The initial floor: votes that are more likely wrong than right are ignored.
const FLOOR_FIRST: u16 = 1 << 15;
/// Maximum number of models in a set.
pub(crate) const SET_MODELS_MAX: usize = 64;
/// Number of best single models whose floor is optimized.
const TUNED_SINGLES: usize = 4;

/// A search problem: candidates, their votes and costs, and the metric.
#[derive(Debug)]
pub(crate) struct Problem<'a> {
    /// Labelled rows.
    pub(crate) sample: &'a Sample,
    /// Projected votes: for each candidate in turn, one per row.
    pub(crate) keys: &'a [Key],
    /// Number of candidates.
    pub(crate) candidates: u16,
    /// The metric for answers.
    pub(crate) metric: Metric,
    /// The candidates' costs.
    pub(crate) costs: &'a Costs,
    /// Whether a row may be answered `other`.
    pub(crate) has_other: bool,
}

impl Problem<'_> {
    /// A candidate's votes.
    pub(crate) fn votes(&self, candidate: u16) -> &[Key] {
        let rows = self.sample.rows();
        let start = usize::from(candidate) * rows;
        self.keys.get(start..start + rows).unwrap_or_default()
    }

    /// The greatest votes of a set, with a floor.
    pub(crate) fn best(&self, set: &[u16], floor: u16) -> Vec<Key> {
        let mut best = vec![self.sample.floor(floor); self.sample.rows()];
        set.iter().for_each(|m| raise(&mut best, self.votes(*m)));
        best
    }

    /// The metric of a tally.
    pub(crate) fn value(&self, tally: Tally) -> f64 {
        self.sample.value(self.metric, tally)
    }
}

/// State of a search.
#[derive(Debug)]
pub(crate) struct Search<'p, 'a> {
    pub(crate) problem: &'p Problem<'a>,
    pub(crate) frontier: Frontier,
    /// Replays used so far.
    pub(crate) replays: u32,
    /// Maximum number of replays.
    pub(crate) replays_max: u32,
    /// Candidates in the order used by branch and bound.
    pub(crate) order: Vec<u16>,
}

impl<'p, 'a> Search<'p, 'a> {
    /// With at most `replays_max` replays, except those that every search needs.
    pub(crate) fn new(problem: &'p Problem<'a>, replays_max: u32) -> Self {
        Self {
            problem,
            frontier: Frontier::default(),
            replays: 0,
            replays_max,
            order: Vec::new(),
        }
    }

    fn floor_first(&self) -> u16 {
        if self.problem.has_other {
            FLOOR_FIRST
        } else {
            0
        }
    }

    /// Whether there are replays left.
    pub(crate) fn may_go_on(&self) -> bool {
        self.replays < self.replays_max
    }

    /// The tally of the best votes so far plus one more model's votes.
    pub(crate) fn tally(&mut self, best: &[Key], candidate: u16) -> Tally {
        self.replays += 1;
        self.problem
            .sample
            .tally(best, self.problem.votes(candidate))
    }

    /// Adds a set with its best floor.
    pub(crate) fn offer_tuned(&mut self, set: &[u16]) {
        self.replays += 2;
        let best = self.problem.best(set, 0);
        let (floor, value) = self.problem.sample.best_floor(self.problem.metric, &best);
        let seconds = self.problem.costs.of(set).seconds;
        self.frontier.offer_tuned(seconds, value, floor, set);
    }

    /// Evaluates each model alone; returns their values.
    pub(crate) fn singles(&mut self) -> Vec<f64> {
        let floor = self.floor_first();
        let start = self.problem.best(&[], floor);
        let candidates = 0..self.problem.candidates;
        let values: Vec<f64> = candidates
            .clone()
            .map(|m| {
                let tally = self.tally(&start, m);
                let value = self.problem.value(tally);
                let seconds = self.problem.costs.of(&[m]).seconds;
                self.frontier.offer(seconds, value, floor, || vec![m]);
                value
            })
            .collect();
        let mut order: Vec<u16> = candidates.collect();
        let value = |m: &u16| values.get(usize::from(*m)).copied().unwrap_or(0.0);
        order.sort_by(|a, b| value(b).total_cmp(&value(a)));
        for m in order.iter().take(TUNED_SINGLES) {
            self.offer_tuned(&[*m]);
        }
        self.order = order;
        values
    }

    /// Repeatedly adds the model with the best gain (divided by its cost, if `per_second`) while
    /// one gains and is affordable, and offers every intermediate set. Gains are re-evaluated
    /// lazily, since they mostly shrink as the set grows. Returns the models in order of addition.
    pub(crate) fn greedy(&mut self, seconds_max: f64, per_second: bool, alone: &[f64]) -> Vec<u16> {
        let problem = self.problem;
        let mut best = problem.best(&[], self.floor_first());
        let mut value = problem.value(problem.sample.tally(&best, &best));
        let mut work = problem.costs.start();
        let mut set: Vec<u16> = Vec::new();
        let rate = |work: Work, m: u16, gain: f64| {
            let added = problem.costs.add(work, usize::from(m)).seconds - work.seconds;
            if per_second {
                gain / added.max(1e-12)
            } else {
                gain
            }
        };
        let first = |(m, alone): (u16, &f64)| Gain {
            candidate: m,
            rate: rate(work, m, alone - value),
            value: *alone,
            fresh_at: 0,
        };
        let mut gains: Vec<Gain> = (0..problem.candidates).zip(alone).map(first).collect();
        while set.len() < SET_MODELS_MAX {
            let affordable = |g: &&mut Gain| {
                problem.costs.add(work, usize::from(g.candidate)).seconds <= seconds_max
            };
            // The first of equals: candidates are sorted.
            let top = gains
                .iter_mut()
                .filter(affordable)
                .reduce(|a, b| if b.rate > a.rate { b } else { a });
            let Some(top) = top.filter(|top| top.rate > 0.0) else {
                break;
            };
            if top.fresh_at < set.len() {
                self.replays += 1;
                top.value =
                    problem.value(problem.sample.tally(&best, problem.votes(top.candidate)));
                top.rate = rate(work, top.candidate, top.value - value);
                top.fresh_at = set.len();
                continue;
            }
            let candidate = top.candidate;
            value = top.value;
            gains.retain(|g| g.candidate != candidate);
            raise(&mut best, problem.votes(candidate));
            work = problem.costs.add(work, usize::from(candidate));
            set.push(candidate);
            self.frontier
                .offer(work.seconds, value, self.floor_first(), || set.clone());
            if set.len() > 1 {
                self.offer_tuned(&set);
            }
        }
        set
    }

    /// Improves a set by removals, swaps and additions while the goal is served better.
    pub(crate) fn refine(&mut self, found: &Found, goal: &Goal) -> Found {
        let mut at = found.clone();
        while let Some(better) = self.step(&at, goal) {
            at = better;
        }
        at
    }

    /// The first improving change of a set: the best removal or swap for the first member that has
    /// one, otherwise the best addition.
    fn step(&mut self, at: &Found, goal: &Goal) -> Option<Found> {
        let leaving = at.set.iter().map(|m| Some(*m)).chain([None]);
        for left_out in leaving {
            let rest: Vec<u16> = at
                .set
                .iter()
                .copied()
                .filter(|m| Some(*m) != left_out)
                .collect();
            let mut now = (at.seconds, at.value);
            let mut change = None;
            let base = self.problem.best(&rest, at.floor);
            let work = self.problem.costs.of(&rest);
            let drops = left_out.is_some() && !rest.is_empty();
            let comes = (0..self.problem.candidates)
                .filter(|m| !at.set.contains(m))
                .map(Some);
            for comes in drops.then_some(None).into_iter().chain(comes) {
                if !self.may_go_on() {
                    return None;
                }
                let seconds = comes
                    .map_or(work, |m| self.problem.costs.add(work, usize::from(m)))
                    .seconds;
                if !goal.affords(seconds) {
                    continue;
                }
                let tally = match comes {
                    Some(m) => self.tally(&base, m),
                    None => {
                        self.replays += 1;
                        self.problem.sample.tally(&base, &base)
                    }
                };
                let value = self.problem.value(tally);
                let set = || rest.iter().copied().chain(comes).collect();
                self.frontier.offer(seconds, value, at.floor, set);
                if goal.prefers((seconds, value), now) {
                    now = (seconds, value);
                    change = Some(comes);
                }
            }
            if let Some(comes) = change {
                let mut set: Vec<u16> = rest.into_iter().chain(comes).collect();
                set.sort_unstable();
                let (seconds, value) = now;
                return Some(Found {
                    set,
                    floor: at.floor,
                    seconds,
                    value,
                    is_tuned: false,
                });
            }
        }
        None
    }

    /// Optimizes the floor of each set found.
    pub(crate) fn tune(&mut self) {
        if !self.problem.has_other {
            return;
        }
        let untuned = self.frontier.iter().filter(|f| !f.is_tuned);
        let sets: Vec<Vec<u16>> = untuned.map(|f| f.set.clone()).collect();
        sets.iter().for_each(|set| self.offer_tuned(set));
    }
}

struct Gain {
    candidate: u16,
    /// Its gain, possibly per second, as last evaluated.
    rate: f64,
    /// The metric with this candidate added.
    value: f64,
    /// Size of the set at the last evaluation.
    fresh_at: usize,
}

/// The elementwise maximum, written to a separate buffer.
pub(crate) fn combined(best: &[Key], votes: &[Key], into: &mut Vec<Key>) {
    into.resize(best.len(), 0);
    combine(best, votes, into);
}

//! Branch and bound over sets of models, with a fixed floor: finds the best set, or bounds how
//! much better another may be.

use super::cost::Work;
use super::frontier::{Found, Goal};
use super::replay::{Key, Tally};
use super::search::{SET_MODELS_MAX, Search, combined};

/// Candidates per group: the greatest right votes of the remaining candidates are stored per
/// group, not per candidate.
const GROUP: usize = 8;

/// Optimality gap of the best set found, among those with one stage and the same floor.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Gap {
    /// How much better another set may be, as a fraction of 1, where the most accurate is searched
    /// for.
    pub value: f64,
    /// By which fraction of its cost another sufficient set may be cheaper, where the cheapest is
    /// searched for.
    pub cost: f64,
}

/// Bound on all sets below a node.
#[derive(Debug, Clone, Copy)]
struct Bound {
    value: f64,
    /// Minimum seconds of work to reach the goal's value.
    seconds: f64,
}

struct Branch<'s, 'p, 'a> {
    search: &'s mut Search<'p, 'a>,
    goal: Goal,
    floor: u16,
    /// For each group of the order, the greatest right votes of its first and all later
    /// candidates.
    rights: Vec<Vec<Key>>,
    /// The greatest votes at each depth.
    best: Vec<Vec<Key>>,
    set: Vec<u16>,
    incumbent: Option<(f64, f64)>,
    /// Bound over the nodes that were not expanded.
    open: Option<Bound>,
}

/// Searches all sets, depth first, within the remaining replays. It follows the `order` of the
/// search; the better the first sets are, the more is pruned.
pub(crate) fn run(search: &mut Search<'_, '_>, goal: Goal, start: &Found) -> Gap {
    let incumbent = search.frontier.best(&goal).map(|f| (f.seconds, f.value));
    let rights = rights(search);
    let mut branch = Branch {
        best: vec![search.problem.best(&[], start.floor)],
        search,
        goal,
        floor: start.floor,
        rights,
        set: Vec::new(),
        incumbent,
        open: None,
    };
    let work = branch.search.problem.costs.start();
    let tally = branch.tally_at(0);
    branch.expand(0, work, tally);
    branch.gap()
}

/// For each group of candidates, the greatest right votes of its first and all later candidates.
fn rights(search: &Search<'_, '_>) -> Vec<Vec<Key>> {
    let problem = search.problem;
    let mut right = vec![Key::MIN; problem.sample.rows()];
    let mut groups = Vec::new();
    for group in search.order.chunks(GROUP).rev() {
        for m in group {
            problem.sample.raise_right(problem.votes(*m), &mut right);
        }
        groups.push(right.clone());
    }
    groups.reverse();
    groups
}

impl Branch<'_, '_, '_> {
    fn tally_at(&self, depth: usize) -> Tally {
        match self.best.get(depth) {
            Some(best) => self.search.problem.sample.tally(best, best),
            None => Tally::default(),
        }
    }

    /// Expands all sets that add candidates from position `from` of the order on to the current
    /// set.
    fn expand(&mut self, from: usize, work: Work, tally: Tally) {
        let candidates = self.search.order.len();
        if from >= candidates {
            return;
        }
        let bound = self.bound(from, work, tally);
        if !self.may_improve(bound) {
            return;
        }
        let depth = self.set.len();
        for position in from..candidates {
            if !self.search.may_go_on() || depth >= SET_MODELS_MAX {
                self.leave_open(bound);
                return;
            }
            let Some(&candidate) = self.search.order.get(position) else {
                return;
            };
            let work = self.search.problem.costs.add(work, usize::from(candidate));
            if !self.goal.affords(work.seconds) || self.is_too_dear(work.seconds) {
                continue;
            }
            let tally = self.enter(depth, candidate, work);
            self.expand(position + 1, work, tally);
            self.set.pop();
        }
    }

    /// Adds a candidate, and offers the new set to the frontier.
    fn enter(&mut self, depth: usize, candidate: u16, work: Work) -> Tally {
        let problem = self.search.problem;
        if self.best.len() < depth + 2 {
            self.best.push(Vec::new());
        }
        if let (below, [into, ..]) = self.best.split_at_mut(depth + 1)
            && let Some(best) = below.last()
        {
            combined(best, problem.votes(candidate), into);
        }
        self.search.replays += 1;
        self.set.push(candidate);
        let tally = self.tally_at(depth + 1);
        let value = problem.value(tally);
        let set = || self.set.clone();
        self.search
            .frontier
            .offer(work.seconds, value, self.floor, set);
        let now = (work.seconds, value);
        if self
            .incumbent
            .is_none_or(|incumbent| self.goal.prefers(now, incumbent))
        {
            self.incumbent = Some(now);
        }
        tally
    }

    /// Whether a set costs at least as much as a known sufficient one, so that all its supersets
    /// do, too.
    fn is_too_dear(&self, seconds: f64) -> bool {
        let Some((cost, value)) = self.incumbent else {
            return false;
        };
        self.goal.value_min.is_some_and(|least| value >= least) && seconds >= cost
    }

    fn may_improve(&self, bound: Bound) -> bool {
        let Some((cost, value)) = self.incumbent else {
            return true;
        };
        match self.goal.value_min {
            Some(least) if value >= least => bound.seconds < cost,
            // Without a sufficient set, the best one is sought.
            _ => bound.value > value,
        }
    }

    /// Bound on sets that add candidates from a position on: at most the rows on which one of them
    /// has a greater right vote, and at most the sum of their individual gains within the budget.
    /// (A row that a set makes right is made right by one of its members alone.)
    fn bound(&mut self, from: usize, work: Work, tally: Tally) -> Bound {
        let problem = self.search.problem;
        let sample = problem.sample;
        let (Some(best), Some(right)) =
            (self.best.get(self.set.len()), self.rights.get(from / GROUP))
        else {
            return Bound {
                value: 1.0,
                seconds: work.seconds,
            };
        };
        self.search.replays += 1;
        let most = sample.reachable(best, right);
        let coarse = Bound {
            value: sample.value_bound(problem.metric, most),
            seconds: if self
                .goal
                .value_min
                .is_some_and(|least| sample.value_bound(problem.metric, most) < least)
            {
                f64::INFINITY
            } else {
                work.seconds
            },
        };
        if !self.may_improve(coarse) || !self.search.may_go_on() {
            return coarse;
        }
        self.fine_bound(from, work, tally, (most, coarse))
    }

    /// The bound from the individual gains of candidates: `most` and `coarse` are the bounds from
    /// all of them together.
    fn fine_bound(
        &mut self,
        from: usize,
        work: Work,
        tally: Tally,
        (mut most, coarse): (Tally, Bound),
    ) -> Bound {
        let problem = self.search.problem;
        let sample = problem.sample;
        let Some(best) = self.best.get(self.set.len()) else {
            return coarse;
        };
        let rest = self.search.order.get(from..).unwrap_or_default();
        self.search.replays += u32::try_from(rest.len()).unwrap_or(u32::MAX);
        let gains: Vec<(f64, Tally)> = rest
            .iter()
            .map(|m| {
                (
                    problem.costs.infer(usize::from(*m)),
                    sample.gains(best, problem.votes(*m)),
                )
            })
            .collect();
        let budget = self.goal.seconds_max - work.seconds;
        let knapsack = |weight: &dyn Fn(&Tally) -> f64| {
            let items = gains
                .iter()
                .map(|(cost, gain)| (*cost, weight(gain)))
                .collect();
            knapsack(items, budget, f64::INFINITY).0
        };
        let capped = |most: u32, now: u32, gain: f64| {
            let reach = f64::from(now) + gain;
            if reach < f64::from(most) {
                reach.ceil() as u32
            } else {
                most
            }
        };
        most.found = capped(most.found, tally.found, knapsack(&|g| f64::from(g.found)));
        most.rejected = capped(
            most.rejected,
            tally.rejected,
            knapsack(&|g| f64::from(g.rejected)),
        );
        let value = sample.value_bound(problem.metric, most);
        let seconds = match self.goal.value_min {
            None => work.seconds,
            Some(least) => {
                let (by_found, by_rejected, constant) = sample.linear(problem.metric, least);
                let sum =
                    |t: &Tally| by_found * f64::from(t.found) + by_rejected * f64::from(t.rejected);
                // Slack for rounding of weight products, so that sets that just suffice are not
                // pruned.
                let deficit = -(sum(&tally) + constant) - 1.0;
                let items = gains
                    .iter()
                    .map(|(cost, gain)| (*cost, sum(gain)))
                    .collect();
                work.seconds + knapsack_cost(items, deficit)
            }
        };
        Bound {
            value,
            seconds: seconds.max(coarse.seconds),
        }
    }

    fn leave_open(&mut self, bound: Bound) {
        let open = self.open.get_or_insert(bound);
        open.value = open.value.max(bound.value);
        open.seconds = open.seconds.min(bound.seconds);
    }

    fn gap(&self) -> Gap {
        let (Some(open), Some((cost, value))) = (self.open, self.incumbent) else {
            return Gap::default();
        };
        match self.goal.value_min {
            Some(least) if value >= least => Gap {
                value: 0.0,
                cost: if cost > 0.0 {
                    (1.0 - open.seconds / cost).clamp(0.0, 1.0)
                } else {
                    0.0
                },
            },
            _ => Gap {
                value: (open.value - value).max(0.0),
                cost: 0.0,
            },
        }
    }
}

/// The fractional knapsack of (cost, gain) items: the maximum gain within a budget, up to
/// `enough`, and its cost.
fn knapsack(mut items: Vec<(f64, f64)>, budget: f64, enough: f64) -> (f64, f64) {
    items.retain(|(_, gain)| *gain > 0.0);
    if budget.is_finite() || enough.is_finite() {
        let rate = |(cost, gain): &(f64, f64)| gain / cost.max(1e-12);
        items.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    }
    let (mut sum, mut spent) = (0.0, 0.0);
    for (cost, gain) in items {
        let of_budget = if cost > 0.0 {
            (budget - spent) / cost
        } else {
            1.0
        };
        let share = of_budget.min((enough - sum) / gain).clamp(0.0, 1.0);
        sum += share * gain;
        spent += share * cost;
        if share < 1.0 {
            break;
        }
    }
    (sum, spent)
}

/// The minimum cost of a gain of `deficit`; infinite if all items together do not reach it.
fn knapsack_cost(items: Vec<(f64, f64)>, deficit: f64) -> f64 {
    if deficit <= 0.0 {
        return 0.0;
    }
    let (gain, cost) = knapsack(items, f64::INFINITY, deficit);
    if gain < deficit * (1.0 - 1e-12) {
        f64::INFINITY
    } else {
        cost
    }
}

//! Cascades: two-stage plans, built from the sets found for one stage.

use super::choice::{Choice, Second};
use super::frontier::{Found, Frontier};
use super::replay::{Key, raise};
use super::search::Problem;
use super::thresholds::{FLOOR_STEPS, threshold};

/// Maximum number of sets tried as first stage, and as the union of both stages.
const ENDS: (usize, usize) = (4, 3);
/// The same if there are at most [`FEW_MODELS`].
const ENDS_OF_FEW: (usize, usize) = (8, 6);
/// Up to this number of models there is time for more cascades.
pub(super) const FEW_MODELS: usize = 24;
/// Cascades of a pair must differ by more than this in the metric.
const STEP: f64 = 0.0005;

/// Two-stage choices for pairs of frontier sets, the cheaper one first, and the number of replays
/// used.
///
/// The first set is run on all rows. Rows whose best vote has a score below a threshold are passed
/// to those models of the other set that are not in the first; they are answered by the votes of
/// both or, if the sets are disjoint, by the second's votes alone: a better model need not have
/// higher scores.
pub(super) fn cascades(
    problem: &Problem<'_>,
    frontier: &Frontier,
    serves: Option<&Found>,
) -> (Vec<Choice>, u32) {
    let found: Vec<&Found> = frontier.iter().collect();
    let split = found.iter().position(|f| Some(*f) == serves).unwrap_or(0);
    let is_few = usize::from(problem.candidates) <= FEW_MODELS;
    let (first_max, both_max) = if is_few { ENDS_OF_FEW } else { ENDS };
    // Few sets are all combined: the best set on these rows may not be best on others.
    let (cheaper, better) = match is_few {
        true => (found.as_slice(), found.as_slice()),
        false => found.split_at(split),
    };
    let mut plans = Vec::new();
    let mut replays = 0;
    for first in spread(cheaper.to_vec(), first_max) {
        let sure = problem.best(&first.set, 0);
        for both in spread(better.to_vec(), both_max) {
            if both.value > first.value {
                replays += cascade(problem, first, &sure, both, &mut plans);
            }
        }
    }
    (plans, replays)
}

/// At most `count` items, evenly spaced, including both ends.
pub(super) fn spread<T>(of: Vec<T>, count: usize) -> Vec<T> {
    let last = of.len().saturating_sub(1);
    if last < count {
        return of;
    }
    let mut wanted = (0..count).map(|n| n * last / (count - 1).max(1)).peekable();
    let numbered = of.into_iter().enumerate();
    numbered
        .filter_map(|(place, item)| wanted.next_if_eq(&place).map(|_| item))
        .collect()
}

/// The cascades of a pair at all thresholds, in one pass over the rows per answering mode;
/// dominated ones are skipped. `sure` has the greatest votes of `first`. Returns the number of
/// passes.
fn cascade(
    problem: &Problem<'_>,
    first: &Found,
    sure: &[Key],
    both: &Found,
    plans: &mut Vec<Choice>,
) -> u32 {
    let set: Vec<u16> = both
        .set
        .iter()
        .copied()
        .filter(|m| !first.set.contains(m))
        .collect();
    if set.is_empty() {
        return 0;
    }
    let mut union = sure.to_vec();
    set.iter()
        .for_each(|m| raise(&mut union, problem.votes(*m)));
    // Models common to both sets vote in both stages.
    let are_apart = set.len() == both.set.len();
    let alone = are_apart.then(|| (true, problem.best(&set, 0)));
    let mut ways = vec![(false, union)];
    ways.extend(alone);
    if usize::from(problem.candidates) > FEW_MODELS {
        // There is time for only one mode: the better one if all rows go on.
        let floor = vec![problem.sample.floor(both.floor); problem.sample.rows()];
        let value =
            |(_, then): &(bool, Vec<Key>)| problem.value(problem.sample.tally(then, &floor));
        let better = ways
            .into_iter()
            .reduce(|a, b| if value(&b) > value(&a) { b } else { a });
        ways = better.into_iter().collect();
    }
    let united: Vec<u16> = first.set.iter().chain(&set).copied().collect();
    let added = problem.costs.of(&united).seconds - first.seconds;
    let all = problem.sample.total() as f64;
    let passes = ways.len() as u32;
    for (replaces, then) in ways {
        let mut best = first.value;
        let steps = problem.sample.cascades(sure, &then, both.floor);
        // The last step has no threshold above it.
        for (number, (tally, goes_on)) in steps.iter().enumerate().take(FLOOR_STEPS - 1) {
            let (value, share) = (problem.value(*tally), f64::from(*goes_on) / all);
            if value <= best + STEP || *goes_on == 0 || share >= 1.0 {
                continue;
            }
            best = value;
            plans.push(Choice {
                first: first.set.clone(),
                second: Some(Second {
                    pass_below: threshold(number),
                    set: set.clone(),
                    replaces,
                }),
                floor: both.floor,
                seconds: first.seconds + share * added,
                value,
                share,
            });
        }
    }
    passes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_has_both_ends_and_no_more_than_asked_for() {
        let of = |len: usize, count| spread((0..len).collect(), count);
        assert!(of(0, 3).is_empty());
        assert_eq!(of(3, 3), [0, 1, 2]);
        assert_eq!(of(10, 4), [0, 3, 6, 9]);
        assert_eq!(of(4, 3), [0, 1, 3]);
        assert_eq!(of(5, 1), [0]);
    }
}

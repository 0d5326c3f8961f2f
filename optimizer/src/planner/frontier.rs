//! The Pareto frontier of the sets found so far by cost and value.

/// A set of models that are all run on every row, and its value on the rows that plans are
/// searched on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Candidates in ascending order.
    pub(crate) set: Vec<u16>,
    /// Votes with a lower score are ignored.
    pub(crate) floor: u16,
    /// Seconds of work per input.
    pub(crate) seconds: f64,
    /// The metric.
    pub(crate) value: f64,
    /// Whether the floor is the best one for this set.
    pub(crate) is_tuned: bool,
}

/// Objective of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Goal {
    /// If set, the cheapest set with at least this value is sought; otherwise the best.
    pub(crate) value_min: Option<f64>,
    /// Maximum seconds of work per input.
    pub(crate) seconds_max: f64,
}

impl Goal {
    /// The best set, regardless of cost.
    pub(crate) const BEST: Self = Self {
        value_min: None,
        seconds_max: f64::INFINITY,
    };

    /// Whether the first (cost, value) serves the goal better than the second.
    pub(crate) fn prefers(&self, (cost, value): (f64, f64), (than, worth): (f64, f64)) -> bool {
        let enough = |value: f64| self.value_min.is_some_and(|least| value >= least);
        match (enough(value), enough(worth)) {
            (true, true) => cost < than || cost == than && value > worth,
            (true, false) => true,
            (false, true) => false,
            (false, false) => value > worth || value == worth && cost < than,
        }
    }

    /// Ordering by preference, the best first.
    pub(crate) fn order(&self, a: (f64, f64), b: (f64, f64)) -> std::cmp::Ordering {
        self.prefers(b, a).cmp(&self.prefers(a, b))
    }

    /// Whether the cost is within the limit.
    pub(crate) fn affords(&self, seconds: f64) -> bool {
        seconds <= self.seconds_max
    }
}

/// In ascending order of cost, and therefore of value.
#[derive(Debug, Default)]
pub(crate) struct Frontier(Vec<Found>);

impl Frontier {
    /// Adds a set unless it is dominated, and removes the sets it dominates. `set` is called only
    /// if it is added.
    pub(crate) fn offer(
        &mut self,
        seconds: f64,
        value: f64,
        floor: u16,
        set: impl FnOnce() -> Vec<u16>,
    ) -> bool {
        let at = self.0.partition_point(|f| f.seconds <= seconds);
        let cheaper = at.checked_sub(1).and_then(|before| self.0.get(before));
        if cheaper.is_some_and(|f| f.value >= value) {
            return false;
        }
        let same = self
            .0
            .iter()
            .rposition(|f| f.seconds < seconds)
            .map_or(0, |p| p + 1);
        let beaten = self
            .0
            .iter()
            .skip(same)
            .take_while(|f| f.value <= value)
            .count();
        let mut set = set();
        set.sort_unstable();
        let found = Found {
            set,
            floor,
            seconds,
            value,
            is_tuned: false,
        };
        self.0.splice(same..same + beaten, [found]);
        true
    }

    /// Adds a set with its best floor.
    pub(crate) fn offer_tuned(&mut self, seconds: f64, value: f64, floor: u16, set: &[u16]) {
        if self.offer(seconds, value, floor, || set.to_vec()) {
            let taken = self
                .0
                .iter_mut()
                .find(|f| f.seconds == seconds && f.value == value);
            taken.into_iter().for_each(|found| found.is_tuned = true);
        }
    }

    /// All sets, in ascending order of cost.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Found> + ExactSizeIterator {
        self.0.iter()
    }

    /// The best set for a goal.
    pub(crate) fn best(&self, goal: &Goal) -> Option<&Found> {
        let affordable = self.0.iter().filter(|f| goal.affords(f.seconds));
        affordable.reduce(|best, f| {
            if goal.prefers((f.seconds, f.value), (best.seconds, best.value)) {
                f
            } else {
                best
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_beaten_stays() {
        let mut frontier = Frontier::default();
        let mut offer = |seconds, value| frontier.offer(seconds, value, 0, || vec![2, 1]);
        assert!(offer(2.0, 0.5));
        assert!(!offer(2.0, 0.5) && !offer(3.0, 0.4));
        assert!(offer(3.0, 0.7) && offer(4.0, 0.8) && offer(1.0, 0.1));
        assert!(offer(2.0, 0.7), "beats two");
        let left: Vec<(f64, f64)> = frontier.iter().map(|f| (f.seconds, f.value)).collect();
        assert_eq!(left, [(1.0, 0.1), (2.0, 0.7), (4.0, 0.8)]);
        let pick = |value_min, seconds_max| {
            let goal = Goal {
                value_min,
                seconds_max,
            };
            frontier.best(&goal).map(|f| f.seconds)
        };
        assert_eq!(pick(None, f64::INFINITY), Some(4.0));
        assert_eq!(pick(None, 3.0), Some(2.0));
        assert_eq!(pick(Some(0.6), 9.0), Some(2.0));
        assert_eq!(
            pick(Some(0.9), 9.0),
            Some(4.0),
            "the best where nothing is enough"
        );
        assert_eq!(pick(None, 0.5), None);
    }
}

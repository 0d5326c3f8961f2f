//! Certificates: bounds on the metric from rows that were never searched.
//!
//! Exact one-sided binomial bounds (Clopper and Pearson 1934); for F1 they apply to the rows that
//! it counts (`f1`). Several plans are tested in a fixed sequence that stops at the first failure,
//! so that the probability of any false promise stays below [`FAILURE_PROBABILITY`] (Angelopoulos
//! et al., Learn then Test, arXiv 2110.01052).

mod beta;
mod bounds;
mod f1;

use super::query::Metric;
use f1::Outcomes;

pub use bounds::{lower_bound, upper_bound};

/// Maximum probability that a promise does not hold.
pub const FAILURE_PROBABILITY: f64 = 0.05;

/// Maximum number of labelled rows that a refusal suggests.
const ROWS_NEEDED_MAX: u64 = 100_000_000;

/// Counts of a plan's answers on rows that were never searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Rows.
    pub rows: u64,
    /// Rows answered with the right block.
    pub right: u64,
    /// Rows whose true block is needed.
    pub needed: u64,
    /// Rows answered with a needed block.
    pub claimed: u64,
    /// Rows answered with the right block, if it is a needed one.
    pub found: u64,
    /// Rows of a needed block answered with another needed one; `None` if a single block is
    /// needed, so that this is impossible.
    pub mistaken: Option<u64>,
    /// Whether there is no `other`. F1 is then bounded by the share of found rows among all: F1 is
    /// never less than this share, and equals it if every row is needed and claimed.
    pub all_are_needed: bool,
}

impl Counts {
    /// The observed metric; `None` without observations.
    pub fn observed(&self, metric: Metric) -> Option<f64> {
        let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        match metric {
            Metric::Accuracy => share(self.right, self.rows),
            Metric::F1 if self.needed == 0 => None,
            Metric::F1 => share(2 * self.found, self.needed + self.claimed),
        }
    }

    /// Lower bound of the metric with error probability `failure`; 0 without observations.
    pub fn lower_bound(&self, metric: Metric, failure: f64) -> f64 {
        match metric {
            Metric::F1 if !self.all_are_needed => self.outcomes().lower_bound(failure),
            Metric::F1 => lower_bound(self.found, self.rows, failure),
            Metric::Accuracy => lower_bound(self.right, self.rows, failure),
        }
    }

    fn outcomes(&self) -> Outcomes {
        let mistaken = self.mistaken.unwrap_or(0);
        let either = (self.needed + self.claimed).saturating_sub(self.found + mistaken);
        Outcomes {
            rows: either,
            found: self.found,
            mistaken: self.mistaken,
        }
    }

    /// Whether the metric is certified to be at least `target`.
    pub fn certifies(&self, metric: Metric, target: f64, failure: f64) -> bool {
        match metric {
            Metric::F1 if !self.all_are_needed => self.outcomes().certify(target, failure),
            // A single tail evaluation is enough.
            Metric::F1 => beta::tail(self.found, self.rows, target) <= failure,
            Metric::Accuracy => beta::tail(self.right, self.rows, target) <= failure,
        }
    }

    /// Number of rows needed to certify `target` at the observed rates; `None` if no number up to
    /// the maximum suffices.
    pub fn rows_needed(&self, metric: Metric, target: f64, failure: f64) -> Option<u64> {
        if self.rows == 0 || self.observed(metric)? <= target {
            return None;
        }
        let enough = |rows: u64| {
            let part = |count: u64| (count as f64 * rows as f64 / self.rows as f64) as u64;
            let grown = Self {
                rows,
                right: part(self.right),
                needed: part(self.needed),
                claimed: part(self.claimed),
                found: part(self.found),
                mistaken: self.mistaken.map(part),
                all_are_needed: self.all_are_needed,
            };
            grown.certifies(metric, target, failure)
        };
        let mut high = 1;
        while !enough(high) {
            high *= 2;
            if high > ROWS_NEEDED_MAX {
                return None;
            }
        }
        let mut low = high / 2;
        while high - low > 1 + high / 64 {
            let middle = low + (high - low) / 2;
            if enough(middle) {
                high = middle;
            } else {
                low = middle;
            }
        }
        Some(high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_other_f1_is_promised_as_accuracy_is() {
        let counts = |all_are_needed| Counts {
            rows: 1_000,
            right: 920,
            needed: 1_000,
            claimed: 1_000,
            found: 920,
            mistaken: Some(80),
            all_are_needed,
        };
        let bound = |counts: Counts, metric| counts.lower_bound(metric, FAILURE_PROBABILITY);
        let accuracy = bound(counts(true), Metric::Accuracy);
        assert_eq!(bound(counts(true), Metric::F1), accuracy);
        let general = bound(counts(false), Metric::F1);
        assert!(general < accuracy - 0.001, "{general} {accuracy}");
        assert!(counts(true).certifies(Metric::F1, accuracy - 1e-6, FAILURE_PROBABILITY));
        assert!(!counts(true).certifies(Metric::F1, accuracy + 1e-6, FAILURE_PROBABILITY));
    }

    #[test]
    fn close_calls_need_many_rows() {
        let observed = |right| Counts {
            rows: 1_000,
            right,
            ..Counts::default()
        };
        let needed = |right| observed(right).rows_needed(Metric::Accuracy, 0.9, 0.05);
        let close = needed(920).expect("reachable");
        assert!((600..760).contains(&close), "{close}");
        let clear = needed(950).expect("reachable");
        assert!((80..140).contains(&clear), "{clear}");
        assert_eq!(needed(900), None);
    }
}

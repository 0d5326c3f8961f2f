//! Certification of F1.
//!
//! Rows of a needed block, or answered with one, are independent draws of three outcomes: *found*
//! (right), *single* (one error: a missed row or a false claim) and *mistaken* (a row of one
//! needed block answered with another: both errors at once). With `j` and `q` the shares of found
//! and mistaken rows among them,
//!
//! ```text
//! F1 = 2 found / (needed + claimed) = 2 j / (2 j + (1 - j - q) + 2 q) = 2 j / (1 + j + q)
//! ```
//!
//! **One needed block**: `q` is 0, F1 increases with `j`, and of `n` such rows the number of found
//! ones is Binomial(n, j). F1 is less than `t` exactly where `j` is less than `t / (2 - t)`, so
//! the exact test of that is the exact test of F1.
//!
//! **Several**: `q` is a nuisance parameter. Plans that reach exactly `t` have
//! `j(q) = t (1 + q) / (2 - t)`, with `q <= 1 - t`. The statistic is `(2 - t) found - t mistaken`.
//! The p-value is the greatest probability of a statistic at least as large as observed, over all
//! `q` up to an upper confidence bound at a tenth of the failure probability, plus that tenth
//! (Berger and Boos 1994). That probability is
//!
//! ```text
//! sum over d of P[Binomial(n, q) = d]
//!     * P[Binomial(n - d, j(q) / (1 - q)) >= found + t (d - mistaken) / (2 - t)]
//! ```
//!
//! Its second factor decreases with `d` and increases with its probability. So over all `q` from
//! `a` to `b` it is at most the sum with `a` in the first and `b` in the second factor: intervals
//! are halved until this is small enough.

use super::beta;
use super::bounds::{lower_bound, upper_bound};

/// Share of the failure probability for the bound on mistaken rows.
const MISTAKEN_SHARE: f64 = 0.1;
/// Maximum number of times an interval is halved.
const HALVINGS_MAX: u32 = 6;
/// Below this probability its products lose precision, so it is recomputed.
const EXACT_MIN: f64 = 1e-280;
/// Upper bound of all omitted probabilities and rounding errors.
const ROUNDING: f64 = 1e-9;

/// Counts of rows of needed blocks or answered with one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcomes {
    pub(super) rows: u64,
    pub(super) found: u64,
    /// `None` if a single block is needed.
    pub(super) mistaken: Option<u64>,
}

impl Outcomes {
    /// Whether F1 is at least `target`, with error probability `failure`.
    pub(super) fn certify(self, target: f64, failure: f64) -> bool {
        if self.found == 0 || target > 1.0 {
            return target <= 0.0;
        }
        let Some(mistaken) = self.mistaken else {
            return beta::tail(self.found, self.rows, target / (2.0 - target)) <= failure;
        };
        let (rows, found, mistaken) = (self.rows as f64, self.found as f64, mistaken as f64);
        if 2.0 * found < target * (rows + found + mistaken) {
            return false;
        }
        let share = MISTAKEN_SHARE * failure;
        let most = upper_bound(mistaken as u64, self.rows, share).min(1.0 - target);
        let level = failure - share - ROUNDING;
        self.is_rare(target, (0.0, most), level, HALVINGS_MAX)
    }

    /// Lower bound of F1 with error probability `failure`.
    pub(super) fn lower_bound(self, failure: f64) -> f64 {
        const STEPS: u32 = 12;
        if self.mistaken.is_none() {
            let share = lower_bound(self.found, self.rows, failure);
            return 2.0 * share / (1.0 + share);
        }
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..STEPS {
            let middle = f64::midpoint(low, high);
            if self.certify(middle, failure) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Whether the observation has at most probability `level` for every share of mistaken rows
    /// from `a` to `b`.
    fn is_rare(self, target: f64, (a, b): (f64, f64), level: f64, halvings: u32) -> bool {
        if self.tail(target, a, b) <= level {
            return true;
        }
        if halvings == 0 || self.tail(target, b, b) > level {
            return false;
        }
        let middle = f64::midpoint(a, b);
        // The greater shares are usually decisive, so they are tested first.
        self.is_rare(target, (middle, b), level, halvings - 1)
            && self.is_rare(target, (a, middle), level, halvings - 1)
    }

    /// The sum in the module documentation, with separate `q` for the first and second factor.
    fn tail(self, target: f64, q: f64, q_found: f64) -> f64 {
        let rows = self.rows as f64;
        let per_mistaken = target / (2.0 - target);
        let p = (per_mistaken * (1.0 + q_found) / (1.0 - q_found).max(1e-12)).min(1.0 - 1e-12);
        let mistaken = self.mistaken.unwrap_or(0) as f64;
        let enough = |d: u64| {
            let found = self.found as f64 + per_mistaken * (d as f64 - mistaken);
            (found - 1e-9).ceil().max(0.0) as u64
        };
        let spread = 8.0 * (rows * q).sqrt() + 8.0;
        let first = (rows * q - spread).max(0.0) as u64;
        let last = ((rows * q + spread) as u64).min(self.rows);
        let mut probability = if q > 0.0 {
            beta::exactly(first, self.rows, q)
        } else {
            1.0
        };
        let mut trials = Trials::new(enough(first), self.rows - first, p);
        let mut sum = 0.0;
        for d in first..=last {
            trials.to(enough(d), self.rows - d);
            sum += probability * trials.tail;
            probability *= (self.rows - d) as f64 / (d + 1) as f64 * (q / (1.0 - q));
        }
        sum
    }
}

/// The probability of at least `right` successes in some trials, updated incrementally by one
/// trial less or one success more.
struct Trials {
    right: u64,
    trials: u64,
    p: f64,
    /// Probability of exactly `right` successes.
    exactly: f64,
    /// Probability of at least `right` successes.
    tail: f64,
}

impl Trials {
    fn new(right: u64, trials: u64, p: f64) -> Self {
        let is_possible = right <= trials;
        Self {
            right,
            trials,
            p,
            exactly: if is_possible {
                beta::exactly(right, trials, p)
            } else {
                0.0
            },
            tail: if is_possible {
                beta::tail(right, trials, p)
            } else {
                0.0
            },
        }
    }

    fn to(&mut self, right: u64, trials: u64) {
        while self.trials > trials && self.trials > 0 {
            let (k, n) = (self.right as f64, self.trials as f64);
            // Dropping the last trial loses the cases where it was the deciding success.
            self.tail -= self.exactly * k / n;
            self.exactly *= (n - k).max(0.0) / (n * (1.0 - self.p));
            self.trials -= 1;
        }
        while self.right < right {
            let (k, n) = (self.right as f64, self.trials as f64);
            self.tail -= self.exactly;
            self.exactly *= (n - k).max(0.0) / (k + 1.0) * (self.p / (1.0 - self.p));
            self.right += 1;
        }
        self.tail = self.tail.clamp(0.0, 1.0);
        if self.exactly < EXACT_MIN {
            *self = Self::new(self.right, self.trials, self.p);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Counts, FAILURE_PROBABILITY};
    use super::*;
    use crate::planner::Metric;

    fn bound(counts: Counts) -> f64 {
        counts.lower_bound(Metric::F1, FAILURE_PROBABILITY)
    }

    #[test]
    fn one_block_is_bounded_by_the_share_of_rows_found() {
        let counts = Counts {
            rows: 2_000,
            right: 1_950,
            needed: 500,
            claimed: 480,
            found: 465,
            ..Counts::default()
        };
        let observed = counts.observed(Metric::F1).expect("rows");
        assert!((observed - 930.0 / 980.0).abs() < 1e-12);
        let share = lower_bound(465, 515, FAILURE_PROBABILITY);
        let lower = bound(counts);
        assert!((lower - 2.0 * share / (1.0 + share)).abs() < 1e-12);
        assert!(counts.certifies(Metric::F1, lower - 1e-6, FAILURE_PROBABILITY));
        assert!(!counts.certifies(Metric::F1, lower + 1e-6, FAILURE_PROBABILITY));
        // Bounds on precision and recall, each at half the failure probability, would be weaker.
        let precision = lower_bound(465, 480, FAILURE_PROBABILITY / 2.0);
        let recall = lower_bound(465, 500, FAILURE_PROBABILITY / 2.0);
        assert!(lower > 2.0 / (1.0 / precision + 1.0 / recall) + 0.005);
        assert_eq!(bound(Counts::default()), 0.0);
        assert_eq!(Counts::default().observed(Metric::F1), None);
    }

    #[test]
    fn rows_that_are_mistaken_cost_some_of_it() {
        let counts = |mistaken| Counts {
            rows: 2_000,
            right: 1_950,
            needed: 500,
            claimed: 500,
            found: 475,
            mistaken,
            all_are_needed: false,
        };
        let (one, none, some) = (
            bound(counts(None)),
            bound(counts(Some(0))),
            bound(counts(Some(15))),
        );
        assert!(one > none && none > some, "{one} {none} {some}");
        assert!(one - none < 0.01 && some > 0.915, "{one} {none} {some}");
    }

    #[test]
    fn trials_follow_the_tail() {
        let mut trials = Trials::new(3, 40, 0.3);
        for (right, rows) in [(4, 39), (5, 37), (12, 30), (12, 20), (15, 15)] {
            trials.to(right, rows);
            let expected = beta::tail(right, rows, 0.3);
            assert!((trials.tail - expected).abs() < 1e-12, "{right} of {rows}");
        }
    }

    #[test]
    fn the_sum_is_right_where_its_first_terms_are_out_of_reach() {
        let outcomes = Outcomes {
            rows: 20_000,
            found: 20_000 - 600 - 20,
            mistaken: Some(600),
        };
        let (target, q): (f64, f64) = (0.9665, 1.0 - 0.9665);
        let ratio = target / (2.0 - target);
        let p = (ratio * (1.0 + q) / (1.0 - q)).min(1.0 - 1e-12);
        let term = |d: u64| {
            let enough = outcomes.found as f64 + ratio * (d as f64 - 600.0);
            let enough = (enough - 1e-9).ceil().max(0.0) as u64;
            let rest = outcomes.rows - d;
            let tail = if enough <= rest {
                beta::tail(enough, rest, p)
            } else {
                0.0
            };
            beta::exactly(d, outcomes.rows, q) * tail
        };
        let expected: f64 = (300..=1_100).map(term).sum();
        let found = outcomes.tail(target, q, q);
        assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        assert!(expected < 0.02, "{expected}");
    }

    /// The probability of drawing this number of rows of each outcome.
    fn drawn(n: u64, found: u64, mistaken: u64, j: f64, q: f64) -> f64 {
        let of_mistaken = if q > 0.0 {
            beta::exactly(mistaken, n, q)
        } else {
            f64::from(u8::from(mistaken == 0))
        };
        let p = (j / (1.0 - q)).min(1.0 - 1e-15);
        of_mistaken * beta::exactly(found, n - mistaken, p)
    }

    #[test]
    fn whatever_the_errors_too_much_is_promised_no_more_often_than_allowed() {
        // All draws of few rows, weighted by their probability under plans that only just violate
        // the promise.
        let mut closest: f64 = 0.0;
        for n in [8, 25, 60] {
            for target in [0.5, 0.8, 0.93] {
                let least = target - 1e-9;
                for step in 0..=8 {
                    let q = (1.0 - least) * f64::from(step) / 8.0;
                    let j = least * (1.0 + q) / (2.0 - least);
                    let mut broken = 0.0;
                    for mistaken in 0..=n {
                        for found in 0..=n - mistaken {
                            let outcomes = Outcomes {
                                rows: n,
                                found,
                                mistaken: Some(mistaken),
                            };
                            if outcomes.certify(target, 0.1) {
                                broken += drawn(n, found, mistaken, j, q);
                            }
                        }
                    }
                    assert!(broken <= 0.1, "{n} {target} {q}: {broken}");
                    closest = closest.max(broken);
                }
            }
        }
        assert!(closest > 0.05, "not much is lost: {closest}");
    }
}

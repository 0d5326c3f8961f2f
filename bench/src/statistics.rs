//! Medians, and intervals for them that assume no distribution.

use std::fmt;

/// How sure an interval should be to hold the true median, where there are enough rounds.
const CONFIDENCE: f64 = 0.95;

/// The median of some rounds, and between which two of them the true median lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// The middle round, or the mean of the two in the middle.
    pub median: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

impl Summary {
    /// Of at least one round; `None` of none. The interval is the narrowest pair of order
    /// statistics, one from each end, that holds the median with a probability of [`CONFIDENCE`]
    /// by the binomial distribution; with fewer than 6 rounds it is all of them (5: 94 %).
    pub fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let at = |index: usize| sorted.get(index).copied();
        let median = (at(count.checked_sub(1)? / 2)? + at(count / 2)?) / 2.0;
        let outside = outside(count);
        Some(Self {
            median,
            low: at(outside)?,
            high: at(count - 1 - outside)?,
        })
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(1);
        let Self { median, low, high } = self;
        write!(f, "{median:.digits$} [{low:.digits$} .. {high:.digits$}]")
    }
}

/// How many rounds may be left out at each end. Leaving out `k` misses the median with twice the
/// probability of at most `k` heads in `count` throws of a coin.
fn outside(count: usize) -> usize {
    let one = 0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX));
    let (mut outside, mut coefficient, mut tail) = (0, 1.0, one);
    loop {
        let next = outside + 1;
        coefficient *= (count + 1).saturating_sub(next) as f64 / next as f64;
        tail += coefficient * one;
        if next >= count.div_ceil(2) || 2.0 * tail > 1.0 - CONFIDENCE {
            return outside;
        }
        outside = next;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn few_rounds_give_their_whole_range() {
        let summary = Summary::of(&[3.0, 1.0, 2.0, 5.0, 4.0]).unwrap();
        assert_eq!((summary.median, summary.low, summary.high), (3.0, 1.0, 5.0));
        assert_eq!(Summary::of(&[1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(format!("{summary:.0}"), "3 [1 .. 5]");
    }

    #[test]
    fn many_rounds_leave_out_what_the_tables_say() {
        // Conover, Practical Nonparametric Statistics: ranks of the 95 % interval of the median.
        for (count, left_out) in [(1, 0), (5, 0), (6, 0), (8, 0), (9, 1), (12, 2), (20, 5)] {
            assert_eq!(outside(count), left_out, "{count} rounds");
        }
    }
}

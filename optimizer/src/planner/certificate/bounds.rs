//! Exact one-sided bounds of a probability from independent trials.

use super::beta::Beta;

/// Lower bound, with error probability `failure`, of a probability that showed `right` successes
/// in `rows` independent trials.
pub fn lower_bound(right: u64, rows: u64, failure: f64) -> f64 {
    if right == 0 || rows == 0 {
        return 0.0;
    }
    let (a, b) = (right as f64, rows.saturating_sub(right) as f64 + 1.0);
    let (mean, count) = (right as f64 / rows as f64, rows as f64);
    let deviation = (mean * (1.0 - mean) / count).sqrt();
    let low = mean - 5.0 * deviation - 10.0 / count;
    let beta = Beta::new(a, b);
    root(|p| beta.share(p) - failure, low.max(0.0), mean)
}

/// Upper bound, with error probability `failure`.
pub fn upper_bound(right: u64, rows: u64, failure: f64) -> f64 {
    1.0 - lower_bound(rows.saturating_sub(right), rows, failure)
}

/// The root of an increasing function, approached from below, by false position with halving of
/// the retained end (the Illinois method). The bracket is widened to 0..1 if the root is not
/// between `low` and `high`.
fn root(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    const STEPS_MAX: usize = 60;
    const NEAR: f64 = 1e-7;
    let (mut low, mut high) = (low, high);
    let (mut below, mut above) = (f(low), f(high));
    if below > 0.0 || above < 0.0 {
        (low, below, high, above) = (0.0, f(0.0), 1.0, f(1.0));
    }
    for _ in 0..STEPS_MAX {
        if high - low < NEAR {
            break;
        }
        let middle = (low * above - high * below) / (above - below);
        let middle = if middle > low && middle < high {
            middle
        } else {
            f64::midpoint(low, high)
        };
        let value = f(middle);
        if value.abs() < NEAR {
            return middle;
        }
        if value < 0.0 {
            (low, below) = (middle, value);
            above /= 2.0;
        } else {
            (high, above) = (middle, value);
            below /= 2.0;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tail of the binomial distribution, by summation.
    fn at_least(k: u64, n: u64, p: f64) -> f64 {
        let mut term = p.powi(i32::try_from(n).expect("small"));
        let mut sum = 0.0;
        for i in (k..=n).rev() {
            sum += term;
            term *= i as f64 / (n - i + 1) as f64 * (1.0 - p) / p;
        }
        sum
    }

    #[test]
    fn bounds_are_where_the_binomial_tail_is_the_failure_probability() {
        for (k, n) in [(1, 10), (9, 10), (10, 10), (50, 100), (95, 100), (371, 400)] {
            let p = lower_bound(k, n, 0.05);
            assert!((at_least(k, n, p) - 0.05).abs() < 1e-6, "{k} of {n}: {p}");
        }
        assert!((lower_bound(10, 10, 0.05) - 0.05_f64.powf(0.1)).abs() < 1e-6);
        assert_eq!(
            (lower_bound(0, 10, 0.05), lower_bound(0, 0, 0.05)),
            (0.0, 0.0)
        );
        assert_eq!(upper_bound(10, 10, 0.05), 1.0);
        assert!((upper_bound(0, 10, 0.05) - (1.0 - 0.05_f64.powf(0.1))).abs() < 1e-6);
        let large = lower_bound(920_000, 1_000_000, 0.05);
        assert!((large - 0.919_553).abs() < 1e-5, "{large}");
    }
}

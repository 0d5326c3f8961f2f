//! Tails of the binomial distribution, by the incomplete beta function.

/// The probability of at least `right` successes in `rows` trials of probability `p`.
pub(super) fn tail(right: u64, rows: u64, p: f64) -> f64 {
    if right == 0 {
        return 1.0;
    }
    let (right, rows) = (right as f64, rows as f64);
    Beta::new(right, rows - right + 1.0).share(p)
}

/// The probability of exactly `right` successes in `rows` trials of probability `p`.
pub(super) fn exactly(right: u64, rows: u64, p: f64) -> f64 {
    let (k, n) = (right as f64, rows as f64);
    let ways = ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0);
    (ways + k * p.ln() + (n - k) * (-p).ln_1p()).exp()
}

/// The regularised incomplete beta function, with the part that does not depend on `x`
/// precomputed.
pub(super) struct Beta {
    a: f64,
    b: f64,
    ln_factor: f64,
}

impl Beta {
    pub(super) fn new(a: f64, b: f64) -> Self {
        let ln_factor = ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b);
        Self { a, b, ln_factor }
    }

    /// The probability of at least `a` successes in `a + b - 1` trials of probability `x`.
    pub(super) fn share(&self, x: f64) -> f64 {
        if x <= 0.0 {
            return 0.0;
        }
        if x >= 1.0 {
            return 1.0;
        }
        let (a, b) = (self.a, self.b);
        let front = (self.ln_factor + a * x.ln() + b * (-x).ln_1p()).exp();
        // The continued fraction converges fast only on this side of the mean.
        if x < (a + 1.0) / (a + b + 2.0) {
            front * beta_fraction(a, b, x) / a
        } else {
            1.0 - front * beta_fraction(b, a, 1.0 - x) / b
        }
    }
}

/// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TERMS_MAX: u32 = 10_000;
    const TINY: f64 = 1e-300;
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..=TERMS_MAX {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            change = c * d;
            value *= change;
        }
        if (change - 1.0_f64).abs() < 1e-11 {
            break;
        }
    }
    value
}

/// The logarithm of the gamma function of `x > 0`, by Stirling's series (DLMF 5.11.1) from 12 on.
pub(super) fn ln_gamma(x: f64) -> f64 {
    let mut shift = 0.0;
    let mut x = x;
    while x < 12.0 {
        shift += x.ln();
        x += 1.0;
    }
    let square = 1.0 / (x * x);
    let series =
        (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

//! Elapsed seconds of statements of one kind, as a linear function of a few figures.
//!
//! The coefficients are fitted by recursive least squares of the relative error, so that a
//! statement of a millisecond counts as much as one of a minute. Older statements are forgotten
//! slowly, since machines and stores change.

use super::counts::Counts;
use super::workload::Kind;

/// Number of figures.
const FIGURES: usize = 5;
/// Weight of what was known before, for each further statement.
const KEPT: f64 = 0.98;
/// Variance of a statement's relative error.
const VARIANCE: f64 = 0.09;
/// A relative error beyond this counts as an outlier: a busy machine, a client that reads slowly.
const OUTLIER: f64 = 1.0;

/// Figures of one statement: one, harvests, rows, elapsed seconds of the work on models, inputs
/// that the store of kept outputs is asked about.
pub(super) type Figures = [f64; FIGURES];

/// The figures of a statement.
pub(super) fn features(kind: Kind, counts: &Counts, work: f64) -> Figures {
    let harvests = match kind {
        Kind::Stream => 0.0,
        Kind::Materialise => counts.harvests,
    };
    [1.0, harvests, counts.rows, work, counts.asked_of_store()]
}

/// The fitted function.
#[derive(Debug)]
pub(super) struct Curve {
    coefficients: Figures,
    covariance: [Figures; FIGURES],
}

/// Coefficients before any statement was observed: seconds of a statement, a harvest, a row, a
/// second of work, an input asked about.
const BEFORE: Figures = [1.5e-3, 1.5e-3, 6e-6, 1.2, 1e-5];

impl Default for Curve {
    fn default() -> Self {
        let mut covariance = [[0.0; FIGURES]; FIGURES];
        for (place, (row, before)) in covariance.iter_mut().zip(BEFORE).enumerate() {
            if let Some(cell) = row.get_mut(place) {
                *cell = before * before / VARIANCE / 4.0;
            }
        }
        Self {
            coefficients: BEFORE,
            covariance,
        }
    }
}

impl Curve {
    /// The expected seconds.
    pub(super) fn expect(&self, figures: &Figures) -> f64 {
        dot(&self.coefficients, figures)
    }

    /// Takes account of a statement that took `seconds`.
    pub(super) fn note(&mut self, figures: &Figures, seconds: f64) {
        let is_finite = seconds.is_finite() && figures.iter().all(|f| f.is_finite());
        if !is_finite || seconds <= 0.0 {
            return;
        }
        let relative = figures.map(|figure| figure / seconds);
        let error = 1.0 - dot(&self.coefficients, &relative);
        let weight = (OUTLIER / error.abs().max(OUTLIER)).min(1.0);
        let towards = self.covariance.map(|row| dot(&row, &relative));
        let along = dot(&towards, &relative);
        let gain = towards.map(|t| t * weight / (KEPT + weight * along));
        for (coefficient, gain) in self.coefficients.iter_mut().zip(gain) {
            // None of the figures can shorten a statement.
            *coefficient = (*coefficient + gain * error).max(0.0);
        }
        let before = Self::default().covariance;
        for (row, gain) in self.covariance.iter_mut().zip(gain) {
            for (cell, towards) in row.iter_mut().zip(towards) {
                *cell = (*cell - gain * towards) / KEPT;
            }
        }
        // Figures that no statement shows must not grow without bound in doubt.
        let grown = (0..FIGURES).any(|i| self.covariance[i][i] > before[i][i]);
        if grown {
            for row in &mut self.covariance {
                row.iter_mut().for_each(|cell| *cell *= KEPT);
            }
        }
    }
}

fn dot(a: &Figures, b: &Figures) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coefficients_come_close_to_those_that_hold() {
        let truth = [4e-3, 0.0, 2e-5, 0.6, 0.0];
        let mut curve = Curve::default();
        for round in 0..200_u32 {
            let rows = f64::from(10_u32.pow(round % 5));
            let figures = [1.0, 0.0, rows, rows * 1e-4 * f64::from(round % 3), 0.0];
            curve.note(&figures, dot(&truth, &figures));
        }
        for rows in [1.0, 100.0, 10_000.0] {
            let figures = [1.0, 0.0, rows, rows * 5e-5, 0.0];
            let ratio = curve.expect(&figures) / dot(&truth, &figures);
            assert!((0.9..1.1).contains(&ratio), "{rows} rows: {ratio}");
        }
    }

    #[test]
    fn one_slow_statement_changes_little_and_nothing_becomes_negative() {
        let mut curve = Curve::default();
        let figures = [1.0, 0.0, 10.0, 1e-3, 0.0];
        for _ in 0..50 {
            curve.note(&figures, 3e-3);
        }
        curve.note(&figures, 30.0);
        let expected = curve.expect(&figures);
        assert!((2e-3..9e-3).contains(&expected), "{expected}");
        for seconds in [0.0, f64::NAN, f64::INFINITY, 1e-9] {
            curve.note(&figures, seconds);
        }
        assert!(
            curve
                .coefficients
                .iter()
                .all(|c| *c >= 0.0 && c.is_finite())
        );
    }
}

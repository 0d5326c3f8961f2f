//! Fits calibrations: maps a model's probabilities to the probability that its answer is right,
//! for inputs of any class.

use predictsql_catalog::Calibration;

/// Maximum score of a model that was never evaluated on inputs of classes it does not know.
pub const UNSEEN_SCORE_MAX: f32 = 0.9;

/// Precision of the prior on the constant term, around 0.
const BIAS_PRECISION: f64 = 0.01;
/// Precision of the prior on the two weights, around 1 (log-odds) and 0 (margin): without rows the
/// score equals the model's own probability.
const WEIGHT_PRECISION: f64 = 0.1;
/// Precision of the prior on a label's offset, around 0: it takes about 4 / 0.25 rows with medium
/// scores to move a label half way from its model's value to its own.
const OFFSET_PRECISION: f64 = 4.0;

const NEWTON_STEPS_MAX: usize = 50;
const HALVINGS_MAX: usize = 30;
const STEP_MIN: f64 = 1e-9;

/// A model's answer to a calibration row, and the truth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer {
    /// Label with the greatest probability.
    pub label: usize,
    /// Its log-odds, see [`Calibration::features`].
    pub log_odds: f32,
    /// Log-ratio of the two greatest probabilities, see [`Calibration::features`].
    pub margin: f32,
    /// The true outcome: class position plus one, or 0 for none of the task's classes.
    pub truth: u16,
}

/// Fits a calibration on rows of *all* the task's `classes`, including those that the model does
/// not know.
///
/// `outcomes` has the outcome of each of the model's labels: class position plus one, or 0 for
/// "none of my classes", which is right if the model does not know the true class. The fit is a
/// logistic regression by Newton's method, with the labels' offsets shrunk towards their model's;
/// it is deterministic to the bit for the same rows in the same order. Answers with non-finite
/// features or invalid labels are skipped.
pub fn fit(classes: usize, outcomes: &[u16], answers: &[Answer]) -> Calibration {
    let knows = |truth: u16| truth != 0 && outcomes.contains(&truth);
    let samples: Vec<Sample> = answers
        .iter()
        .filter_map(|answer| Sample::new(answer, outcomes, knows(answer.truth)))
        .collect();
    let knows_all = (1..=classes).all(|class| u16::try_from(class).is_ok_and(knows));
    let saw_foreign = answers.iter().any(|answer| !knows(answer.truth));
    let mut fit = Fit::new(outcomes.len());
    for _ in 0..NEWTON_STEPS_MAX {
        if !fit.improve(&samples) {
            break;
        }
    }
    Calibration {
        bias: fit.dense[0] as f32,
        score_weight: fit.dense[1] as f32,
        margin_weight: fit.dense[2] as f32,
        offsets: fit.offsets.iter().map(|offset| *offset as f32).collect(),
        cap: if knows_all || saw_foreign {
            1.0
        } else {
            UNSEEN_SCORE_MAX
        },
    }
}

struct Sample {
    label: usize,
    /// 1, log-odds, margin
    features: [f64; 3],
    correct: bool,
}

impl Sample {
    fn new(answer: &Answer, outcomes: &[u16], is_known: bool) -> Option<Self> {
        let says = *outcomes.get(answer.label)?;
        let features = [1.0, f64::from(answer.log_odds), f64::from(answer.margin)];
        features.iter().all(|f| f.is_finite()).then_some(Self {
            label: answer.label,
            features,
            correct: match says {
                0 => !is_known,
                says => says == answer.truth,
            },
        })
    }
}

const PRIOR: [f64; 3] = [0.0, 1.0, 0.0];
const PRECISION: [f64; 3] = [BIAS_PRECISION, WEIGHT_PRECISION, WEIGHT_PRECISION];

#[derive(Clone)]
struct Fit {
    /// Weights of the constant, log-odds and margin.
    dense: [f64; 3],
    offsets: Vec<f64>,
}

impl Fit {
    fn new(labels: usize) -> Self {
        Self {
            dense: PRIOR,
            offsets: vec![0.0; labels],
        }
    }

    /// The log-odds of a sample.
    fn score(&self, sample: &Sample) -> f64 {
        let offset = self.offsets.get(sample.label).copied().unwrap_or(0.0);
        let products = self.dense.iter().zip(sample.features);
        products.map(|(w, f)| w * f).sum::<f64>() + offset
    }

    /// Negative logarithm of the posterior, up to a constant.
    fn loss(&self, samples: &[Sample]) -> f64 {
        let misfit = |sample: &Sample| {
            let z = self.score(sample);
            let z = if sample.correct { -z } else { z };
            z.max(0.0) + (-z.abs()).exp().ln_1p()
        };
        let dense = (0..3).map(|i| PRECISION[i] * (self.dense[i] - PRIOR[i]).powi(2));
        let offsets = self.offsets.iter().map(|o| OFFSET_PRECISION * o * o);
        samples.iter().map(misfit).sum::<f64>() + (dense.sum::<f64>() + offsets.sum::<f64>()) / 2.0
    }

    /// One Newton step, halved until the loss improves; false if it does not, or only negligibly.
    ///
    /// The Hessian is an arrow matrix (offsets are not coupled with each other), so eliminating
    /// the offsets leaves three equations.
    fn improve(&mut self, samples: &[Sample]) -> bool {
        let mut gradient = [0.0; 3];
        let mut hessian = [[0.0; 3]; 3];
        let mut arms = vec![Arm::default(); self.offsets.len()];
        for (arm, offset) in arms.iter_mut().zip(&self.offsets) {
            arm.gradient = OFFSET_PRECISION * offset;
            arm.curvature = OFFSET_PRECISION;
        }
        for i in 0..3 {
            gradient[i] = PRECISION[i] * (self.dense[i] - PRIOR[i]);
            hessian[i][i] = PRECISION[i];
        }
        for sample in samples {
            let p = 1.0 / (1.0 + (-self.score(sample)).exp());
            let residual = p - f64::from(u8::from(sample.correct));
            let curvature = p * (1.0 - p);
            add(&mut gradient, residual, &sample.features);
            add_square(&mut hessian, curvature, &sample.features);
            if let Some(arm) = arms.get_mut(sample.label) {
                arm.gradient += residual;
                arm.curvature += curvature;
                add(&mut arm.coupling, curvature, &sample.features);
            }
        }
        for arm in &arms {
            add(&mut gradient, -arm.gradient / arm.curvature, &arm.coupling);
            add_square(&mut hessian, -1.0 / arm.curvature, &arm.coupling);
        }
        let Some(step) = solve(hessian, gradient) else {
            return false;
        };
        let steps: Vec<f64> = arms
            .iter()
            .map(|arm| {
                let coupled: f64 = arm.coupling.iter().zip(step).map(|(c, s)| c * s).sum();
                (arm.gradient - coupled) / arm.curvature
            })
            .collect();
        self.walk(step, &steps, samples)
    }

    fn walk(&mut self, step: [f64; 3], steps: &[f64], samples: &[Sample]) -> bool {
        let before = self.loss(samples);
        let length = step
            .iter()
            .chain(steps)
            .fold(0.0, |a: f64, s| a.max(s.abs()));
        let mut share = 1.0;
        for _ in 0..HALVINGS_MAX {
            let mut next = self.clone();
            next.dense
                .iter_mut()
                .zip(step)
                .for_each(|(d, s)| *d -= share * s);
            next.offsets
                .iter_mut()
                .zip(steps)
                .for_each(|(o, s)| *o -= share * s);
            if next.loss(samples) < before {
                *self = next;
                return length > STEP_MIN;
            }
            share /= 2.0;
        }
        false
    }
}

#[derive(Clone, Default)]
struct Arm {
    gradient: f64,
    curvature: f64,
    coupling: [f64; 3],
}

fn add(sum: &mut [f64; 3], factor: f64, of: &[f64; 3]) {
    sum.iter_mut().zip(of).for_each(|(s, x)| *s += factor * x);
}

/// Adds the outer product of the vector, scaled.
fn add_square(sum: &mut [[f64; 3]; 3], factor: f64, of: &[f64; 3]) {
    for (row, x) in sum.iter_mut().zip(of) {
        add(row, factor * x, of);
    }
}

/// Solves three equations by elimination with pivoting; `None` if they are nearly singular.
fn solve(mut a: [[f64; 3]; 3], mut b: [f64; 3]) -> Option<[f64; 3]> {
    for column in 0..3 {
        let pivot =
            (column..3).max_by(|x, y| a[*x][column].abs().total_cmp(&a[*y][column].abs()))?;
        a.swap(column, pivot);
        b.swap(column, pivot);
        if a[column][column].abs() < 1e-12 {
            return None;
        }
        for row in column + 1..3 {
            let factor = a[row][column] / a[column][column];
            let above = a[column];
            add(&mut a[row], -factor, &above);
            b[row] -= factor * b[column];
        }
    }
    let mut x = [0.0; 3];
    for row in (0..3).rev() {
        let known: f64 = (row + 1..3).map(|i| a[row][i] * x[i]).sum();
        x[row] = (b[row] - known) / a[row][row];
    }
    x.iter().all(|v| v.is_finite()).then_some(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A linear congruential generator: sufficient to spread rows, and identical on every
    /// platform.
    fn uniform(state: &mut u64) -> f64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Answers of a two-label model whose label 1 is right far less often than label 0 at equal
    /// scores.
    fn answers(rows: usize) -> Vec<Answer> {
        let mut state = 7;
        let mut answer = || {
            let label = usize::from(uniform(&mut state) < 0.5);
            let log_odds = 6.0 * uniform(&mut state) - 1.0;
            let z = -0.5 + 0.7 * log_odds - 1.5 * label as f64;
            let right = uniform(&mut state) < 1.0 / (1.0 + (-z).exp());
            Answer {
                label,
                log_odds: log_odds as f32,
                margin: 0.0,
                truth: if right { label as u16 + 1 } else { 3 },
            }
        };
        (0..rows).map(|_| answer()).collect()
    }

    #[test]
    fn scores_are_how_often_answers_are_right() {
        let answers = answers(20_000);
        let calibration = fit(3, &[1, 2], &answers);
        assert_eq!(calibration.cap, 1.0);
        for label in 0..2 {
            for low in [-1.0, 1.0, 3.0] {
                let here = |a: &&Answer| a.label == label && (low..low + 2.0).contains(&a.log_odds);
                let rows: Vec<&Answer> = answers.iter().filter(here).collect();
                let right = rows
                    .iter()
                    .filter(|a| usize::from(a.truth) == label + 1)
                    .count();
                let scores = rows
                    .iter()
                    .map(|a| calibration.score(label, a.log_odds, a.margin));
                let expected = scores.sum::<f32>() / rows.len() as f32;
                let observed = right as f32 / rows.len() as f32;
                assert!(
                    (expected - observed).abs() < 0.02,
                    "{label} {low}: {expected} {observed}"
                );
            }
        }
        assert_eq!(fit(3, &[1, 2], &answers), calibration);
    }

    #[test]
    fn labels_of_few_rows_stay_near_their_model() {
        let spread = |rows| {
            let calibration = fit(3, &[1, 2], &answers(rows));
            calibration.offsets[0] - calibration.offsets[1]
        };
        assert!(spread(20) < 0.75, "{}", spread(20));
        assert!(spread(20_000) > 1.2, "{}", spread(20_000));
    }

    #[test]
    fn without_rows_a_score_is_the_probability_and_capped() {
        let calibration = fit(3, &[1, 2], &[]);
        let probabilities = [0.8, 0.2];
        let (label, log_odds, margin) =
            Calibration::features(&probabilities).expect("probabilities");
        assert!((calibration.score(label, log_odds, margin) - 0.8).abs() < 1e-5);
        assert_eq!(calibration.cap, UNSEEN_SCORE_MAX);
        let known = |truth| Answer {
            label: 0,
            log_odds: 2.0,
            margin: 2.0,
            truth,
        };
        assert_eq!(fit(3, &[1, 2], &[known(1)]).cap, UNSEEN_SCORE_MAX);
        assert_eq!(fit(3, &[1, 2], &[known(3)]).cap, 1.0, "a foreign class");
        assert_eq!(fit(2, &[1, 2], &[known(1)]).cap, 1.0, "knows every class");
        assert_eq!(
            fit(2, &[1, 2], &[known(0)]).cap,
            1.0,
            "none of the task's classes"
        );
    }

    #[test]
    fn none_of_my_classes_is_right_for_foreign_rows() {
        let answer = |label, truth| Answer {
            label,
            log_odds: 3.0,
            margin: 3.0,
            truth,
        };
        let rows: Vec<Answer> = (0..200).map(|i| answer(i % 2, [1, 2][i % 2])).collect();
        let calibration = fit(2, &[1, 0], &rows);
        assert!(calibration.score(0, 3.0, 3.0) > 0.95);
        assert!(
            calibration.score(1, 3.0, 3.0) > 0.95,
            "truth 2 is foreign to the model"
        );
    }

    #[test]
    fn rows_that_are_all_alike_or_broken_do_no_harm() {
        let answer = |log_odds, label, truth| Answer {
            label,
            log_odds,
            margin: 13.8,
            truth,
        };
        for truth in [1, 2] {
            let rows = vec![answer(13.8, 0, truth); 5_000];
            let calibration = fit(1, &[1], &rows);
            let score = calibration.score(0, 13.8, 13.8);
            assert!(
                score.is_finite() && (score > 0.99) == (truth == 1),
                "{score}"
            );
        }
        let broken = [answer(f32::NAN, 0, 1), answer(1.0, 9, 1)];
        assert_eq!(fit(2, &[1], &broken).offsets, [0.0]);
    }
}

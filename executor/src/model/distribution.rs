//! Whether the numbers of an output are probabilities.

use predictsql_catalog::Output;

use crate::{ModelError, ModelWarning};

/// Tolerance of the sum of a row of probabilities, which should be 1.
const SUM_TOLERANCE: f32 = 1e-3;
/// Steps to which quantised models usually round probabilities.
const USUAL_STEPS: [f32; 4] = [1.0 / 256.0, 1.0 / 255.0, 1.0 / 128.0, 1.0 / 127.0];
/// Greatest step of a quantisation that is recognised by the numbers only.
const STEP_MAX: f32 = 0.01;

/// Refuses rows that `output = 'softmax'` says are probabilities and that are not.
pub(super) fn check(row: &[f32], meaning: Output) -> Result<(), ModelError> {
    match meaning {
        Output::Softmax if !is_distribution(row) => {
            let sum: f32 = row.iter().sum();
            Err(ModelError::NotProbabilities {
                sum: format!("{sum:.4}"),
            })
        }
        Output::Softmax | Output::Logits | Output::Value => Ok(()),
    }
}

/// A warning if all rows of logits look like probabilities: softmax of probabilities keeps the
/// best label but flattens the scores.
pub(super) fn suspect(rows: &[Vec<f32>], meaning: Output) -> Option<ModelWarning> {
    let is_suspect = match meaning {
        Output::Logits => !rows.is_empty() && rows.iter().all(|row| is_distribution(row)),
        Output::Softmax | Output::Value => false,
    };
    is_suspect.then(|| ModelWarning::Probabilities {
        what: match rows.iter().all(|row| row.len() == 1) {
            true => "all are in 0..1".to_string(),
            false => "all rows sum to 1".to_string(),
        },
    })
}

/// Whether all numbers are in 0..1, and sum to 1 if there are several, within the rounding of
/// their quantisation.
fn is_distribution(row: &[f32]) -> bool {
    let sum: f32 = row.iter().sum();
    let in_range = |p: &f32| (-SUM_TOLERANCE..=1.0 + SUM_TOLERANCE).contains(p);
    if !row.iter().all(in_range) {
        return false;
    }
    row.len() == 1 || {
        let rounding = step(row).map_or(0.0, |step| step / 2.0 * row.len() as f32);
        (sum - 1.0).abs() <= SUM_TOLERANCE + rounding
    }
}

/// The step of which all numbers of a row are multiples, if they are quantised.
fn step(row: &[f32]) -> Option<f32> {
    let are_multiples = |step: f32| {
        row.iter().all(|number| {
            let steps = number / step;
            (steps - steps.round()).abs() < 1e-3
        })
    };
    if let Some(step) = USUAL_STEPS.into_iter().find(|step| are_multiples(*step)) {
        return Some(step);
    }
    let mut sorted = row.to_vec();
    sorted.push(0.0);
    sorted.sort_by(f32::total_cmp);
    let neighbours = sorted.iter().zip(sorted.iter().skip(1));
    let gaps = neighbours.map(|(a, b)| b - a).filter(|gap| *gap > 1e-6);
    let smallest = gaps.fold(f32::INFINITY, f32::min);
    ((1e-4..=STEP_MAX).contains(&smallest) && are_multiples(smallest)).then_some(smallest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_told_from_logits() {
        assert!(check(&[0.25, 0.75], Output::Softmax).is_ok());
        assert_eq!(
            check(&[0.5, 0.75], Output::Softmax),
            Err(ModelError::NotProbabilities {
                sum: "1.2500".into()
            })
        );
        assert!(check(&[-1.0, 2.0], Output::Softmax).is_err());
        assert!(check(&[0.5, 0.75], Output::Logits).is_ok());
        assert!(check(&[0.3], Output::Softmax).is_ok());
        assert!(check(&[1.3], Output::Softmax).is_err());
    }

    #[test]
    fn quantised_probabilities_sum_to_1_within_their_rounding() {
        for step in [1.0 / 256.0, 1.0 / 255.0, 0.9987 / 255.0] {
            for sharpness in [0.5, 2.0, 8.0_f32] {
                let exact: Vec<f32> = (0..20)
                    .map(|n| (sharpness * (n as f32 * 1.7).sin()).exp())
                    .collect();
                let sum: f32 = exact.iter().sum();
                let rounded: Vec<f32> = exact
                    .iter()
                    .map(|p| (p / sum / step).round() * step)
                    .collect();
                assert!(is_distribution(&rounded), "{step} {sharpness} {rounded:?}");
            }
        }
        assert!(!is_distribution(&[0.9, 0.2, 0.3]));
        assert!(!is_distribution(&[0.301, 0.302, 0.299, 0.001]));
    }

    #[test]
    fn logits_that_are_probabilities_are_suspect() {
        let rows = [vec![0.25, 0.75], vec![0.5, 0.5]];
        assert!(suspect(&rows, Output::Logits).is_some());
        assert_eq!(suspect(&rows, Output::Softmax), None);
        assert_eq!(
            suspect(&[vec![0.25, 0.75], vec![0.5, 0.75]], Output::Logits),
            None
        );
        assert_eq!(suspect(&[], Output::Logits), None);
    }
}

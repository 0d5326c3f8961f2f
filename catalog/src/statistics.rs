//! Measurements of EVALUATE for a task's models: votes on labelled rows, calibrations, and costs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use strum::IntoStaticStr;

use crate::device::Device;

/// Use of a labelled row; each row has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Part {
    /// For fitting calibrations.
    Cal,
    /// For searching plans.
    Plan,
    /// Only for certifying plans, never for the search.
    Cert,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Cal, Self::Plan, Self::Cert];

    /// Name in the catalog's tables.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One model's answer for one input: a calibrated score and an outcome, ordered such that the
/// greater of two votes wins.
///
/// An outcome is 0 for "none of my classes", otherwise the class's index among the task's classes
/// plus one. Equal scores are ordered by outcome, so that combining votes does not depend on the
/// order of the models.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Vote(u32);

impl Vote {
    /// The score that means certainty.
    pub const SCORE_MAX: u16 = u16::MAX;

    /// A vote for an outcome with a score in units of 1/65535.
    pub fn new(score: u16, outcome: u16) -> Self {
        Self(u32::from(score) << 16 | u32::from(outcome))
    }

    /// The calibrated probability that the vote is correct, in units of 1/65535.
    pub fn score(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// The outcome.
    pub fn outcome(self) -> u16 {
        self.0 as u16
    }

    /// Stored form.
    pub fn to_bits(self) -> u32 {
        self.0
    }

    /// Decodes the result of [`Vote::to_bits`].
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }
}

/// Maps a model's probabilities to the probability that its answer is correct for any input,
/// including inputs of classes that the model does not cover.
///
/// With `p1 >= p2` the two greatest probabilities and `label` the index of the first:
/// `min(cap, sigmoid(z))` with
/// `z = bias + score_weight * logit(p1) + margin_weight * ln(p1 / p2) + offsets[label]`, where
/// `p1` and `p2` are clamped to `1e-6..=1 - 1e-6`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Constant term.
    pub bias: f32,
    /// Weight of the log-odds of the greatest probability.
    pub score_weight: f32,
    /// Weight of the log-ratio of the two greatest.
    pub margin_weight: f32,
    /// One per label of the model.
    pub offsets: Vec<f32>,
    /// Maximum score, 0..=1: below 1 for a model that was never evaluated on inputs of classes
    /// that it does not cover.
    pub cap: f32,
}

const PROBABILITY_MIN: f32 = 1e-6;

impl Calibration {
    /// The features of one answer: index of the greatest probability (the lowest among equals),
    /// its log-odds, and the log-ratio of the two greatest. `None` without probabilities.
    pub fn features(probabilities: &[f32]) -> Option<(usize, f32, f32)> {
        let (mut label, mut first, mut second) = (None, f32::NEG_INFINITY, f32::NEG_INFINITY);
        for (index, &probability) in probabilities.iter().enumerate() {
            if probability > first {
                (label, second, first) = (Some(index), first, probability);
            } else if probability > second {
                second = probability;
            }
        }
        let clamp = |p: f32| p.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
        let (first, second) = (clamp(first), clamp(second));
        Some((label?, (first / (1.0 - first)).ln(), (first / second).ln()))
    }

    /// The calibrated score of an answer with these features, 0..=1.
    pub fn score(&self, label: usize, log_odds: f32, margin: f32) -> f32 {
        let offset = self.offsets.get(label).copied().unwrap_or(0.0);
        let z = self.bias + self.score_weight * log_odds + self.margin_weight * margin + offset;
        (1.0 / (1.0 + (-z).exp())).min(self.cap)
    }

    /// The calibrated score of any label, 0..=1. The label with the greatest probability has the
    /// score of [`Calibration::score`]; the others share the rest to 1 in proportion to their
    /// probabilities, and none has more than the greatest.
    pub fn score_of(&self, probabilities: &[f32], label: usize) -> Option<f32> {
        let (greatest, log_odds, margin) = Self::features(probabilities)?;
        let top = self.score(greatest, log_odds, margin);
        if label == greatest {
            return Some(top);
        }
        let probability = *probabilities.get(label)?;
        // Summed separately: the difference between 1 and a sum near 1 is mostly rounding error.
        let others = probabilities.iter().enumerate();
        let others: f32 = others.filter(|(l, _)| *l != greatest).map(|(_, p)| p).sum();
        let share = probability / others.max(f32::MIN_POSITIVE);
        Some(((1.0 - top) * share).clamp(0.0, top))
    }

    /// The vote of an answer. `outcomes` contains the outcome of each label.
    pub fn vote(&self, probabilities: &[f32], outcomes: &[u16]) -> Vote {
        let Some((label, log_odds, margin)) = Self::features(probabilities) else {
            return Vote::default();
        };
        let outcome = outcomes.get(label).copied().unwrap_or(0);
        self.vote_of(label, log_odds, margin, outcome)
    }

    /// The vote of an answer with these features, whose label means `outcome`.
    pub fn vote_of(&self, label: usize, log_odds: f32, margin: f32, outcome: u16) -> Vote {
        let score = self.score(label, log_odds, margin) * f32::from(Vote::SCORE_MAX);
        Vote::new(score.round() as u16, outcome)
    }
}

/// Costs of a model on one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CostCurve {
    /// The measured device.
    pub device: Device,
    /// Inputs per run, and seconds of one run; ordered by inputs.
    pub seconds_by_batch: Vec<(u32, f64)>,
    /// Seconds to read the file and prepare the model.
    pub load_seconds: f64,
    /// Memory of the loaded model, in bytes.
    pub memory_bytes: u64,
}

impl CostCurve {
    /// Seconds per input at the best batch size; `None` if nothing was measured.
    pub fn seconds_per_input(&self) -> Option<f64> {
        let per_input = |(inputs, seconds): &(u32, f64)| seconds / f64::from((*inputs).max(1));
        self.seconds_by_batch
            .iter()
            .map(per_input)
            .min_by(f64::total_cmp)
    }
}

/// Measurements of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelStatistics {
    /// Catalog id of the model.
    pub model: u64,
    /// Fitted on rows that are in neither of the parts below.
    pub calibration: Calibration,
    /// Its votes on the rows of [`TaskStatistics::plan`].
    pub plan: Vec<Vote>,
    /// Its votes on the rows of [`TaskStatistics::cert`].
    pub cert: Vec<Vote>,
    /// One per device.
    pub costs: Vec<CostCurve>,
}

/// Measurements of a task's models, as published at one epoch.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskStatistics {
    /// Name of the task.
    pub task: String,
    /// Version of the task, to whose classes the outcomes refer.
    pub task_version: u32,
    /// Epoch of publication; increased by each evaluation of any of the models.
    pub epoch: u64,
    /// Description of the rows for users: their query, number, and time.
    pub population: String,
    /// True outcomes (class index plus one) of the rows for searching plans.
    pub plan: Arc<[u16]>,
    /// True outcomes of the rows only for certifying plans.
    pub cert: Arc<[u16]>,
    /// Ordered by model id. A model whose votes are on other rows than the newest evaluation's is
    /// not included.
    pub models: Vec<Arc<ModelStatistics>>,
}

impl TaskStatistics {
    /// Measurements of a model.
    pub fn model(&self, id: u64) -> Option<&Arc<ModelStatistics>> {
        self.models.iter().find(|m| m.model == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greater_vote_has_the_greater_score() {
        let votes = [Vote::new(3, 9), Vote::new(40_000, 1), Vote::new(40_000, 2)];
        assert_eq!(votes.iter().max(), Some(&Vote::new(40_000, 2)));
        let vote = Vote::new(40_000, 7);
        assert_eq!((vote.score(), vote.outcome()), (40_000, 7));
        assert_eq!(Vote::from_bits(vote.to_bits()), vote);
    }

    #[test]
    fn calibration_scores_rise_with_probability_and_stop_at_the_cap() {
        let calibration = Calibration {
            bias: 0.0,
            score_weight: 1.0,
            margin_weight: 0.0,
            offsets: vec![0.0, -1.0],
            cap: 0.9,
        };
        let score = |p: &[f32]| calibration.vote(p, &[1, 2]).score();
        assert!(score(&[0.6, 0.4]) < score(&[0.8, 0.2]));
        assert!(score(&[0.4, 0.6]) < score(&[0.6, 0.4]), "offset of label 1");
        assert_eq!(score(&[1.0, 0.0]), (0.9_f32 * 65535.0).round() as u16);
        assert_eq!(calibration.vote(&[], &[]), Vote::default());
        assert_eq!(calibration.vote(&[0.3, 0.7], &[1, 2]).outcome(), 2);
    }

    #[test]
    fn other_labels_share_what_the_greatest_leaves() {
        let calibration = Calibration {
            bias: -1.0,
            score_weight: 1.0,
            margin_weight: 0.0,
            offsets: Vec::new(),
            cap: 1.0,
        };
        let probabilities = [0.1, 0.7, 0.2];
        let scores = [0, 1, 2].map(|l| calibration.score_of(&probabilities, l).unwrap_or(-1.0));
        let vote = calibration.vote(&probabilities, &[1, 2, 3]).score();
        assert_eq!((scores[1] * 65535.0).round() as u16, vote);
        assert!(
            (scores.iter().sum::<f32>() - 1.0).abs() < 1e-6,
            "{scores:?}"
        );
        assert!((scores[2] / scores[0] - 2.0).abs() < 1e-5, "{scores:?}");
        // If even the greatest is probably wrong, no other label is more probable.
        let unsure = [0.5, 0.49, 0.01];
        let scores = [0, 1].map(|l| calibration.score_of(&unsure, l));
        assert_eq!(scores[0], scores[1]);
        assert_eq!(calibration.score_of(&[1.0], 0).map(|s| s > 0.9), Some(true));
        assert_eq!(calibration.score_of(&probabilities, 3), None);
        // The rest to 1 is shared in proportion, however small it is.
        let sure = [1.0, 3e-9, 1e-9];
        let scores = [0, 1, 2].map(|l| calibration.score_of(&sure, l).unwrap_or(-1.0));
        assert!(
            (scores.iter().sum::<f32>() - 1.0).abs() < 1e-5,
            "{scores:?}"
        );
        assert!((scores[1] / scores[2] - 3.0).abs() < 1e-3, "{scores:?}");
    }

    #[test]
    fn the_best_batch_counts() {
        let curve = CostCurve {
            device: Device::Cpu,
            seconds_by_batch: vec![(1, 0.01), (8, 0.04), (32, 0.2)],
            load_seconds: 0.1,
            memory_bytes: 1,
        };
        assert_eq!(curve.seconds_per_input(), Some(0.005));
    }
}

//! Cost of sets of models per input, from published figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use predictsql_catalog::{ImageOptions, Layout, Model, ModelStatistics};

use super::query::{CostModel, Estimate};

/// Image specifications beyond this number are treated as not shared.
const SPECIFICATIONS_MAX: usize = 128;

/// Costs of a decision's candidates, in seconds of work per input.
#[derive(Debug)]
pub(crate) struct Costs {
    /// Fetch and decode, once per input.
    decode: f64,
    /// Inference alone, per candidate.
    infer: Vec<f64>,
    /// Index of the image specification, per candidate.
    specification: Vec<usize>,
    /// Preprocessing, per specification.
    preprocess: Vec<f64>,
    /// Whether the seconds are known, per candidate.
    known: Vec<bool>,
}

/// Accumulated work of a set of models.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Work {
    /// Seconds per input.
    pub(crate) seconds: f64,
    specifications: u128,
}

impl Costs {
    /// Costs of candidates from their measurements. A model of unknown cost counts as the most
    /// expensive known one.
    pub(crate) fn new(
        candidates: &[(Arc<Model>, Option<&ModelStatistics>)],
        model: &CostModel,
    ) -> Self {
        let seconds: Vec<Option<f64>> = candidates
            .iter()
            .map(|(candidate, statistics)| seconds_per_input(candidate, *statistics, model))
            .collect();
        let dearest = seconds
            .iter()
            .flatten()
            .copied()
            .reduce(f64::max)
            .unwrap_or(1.0);
        let mut known = BTreeMap::new();
        let mut preprocess = Vec::new();
        let specification = candidates.iter().map(|(candidate, _)| {
            // Columns need no preprocessing.
            let image = candidate.options.input.image();
            *known.entry(image.map(specification)).or_insert_with(|| {
                let values = image.map_or(0.0, |image| {
                    f64::from(image.height) * f64::from(image.width) * f64::from(image.channels)
                });
                preprocess.push(values * model.preprocess_seconds_per_value);
                preprocess.len() - 1
            })
        });
        Self {
            decode: model.decode_seconds,
            specification: specification.collect(),
            infer: seconds.iter().map(|s| s.unwrap_or(dearest)).collect(),
            known: seconds.iter().map(Option::is_some).collect(),
            preprocess,
        }
    }

    /// The work before any model runs: fetch and decode.
    pub(crate) fn start(&self) -> Work {
        Work {
            seconds: self.decode,
            specifications: 0,
        }
    }

    /// Adds the work of one more model.
    pub(crate) fn add(&self, work: Work, candidate: usize) -> Work {
        let specification = self.specification.get(candidate).copied().unwrap_or(0);
        let bit = match specification {
            shared if shared < SPECIFICATIONS_MAX => 1 << shared,
            _ => 0,
        };
        let is_prepared = work.specifications & bit != 0;
        let preprocess = self.preprocess.get(specification).copied().unwrap_or(0.0);
        Work {
            seconds: work.seconds
                + self.infer(candidate)
                + if is_prepared { 0.0 } else { preprocess },
            specifications: work.specifications | bit,
        }
    }

    /// The work of a set.
    pub(crate) fn of(&self, set: &[u16]) -> Work {
        set.iter()
            .fold(self.start(), |work, m| self.add(work, usize::from(*m)))
    }

    /// The minimum that a candidate adds to any set.
    pub(crate) fn infer(&self, candidate: usize) -> f64 {
        self.infer.get(candidate).copied().unwrap_or(0.0)
    }

    /// Whether the seconds of all candidates are known.
    pub(crate) fn are_known(&self, set: &[u16]) -> bool {
        set.iter()
            .all(|m| self.known.get(usize::from(*m)).copied().unwrap_or(false))
    }

    /// Seconds of work and of inference per input that a stage adds to the stages before it.
    pub(crate) fn stage(&self, before: &[u16], stage: &[u16]) -> (Estimate<f64>, Estimate<f64>) {
        if !self.are_known(stage) {
            return (Estimate::Absent, Estimate::Absent);
        }
        let start = if before.is_empty() {
            0.0
        } else {
            self.of(before).seconds
        };
        let all: Vec<u16> = before.iter().chain(stage).copied().collect();
        let inference = stage.iter().map(|m| self.infer(usize::from(*m))).sum();
        (
            Estimate::Inexact(self.of(&all).seconds - start),
            Estimate::Inexact(inference),
        )
    }
}

/// Seconds of inference per input: as measured on the device, or on any device, or as given at
/// creation of the model.
fn seconds_per_input(
    candidate: &Model,
    statistics: Option<&ModelStatistics>,
    costs: &CostModel,
) -> Option<f64> {
    let curves = statistics.map(|s| s.costs.as_slice()).unwrap_or_default();
    let here = curves.iter().filter(|curve| curve.device == costs.device);
    here.chain(curves)
        .find_map(|curve| curve.seconds_per_input())
        .or(candidate.seconds_per_image)
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
}

/// The image preprocessing parameters of a model, in comparable form.
fn specification(options: &ImageOptions) -> (bool, u32, u32, u8, Vec<u32>) {
    let numbers = options
        .normalisation
        .mean
        .iter()
        .chain(&options.normalisation.std);
    (
        options.layout == Layout::Nchw,
        options.height,
        options.width,
        options.channels,
        numbers.map(|n| n.to_bits()).collect(),
    )
}

#[cfg(test)]
mod tests {
    use predictsql_catalog::ModelInput;

    use super::*;
    use crate::fixture::model;

    #[test]
    fn inputs_are_decoded_once_and_prepared_once_a_specification() {
        let sized = |id, side, seconds| {
            let mut m = model(id, "m", &["a"], None);
            if let ModelInput::Image(image) = &mut m.options.input {
                (image.height, image.width) = (side, side);
            }
            m.seconds_per_image = seconds;
            (Arc::new(m), None)
        };
        let candidates = [
            sized(1, 10, Some(0.5)),
            sized(2, 10, Some(0.25)),
            sized(3, 20, None),
        ];
        let costs = Costs::new(
            &candidates,
            &CostModel {
                decode_seconds: 1.0,
                preprocess_seconds_per_value: 0.01,
                ..CostModel::default()
            },
        );
        assert_eq!(costs.of(&[0]).seconds, 1.0 + 0.5 + 1.0);
        assert_eq!(costs.of(&[0, 1]).seconds, 1.0 + 0.5 + 1.0 + 0.25);
        assert_eq!(
            costs.of(&[0, 2]).seconds,
            1.0 + 0.5 + 1.0 + 0.5 + 4.0,
            "as the dearest known"
        );
        assert!(costs.are_known(&[0, 1]) && !costs.are_known(&[0, 2]));
    }
}

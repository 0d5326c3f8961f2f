//! Answers of all models of an evaluation for a chunk of inputs, which is decoded once.

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use predictsql_catalog::Calibration;
use tokio_util::sync::CancellationToken;

use super::sample::Feature;
use crate::backend::LoadedModel;
use crate::error::PredictError;
use crate::executor::Executor;
use crate::input::{Input, Outcome};

/// One feature per model for an input; or why the input cannot be read, as a clause.
pub type Features = Result<Box<[Feature]>, String>;

/// Decodes the inputs once and runs all of `models` on them: returns one result per input, in
/// order.
///
/// # Errors
/// Same as [`Executor::infer`].
pub async fn features(
    executor: &Executor,
    models: &[LoadedModel],
    inputs: Vec<Input>,
    cancel: &CancellationToken,
) -> Result<Vec<Features>, PredictError> {
    let all: Vec<usize> = (0..inputs.len()).collect();
    let prepared = executor.prepare(models, inputs, cancel).await?;
    let mut features: Vec<Result<Vec<Feature>, String>> = Vec::new();
    features.resize_with(all.len(), || Ok(Vec::with_capacity(models.len())));
    let mut runs: FuturesOrdered<_> = models
        .iter()
        .map(|model| executor.infer(&prepared, model, &all, cancel))
        .collect();
    while let Some(outcomes) = runs.next().await {
        for (features, outcome) in features.iter_mut().zip(outcomes?) {
            add(features, outcome);
        }
    }
    drop(runs);
    let features = features.into_iter().map(|f| f.map(Vec::into_boxed_slice));
    Ok(features.collect())
}

/// Adds the feature of one model's outcome.
fn add(features: &mut Result<Vec<Feature>, String>, outcome: Outcome) {
    let feature = match outcome {
        Outcome::Scores(scores) => Calibration::features(scores.probabilities()),
        Outcome::Unreadable(reason) => {
            *features = Err(reason);
            return;
        }
        Outcome::Null | Outcome::Value(_) => None,
    };
    if let (Ok(features), Some((label, log_odds, margin))) = (features, feature) {
        features.push(Feature {
            label: u16::try_from(label).unwrap_or(u16::MAX),
            log_odds,
            margin,
        });
    }
}

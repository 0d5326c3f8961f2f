//! The inference stage: runs batches and answers the callers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use predictsql_catalog::Output;

use super::chunk::{Answered, Run};
use super::tensor::TensorPool;
use crate::model::Compiled;
use crate::{Outcome, PredictError, Scores};

/// Makes runs of the same sessions and answers each of their callers; adds the images that the
/// model looked at to `images_inferred` before it answers.
pub(super) fn infer(mut runs: Vec<Run>, tensors: &Arc<TensorPool>, images_inferred: &AtomicU64) {
    runs.retain(|run| !run.reply.is_abandoned());
    let Some(first) = runs.first() else {
        return;
    };
    let compiled = first.model.compiled().clone();
    let wanted = || !runs.iter().all(|run| run.reply.is_abandoned());
    // What a panic leaves behind is not used again: the session is dropped with its lease.
    let scores = catch_unwind(AssertUnwindSafe(|| match &runs[..] {
        [Run { images: None, .. }] => run_batches(&compiled, first.numbers(), wanted),
        runs => {
            let mut tensor = tensors.take();
            for run in runs {
                gather(run, compiled.spec.image_len(), &mut tensor);
            }
            run_batches(&compiled, &tensor, wanted)
        }
    }))
    .unwrap_or_else(|_panic| Err(Stop::Failed("internal error in inference".to_string())));
    match scores {
        Ok(scores) => {
            images_inferred.fetch_add(scores.len() as u64, Ordering::Relaxed);
            answer(runs, scores);
        }
        Err(Stop::Abandoned) => {}
        Err(Stop::Failed(reason)) => {
            for run in runs {
                let model = run.model.model().name.clone();
                let reason = reason.clone();
                run.reply.send(Err(PredictError::Model { model, reason }));
            }
        }
    }
}

/// Appends the images of a run to a tensor.
fn gather(run: &Run, image_len: usize, tensor: &mut Vec<f32>) {
    let numbers = run.numbers();
    let Some(images) = &run.images else {
        tensor.extend_from_slice(numbers);
        return;
    };
    tensor.reserve(images.len().saturating_mul(image_len));
    for image in images {
        let begin = image.saturating_mul(image_len);
        if let Some(image) = numbers.get(begin..begin.saturating_add(image_len)) {
            tensor.extend_from_slice(image);
        }
    }
}

/// Why inference ended early.
enum Stop {
    Abandoned,
    Failed(String),
}

/// Scores of all images of `tensor`, batch by batch.
fn run_batches(
    compiled: &Compiled,
    tensor: &[f32],
    wanted: impl Fn() -> bool,
) -> Result<Vec<Scores>, Stop> {
    let spec = &compiled.spec;
    let contract = compiled.sessions.contract();
    let batch = compiled
        .batch_images
        .min(compiled.sessions.batch_images_max())
        .max(1);
    let mut lease = compiled
        .sessions
        .lease()
        .map_err(|error| Stop::Failed(error.to_string()))?;
    let mut scores = Vec::with_capacity(tensor.len() / spec.image_len());
    for images in tensor.chunks(batch.saturating_mul(spec.image_len())) {
        if !wanted() {
            return Err(Stop::Abandoned);
        }
        let count = images.len() / spec.image_len();
        let finite = lease.run(spec.shape(count), images, |numbers| {
            for row in numbers.chunks_exact(contract.labels) {
                scores.push(match contract.meaning {
                    Output::Logits => Scores::from_logits(row),
                    Output::Softmax | Output::Value => Scores::new(row),
                });
            }
            numbers.iter().all(|number| number.is_finite())
        });
        match finite {
            Ok(true) => {}
            Ok(false) => {
                return Err(Stop::Failed(
                    "its output is not finite (NaN or infinity)".into(),
                ));
            }
            Err(error) => return Err(Stop::Failed(error.to_string())),
        }
    }
    Ok(scores)
}

fn answer(runs: Vec<Run>, scores: Vec<Scores>) {
    let mut scores = scores.into_iter();
    for run in runs {
        let Run {
            reply,
            model,
            chunk,
            mut outcomes,
            rows,
            ids,
            ..
        } = run;
        // Its memory and its permit are free before the caller goes on.
        drop(chunk);
        let filled = rows
            .iter()
            .all(|row| match (outcomes.get_mut(*row), scores.next()) {
                (Some(outcome), Some(scores)) => {
                    *outcome = Outcome::Scores(scores);
                    true
                }
                _ => false,
            });
        reply.send(if filled {
            Ok(Answered { outcomes, ids })
        } else {
            let model = model.model().name.clone();
            let reason = "it gave too few rows".to_string();
            Err(PredictError::Model { model, reason })
        });
    }
}

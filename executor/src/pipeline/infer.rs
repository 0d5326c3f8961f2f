//! The inference stage: runs batches and answers the callers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use predictsql_catalog::Output;

use super::chunk::Prepared;
use crate::model::Compiled;
use crate::{Outcome, PredictError, Scores};

/// Bytes of tensors that are kept while nobody uses them.
const SPARE_BYTES_MAX: usize = 256 << 20;

/// Tensors kept for the next chunk, so that their pages need not be had from the system again.
#[derive(Debug)]
pub(super) struct TensorPool {
    spare: Mutex<Vec<Vec<f32>>>,
    spare_max: usize,
}

impl TensorPool {
    pub(super) fn new(spare_max: usize) -> Self {
        Self {
            spare: Mutex::default(),
            spare_max,
        }
    }

    /// An empty vector, with room if there is one.
    pub(super) fn take(&self) -> Vec<f32> {
        self.spare
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
            .unwrap_or_default()
    }

    pub(super) fn give_back(&self, mut tensor: Vec<f32>) {
        tensor.clear();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let kept: usize = spare.iter().chain([&tensor]).map(Vec::capacity).sum();
        if spare.len() < self.spare_max && kept * size_of::<f32>() <= SPARE_BYTES_MAX {
            spare.push(tensor);
        }
    }
}

/// Infers chunks for the same sessions and answers each of their callers; adds the images that the
/// model looked at to `images_inferred` before it answers.
pub(super) fn infer(mut chunks: Vec<Prepared>, tensors: &TensorPool, images_inferred: &AtomicU64) {
    chunks.retain(|chunk| !chunk.ticket.is_abandoned());
    let Some(first) = chunks.first_mut() else {
        return;
    };
    let compiled = first.model.compiled().clone();
    let mut tensor = std::mem::take(&mut first.tensor);
    for chunk in chunks.iter_mut().skip(1) {
        tensor.extend_from_slice(&chunk.tensor);
        tensors.give_back(std::mem::take(&mut chunk.tensor));
    }
    let wanted = || !chunks.iter().all(|chunk| chunk.ticket.is_abandoned());
    // What a panic leaves behind is not used again: the session is dropped with its lease.
    let scores = catch_unwind(AssertUnwindSafe(|| run_batches(&compiled, &tensor, wanted)))
        .unwrap_or_else(|_panic| Err(Stop::Failed("internal error in inference".to_string())));
    tensors.give_back(tensor);
    match scores {
        Ok(scores) => {
            images_inferred.fetch_add(scores.len() as u64, Ordering::Relaxed);
            answer(chunks, scores);
        }
        Err(Stop::Abandoned) => {}
        Err(Stop::Failed(reason)) => {
            for chunk in chunks {
                let model = chunk.model.model().name.clone();
                chunk.ticket.reply(Err(PredictError::Model {
                    model,
                    reason: reason.clone(),
                }));
            }
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
                    Output::Softmax => Scores::new(row),
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

fn answer(chunks: Vec<Prepared>, scores: Vec<Scores>) {
    let mut scores = scores.into_iter();
    for chunk in chunks {
        let Prepared {
            ticket,
            model,
            mut outcomes,
            rows,
            ..
        } = chunk;
        let filled = rows
            .iter()
            .all(|row| match (outcomes.get_mut(*row), scores.next()) {
                (Some(outcome), Some(scores)) => {
                    *outcome = Outcome::Scores(scores);
                    true
                }
                _ => false,
            });
        ticket.reply(if filled {
            Ok(outcomes)
        } else {
            let model = model.model().name.clone();
            Err(PredictError::Model {
                model,
                reason: "it gave too few rows".to_string(),
            })
        });
    }
}

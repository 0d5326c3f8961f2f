//! A model that an external server runs.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

use super::request::Prepared;
use super::runs::{self, Limits};
use super::served::ServedModel;
use crate::backend::{Description, Instance};
use crate::error::{ModelError, PredictError};
use crate::input::{ColumnValue, Outcome};
use crate::io_runtime::IoRuntime;
use crate::model::{Batch, ColumnsSpec, Feed, Warm};
use crate::picture::InputSpec;
use crate::pieces::{Form, Piece};
use crate::spent::Stage;

/// A model that an external server runs.
#[derive(Debug)]
pub(super) struct ExternalInstance {
    description: Description,
    served: Arc<ServedModel>,
    batch_inputs_max: usize,
    tensor_bytes_max: u64,
    runtime: Arc<IoRuntime>,
    inferred: Arc<AtomicU64>,
}

impl ExternalInstance {
    pub(super) fn new(
        served: Arc<ServedModel>,
        warm: &Warm,
        (limits, load_seconds): (Limits, f64),
        runtime: Arc<IoRuntime>,
        inferred: Arc<AtomicU64>,
    ) -> Self {
        Self {
            description: Description {
                form: match &served.contract().feed {
                    Feed::Image(spec) => Form::Tensor(spec.clone()),
                    Feed::Columns(_) => Form::Rows,
                },
                batch_inputs: warm.batch_inputs,
                chunk_inputs: limits.chunk_inputs(&served),
                seconds_per_input: warm.seconds_per_input,
                load_seconds,
                // Its memory is the server's.
                memory_bytes: 0,
            },
            served,
            batch_inputs_max: warm.batch_inputs_max,
            tensor_bytes_max: limits.tensor_bytes_max,
            runtime,
            inferred,
        }
    }
}

impl Instance for ExternalInstance {
    fn description(&self) -> &Description {
        &self.description
    }

    fn infer(&self, piece: Piece) {
        let batch = self.description.batch_inputs.min(self.batch_inputs_max);
        let (served, inferred) = (self.served.clone(), self.inferred.clone());
        drop(
            self.runtime
                .spawn(async move { answer(&served, piece, batch.max(1), &inferred).await }),
        );
    }

    fn measure(
        &self,
        _name: &str,
        batches: &[usize],
    ) -> BoxFuture<'static, Result<Vec<(u32, f64)>, ModelError>> {
        let (served, batches) = (self.served.clone(), batches.to_vec());
        let limits = (self.batch_inputs_max, self.tensor_bytes_max);
        let handle = self.runtime.handle().clone();
        let measuring = async move { runs::measured(&served, batches, limits, handle).await };
        let task = AbortOnDropHandle::new(self.runtime.spawn(measuring));
        Box::pin(async move { task.await.unwrap_or_else(|_| Err(ModelError::abandoned())) })
    }

    /// The server keeps the model: others may use it.
    fn release(self: Arc<Self>) {}
}

/// Answers a piece, request after request, unless its caller is gone.
async fn answer(served: &ServedModel, mut piece: Piece, batch: usize, inferred: &AtomicU64) {
    while piece.left() > 0 {
        let next = match &served.contract().feed {
            Feed::Image(spec) => images(served, &piece, spec, batch),
            Feed::Columns(spec) => rows(served, &piece, spec, batch),
        };
        let next = match next {
            Ok(next) => next,
            Err(error) => return fail(piece, error),
        };
        let begin = Instant::now();
        let answered = tokio::select! {
            biased;
            () = piece.reply.abandoned() => return,
            answered = outcomes(served, next) => answered,
        };
        match answered {
            Ok((outcomes, ran)) => {
                inferred.fetch_add(ran as u64, Ordering::Relaxed);
                let took = u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX);
                piece.reply.spent(Stage::Inferring, took);
                piece.fill(&mut outcomes.into_iter());
            }
            Err(error) => return fail(piece, error),
        }
    }
    piece.answer();
}

/// The next inputs of a piece.
struct Next {
    /// The request for those that the model accepts; `None`: it accepts none.
    request: Option<Prepared>,
    /// For each of them, why the model does not accept it.
    refused: Vec<Option<String>>,
}

/// The next images of a piece, at most `batch`.
fn images(
    served: &ServedModel,
    piece: &Piece,
    spec: &InputSpec,
    batch: usize,
) -> Result<Next, ModelError> {
    let (image_len, all) = (spec.image_len(), piece.images(spec));
    let places: Vec<usize> = piece.places_left().take(batch).collect();
    let images = |place: usize, count: usize| {
        let begin = place.checked_mul(image_len)?;
        let end = place.checked_add(count)?.checked_mul(image_len)?;
        all.get(begin..end)
    };
    let follow = |pair: &[usize]| matches!(pair, [a, b] if a.checked_add(1) == Some(*b));
    let first = places.first();
    let first = first.filter(|_| places.windows(2).all(follow));
    let numbers = match first {
        Some(first) => images(*first, places.len()).map(Cow::Borrowed),
        None => {
            let each: Option<Vec<&[f32]>> = places.iter().map(|place| images(*place, 1)).collect();
            each.map(|each| each.concat().into())
        }
    };
    let numbers = numbers.filter(|_| !places.is_empty());
    let numbers = numbers.ok_or_else(|| ModelError::Options {
        reason: "an image is not there as a tensor".to_string(),
    })?;
    Ok(Next {
        request: Some(served.prepared(Batch::Images(&numbers))?),
        refused: vec![None; places.len()],
    })
}

/// The next rows of a piece, at most `batch`.
fn rows(
    served: &ServedModel,
    piece: &Piece,
    spec: &ColumnsSpec,
    batch: usize,
) -> Result<Next, ModelError> {
    let rows: Vec<&[ColumnValue]> = piece.column_rows().take(batch).collect();
    let refused: Vec<Option<String>> = rows.iter().map(|row| spec.check(row).err()).collect();
    let taken = rows.into_iter().zip(&refused);
    let taken = taken.filter(|(_, refused)| refused.is_none());
    let taken: Vec<&[ColumnValue]> = taken.map(|(row, _)| row).collect();
    let request = match taken.is_empty() {
        true => None,
        false => Some(served.prepared(Batch::Rows(&taken))?),
    };
    Ok(Next { request, refused })
}

/// The outcomes of inputs, and how many the server has answered.
async fn outcomes(served: &ServedModel, next: Next) -> Result<(Vec<Outcome>, usize), ModelError> {
    let wanted = next.refused.iter().filter(|refused| refused.is_none());
    let wanted = wanted.count();
    let answers = match next.request {
        Some(request) => {
            let answer = served.run(request).await?;
            let reader = &served.contract().reader;
            served.read(&answer, |numbers| reader.outcomes(numbers))?
        }
        None => Vec::new(),
    };
    // Nothing is filled in otherwise, and the piece would not end.
    if answers.len() != wanted || next.refused.is_empty() {
        return Err(served.wrong("it has too few rows".to_string()));
    }
    let mut answers = answers.into_iter();
    let outcomes = next.refused.into_iter().map_while(|refused| match refused {
        Some(reason) => Some(Outcome::Unreadable(reason)),
        None => answers.next(),
    });
    Ok((outcomes.collect(), wanted))
}

fn fail(piece: Piece, error: ModelError) {
    let error = match error {
        // What is wrong is not the answer to these inputs.
        ModelError::ServedChanged { .. } => PredictError::Load(error),
        _ => PredictError::Model {
            model: piece.model.name.clone(),
            reason: error.to_string(),
        },
    };
    piece.reply.send(Err(error));
}

//! A model that an external server runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use futures_util::future::BoxFuture;
use tokio_util::task::AbortOnDropHandle;

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
        let inputs = match &served.contract().feed {
            Feed::Image(spec) => images(&piece, spec, batch),
            Feed::Columns(spec) => Some(rows(&piece, spec, batch)),
        };
        let Some(inputs) = inputs else {
            let error = ModelError::Options {
                reason: "an image is not there as a tensor".to_string(),
            };
            return fail(piece, error);
        };
        let begin = Instant::now();
        let answered = tokio::select! {
            biased;
            () = piece.reply.abandoned() => return,
            answered = outcomes(served, inputs) => answered,
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
enum Inputs {
    /// So many images, one after another.
    Images(usize, Vec<f32>),
    /// Rows, or why the model does not accept them.
    Rows(Vec<Result<Vec<ColumnValue>, String>>),
}

/// The next images of a piece, at most `batch`. `None`: one of them is not there.
fn images(piece: &Piece, spec: &InputSpec, batch: usize) -> Option<Inputs> {
    let (image_len, all) = (spec.image_len(), piece.images(spec));
    let mut numbers = Vec::with_capacity(image_len.saturating_mul(batch.min(piece.left())));
    let mut count = 0;
    for place in piece.places_left().take(batch) {
        let begin = place.checked_mul(image_len)?;
        numbers.extend_from_slice(all.get(begin..begin.checked_add(image_len)?)?);
        count += 1;
    }
    (count > 0).then_some(Inputs::Images(count, numbers))
}

/// The next rows of a piece, at most `batch`.
fn rows(piece: &Piece, spec: &ColumnsSpec, batch: usize) -> Inputs {
    let checked = |row: &[ColumnValue]| spec.check(row).map(|()| row.to_vec());
    Inputs::Rows(piece.column_rows().take(batch).map(checked).collect())
}

/// The outcomes of inputs, and how many the server has answered.
async fn outcomes(
    served: &ServedModel,
    inputs: Inputs,
) -> Result<(Vec<Outcome>, usize), ModelError> {
    match inputs {
        Inputs::Images(count, numbers) => {
            let outcomes = run(served, Batch::Images(&numbers), count).await?;
            Ok((outcomes, count))
        }
        Inputs::Rows(rows) => {
            let taken = rows.iter().filter_map(|row| row.as_deref().ok());
            let taken: Vec<&[ColumnValue]> = taken.collect();
            let answers = match taken.is_empty() {
                true => Vec::new(),
                false => run(served, Batch::Rows(&taken), taken.len()).await?,
            };
            let count = answers.len();
            let mut answers = answers.into_iter();
            let outcomes = rows.iter().map_while(|row| match row {
                Ok(_) => answers.next(),
                Err(reason) => Some(Outcome::Unreadable(reason.clone())),
            });
            Ok((outcomes.collect(), count))
        }
    }
}

/// The outcomes of a batch of so many inputs.
async fn run(
    served: &ServedModel,
    batch: Batch<'_>,
    inputs: usize,
) -> Result<Vec<Outcome>, ModelError> {
    let answer = served.run(batch).await?;
    let reader = &served.contract().reader;
    let outcomes = served.read(&answer, |numbers| reader.outcomes(numbers))?;
    match outcomes.len() == inputs {
        true => Ok(outcomes),
        false => Err(served.wrong("it has too few rows".to_string())),
    }
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

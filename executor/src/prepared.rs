//! Inputs that were fetched, decoded and preprocessed once for several models.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::backend::LoadedModel;
use crate::caller::CallerId;
use crate::error::PredictError;
use crate::identity::InputId;
use crate::input::Outcome;
use crate::pieces::{Answer, Answered, Piece, Place, PreparedChunk, Reply};
use crate::spent::Spent;

/// Inputs ready to be run through any of the models that they were prepared for.
///
/// It holds a part of the memory shared by all queries (`queue_chunks_max`) until dropped. The
/// holder should run it, drop it, and meanwhile wait for nothing but the executor: neither for a
/// client nor for another preparation.
#[derive(Debug)]
pub struct Prepared {
    /// Each of `chunk_inputs` inputs, except the last.
    chunks: Vec<PreparedChunk>,
    chunk_inputs: usize,
    ids: Vec<Option<InputId>>,
}

/// Source of one requested outcome.
enum Wanted {
    Known(Outcome),
    /// The next outcome from the answer of this chunk.
    From(usize),
}

/// Runs in progress for the requested rows.
pub(crate) struct Runs {
    wanted: Vec<Wanted>,
    /// One per chunk, if any of its inputs must be run.
    answers: Vec<Option<Answer<Answered>>>,
}

impl Prepared {
    pub(crate) fn new(mut chunks: Vec<PreparedChunk>, chunk_inputs: usize) -> Self {
        let ids = chunks
            .iter_mut()
            .flat_map(|chunk| std::mem::take(&mut chunk.ids))
            .collect();
        Self {
            chunks,
            chunk_inputs: chunk_inputs.max(1),
            ids,
        }
    }

    /// Number of inputs.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there are no inputs.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Identities of the inputs, determined from exactly the content that was read, so they are
    /// valid keys of kept outputs. `None` for an input that was not read, or that changed during
    /// or just before the read.
    pub fn ids(&self) -> &[Option<InputId>] {
        &self.ids
    }

    /// Creates the pieces for the outcomes of `rows`, and sends them to the model's backend.
    pub(crate) fn runs(
        &self,
        model: &LoadedModel,
        rows: &[usize],
        (cancel, account): (&CancellationToken, Option<&Arc<Spent>>),
    ) -> Result<Runs, PredictError> {
        let mut by_chunk: Vec<Vec<usize>> = vec![Vec::new(); self.chunks.len()];
        let mut wanted = Vec::with_capacity(rows.len());
        for &row in rows {
            let number = row / self.chunk_inputs;
            let chunk = self.chunks.get(number);
            let place = chunk.and_then(|chunk| chunk.places.get(row % self.chunk_inputs));
            wanted.push(match (place, by_chunk.get_mut(number)) {
                (Some(Place::At(place)), Some(places)) => {
                    places.push(*place);
                    Wanted::From(number)
                }
                (Some(Place::Unreadable(reason)), _) => {
                    Wanted::Known(Outcome::Unreadable(reason.clone()))
                }
                (Some(Place::Null), _) => Wanted::Known(Outcome::Null),
                _ => {
                    return Err(PredictError::NoSuchInput {
                        row,
                        inputs: self.len(),
                    });
                }
            });
        }
        let caller = account.map_or_else(CallerId::new, |account| account.caller());
        let mut answers = Vec::with_capacity(self.chunks.len());
        for (chunk, places) in self.chunks.iter().zip(by_chunk) {
            if places.is_empty() {
                answers.push(None);
                continue;
            }
            let (reply, answer) = Reply::new(caller, cancel);
            let reply = reply.on_account(account);
            let of_model = (model.model(), model.form());
            let piece = Piece::of_places(reply, of_model, &chunk.chunk, places);
            let piece = piece.ok_or_else(|| PredictError::NotPrepared {
                model: model.model().name.clone(),
            })?;
            model.instance().infer(piece);
            answers.push(Some(answer));
        }
        Ok(Runs { wanted, answers })
    }
}

impl Runs {
    /// Waits for the runs and returns their outcomes in the requested order.
    pub(crate) async fn outcomes(self) -> Result<Vec<Outcome>, PredictError> {
        let mut by_chunk = Vec::with_capacity(self.answers.len());
        for answer in self.answers {
            let outcomes = match answer {
                Some(answer) => answer.await?.outcomes,
                None => Vec::new(),
            };
            by_chunk.push(outcomes.into_iter());
        }
        let outcomes = self.wanted.into_iter().map(|wanted| match wanted {
            Wanted::Known(outcome) => Ok(outcome),
            Wanted::From(chunk) => by_chunk
                .get_mut(chunk)
                .and_then(Iterator::next)
                .ok_or(PredictError::Stopped),
        });
        outcomes.collect()
    }
}

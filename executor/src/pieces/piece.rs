//! The unit of work of a backend: inputs to run a model on, and the destination of their outcomes.

use std::sync::Arc;

use predictsql_catalog::Model;

use super::chunk::{Chunk, Contents, Encoded, Place};
use super::form::Form;
use super::reply::Reply;
use crate::caller::CallerId;
use crate::identity::InputId;
use crate::input::{ColumnValue, Outcome};
use crate::picture::InputSpec;

/// Outcomes of a chunk's inputs, and their identities if requested.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) ids: Vec<Option<InputId>>,
}

/// Images or rows of a chunk to be run through a backend's model.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) reply: Reply<Answered>,
    /// The catalog model that the piece is run for.
    pub(crate) model: Arc<Model>,
    pub(crate) chunk: Arc<Chunk>,
    /// Indices in the chunk of the inputs to run, in the order of `rows`. `None`: all.
    pub(crate) places: Option<Vec<usize>>,
    /// Inference fills in those with the indices in `rows`.
    pub(crate) outcomes: Vec<Outcome>,
    /// For each image or row to run, the index of its outcome.
    pub(crate) rows: Vec<usize>,
    /// Number of `rows` filled in.
    pub(crate) done: usize,
    /// Passed on to the caller.
    pub(crate) ids: Vec<Option<InputId>>,
}

impl Piece {
    /// A piece with some places of a prepared chunk, whose outcomes are returned in the order of
    /// `places`, for a model that is given its inputs in this form. `None` if the chunk was not
    /// prepared in it.
    pub(crate) fn of_places(
        reply: Reply<Answered>,
        (model, form): (&Arc<Model>, &Form),
        chunk: &Arc<Chunk>,
        places: Vec<usize>,
    ) -> Option<Self> {
        chunk.content.has(form).then(|| Self {
            reply,
            model: model.clone(),
            chunk: chunk.clone(),
            outcomes: vec![Outcome::Null; places.len()],
            rows: (0..places.len()).collect(),
            places: Some(places),
            done: 0,
            ids: Vec::new(),
        })
    }

    /// A piece with all inputs of a chunk. `Err`: there are none to run, and this is the answer.
    pub(crate) fn of_all(
        reply: Reply<Answered>,
        model: Arc<Model>,
        chunk: Chunk,
        places: Vec<Place>,
        ids: Vec<Option<InputId>>,
    ) -> Result<Self, (Reply<Answered>, Answered)> {
        let mut rows = Vec::with_capacity(places.len());
        let places = places.into_iter().enumerate();
        let outcomes = places.map(|(row, place)| match place {
            Place::Null => Outcome::Null,
            Place::Unreadable(reason) => Outcome::Unreadable(reason),
            Place::At(_) => {
                rows.push(row);
                // Placeholder for the scores.
                Outcome::Null
            }
        });
        let outcomes = outcomes.collect();
        if rows.is_empty() {
            drop(chunk);
            return Err((reply, Answered { outcomes, ids }));
        }
        Ok(Self {
            reply,
            model,
            chunk: Arc::new(chunk),
            places: None,
            outcomes,
            rows,
            done: 0,
            ids,
        })
    }

    /// The tensor data of the chunk's images, by the model's input spec.
    pub(crate) fn images(&self, spec: &InputSpec) -> &[f32] {
        let Contents::Images(images) = &self.chunk.content else {
            return &[];
        };
        let tensor = images.tensors.iter().find(|(of, _)| **of == *spec);
        tensor.map_or(&[], |(_, tensor)| tensor)
    }

    /// The images still to be run, for a backend that decodes them.
    pub(crate) fn encoded(&self) -> impl Iterator<Item = &Encoded> {
        let encoded = match &self.chunk.content {
            Contents::Images(images) => images.encoded.as_deref(),
            Contents::Rows(_) => None,
        };
        let encoded = encoded.unwrap_or_default();
        self.places_left()
            .filter_map(move |place| encoded.get(place))
    }

    /// The rows still to be run.
    pub(crate) fn column_rows(&self) -> impl Iterator<Item = &[ColumnValue]> {
        let rows = match &self.chunk.content {
            Contents::Images(_) => &[][..],
            Contents::Rows(rows) => rows,
        };
        self.places_left()
            .filter_map(move |place| rows.get(place).map(|row| &row[..]))
    }

    /// Indices in the chunk of the inputs still to be run.
    pub(crate) fn places_left(&self) -> impl Iterator<Item = usize> {
        (self.done..self.rows.len()).filter_map(|index| match &self.places {
            Some(places) => places.get(index).copied(),
            None => Some(index),
        })
    }

    /// Number of inputs still to be run.
    pub(crate) fn left(&self) -> usize {
        self.rows.len().saturating_sub(self.done)
    }

    /// Fills in outcomes, as many as the iterator has.
    pub(crate) fn fill(&mut self, outcomes: &mut impl Iterator<Item = Outcome>) {
        while let Some(row) = self.rows.get(self.done)
            && let Some(outcome) = outcomes.next()
        {
            if let Some(place) = self.outcomes.get_mut(*row) {
                *place = outcome;
            }
            self.done += 1;
        }
    }

    /// Sends the outcomes, which are all filled in.
    pub(crate) fn answer(self) {
        let Self {
            reply,
            chunk,
            outcomes,
            ids,
            ..
        } = self;
        // Free its memory and its permit before the caller continues.
        drop(chunk);
        reply.send(Ok(Answered { outcomes, ids }));
    }

    /// Whether the identities of the inputs are passed on.
    pub(crate) fn is_identified(&self) -> bool {
        !self.ids.is_empty()
    }

    /// Sets the identities of the inputs that are run next, where they are known only now.
    pub(crate) fn identify(&mut self, ids: impl Iterator<Item = Option<InputId>>) {
        let rows = self.rows.get(self.done..).unwrap_or_default();
        for (row, id) in rows.iter().zip(ids) {
            if let (Some(place), Some(_)) = (self.ids.get_mut(*row), id) {
                *place = id;
            }
        }
    }

    /// The caller of the work.
    pub(crate) fn caller(&self) -> CallerId {
        self.reply.caller()
    }
}

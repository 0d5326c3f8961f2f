//! A chunk of inputs in the state that each stage hands on.

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;

use super::fetch::Reserved;
use crate::{Input, LoadedModel, Outcome, PredictError};

/// Who waits for a chunk. Every stage asks whether someone still does.
#[derive(Debug)]
pub(crate) struct Ticket {
    reply: oneshot::Sender<Result<Vec<Outcome>, PredictError>>,
    cancel: CancellationToken,
    _permit: OwnedSemaphorePermit,
}

impl Ticket {
    pub(crate) fn new(
        reply: oneshot::Sender<Result<Vec<Outcome>, PredictError>>,
        cancel: CancellationToken,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            reply,
            cancel,
            _permit: permit,
        }
    }

    /// Whether the caller cancelled or is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed() || self.cancel.is_cancelled()
    }

    /// Answers the caller, who may be gone: then nobody misses the answer.
    pub(super) fn reply(self, answer: Result<Vec<Outcome>, PredictError>) {
        let _ = self.reply.send(answer);
    }
}

/// As the caller gave it.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) ticket: Ticket,
    pub(crate) model: LoadedModel,
    pub(crate) inputs: Vec<Input>,
}

impl Submitted {
    pub(super) fn has_locations(&self) -> bool {
        self.inputs
            .iter()
            .any(|input| matches!(input, Input::Location(_)))
    }

    /// Goes on without the fetch stage; locations, if any, are read by the next one.
    pub(super) fn without_fetching(self) -> Fetched {
        let contents = self.inputs.into_iter().map(Content::from);
        Fetched {
            ticket: self.ticket,
            model: self.model,
            contents: contents.collect(),
        }
    }
}

/// With its files read.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) ticket: Ticket,
    pub(super) model: LoadedModel,
    pub(super) contents: Vec<Content>,
}

/// One input on its way to the decoder.
#[derive(Debug)]
pub(super) enum Content {
    Null,
    /// Could not be read, for this reason.
    Unreadable(String),
    /// An encoded image that came with the statement.
    Given(Bytes),
    /// An encoded image that was read ahead.
    Read(Bytes, Reserved),
    /// A location that is still to be read, since enough is read ahead.
    Later(Bytes),
}

impl Content {
    /// Whether it may come to a place in the tensor.
    pub(super) fn may_be_image(&self) -> bool {
        !matches!(self, Self::Null | Self::Unreadable(_))
    }
}

impl From<Input> for Content {
    fn from(input: Input) -> Self {
        match input {
            Input::Null => Self::Null,
            Input::Image(encoded) => Self::Given(encoded),
            Input::Location(location) => Self::Later(location),
        }
    }
}

/// With its images in a tensor.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) ticket: Ticket,
    pub(super) model: LoadedModel,
    /// One per input; those of `rows` are filled in by inference.
    pub(super) outcomes: Vec<Outcome>,
    /// For each image of `tensor`, the index of its input.
    pub(super) rows: Vec<usize>,
    /// The images one after another, each as the model wants it.
    pub(super) tensor: Vec<f32>,
}

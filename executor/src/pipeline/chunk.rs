//! A chunk of inputs, in the states passed between the stages.

use std::sync::Arc;

use bytes::Bytes;

use crate::backend::LoadedModel;
use crate::caller::CallerId;
use crate::identity::InputId;
use crate::input::Input;
use crate::permits::Permit;
use crate::pieces::{Answered, Form, PreparedChunk, Reply};
use crate::reserved::Reserved;
use crate::sources::{BoundRoots, ReadError};
use crate::spent::Stage;

/// What a chunk is prepared for.
#[derive(Debug)]
pub(crate) enum Goal {
    /// The outcomes of one model: after preparation the chunk goes to inference.
    Outcomes(LoadedModel, Reply<Answered>),
    /// The inputs in these forms, for later runs.
    Prepared(Vec<Form>, Reply<PreparedChunk>),
}

impl Goal {
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Outcomes(_, reply) => reply.is_abandoned(),
            Self::Prepared(_, reply) => reply.is_abandoned(),
        }
    }

    /// The caller of the work.
    pub(super) fn caller(&self) -> CallerId {
        match self {
            Self::Outcomes(_, reply) => reply.caller(),
            Self::Prepared(_, reply) => reply.caller(),
        }
    }

    /// Reports the time spent by a stage to the waiting caller.
    pub(super) fn spent(&self, stage: Stage, ns: u64) {
        match self {
            Self::Outcomes(_, reply) => reply.spent(stage, ns),
            Self::Prepared(_, reply) => reply.spent(stage, ns),
        }
    }

    /// The forms that the inputs are wanted in.
    pub(super) fn forms(&self) -> &[Form] {
        match self {
            Self::Outcomes(model, _) => std::slice::from_ref(model.form()),
            Self::Prepared(forms, _) => forms,
        }
    }

    /// Whether the inputs are rows of columns, which need no preparation.
    fn takes_rows(&self) -> bool {
        self.forms().contains(&Form::Rows)
    }
}

/// Data of a chunk that all stages need.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) goal: Goal,
    /// Whether input identities are requested.
    pub(crate) identified: bool,
    /// The roots of the task that the inputs are for, if it is bound to some.
    pub(crate) within: Option<Arc<BoundRoots>>,
    /// Shared by the chunks of one preparation.
    pub(crate) permit: Arc<Permit>,
}

/// A chunk as submitted by the caller.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) ticket: Ticket,
    pub(crate) inputs: Vec<Input>,
}

impl Submitted {
    pub(super) fn takes_rows(&self) -> bool {
        self.ticket.goal.takes_rows()
    }

    /// Whether the model's backend may read objects itself.
    pub(super) fn may_send_objects(&self) -> Option<&LoadedModel> {
        match &self.ticket.goal {
            Goal::Outcomes(model, _) if *model.form() == Form::Encoded => Some(model),
            _ => None,
        }
    }

    /// Converts the inputs. Locations, if any, are still to be read, but for those of which
    /// `object` says the URI for the backend.
    pub(super) fn converted(self, object: impl Fn(&Self, &Bytes) -> Option<Bytes>) -> Fetched {
        let uris = self.inputs.iter().map(|input| match input {
            Input::Location(at) => object(&self, at),
            _ => None,
        });
        let uris: Vec<Option<Bytes>> = uris.collect();
        let contents = self.inputs.into_iter().zip(uris);
        let contents = contents.map(|(input, uri)| match uri {
            Some(uri) => Content::Object(uri),
            None => Content::from(input),
        });
        Fetched {
            ticket: self.ticket,
            contents: contents.collect(),
        }
    }
}

/// A chunk whose inputs are on their way to the decoder.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) ticket: Ticket,
    pub(super) contents: Vec<Content>,
}

impl Fetched {
    /// Whether there are locations to be read.
    pub(super) fn has_locations(&self) -> bool {
        let is_later = |content: &Content| matches!(content, Content::Later(_));
        self.contents.iter().any(is_later)
    }
}

/// An input on its way to the decoder.
#[derive(Debug)]
pub(super) enum Content {
    Null,
    /// Could not be read, for this reason.
    Unreadable(String),
    /// An encoded image contained in the statement.
    Given(Bytes),
    /// An encoded image that was read ahead, and its identity if requested and known.
    Read(Bytes, Option<InputId>, Reserved),
    /// A location still to be read.
    Later(Bytes),
    /// The URI of an object that the model's backend reads itself.
    Object(Bytes),
}

impl Content {
    /// Whether it may become an image of the tensor.
    pub(super) fn may_be_image(&self) -> bool {
        !matches!(self, Self::Null | Self::Unreadable(_))
    }
}

/// Error clause for an image that was not read.
pub(super) fn unreadable(error: ReadError, bytes_max: u64) -> String {
    match error {
        ReadError::Location(reason) | ReadError::Other(reason) => reason,
        ReadError::Outside => "is outside the allowed image roots".to_string(),
        ReadError::NotFound => "does not exist".to_string(),
        ReadError::TooLarge { bytes } => too_large(bytes, bytes_max),
    }
}

/// Error clause for an image of too many bytes.
fn too_large(bytes: u64, bytes_max: u64) -> String {
    format!("is too large ({bytes} bytes, limit {bytes_max})")
}

impl From<Input> for Content {
    fn from(input: Input) -> Self {
        match input {
            Input::Null => Self::Null,
            Input::Image(encoded) => Self::Given(encoded),
            Input::Location(location) => Self::Later(location),
            Input::TooLarge { bytes, bytes_max } => Self::Unreadable(too_large(bytes, bytes_max)),
            Input::Columns(_) => Self::Unreadable("is no image, but a row of columns".to_string()),
        }
    }
}

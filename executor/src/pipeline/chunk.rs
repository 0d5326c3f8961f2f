//! A chunk of inputs in the state that each stage hands on.

use std::sync::Arc;

use bytes::Bytes;

use super::read_ahead::Reserved;
use crate::backend::LoadedModel;
use crate::caller::CallerId;
use crate::identity::InputId;
use crate::input::Input;
use crate::permits::Permit;
use crate::picture::InputSpec;
use crate::pieces::{Answered, PreparedChunk, Reply};
use crate::sources::ReadError;
use crate::spent::Stage;

/// What a chunk is prepared for.
#[derive(Debug)]
pub(crate) enum Goal {
    /// The outcomes of one model: the chunk goes on to inference by itself.
    Outcomes(LoadedModel, Reply<Answered>),
    /// Tensors for later runs, one for each of these; with none, rows of columns.
    Tensors(Vec<Arc<InputSpec>>, Reply<PreparedChunk>),
}

impl Goal {
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Outcomes(_, reply) => reply.is_abandoned(),
            Self::Tensors(_, reply) => reply.is_abandoned(),
        }
    }

    /// Whose work it is.
    pub(super) fn caller(&self) -> CallerId {
        match self {
            Self::Outcomes(_, reply) => reply.caller(),
            Self::Tensors(_, reply) => reply.caller(),
        }
    }

    /// Tells who waits what a stage has spent.
    pub(super) fn spent(&self, stage: Stage, ns: u64) {
        match self {
            Self::Outcomes(_, reply) => reply.spent(stage, ns),
            Self::Tensors(_, reply) => reply.spent(stage, ns),
        }
    }

    /// Whether the inputs are rows of columns, which need no preparation.
    fn takes_rows(&self) -> bool {
        match self {
            Self::Outcomes(model, _) => model.image_spec().is_none(),
            Self::Tensors(specs, _) => specs.is_empty(),
        }
    }
}

/// What a chunk keeps from stage to stage.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) goal: Goal,
    /// Whether identities are asked for.
    pub(crate) identified: bool,
    /// Shared by the chunks of one preparation.
    pub(crate) permit: Arc<Permit>,
}

/// As the caller gave it.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) ticket: Ticket,
    pub(crate) inputs: Vec<Input>,
}

impl Submitted {
    pub(super) fn takes_rows(&self) -> bool {
        self.ticket.goal.takes_rows()
    }

    pub(super) fn has_locations(&self) -> bool {
        self.inputs
            .iter()
            .any(|input| matches!(input, Input::Location(_)))
    }

    /// With its locations, if any, to be read.
    pub(super) fn without_fetching(self) -> Fetched {
        let contents = self.inputs.into_iter().map(Content::from);
        Fetched {
            ticket: self.ticket,
            contents: contents.collect(),
        }
    }
}

/// Its inputs on their way to the decoder.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) ticket: Ticket,
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
    /// An encoded image that was read ahead, and its identity if asked for and known.
    Read(Bytes, Option<InputId>, Reserved),
    /// A location that is still to be read.
    Later(Bytes),
}

impl Content {
    /// Whether it may come to a place in the tensor.
    pub(super) fn may_be_image(&self) -> bool {
        !matches!(self, Self::Null | Self::Unreadable(_))
    }
}

/// The clause for an image that was not read.
pub(super) fn unreadable(error: ReadError, bytes_max: u64) -> String {
    match error {
        ReadError::Location(reason) | ReadError::Other(reason) => reason,
        ReadError::NotEnabled { scheme } => {
            format!("cannot be fetched: scheme {scheme} is not enabled")
        }
        ReadError::Outside => "is outside the allowed image roots".to_string(),
        ReadError::NotFound => "does not exist".to_string(),
        ReadError::TooLarge { bytes } => too_large(bytes, bytes_max),
    }
}

/// The clause for an image of too many bytes.
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

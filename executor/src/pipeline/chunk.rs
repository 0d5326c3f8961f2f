//! A chunk of inputs in the state that each stage hands on.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;

use super::fetch::Reserved;
use super::tensor::Tensor;
use crate::picture::InputSpec;
use crate::{Input, InputId, LoadedModel, Outcome, PredictError};

/// Where an answer goes. Every stage asks whether someone still waits for it.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    sender: oneshot::Sender<Result<T, PredictError>>,
    cancel: CancellationToken,
}

/// What a caller waits on.
pub(crate) type Answer<T> = oneshot::Receiver<Result<T, PredictError>>;

impl<T> Reply<T> {
    pub(crate) fn new(cancel: &CancellationToken) -> (Self, Answer<T>) {
        let (sender, answer) = oneshot::channel();
        let cancel = cancel.clone();
        (Self { sender, cancel }, answer)
    }

    /// Whether the caller cancelled or is gone.
    pub(super) fn is_abandoned(&self) -> bool {
        self.sender.is_closed() || self.cancel.is_cancelled()
    }

    /// Answers the caller, who may be gone: then nobody misses the answer.
    pub(super) fn send(self, answer: Result<T, PredictError>) {
        let _ = self.sender.send(answer);
    }
}

/// Outcomes of a chunk's inputs, and their identities if they were asked for.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) ids: Vec<Option<InputId>>,
}

/// What a chunk is prepared for.
#[derive(Debug)]
pub(crate) enum Goal {
    /// The outcomes of one model: the chunk goes on to inference by itself.
    Outcomes(LoadedModel, Reply<Answered>),
    /// Tensors for later runs, one for each of these.
    Tensors(Vec<Arc<InputSpec>>, Reply<PreparedChunk>),
}

impl Goal {
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Outcomes(_, reply) => reply.is_abandoned(),
            Self::Tensors(_, reply) => reply.is_abandoned(),
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
    pub(crate) permit: Arc<OwnedSemaphorePermit>,
}

/// As the caller gave it.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) ticket: Ticket,
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
            contents: contents.collect(),
        }
    }
}

/// With its files read.
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
            Input::Columns(_) => Self::Unreadable("is no image".to_string()),
        }
    }
}

/// The images of a chunk as tensors, for as many runs as wanted. It holds the chunk's permit.
#[derive(Debug)]
pub(crate) struct Chunk {
    /// One for each way in which models want them.
    pub(super) tensors: Vec<(Arc<InputSpec>, Tensor)>,
    pub(super) _permit: Arc<OwnedSemaphorePermit>,
}

/// What became of one input in preparation.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Null,
    Unreadable(String),
    /// Its position among the images of the tensors.
    Image(usize),
}

/// A chunk that waits for its runs.
#[derive(Debug)]
pub(crate) struct PreparedChunk {
    pub(crate) chunk: Arc<Chunk>,
    /// One an input.
    pub(crate) places: Vec<Place>,
    /// One an input.
    pub(crate) ids: Vec<Option<InputId>>,
}

/// Images of a chunk on their way through a model.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) reply: Reply<Answered>,
    pub(super) model: LoadedModel,
    pub(super) chunk: Arc<Chunk>,
    /// Which of the chunk's tensors.
    pub(super) tensor: usize,
    /// Positions in the tensor of the images to run, in the order of `rows`. `None`: all of them.
    pub(super) images: Option<Vec<usize>>,
    /// Those of `rows` are filled in by inference.
    pub(super) outcomes: Vec<Outcome>,
    /// For each image, the index of its outcome.
    pub(super) rows: Vec<usize>,
    /// Passed on to the caller.
    pub(super) ids: Vec<Option<InputId>>,
}

impl Run {
    /// A run of some images of a prepared chunk, whose outcomes are answered in the order of
    /// `images`. `None` if the chunk was not prepared for the model.
    pub(crate) fn of_images(
        reply: Reply<Answered>,
        model: &LoadedModel,
        chunk: &Arc<Chunk>,
        images: Vec<usize>,
    ) -> Option<Self> {
        let spec = &model.compiled().spec;
        let tensor = chunk.tensors.iter().position(|(of, _)| of == spec)?;
        Some(Self {
            reply,
            model: model.clone(),
            chunk: chunk.clone(),
            tensor,
            outcomes: vec![Outcome::Null; images.len()],
            rows: (0..images.len()).collect(),
            images: Some(images),
            ids: Vec::new(),
        })
    }

    /// The numbers of its chunk's tensor.
    pub(super) fn numbers(&self) -> &[f32] {
        let tensor = self.chunk.tensors.get(self.tensor);
        tensor.map_or(&[], |(_, tensor)| tensor)
    }
}

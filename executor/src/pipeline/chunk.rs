//! A chunk of inputs in the state that each stage hands on.

use std::sync::Arc;

use super::fetch::Reserved;
use super::reply::Reply;
use super::tensor::Tensor;
use crate::caller::CallerId;
use crate::permits::Permit;
use crate::picture::InputSpec;
use crate::spent::Stage;
use crate::{ColumnValue, Input, InputId, LoadedModel, Outcome};
use bytes::Bytes;

/// How long a model that could not be tried is taken to look at one input.
const INPUT_NS: u64 = 1_000_000;

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
            Self::Outcomes(model, _) => model.compiled().image_spec().is_none(),
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

/// The clause for an image of too many bytes.
pub(super) fn too_large(bytes: u64, bytes_max: u64) -> String {
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

/// What a chunk's runs look at, as many as wanted. It holds the chunk's permit.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(super) content: Prepared,
    pub(super) _permit: Arc<Permit>,
}

/// Inputs that models can be run on.
#[derive(Debug)]
pub(super) enum Prepared {
    /// Images as tensors: one for each way in which models want them.
    Images(Vec<(Arc<InputSpec>, Tensor)>),
    Rows(Vec<Arc<[ColumnValue]>>),
}

/// What became of one input in preparation.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    Null,
    Unreadable(String),
    /// Its position among the images or rows of the chunk.
    At(usize),
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

/// Images or rows of a chunk on their way through a model.
#[derive(Debug)]
pub(crate) struct Run {
    pub(super) reply: Reply<Answered>,
    pub(super) model: LoadedModel,
    pub(super) chunk: Arc<Chunk>,
    /// Positions in the chunk of what to run, in the order of `rows`. `None`: all.
    pub(super) places: Option<Vec<usize>>,
    /// Those of `rows` are filled in by inference.
    pub(super) outcomes: Vec<Outcome>,
    /// For each image or row to run, the index of its outcome.
    pub(super) rows: Vec<usize>,
    /// How many of `rows` are filled in.
    pub(super) done: usize,
    /// Passed on to the caller.
    pub(super) ids: Vec<Option<InputId>>,
}

impl Run {
    /// A run of some places of a prepared chunk, whose outcomes are answered in the order of
    /// `places`. `None` if the chunk was not prepared for the model.
    pub(crate) fn of_places(
        reply: Reply<Answered>,
        model: &LoadedModel,
        chunk: &Arc<Chunk>,
        places: Vec<usize>,
    ) -> Option<Self> {
        let fits = match (&chunk.content, model.compiled().image_spec()) {
            (Prepared::Images(tensors), Some(spec)) => tensors.iter().any(|(of, _)| of == spec),
            (Prepared::Rows(_), None) => true,
            _ => false,
        };
        fits.then(|| Self {
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

    /// A run of all that a chunk holds. `Err`: there is nothing, and this is the answer.
    pub(super) fn of_all(
        reply: Reply<Answered>,
        model: LoadedModel,
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
                // A place for the scores.
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

    /// The numbers of its chunk's images, as its model wants them.
    pub(super) fn images(&self, spec: &InputSpec) -> &[f32] {
        let Prepared::Images(tensors) = &self.chunk.content else {
            return &[];
        };
        let tensor = tensors.iter().find(|(of, _)| **of == *spec);
        tensor.map_or(&[], |(_, tensor)| tensor)
    }

    /// The rows that are still to be run.
    pub(super) fn column_rows(&self) -> impl Iterator<Item = &[ColumnValue]> {
        let rows = match &self.chunk.content {
            Prepared::Images(_) => &[][..],
            Prepared::Rows(rows) => rows,
        };
        self.places_left()
            .filter_map(move |place| rows.get(place).map(|row| &row[..]))
    }

    /// Positions in the chunk of what is still to be run.
    pub(super) fn places_left(&self) -> impl Iterator<Item = usize> {
        (self.done..self.rows.len()).filter_map(|index| match &self.places {
            Some(places) => places.get(index).copied(),
            None => Some(index),
        })
    }

    /// Inputs that are still to be run.
    pub(super) fn left(&self) -> usize {
        self.rows.len().saturating_sub(self.done)
    }

    /// Fills in the outcomes of as many of them as there are.
    pub(super) fn fill(&mut self, outcomes: &mut impl Iterator<Item = Outcome>) {
        while let Some(row) = self.rows.get(self.done)
            && let Some(outcome) = outcomes.next()
        {
            if let Some(place) = self.outcomes.get_mut(*row) {
                *place = outcome;
            }
            self.done += 1;
        }
    }

    /// Whose work it is.
    pub(super) fn caller(&self) -> CallerId {
        self.reply.caller()
    }

    /// About how long the model looks at one input, in nanoseconds.
    pub(super) fn input_ns(&self) -> u64 {
        let seconds = self.model.seconds_per_image();
        seconds.map_or(INPUT_NS, |seconds| (seconds * 1e9) as u64)
    }
}

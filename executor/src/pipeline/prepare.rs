//! The decode stage: from encoded images to tensors, one per input spec of the models.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chunk::{Content, Fetched, Goal, Submitted, Ticket, unreadable};
use super::clock::thread_cpu_ns;
use crate::caller::CallerId;
use crate::identity::InputId;
use crate::input::{ColumnValue, Input};
use crate::picture::{DecodeMemory, DecodePlan, Limits, Preprocessor};
use crate::pieces::{
    Chunk, Contents, Encoded, Form, Images, Piece, Place, PreparedChunk, TensorPool,
};
use crate::sources::{Wanted, given};
use crate::spent::Stage;

/// A chunk during preparation, possibly in several pieces.
#[derive(Debug)]
pub(super) struct Preparing {
    ticket: Ticket,
    contents: std::vec::IntoIter<Content>,
    made: Option<Made>,
}

/// Partial result of a chunk.
#[derive(Debug)]
struct Made {
    images: Images,
    /// Number of images in each of the forms.
    count: usize,
    places: Vec<Place>,
    ids: Vec<Option<InputId>>,
}

/// Result of one piece of preparation.
#[derive(Debug)]
pub(super) enum Step {
    /// The chunk is prepared and was passed to inference or to its caller, or its caller is gone.
    Done,
    /// The time limit was reached; the rest remains.
    More(Preparing),
    /// The next image is not read yet.
    Unread(Preparing),
}

impl From<Fetched> for Preparing {
    fn from(Fetched { ticket, contents }: Fetched) -> Self {
        Self {
            ticket,
            contents: contents.into_iter(),
            made: None,
        }
    }
}

impl Preparing {
    pub(super) fn is_begun(&self) -> bool {
        self.made.is_some()
    }

    /// Its ticket.
    pub(super) fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// The remaining inputs.
    pub(super) fn contents(&self) -> &[Content] {
        self.contents.as_slice()
    }

    /// Ticket and remaining inputs, for reading them.
    pub(super) fn parts(&mut self) -> (&Ticket, &mut [Content]) {
        (&self.ticket, self.contents.as_mut_slice())
    }

    /// Whether the next image is not read yet.
    pub(super) fn is_unread(&self) -> bool {
        let next = self.contents.as_slice().first();
        matches!(next, Some(Content::Later(_)))
    }

    /// The caller of the work.
    pub(super) fn caller(&self) -> CallerId {
        self.ticket.goal.caller()
    }

    /// Whether images that are prepared already keep their space. Such a chunk is read to its end
    /// without waiting for more, so that chunks do not wait for each other.
    pub(super) fn holds_space(&self) -> bool {
        let encoded = self.made.as_ref();
        let encoded = encoded.and_then(|made| made.images.encoded.as_ref());
        encoded.is_some_and(|images| images.iter().any(Encoded::holds_space))
    }

    /// Number of images still to be decoded.
    pub(super) fn images_left(&self) -> usize {
        let contents = self.contents.as_slice().iter();
        contents.filter(|content| content.may_be_image()).count()
    }
}

/// Shared resources of all preparation threads.
#[derive(Debug)]
pub(super) struct Preparation {
    pub(super) image_bytes_max: u64,
    pub(super) limits: Limits,
    pub(super) decode_memory: DecodeMemory,
    pub(super) tensors: Arc<TensorPool>,
    /// After this time a thread requeues the rest of a chunk.
    pub(super) piece_max: Duration,
}

/// State that a thread reuses between chunks.
#[derive(Debug)]
pub(super) struct Worker {
    preprocessor: Preprocessor,
}

impl Worker {
    pub(super) fn new() -> Self {
        Self {
            preprocessor: Preprocessor::new(),
        }
    }

    /// Decodes and preprocesses a chunk, or a piece of it.
    pub(super) fn prepare(&mut self, mut chunk: Preparing, shared: &Preparation) -> Step {
        let (begin, begin_ns) = (Instant::now(), thread_cpu_ns());
        let images = chunk.images_left();
        let made = chunk.made.take();
        let mut made = made.unwrap_or_else(|| Made {
            images: empty_images(chunk.ticket.goal.forms(), images, shared),
            count: 0,
            places: Vec::with_capacity(chunk.contents.len()),
            ids: Vec::new(),
        });
        while !chunk.is_unread()
            && let Some(content) = chunk.contents.next()
        {
            let ticket = &chunk.ticket;
            if ticket.goal.is_abandoned() {
                return Step::Done;
            }
            let (place, id) = match content {
                Content::Null => (Place::Null, None),
                content => {
                    match self.append(content, made.count, ticket, shared, &mut made.images) {
                        Ok(id) => {
                            made.count += 1;
                            (Place::At(made.count - 1), id)
                        }
                        Err(reason) => (Place::Unreadable(reason), None),
                    }
                }
            };
            made.places.push(place);
            if ticket.identified {
                made.ids.push(id);
            }
            if begin.elapsed() >= shared.piece_max {
                break;
            }
        }
        let took = thread_cpu_ns().saturating_sub(begin_ns);
        chunk.ticket.goal.spent(Stage::Preparing, took);
        if chunk.contents.len() > 0 {
            chunk.made = Some(made);
            return match chunk.is_unread() {
                true => Step::Unread(chunk),
                false => Step::More(chunk),
            };
        }
        let content = Contents::Images(made.images);
        hand_on(chunk.ticket, content, made.places, made.ids);
        Step::Done
    }

    /// Appends one image in every form at index `image`, or leaves all forms unchanged.
    fn append(
        &mut self,
        content: Content,
        image: usize,
        ticket: &Ticket,
        shared: &Preparation,
        images: &mut Images,
    ) -> Result<Option<InputId>, String> {
        let (encoded, id, reserved) = match content {
            Content::Null => return Ok(None),
            Content::Unreadable(reason) => return Err(reason),
            Content::Given(encoded) => {
                let wanted = Wanted {
                    bytes_max: shared.image_bytes_max,
                    identified: ticket.identified,
                };
                let object = given(encoded, wanted)
                    .map_err(|error| unreadable(error, shared.image_bytes_max))?;
                (object.bytes, object.id, None)
            }
            Content::Read(encoded, id, reserved) => (encoded, id, Some(reserved)),
            Content::Later(_) => return Err("was not read".to_string()),
            Content::Object(uri) => {
                // The backend tells its identity.
                let of_backend = images.encoded.as_mut();
                let of_backend = of_backend.ok_or_else(|| "was not read".to_string())?;
                of_backend.push(Encoded::Object(uri));
                return Ok(None);
            }
        };
        if !images.tensors.is_empty() {
            self.decode(&encoded, image, shared, images)?;
        }
        if let Some(of_backend) = &mut images.encoded {
            // Callers that hold prepared chunks wait for each other's memory if it counts here.
            let stays = matches!(ticket.goal, Goal::Outcomes(..));
            of_backend.push(Encoded::Image {
                bytes: encoded,
                reserved: reserved.filter(|_| stays),
            });
        }
        Ok(id)
    }

    /// Appends one image to every tensor at index `image`, or leaves all tensors unchanged.
    fn decode(
        &mut self,
        encoded: &[u8],
        image: usize,
        shared: &Preparation,
        images: &mut Images,
    ) -> Result<(), String> {
        let tensors = &mut images.tensors;
        let preprocessor = &mut self.preprocessor;
        // An image that makes a decoder panic counts as unreadable and does not fail the query.
        let appended = catch_unwind(AssertUnwindSafe(|| {
            let specs = tensors.iter().map(|(spec, _)| &**spec);
            let plan = DecodePlan::new(encoded, specs, shared.limits)?;
            let _held = shared.decode_memory.hold(plan.bytes())?;
            let pixels = plan.decode()?;
            tensors
                .iter_mut()
                .try_for_each(|(spec, tensor)| preprocessor.append(pixels.of(spec)?, spec, tensor))
        }));
        let appended = appended.unwrap_or_else(|_panic| {
            self.preprocessor = Preprocessor::new();
            Err("is a damaged image (its decoder failed)".to_string())
        });
        if appended.is_err() {
            for (spec, tensor) in tensors {
                tensor.truncate(image * spec.image_len());
            }
        }
        appended
    }
}

/// No images yet, with capacity for `images` of them in each form.
fn empty_images(forms: &[Form], images: usize, shared: &Preparation) -> Images {
    let mut empty = Images::default();
    for form in forms {
        match form {
            Form::Tensor(spec) => {
                let mut tensor = shared.tensors.take();
                tensor.reserve_exact(images.saturating_mul(spec.image_len()));
                empty.tensors.push((spec.clone(), tensor));
            }
            Form::Encoded => empty.encoded = Some(Vec::with_capacity(images)),
            Form::Rows => {}
        }
    }
    empty
}

/// Prepares a chunk of rows of columns, without further work.
pub(super) fn rows(chunk: Submitted) {
    let Submitted { ticket, inputs } = chunk;
    let mut places = Vec::with_capacity(inputs.len());
    let mut rows = Vec::with_capacity(inputs.len());
    let ids = vec![None; if ticket.identified { inputs.len() } else { 0 }];
    for input in inputs {
        places.push(match input {
            Input::Columns(row) if row.contains(&ColumnValue::Null) => Place::Null,
            Input::Columns(row) => {
                rows.push(row);
                Place::At(rows.len() - 1)
            }
            Input::Null => Place::Null,
            Input::Location(_) | Input::Image(_) | Input::TooLarge { .. } => {
                Place::Unreadable("is an image, not a row of columns".to_string())
            }
        });
    }
    hand_on(ticket, Contents::Rows(rows), places, ids);
}

/// Sends a prepared chunk to the model's backend or to the waiting caller.
fn hand_on(ticket: Ticket, content: Contents, places: Vec<Place>, ids: Vec<Option<InputId>>) {
    let chunk = Chunk {
        content,
        _permit: ticket.permit,
    };
    match ticket.goal {
        Goal::Outcomes(model, reply) => {
            match Piece::of_all(reply, model.model().clone(), chunk, places, ids) {
                Ok(piece) => model.instance().infer(piece),
                Err((reply, answer)) => reply.send(Ok(answer)),
            }
        }
        Goal::Prepared(_, reply) => {
            let chunk = Arc::new(chunk);
            reply.send(Ok(PreparedChunk { chunk, places, ids }));
        }
    }
}

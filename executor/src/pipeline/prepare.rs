//! The decode stage: from encoded images to tensors, one for each way in which models want them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::chunk::{
    Chunk, Content, Fetched, Goal, Place, Prepared, PreparedChunk, Run, Submitted, Ticket,
};
use super::tensor::Tensor;
use super::{Shared, thread_cpu_ns};
use crate::picture::{DecodePlan, InputSpec, Preprocessor};
use crate::spent::Stage;
use crate::{ColumnValue, Input, InputId};

/// Tensors in the making.
type Tensors = Vec<(Arc<InputSpec>, Tensor)>;

/// What one thread keeps from chunk to chunk.
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

    /// Decodes and preprocesses a chunk. `None`: nobody waits for it, or its caller has been
    /// answered.
    pub(super) fn prepare(&mut self, chunk: Fetched, shared: &Shared) -> Option<Run> {
        let begin = thread_cpu_ns();
        let Fetched { ticket, contents } = chunk;
        let images = contents.iter().filter(|c| c.may_be_image()).count();
        let mut tensors = tensors_for(&ticket.goal, images, shared);
        let mut places = Vec::with_capacity(contents.len());
        let mut ids = Vec::new();
        let mut image = 0;
        for content in contents {
            if ticket.goal.is_abandoned() {
                return None;
            }
            let (place, id) = match content {
                Content::Null => (Place::Null, None),
                content => match self.append(content, image, &ticket, shared, &mut tensors) {
                    Ok(id) => {
                        image += 1;
                        (Place::At(image - 1), id)
                    }
                    Err(reason) => (Place::Unreadable(reason), None),
                },
            };
            places.push(place);
            if ticket.identified {
                ids.push(id);
            }
        }
        let took = thread_cpu_ns().saturating_sub(begin);
        ticket.goal.spent(Stage::Preparing, took);
        hand_on(ticket, Prepared::Images(tensors), places, ids)
    }

    /// Appends one image to every tensor, as its number `image`, or leaves all as they were.
    fn append(
        &mut self,
        content: Content,
        image: usize,
        ticket: &Ticket,
        shared: &Shared,
        tensors: &mut Tensors,
    ) -> Result<Option<InputId>, String> {
        let (encoded, id, _reserved) = match content {
            Content::Null => return Ok(None),
            Content::Unreadable(reason) => return Err(reason),
            Content::Given(encoded) => {
                shared.reader.check_size(&encoded)?;
                let id = ticket.identified.then(|| InputId::of_image(&encoded));
                (encoded, id, None)
            }
            Content::Read(encoded, id, reserved) => (encoded, id, Some(reserved)),
            Content::Later(location) => {
                let (encoded, id) = shared.reader.read(&location, ticket.identified)?;
                (encoded, id, None)
            }
        };
        let preprocessor = &mut self.preprocessor;
        // An image that makes a decoder panic is a bad image, and no reason to fail the query.
        let appended = catch_unwind(AssertUnwindSafe(|| {
            let specs = tensors.iter().map(|(spec, _)| &**spec);
            let plan = DecodePlan::new(&encoded, specs, shared.limits)?;
            let _held = shared.decode_memory.hold(plan.bytes())?;
            let pixels = plan.decode()?;
            tensors.iter_mut().try_for_each(|(spec, tensor)| {
                preprocessor.append(pixels.of(spec.channels()), spec, tensor)
            })
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
        appended.map(|()| id)
    }
}

/// Empty tensors with room for `images` images each.
fn tensors_for(goal: &Goal, images: usize, shared: &Shared) -> Tensors {
    let tensor = |spec: &Arc<InputSpec>| {
        let mut tensor = shared.tensors.take();
        tensor.reserve_exact(images.saturating_mul(spec.image_len()));
        (spec.clone(), tensor)
    };
    match goal {
        Goal::Outcomes(model, _) => model
            .compiled()
            .image_spec()
            .map(tensor)
            .into_iter()
            .collect(),
        Goal::Tensors(specs, _) => specs.iter().map(tensor).collect(),
    }
}

/// Prepares a chunk of rows of columns, which needs no work.
pub(super) fn rows(chunk: Submitted) -> Option<Run> {
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
            Input::Location(_) | Input::Image(_) => {
                Place::Unreadable("is an image, not a row of columns".to_string())
            }
        });
    }
    hand_on(ticket, Prepared::Rows(rows), places, ids)
}

/// Gives a prepared chunk to who waits for it: inference, or the caller.
fn hand_on(
    ticket: Ticket,
    content: Prepared,
    places: Vec<Place>,
    ids: Vec<Option<InputId>>,
) -> Option<Run> {
    let chunk = Chunk {
        content,
        _permit: ticket.permit,
    };
    match ticket.goal {
        Goal::Outcomes(model, reply) => {
            let run = Run::of_all(reply, model, chunk, places, ids);
            run.map_err(|(reply, answer)| reply.send(Ok(answer))).ok()
        }
        Goal::Tensors(_, reply) => {
            let chunk = Arc::new(chunk);
            reply.send(Ok(PreparedChunk { chunk, places, ids }));
            None
        }
    }
}

//! The fetch stage: reads image files, ahead of the decoders up to a number of bytes.

use std::time::Instant;

use bytes::Bytes;

use super::chunk::{Content, Fetched, Submitted, Ticket, too_large};
use super::clock::elapsed_ns;
use super::read_ahead::ReadAhead;
use crate::caller::CallerId;
use crate::location::{self, Location};
use crate::pieces::Reply;
use crate::roots::{ReadError, Roots};
use crate::spent::Stage;
use crate::{Input, InputId};

/// What looking at a file, or reading it, is taken to last.
const FILE_NS: u64 = 100_000;

/// What a thread of the fetch stage does next.
#[derive(Debug)]
pub(super) enum FetchWork {
    Read(Submitted),
    /// Only look which content the inputs have.
    Identify(Vec<Input>, Reply<Vec<Option<InputId>>>),
}

impl FetchWork {
    /// Whose work it is, and about how long it lasts in nanoseconds.
    pub(super) fn cost(&self) -> (CallerId, u64) {
        let (caller, inputs) = match self {
            Self::Read(chunk) => (chunk.ticket.goal.caller(), chunk.inputs.len()),
            Self::Identify(inputs, reply) => (reply.caller(), inputs.len()),
        };
        (caller, FILE_NS.saturating_mul(inputs as u64))
    }
}

/// Reads locations. Remote storage takes its place beside the roots here.
#[derive(Debug)]
pub(super) struct Reader {
    roots: Roots,
    image_bytes_max: u64,
    ahead: ReadAhead,
}

impl Reader {
    pub(super) fn new(roots: Roots, image_bytes_max: u64, fetched_bytes_max: u64) -> Self {
        Self {
            roots,
            image_bytes_max,
            ahead: ReadAhead::new(fetched_bytes_max),
        }
    }

    /// Reads the files of a chunk. `None`: nobody waits for it any more.
    pub(super) fn fetch(&self, chunk: Submitted) -> Option<Fetched> {
        let begin = Instant::now();
        let Submitted { ticket, inputs } = chunk;
        let mut contents = Vec::with_capacity(inputs.len());
        for input in inputs {
            contents.push(match input {
                Input::Location(location) => {
                    if ticket.goal.is_abandoned() {
                        return None;
                    }
                    self.read_ahead(location, &ticket)
                }
                other => Content::from(other),
            });
        }
        ticket.goal.spent(Stage::Fetching, elapsed_ns(begin));
        Some(Fetched { ticket, contents })
    }

    /// Reads a file unless enough is read ahead: then the decoder does, one at a time, so that
    /// memory is bounded and no two chunks can wait for each other's.
    fn read_ahead(&self, location: Bytes, ticket: &Ticket) -> Content {
        if !self.ahead.has_room() {
            return Content::Later(location);
        }
        match self.read(&location, ticket.identified) {
            Ok((encoded, id)) => {
                let reserved = self.ahead.reserve(encoded.len() as u64);
                Content::Read(encoded, id, reserved)
            }
            Err(reason) => Content::Unreadable(reason),
        }
    }

    /// The encoded image at `location`, with its identity if asked for and known. The error is a
    /// clause for a warning.
    pub(super) fn read(
        &self,
        location: &[u8],
        identified: bool,
    ) -> Result<(Bytes, Option<InputId>), String> {
        let path = match location::parse(location)? {
            Location::File(path) => path,
            Location::Remote { scheme } => {
                return Err(format!("cannot be fetched: scheme {scheme} is not enabled"));
            }
        };
        let read = if identified {
            self.roots.read_identified(&path, self.image_bytes_max)
        } else {
            let content = self.roots.read(&path, self.image_bytes_max);
            content.map(|content| (content, None))
        };
        read.map_err(|error| match error {
            ReadError::Outside => "is outside the allowed image roots".to_string(),
            ReadError::NotFound => "does not exist".to_string(),
            ReadError::TooLarge { bytes } => too_large(bytes, self.image_bytes_max),
            ReadError::Other(reason) => reason,
        })
    }

    /// Tells which content each input has now.
    pub(super) fn identify(&self, inputs: &[Input], reply: Reply<Vec<Option<InputId>>>) {
        let begin = Instant::now();
        let mut ids = Vec::with_capacity(inputs.len());
        for input in inputs {
            if reply.is_abandoned() {
                return;
            }
            ids.push(match input {
                Input::Null | Input::Columns(_) | Input::TooLarge { .. } => None,
                Input::Image(encoded) => Some(InputId::of_image(encoded)),
                Input::Location(location) => match location::parse(location) {
                    Ok(Location::File(path)) => self.roots.identify(&path).ok().flatten(),
                    _ => None,
                },
            });
        }
        reply.spent(Stage::Fetching, elapsed_ns(begin));
        reply.send(Ok(ids));
    }

    /// Refuses an image that came with the statement and is larger than a file may be.
    pub(super) fn check_size(&self, encoded: &[u8]) -> Result<(), String> {
        if encoded.is_empty() {
            return Err("is empty".to_string());
        }
        let bytes = encoded.len() as u64;
        if bytes > self.image_bytes_max {
            return Err(too_large(bytes, self.image_bytes_max));
        }
        Ok(())
    }
}

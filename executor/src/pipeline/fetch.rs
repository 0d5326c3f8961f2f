//! The fetch stage: reads images from their sources, ahead of the decoders up to a number of
//! bytes.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::stream::{self, FuturesUnordered, StreamExt};

use super::chunk::{Content, Fetched, Submitted, unreadable};
use super::clock::elapsed_ns;
use super::prepare::Preparing;
use super::queue::Queue;
use super::read_ahead::ReadAhead;
use crate::caller::CallerId;
use crate::error::ImageRootError;
use crate::identity::InputId;
use crate::input::Input;
use crate::io_runtime::IoRuntime;
use crate::pieces::Reply;
use crate::sources::{BoundRoots, Sources, Wanted};
use crate::spent::Stage;

/// Assumed time of identifying or reading a file.
const FILE_NS: u64 = 100_000;

/// Work item of a fetch thread.
#[derive(Debug)]
pub(super) enum FetchWork {
    /// Read the locations of a chunk, or some of them.
    Read(Box<Preparing>),
    /// Only determine the identities of the inputs.
    Identify(Identified),
}

/// Inputs whose identities are asked for.
#[derive(Debug)]
pub(crate) struct Identified {
    pub(crate) inputs: Vec<Input>,
    /// The roots of the task that the inputs are for, if it is bound to some.
    pub(crate) within: Option<Arc<BoundRoots>>,
    pub(crate) reply: Reply<Vec<Option<InputId>>>,
}

impl FetchWork {
    /// For a chunk with locations.
    pub(super) fn of(chunk: Fetched) -> Self {
        Self::Read(Box::new(chunk.into()))
    }

    /// The caller, and the estimated time in nanoseconds.
    pub(super) fn cost(&self) -> (CallerId, u64) {
        let (caller, inputs) = match self {
            Self::Read(chunk) => (chunk.caller(), chunk.contents().len()),
            Self::Identify(asked) => (asked.reply.caller(), asked.inputs.len()),
        };
        (caller, FILE_NS.saturating_mul(inputs as u64))
    }
}

/// Reads locations.
#[derive(Debug)]
pub(super) struct Reader {
    sources: Sources,
    image_bytes_max: u64,
    ahead: Arc<ReadAhead<FetchWork>>,
}

impl Reader {
    pub(super) fn new(
        sources: Sources,
        (image_bytes_max, fetched_bytes_max): (u64, u64),
        queue: &Arc<Queue<FetchWork>>,
    ) -> Self {
        Self {
            sources,
            image_bytes_max,
            ahead: ReadAhead::new(fetched_bytes_max, queue),
        }
    }

    /// Reads images of a chunk while there is space. `None`: there was no space, and the chunk
    /// waits for it, or its caller is gone.
    pub(super) async fn fetch(&self, mut chunk: Box<Preparing>) -> Option<Box<Preparing>> {
        let begin = Instant::now();
        let read = self.read_ahead(&mut chunk).await;
        chunk
            .ticket()
            .goal
            .spent(Stage::Fetching, elapsed_ns(begin));
        if chunk.ticket().goal.is_abandoned() {
            return None;
        }
        if read == 0 && chunk.is_unread() {
            let work = FetchWork::Read(chunk);
            let (caller, cost_ns) = work.cost();
            self.ahead.wait(caller, cost_ns, work);
            return None;
        }
        Some(chunk)
    }

    /// Reads begin in the order of the inputs, and each counts as read ahead as soon as it ends.
    /// Returns how many were read or failed.
    async fn read_ahead(&self, chunk: &mut Preparing) -> usize {
        let holds_space = chunk.holds_space();
        let (ticket, contents) = chunk.parts();
        let is_later = |(place, content): (usize, &Content)| match content {
            Content::Later(at) => Some((place, at.clone())),
            _ => None,
        };
        let later = contents.iter().enumerate().filter_map(is_later);
        let later: Vec<(usize, Bytes)> = later.collect();
        let locations = later.iter().map(|(_, at)| at);
        let within = ticket.within.as_deref();
        let reads_max = self.sources.reads_per_chunk_max(locations, within);
        let wanted = Wanted {
            bytes_max: self.image_bytes_max,
            identified: ticket.identified,
        };
        let read = |(place, at): (usize, Bytes)| async move {
            (place, self.sources.read(&at, wanted, within).await)
        };
        let mut later = later.into_iter();
        let mut under_way = FuturesUnordered::new();
        let mut done = 0;
        loop {
            // Reads that have started are completed, so that no image is read twice.
            while under_way.len() < reads_max
                && !ticket.goal.is_abandoned()
                && (holds_space || self.ahead.has_room())
                && let Some(next) = later.next()
            {
                under_way.push(read(next));
            }
            let Some((place, object)) = under_way.next().await else {
                return done;
            };
            if let Some(content) = contents.get_mut(place) {
                *content = match object {
                    Ok(object) => {
                        let reserved = self.ahead.reserve(object.bytes.len() as u64);
                        Content::Read(object.bytes, object.id, reserved)
                    }
                    Err(error) => Content::Unreadable(unreadable(error, self.image_bytes_max)),
                };
            }
            done += 1;
        }
    }

    /// Converts the inputs of a chunk. Objects that the model's backend reads itself are not read
    /// here.
    pub(super) fn convert(&self, chunk: Submitted) -> Fetched {
        chunk.converted(|chunk, at| {
            let model = chunk.may_send_objects()?;
            let uri = self
                .sources
                .object_uri(at, chunk.ticket.within.as_deref())?;
            let reads = model.instance().reads(&uri);
            reads.then(|| Bytes::from(uri))
        })
    }

    /// Checks that a task may be bound to an image root.
    pub(super) fn check_root(&self, given: &str) -> Result<(), ImageRootError> {
        self.sources.check_root(given)
    }

    /// The remote roots of images.
    pub(super) fn remote_roots(&self) -> Vec<String> {
        let roots = self.sources.remote_roots().iter();
        roots.map(ToString::to_string).collect()
    }

    /// Releases waiting chunks if there is space.
    pub(super) fn look_again(&self) {
        self.ahead.look_again();
    }

    /// Drops the chunks that wait for space, and ends requests to remote storage.
    pub(super) fn stop(&self) {
        self.ahead.stop();
        self.sources.stop();
    }

    /// The runtime for work on remote objects.
    pub(super) fn runtime_of(&self, work: &FetchWork) -> Option<&Arc<IoRuntime>> {
        let within = match work {
            FetchWork::Read(chunk) => chunk.ticket().within.as_deref(),
            FetchWork::Identify(asked) => asked.within.as_deref(),
        };
        let is_remote = |at: &&Bytes| self.sources.runtime_of(at, within).is_some();
        let at = match work {
            FetchWork::Read(chunk) => chunk.contents().iter().find_map(|content| match content {
                Content::Later(at) => Some(at).filter(is_remote),
                _ => None,
            }),
            FetchWork::Identify(asked) => asked.inputs.iter().find_map(|input| match input {
                Input::Location(at) => Some(at).filter(is_remote),
                _ => None,
            }),
        };
        self.sources.runtime_of(at?, within)
    }

    /// Determines the current identity of each input.
    pub(super) async fn identify(&self, asked: Identified) {
        let (inputs, reply) = (&asked.inputs, &asked.reply);
        let within = asked.within.as_deref();
        let begin = Instant::now();
        let locations = inputs.iter().filter_map(|input| match input {
            Input::Location(at) => Some(at),
            Input::Null | Input::Image(_) | Input::TooLarge { .. } | Input::Columns(_) => None,
        });
        let reads_max = self.sources.reads_per_chunk_max(locations, within);
        let looked_at = inputs.iter();
        let looked_at = looked_at.map(|input| self.sources.identify(input, within));
        let looked_at: Vec<_> = looked_at.collect();
        let mut found = stream::iter(looked_at).buffered(reads_max);
        let mut ids = Vec::with_capacity(inputs.len());
        while let Some(id) = found.next().await {
            if reply.is_abandoned() {
                return;
            }
            ids.push(id);
        }
        drop(found);
        reply.spent(Stage::Fetching, elapsed_ns(begin));
        asked.reply.send(Ok(ids));
    }
}

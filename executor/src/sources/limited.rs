//! The sources by location, with limits on their reads and a cache of identities.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::given_bytes::GivenBytes;
use super::local_files::LocalFiles;
use super::location::{self, Location};
use super::roots::Roots;
use super::source::{Object, ReadError, Source, Wanted};
use crate::config::StartError;
use crate::identity::InputId;
use crate::input::Input;

/// Maximum cached identities per source.
const IDENTITIES_MAX: u64 = 100_000;

/// All sources of images, or of models.
#[derive(Debug)]
pub(crate) struct Sources {
    files: Limited,
    given: GivenBytes,
    /// By scheme.
    remote: Vec<(String, Limited)>,
}

/// A source with the limits that it declares.
#[derive(Debug)]
struct Limited {
    source: Arc<dyn Source>,
    reads: Semaphore,
    /// Cached identities with the times of their lookups, if the source allows a maximum age.
    identities: Option<Cache<Bytes, (InputId, Instant)>>,
}

impl Sources {
    /// Files below these folders, which must exist, read by the given number of threads.
    pub(crate) fn new(roots: &[PathBuf], threads: usize) -> Result<Self, StartError> {
        let files = LocalFiles::new(Roots::open(roots)?, threads);
        Ok(Self {
            files: Limited::new(Arc::new(files)),
            given: GivenBytes,
            remote: Vec::new(),
        })
    }

    /// Adds a source for locations with a scheme.
    #[cfg(test)]
    pub(super) fn with(mut self, scheme: &str, source: Arc<dyn Source>) -> Self {
        self.remote.push((scheme.to_string(), Limited::new(source)));
        self
    }

    /// Reads the object at a location.
    ///
    /// # Errors
    /// Errors of [`Source::read`], and an error if no source handles the location.
    pub(crate) async fn read(&self, at: &Bytes, wanted: Wanted) -> Result<Object, ReadError> {
        let limited = self.of(at)?;
        let _permit = limited.reads.acquire().await;
        limited.source.read(at, wanted).await
    }

    /// Maximum concurrent reads for a chunk of inputs whose first location is `at`.
    pub(crate) fn reads_per_chunk_max(&self, at: &Bytes) -> usize {
        let source = self.of(at).map(|limited| &limited.source);
        source.map_or(1, |source| source.reads_per_chunk_max().max(1))
    }

    /// The identity of an input's current content, possibly a cached one. `None` for an input that
    /// cannot be accessed or has just changed, for NULL, and for columns.
    pub(crate) async fn identify(&self, input: &Input) -> Option<InputId> {
        match input {
            Input::Null | Input::Columns(_) | Input::TooLarge { .. } => None,
            Input::Image(encoded) => self.given.identify(encoded).await.ok().flatten(),
            Input::Location(at) => self.of(at).ok()?.identify(at).await.ok().flatten(),
        }
    }

    fn of(&self, at: &[u8]) -> Result<&Limited, ReadError> {
        match location::parse(at).map_err(ReadError::Location)? {
            Location::File(_) => Ok(&self.files),
            Location::Remote { scheme } => {
                let known = self.remote.iter().find(|(known, _)| *known == scheme);
                known
                    .map(|(_, limited)| limited)
                    .ok_or(ReadError::NotEnabled { scheme })
            }
        }
    }
}

impl Limited {
    fn new(source: Arc<dyn Source>) -> Self {
        let remembers = !source.identity_age_max().is_zero();
        Self {
            reads: Semaphore::new(source.reads_max().clamp(1, Semaphore::MAX_PERMITS)),
            identities: remembers.then(|| Cache::new(IDENTITIES_MAX)),
            source,
        }
    }

    async fn identify(&self, at: &Bytes) -> Result<Option<InputId>, ReadError> {
        let age_max = self.source.identity_age_max();
        let known = self.identities.as_ref().and_then(|known| known.get(at));
        if let Some((id, asked)) = known
            && asked.elapsed() <= age_max
        {
            return Ok(Some(id));
        }
        let _permit = self.reads.acquire().await;
        let asked = Instant::now();
        let id = self.source.identify(at).await?;
        if let (Some(known), Some(id)) = (&self.identities, id) {
            // The location may be a slice of a packet: copy it, so that the cache does not keep
            // the packet.
            known.insert(Bytes::copy_from_slice(at), (id, asked));
        }
        Ok(id)
    }
}

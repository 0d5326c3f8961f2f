//! The sources by location, with limits on their reads and a cache of identities.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::given_bytes::GivenBytes;
use super::local_files::LocalFiles;
use super::object_runtime::ObjectRuntime;
use super::objects;
use super::roots::Roots;
use super::source::{Object, ReadError, Source, Wanted};
use crate::config::{ObjectConfig, StartError};
use crate::identity::InputId;
use crate::input::Input;
use crate::storage::{self, Bucket, Location, ObjectLocation, StorageRoot};

/// Maximum cached identities per source.
const IDENTITIES_MAX: u64 = 100_000;

/// All sources of images, or of models.
#[derive(Debug)]
pub(crate) struct Sources {
    files: Limited,
    given: GivenBytes,
    objects: HashMap<Bucket, Limited>,
    /// The root of relative paths, if it is remote.
    first: Option<ObjectLocation>,
    /// Present if a root is remote.
    runtime: Option<Arc<ObjectRuntime>>,
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
    /// What is below these roots. Folders must exist, and are read by the given number of threads.
    pub(crate) fn new(
        roots: &[StorageRoot],
        threads: usize,
        config: &ObjectConfig,
    ) -> Result<Self, StartError> {
        let folders: Vec<&Path> = roots.iter().filter_map(StorageRoot::as_folder).collect();
        let remote: Vec<&ObjectLocation> =
            roots.iter().filter_map(StorageRoot::as_objects).collect();
        let runtime = match remote.is_empty() {
            true => None,
            false => Some(Arc::new(ObjectRuntime::start()?)),
        };
        let objects = match &runtime {
            Some(runtime) => objects::sources(&remote, config, runtime)?,
            None => HashMap::new(),
        };
        let limited = |(bucket, objects)| (bucket, Limited::new(Arc::new(objects)));
        Ok(Self {
            files: Limited::new(Arc::new(LocalFiles::new(Roots::open(&folders)?, threads))),
            given: GivenBytes,
            objects: objects.into_iter().map(limited).collect(),
            first: roots.first().and_then(StorageRoot::as_objects).cloned(),
            runtime,
        })
    }

    /// Adds a source for the objects of a bucket.
    #[cfg(test)]
    pub(super) fn with(mut self, bucket: Bucket, source: Arc<dyn Source>) -> Self {
        self.objects.insert(bucket, Limited::new(source));
        self
    }

    /// Reads the object at a location.
    ///
    /// # Errors
    /// Errors of [`Source::read`], and an error if no source handles the location.
    pub(crate) async fn read(&self, at: &Bytes, wanted: Wanted) -> Result<Object, ReadError> {
        let (limited, at) = self.of(at)?;
        let _permit = limited.reads.acquire().await;
        limited.source.read(&at, wanted).await
    }

    /// The runtime for a chunk of inputs that are at this location, if it is remote.
    pub(crate) fn runtime_of(&self, at: &[u8]) -> Option<&Arc<ObjectRuntime>> {
        let runtime = self.runtime.as_ref()?;
        let remote = match storage::parse(at).ok()? {
            Location::Object(_) => true,
            Location::File(path) => path.is_relative() && self.first.is_some(),
        };
        remote.then_some(runtime)
    }

    /// Ends requests to remote storage.
    pub(crate) fn stop(&self) {
        if let Some(runtime) = &self.runtime {
            runtime.stop();
        }
    }

    /// Maximum concurrent reads for a chunk of inputs at these locations.
    pub(crate) fn reads_per_chunk_max<'l>(&self, at: impl Iterator<Item = &'l Bytes>) -> usize {
        if self.objects.is_empty() {
            return self.files.source.reads_per_chunk_max();
        }
        let each = at.filter_map(|at| {
            let (limited, _) = self.of(at).ok()?;
            Some(limited.source.reads_per_chunk_max())
        });
        each.max().unwrap_or(1).max(1)
    }

    /// The identity of an input's current content, possibly a cached one. `None` for an input that
    /// cannot be accessed or has just changed, for NULL, and for columns.
    pub(crate) async fn identify(&self, input: &Input) -> Option<InputId> {
        match input {
            Input::Null | Input::Columns(_) | Input::TooLarge { .. } => None,
            Input::Image(encoded) => self.given.identify(encoded).await.ok().flatten(),
            Input::Location(at) => {
                let (limited, at) = self.of(at).ok()?;
                limited.identify(&at).await.ok().flatten()
            }
        }
    }

    /// The source of a location, and the location as the source has it.
    fn of(&self, at: &Bytes) -> Result<(&Limited, Bytes), ReadError> {
        let object = match (
            storage::parse(at).map_err(ReadError::Location)?,
            &self.first,
        ) {
            (Location::Object(object), _) => object,
            (Location::File(path), Some(first)) if path.is_relative() => {
                let relative = path.as_os_str().as_bytes();
                let object = first.join(relative).map_err(ReadError::Location)?;
                let limited = self.objects.get(&object.bucket).ok_or(ReadError::Outside)?;
                return Ok((limited, Bytes::from(object.to_string())));
            }
            (Location::File(_), _) => return Ok((&self.files, at.clone())),
        };
        let limited = self.objects.get(&object.bucket).ok_or(ReadError::Outside)?;
        Ok((limited, at.clone()))
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

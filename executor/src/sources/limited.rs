//! The sources by location, with limits on their reads and a cache of identities.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use moka::sync::Cache;
use tokio::sync::Semaphore;

use super::bound::{self, BoundRoots};
use super::given_bytes::GivenBytes;
use super::local_files::LocalFiles;
use super::objects;
use super::roots::Roots;
use super::source::{Object, ReadError, Source, Wanted};
use crate::config::{ObjectConfig, StartError};
use crate::error::ImageRootError;
use crate::identity::InputId;
use crate::input::Input;
use crate::io_runtime::IoRuntime;
use crate::storage::{self, Bucket, Location, ObjectLocation, StorageRoot};

/// Maximum cached identities per source.
const IDENTITIES_MAX: u64 = 100_000;

/// All sources of images, or of models.
#[derive(Debug)]
pub(crate) struct Sources {
    files: Limited,
    folders: Arc<Roots>,
    given: GivenBytes,
    objects: HashMap<Bucket, Limited>,
    /// The root of relative paths, if it is remote.
    first: Option<ObjectLocation>,
    /// All remote roots.
    roots: Vec<ObjectLocation>,
    /// Present if a root is remote.
    runtime: Option<Arc<IoRuntime>>,
}

/// An object that may be read: its source, and the location as the source has it.
struct At<'s> {
    limited: &'s Limited,
    /// The limited source, or one of the files of a task.
    source: &'s dyn Source,
    location: Bytes,
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
            false => Some(Arc::new(IoRuntime::start("predict-objects")?)),
        };
        let objects = match &runtime {
            Some(runtime) => objects::sources(&remote, config, runtime)?,
            None => HashMap::new(),
        };
        let limited = |(bucket, objects)| (bucket, Limited::new(Arc::new(objects)));
        let folders = Arc::new(Roots::open(&folders)?);
        Ok(Self {
            files: Limited::new(Arc::new(LocalFiles::new(folders.clone(), threads))),
            folders,
            given: GivenBytes,
            objects: objects.into_iter().map(limited).collect(),
            first: roots.first().and_then(StorageRoot::as_objects).cloned(),
            roots: remote.into_iter().cloned().collect(),
            runtime,
        })
    }

    /// Adds a source for the objects of a bucket.
    #[cfg(test)]
    pub(super) fn with(mut self, bucket: Bucket, source: Arc<dyn Source>) -> Self {
        self.objects.insert(bucket, Limited::new(source));
        self
    }

    /// Reads the object at a location, for a task that is bound to roots only `within` them.
    ///
    /// # Errors
    /// Errors of [`Source::read`], and an error if no source handles the location.
    pub(crate) async fn read(
        &self,
        at: &Bytes,
        wanted: Wanted,
        within: Option<&BoundRoots>,
    ) -> Result<Object, ReadError> {
        let at = self.of(at, within)?;
        let _permit = at.limited.reads.acquire().await;
        at.source.read(&at.location, wanted).await
    }

    /// Checks that a task may be bound to a root: it is, or is below, one of these.
    pub(crate) fn check_root(&self, given: &str) -> Result<(), ImageRootError> {
        let root = bound::parse(given)?;
        let holds = match (root.as_objects(), root.as_folder()) {
            (Some(objects), _) => self.roots.iter().any(|own| own.holds_root(objects)),
            (None, Some(folder)) => self.folders.holds_folder(folder),
            (None, None) => false,
        };
        match holds {
            true => Ok(()),
            false => Err(ImageRootError::Outside {
                root: given.to_owned(),
            }),
        }
    }

    /// The runtime for a chunk of inputs that are at this location, if it is remote.
    pub(crate) fn runtime_of(
        &self,
        at: &[u8],
        within: Option<&BoundRoots>,
    ) -> Option<&Arc<IoRuntime>> {
        let runtime = self.runtime.as_ref()?;
        let remote = match storage::parse(at).ok()? {
            Location::Object(_) => true,
            Location::File(path) => path.is_relative() && self.first_of(within).is_some(),
        };
        remote.then_some(runtime)
    }

    /// All remote roots.
    pub(crate) fn remote_roots(&self) -> &[ObjectLocation] {
        &self.roots
    }

    /// URI of the object at a location, if it is one that may be read.
    pub(crate) fn object_uri(&self, at: &[u8], within: Option<&BoundRoots>) -> Option<String> {
        let object = match storage::parse(at).ok()? {
            Location::Object(object) => object,
            Location::File(path) if path.is_relative() => {
                let relative = path.as_os_str().as_bytes();
                self.first_of(within)?.join(relative).ok()?
            }
            Location::File(_) => return None,
        };
        let within = within.is_none_or(|within| within.holds(&object));
        let allowed = within && self.roots.iter().any(|root| root.holds(&object));
        allowed.then(|| object.to_string())
    }

    /// Ends requests to remote storage.
    pub(crate) fn stop(&self) {
        if let Some(runtime) = &self.runtime {
            runtime.stop();
        }
    }

    /// Maximum concurrent reads for a chunk of inputs at these locations.
    pub(crate) fn reads_per_chunk_max<'l>(
        &self,
        at: impl Iterator<Item = &'l Bytes>,
        within: Option<&BoundRoots>,
    ) -> usize {
        if self.objects.is_empty() {
            return self.files.source.reads_per_chunk_max();
        }
        let each = at.filter_map(|at| {
            let at = self.of(at, within).ok()?;
            Some(at.source.reads_per_chunk_max())
        });
        each.max().unwrap_or(1).max(1)
    }

    /// The identity of an input's current content, possibly a cached one. `None` for an input that
    /// cannot be accessed or has just changed, for NULL, and for columns.
    pub(crate) async fn identify(
        &self,
        input: &Input,
        within: Option<&BoundRoots>,
    ) -> Option<InputId> {
        match input {
            Input::Null | Input::Columns(_) | Input::TooLarge { .. } => None,
            Input::Image(encoded) => self.given.identify(encoded).await.ok().flatten(),
            Input::Location(at) => {
                let at = self.of(at, within).ok()?;
                at.limited.identify(at.source, &at.location).await.ok()?
            }
        }
    }

    /// The source of a location within the roots of its task. Relative locations of objects are
    /// made absolute here, so that identities are cached by what is the same for all tasks. Those
    /// of files are not cached.
    fn of<'s>(&'s self, at: &Bytes, within: Option<&'s BoundRoots>) -> Result<At<'s>, ReadError> {
        match storage::parse(at).map_err(ReadError::Location)? {
            Location::Object(object) => self.object(&object, at.clone(), within),
            Location::File(path) => match self.first_of(within).filter(|_| path.is_relative()) {
                Some(first) => {
                    let relative = path.as_os_str().as_bytes();
                    let object = first.join(relative).map_err(ReadError::Location)?;
                    let location = Bytes::from(object.to_string());
                    self.object(&object, location, within)
                }
                None => Ok(At {
                    limited: &self.files,
                    source: match within {
                        None => &*self.files.source,
                        Some(within) => within.files(&self.folders),
                    },
                    location: at.clone(),
                }),
            },
        }
    }

    /// The source of an object. It checks these roots; the task's are checked here.
    fn object(
        &self,
        object: &ObjectLocation,
        location: Bytes,
        within: Option<&BoundRoots>,
    ) -> Result<At<'_>, ReadError> {
        if within.is_some_and(|within| !within.holds(object)) {
            return Err(ReadError::Outside);
        }
        let limited = self.objects.get(&object.bucket).ok_or(ReadError::Outside)?;
        Ok(At {
            limited,
            source: &*limited.source,
            location,
        })
    }

    /// The root of relative locations, if it is remote.
    fn first_of<'s>(&'s self, within: Option<&'s BoundRoots>) -> Option<&'s ObjectLocation> {
        match within {
            None => self.first.as_ref(),
            Some(within) => within.first(),
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

    /// The identity of what a source has at a location that may be read, this source or one with
    /// fewer roots: what is known of a location is so for whoever may read it.
    async fn identify(
        &self,
        source: &dyn Source,
        at: &Bytes,
    ) -> Result<Option<InputId>, ReadError> {
        let age_max = source.identity_age_max();
        let known = self.identities.as_ref().and_then(|known| known.get(at));
        if let Some((id, asked)) = known
            && asked.elapsed() <= age_max
        {
            return Ok(Some(id));
        }
        let _permit = self.reads.acquire().await;
        let asked = Instant::now();
        let id = source.identify(at).await?;
        if let (Some(known), Some(id)) = (&self.identities, id) {
            // The location may be a slice of a packet: copy it, so that the cache does not keep
            // the packet.
            known.insert(Bytes::copy_from_slice(at), (id, asked));
        }
        Ok(id)
    }
}

//! Local files below root folders as a source.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::roots::Roots;
use super::source::{Object, ReadError, Source, Wanted};
use crate::identity::InputId;
use crate::storage::{self, Location};

/// Files below root folders. Its futures are ready at their first poll, which blocks during the
/// system calls.
#[derive(Debug)]
pub(super) struct LocalFiles {
    roots: Arc<Roots>,
    reads_max: usize,
}

impl LocalFiles {
    /// Files read by `reads_max` threads.
    pub(super) fn new(roots: Arc<Roots>, reads_max: usize) -> Self {
        Self { roots, reads_max }
    }
}

impl Source for LocalFiles {
    fn read<'s>(
        &'s self,
        location: &'s Bytes,
        wanted: Wanted,
    ) -> BoxFuture<'s, Result<Object, ReadError>> {
        Box::pin(async move {
            let path = path_of(location)?;
            let (bytes, id) = match wanted.identified {
                true => self.roots.read_identified(&path, wanted.bytes_max)?,
                false => (self.roots.read(&path, wanted.bytes_max)?, None),
            };
            Ok(Object { bytes, id })
        })
    }

    fn identify<'s>(
        &'s self,
        location: &'s Bytes,
    ) -> BoxFuture<'s, Result<Option<InputId>, ReadError>> {
        Box::pin(async move { self.roots.identify(&path_of(location)?) })
    }

    /// Checking a file takes microseconds, so identities are not cached.
    fn identity_age_max(&self) -> Duration {
        Duration::ZERO
    }

    fn reads_max(&self) -> usize {
        self.reads_max
    }

    /// A read blocks its thread.
    fn reads_per_chunk_max(&self) -> usize {
        1
    }
}

fn path_of(location: &[u8]) -> Result<Cow<'_, Path>, ReadError> {
    match storage::parse(location).map_err(ReadError::Location)? {
        Location::File(path) => Ok(path),
        Location::Object(_) => Err(ReadError::Outside),
    }
}

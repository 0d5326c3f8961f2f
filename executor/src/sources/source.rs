//! Interface of all sources.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::identity::InputId;

/// Objects of one kind of storage, addressed by locations as users write them (paths and URIs).
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Reads a whole object.
    ///
    /// # Errors
    /// [`ReadError`]; errors reveal nothing about objects outside the configured roots.
    fn read<'s>(
        &'s self,
        location: &'s Bytes,
        wanted: Wanted,
    ) -> BoxFuture<'s, Result<Object, ReadError>>;

    /// The identity that [`Source::read`] would return now. `None`: the object has just changed.
    ///
    /// # Errors
    /// Same as [`Source::read`].
    fn identify<'s>(
        &'s self,
        location: &'s Bytes,
    ) -> BoxFuture<'s, Result<Option<InputId>, ReadError>>;

    /// Maximum age of a cached identity; zero disables caching.
    fn identity_age_max(&self) -> Duration;

    /// Maximum concurrent reads, over all callers.
    fn reads_max(&self) -> usize;

    /// Maximum concurrent reads for one chunk of inputs.
    fn reads_per_chunk_max(&self) -> usize;
}

/// Parameters of a read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Maximum size; larger objects are rejected.
    pub(crate) bytes_max: u64,
    /// Whether the identity is requested.
    pub(crate) identified: bool,
}

/// An object that was read.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// Identity of exactly the content that was read; `None` if it was not requested, or if the
    /// object changed during or just before the read.
    pub(crate) id: Option<InputId>,
}

/// Why an object was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// Not a valid location: a clause with the reason.
    Location(String),
    /// Not below a root, or no root is configured.
    Outside,
    /// The location is below a root, but does not exist.
    NotFound,
    /// Larger than the limit.
    TooLarge {
        /// Its size in bytes.
        bytes: u64,
    },
    /// Any other reason, as a clause.
    Other(String),
}

//! What every source can do.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::identity::InputId;

/// Objects of one kind of place, by their locations as users write them (paths and URIs).
pub(crate) trait Source: fmt::Debug + Send + Sync {
    /// Reads a whole object.
    ///
    /// # Errors
    /// [`ReadError`]; nothing is said of what lies outside the configured roots.
    fn read<'s>(
        &'s self,
        location: &'s Bytes,
        wanted: Wanted,
    ) -> BoxFuture<'s, Result<Object, ReadError>>;

    /// The identity that [`Source::read`] would give now. `None`: the object changed just now.
    ///
    /// # Errors
    /// As [`Source::read`].
    fn identify<'s>(
        &'s self,
        location: &'s Bytes,
    ) -> BoxFuture<'s, Result<Option<InputId>, ReadError>>;

    /// Age up to which an identity is believed; zero where it is looked up each time.
    fn identity_age_max(&self) -> Duration;

    /// Reads at the same time, over all callers.
    fn reads_max(&self) -> usize;

    /// Reads at the same time for one chunk of inputs.
    fn reads_per_chunk_max(&self) -> usize;
}

/// How an object is to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Larger objects are not read.
    pub(crate) bytes_max: u64,
    /// Whether the identity is wanted.
    pub(crate) identified: bool,
}

/// An object that was read.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) bytes: Bytes,
    /// Of the very content that was read; `None` where it was not wanted, or the object changed
    /// meanwhile or just before.
    pub(crate) id: Option<InputId>,
}

/// Why an object was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadError {
    /// It is no location: a clause that says why.
    Location(String),
    /// No source is configured for its scheme.
    NotEnabled {
        /// Lower-case scheme.
        scheme: String,
    },
    /// Not below a root, or no root is configured.
    Outside,
    /// Below a root, but not there.
    NotFound,
    /// Larger than the limit.
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// Any other reason, as a clause.
    Other(String),
}

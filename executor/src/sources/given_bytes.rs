//! Images contained in a statement: no I/O is needed.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::source::{Object, ReadError, Source, Wanted};
use crate::identity::InputId;

/// A source of bytes already in memory: the location is the content.
#[derive(Debug)]
pub(super) struct GivenBytes;

impl Source for GivenBytes {
    fn read<'s>(
        &'s self,
        location: &'s Bytes,
        wanted: Wanted,
    ) -> BoxFuture<'s, Result<Object, ReadError>> {
        Box::pin(async move { given(location.clone(), wanted) })
    }

    fn identify<'s>(
        &'s self,
        location: &'s Bytes,
    ) -> BoxFuture<'s, Result<Option<InputId>, ReadError>> {
        Box::pin(async move { Ok(Some(InputId::of_image(location))) })
    }

    /// The content never changes; computing the identity is a hash.
    fn identity_age_max(&self) -> Duration {
        Duration::ZERO
    }

    fn reads_max(&self) -> usize {
        usize::MAX
    }

    fn reads_per_chunk_max(&self) -> usize {
        1
    }
}

/// Accepts an image in memory, without a copy. Rejects an empty one, and one larger than the limit
/// of files.
pub(crate) fn given(bytes: Bytes, wanted: Wanted) -> Result<Object, ReadError> {
    if bytes.is_empty() {
        return Err(ReadError::Other("is empty".to_string()));
    }
    let length = bytes.len() as u64;
    if length > wanted.bytes_max {
        return Err(ReadError::TooLarge { bytes: length });
    }
    let id = wanted.identified.then(|| InputId::of_image(&bytes));
    Ok(Object { bytes, id })
}

//! Objects of remote storage as a source.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::object_stores;
use super::source::{Object, ReadError, Source, Wanted};
use crate::config::{ObjectConfig, StartError};
use crate::identity::InputId;
use crate::io_runtime::IoRuntime;
use crate::storage::{self, Bucket, Location, ObjectLocation};

/// Permits of memory count in this unit, so that a number of them fits in 32 bits.
const PERMIT_BYTES: u64 = 1 << 10;

/// Most reads at once for one chunk of inputs.
const READS_PER_CHUNK_MAX: usize = 32;

/// The bucket's objects below the roots.
#[derive(Debug)]
pub(super) struct Objects {
    shared: Arc<Shared>,
    runtime: Arc<IoRuntime>,
}

#[derive(Debug)]
struct Shared {
    roots: Vec<ObjectLocation>,
    store: Arc<dyn ObjectStore>,
    config: ObjectConfig,
    /// Memory of bodies on their way, over all buckets.
    bodies: Arc<Semaphore>,
}

/// A source for each bucket that roots name.
pub(super) fn sources(
    roots: &[&ObjectLocation],
    config: &ObjectConfig,
    runtime: &Arc<IoRuntime>,
) -> Result<HashMap<Bucket, Objects>, StartError> {
    let bodies = permits(config.object_bodies_bytes_max);
    let bodies = Arc::new(Semaphore::new(bodies as usize));
    let mut sources = HashMap::new();
    for root in roots {
        if sources.contains_key(&root.bucket) {
            continue;
        }
        let refused = |reason| StartError::ObjectRoot {
            root: root.to_string(),
            reason,
        };
        let store = object_stores::open(&root.bucket, config).map_err(refused)?;
        let of_bucket = roots.iter().filter(|other| other.bucket == root.bucket);
        let shared = Shared {
            roots: of_bucket.map(|root| (*root).clone()).collect(),
            store,
            config: config.clone(),
            bodies: bodies.clone(),
        };
        let objects = Objects {
            shared: Arc::new(shared),
            runtime: runtime.clone(),
        };
        sources.insert(root.bucket.clone(), objects);
    }
    Ok(sources)
}

impl Objects {
    /// Runs a request on the runtime of the connections. It ends when this future is dropped.
    async fn request<T: Send + 'static>(
        &self,
        location: &Bytes,
        of: impl AsyncRequest<T>,
    ) -> Result<T, ReadError> {
        let object = self.shared.object(location)?;
        let shared = self.shared.clone();
        let task = self.runtime.spawn(async move { of(shared, object).await });
        let ended = AbortOnDropHandle::new(task).await;
        ended.unwrap_or_else(|_| Err(ReadError::Other("could not be read (shutting down)".into())))
    }
}

/// A function from a bucket and an object to what is asked of it.
trait AsyncRequest<T>:
    FnOnce(Arc<Shared>, ObjectLocation) -> BoxFuture<'static, Result<T, ReadError>> + Send + 'static
{
}

impl<T, F> AsyncRequest<T> for F where
    F: FnOnce(Arc<Shared>, ObjectLocation) -> BoxFuture<'static, Result<T, ReadError>>
        + Send
        + 'static
{
}

impl Source for Objects {
    fn read<'s>(
        &'s self,
        location: &'s Bytes,
        wanted: Wanted,
    ) -> BoxFuture<'s, Result<Object, ReadError>> {
        Box::pin(self.request(location, move |shared: Arc<Shared>, object| {
            Box::pin(async move { shared.read(&object, wanted).await })
        }))
    }

    fn identify<'s>(
        &'s self,
        location: &'s Bytes,
    ) -> BoxFuture<'s, Result<Option<InputId>, ReadError>> {
        Box::pin(self.request(location, |shared: Arc<Shared>, object| {
            Box::pin(async move {
                let meta = shared.in_time(shared.store.head(&object.key)).await?;
                let meta = meta.map_err(|error| read_error(&object, &error))?;
                Ok(identity(&object, &meta))
            })
        }))
    }

    fn identity_age_max(&self) -> Duration {
        Duration::from_secs(self.shared.config.object_identity_seconds_max)
    }

    fn reads_max(&self) -> usize {
        self.shared.config.object_reads_max
    }

    fn reads_per_chunk_max(&self) -> usize {
        READS_PER_CHUNK_MAX
    }
}

impl Shared {
    /// The object of a location, if it is below a root.
    fn object(&self, location: &[u8]) -> Result<ObjectLocation, ReadError> {
        match storage::parse(location).map_err(ReadError::Location)? {
            Location::Object(object) if self.roots.iter().any(|root| root.holds(&object)) => {
                Ok(object)
            }
            Location::Object(_) | Location::File(_) => Err(ReadError::Outside),
        }
    }

    async fn read(&self, object: &ObjectLocation, wanted: Wanted) -> Result<Object, ReadError> {
        let failed = |error: &object_store::Error| read_error(object, error);
        let got = self.store.get_opts(&object.key, GetOptions::default());
        let got = self.in_time(got).await?.map_err(|error| failed(&error))?;
        let meta = got.meta.clone();
        if meta.size > wanted.bytes_max {
            return Err(ReadError::TooLarge { bytes: meta.size });
        }
        if meta.size == 0 {
            return Err(ReadError::Other("is an empty object".to_string()));
        }
        // Not part of the time limit: it is other bodies that are waited for.
        let _memory = self.memory(meta.size).await;
        let body = body_of(got.into_stream(), meta.size);
        let content = self.in_time(body).await?;
        let content = content.map_err(|error| match error {
            BodyError::Failed(error) => failed(&error),
            BodyError::Wrong(reason) => ReadError::Other(reason),
        })?;
        Ok(Object {
            bytes: content,
            id: wanted.identified.then(|| identity(object, &meta)).flatten(),
        })
    }

    /// Applies the time limit to a request, or to the body of its answer.
    async fn in_time<T>(&self, asked: impl Future<Output = T>) -> Result<T, ReadError> {
        let seconds = self.config.object_read_seconds_max;
        let within = timeout(Duration::from_secs(seconds), asked).await;
        within.map_err(|_| too_slow(seconds))
    }

    /// Waits until there is room for a body. One that is larger than all of it waits for all.
    async fn memory(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let all = permits(self.config.object_bodies_bytes_max);
        let wanted = permits(bytes).min(all);
        self.bodies.clone().acquire_many_owned(wanted).await.ok()
    }
}

/// Why a body was not received.
enum BodyError {
    Failed(object_store::Error),
    /// It is not what the server announced: a clause.
    Wrong(String),
}

/// Receives a body of a known size.
async fn body_of(
    mut pieces: BoxStream<'static, object_store::Result<Bytes>>,
    bytes: u64,
) -> Result<Bytes, BodyError> {
    let size = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut content = BytesMut::with_capacity(size);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(BodyError::Failed)?;
        if piece.len() > size.saturating_sub(content.len()) {
            let reason = "is longer than the server said";
            return Err(BodyError::Wrong(reason.to_string()));
        }
        content.extend_from_slice(&piece);
    }
    if content.len() < size {
        let reason = format!("ended after {} of {size} bytes", content.len());
        return Err(BodyError::Wrong(reason));
    }
    Ok(content.freeze())
}

fn permits(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(PERMIT_BYTES))
        .unwrap_or(u32::MAX)
        .clamp(1, u32::MAX >> 4)
}

fn identity(object: &ObjectLocation, meta: &ObjectMeta) -> Option<InputId> {
    InputId::of_object(
        &object.to_string(),
        (meta.e_tag.as_deref(), meta.version.as_deref()),
        meta.size,
        meta.last_modified.timestamp_micros(),
    )
}

fn too_slow(seconds: u64) -> ReadError {
    ReadError::Other(format!(
        "was not read within {seconds} s (object_read_seconds_max)"
    ))
}

/// What users are told of an error. The rest of it, which may show parts of what a server
/// answered, goes to the log.
fn read_error(object: &ObjectLocation, error: &object_store::Error) -> ReadError {
    tracing::debug!(%object, %error, "an object cannot be read");
    match error {
        object_store::Error::NotFound { .. } => ReadError::NotFound,
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => {
            ReadError::Other("may not be read (permission denied)".to_string())
        }
        object_store::Error::Precondition { .. } => {
            ReadError::Other("changed while it was read".to_string())
        }
        error => ReadError::Other(format!("could not be read ({})", reason(error))),
    }
}

/// The reason of a failed request, without what the server wrote.
fn reason(error: &object_store::Error) -> String {
    let text = error.to_string();
    if let Some((_, after)) = text.split_once("status code: ") {
        let status: String = after.chars().take_while(char::is_ascii_digit).collect();
        return format!("the server answered with HTTP status {status}");
    }
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    let known = causes.filter_map(|cause| {
        if let Some(redirect) = cause.downcast_ref::<object_stores::Redirected>() {
            return Some(redirect.to_string());
        }
        let kind = cause.downcast_ref::<HttpError>()?.kind();
        Some(
            match kind {
                HttpErrorKind::Connect => "no connection to the server",
                HttpErrorKind::Timeout => "the server did not answer in time",
                HttpErrorKind::Interrupted => "the connection ended in mid-answer",
                HttpErrorKind::Request => "the connection failed before an answer came",
                HttpErrorKind::Decode => "the answer is not valid HTTP",
                _ => return None,
            }
            .to_string(),
        )
    });
    // The innermost one that is known says most.
    let answer = "the server's answer is not that of an object";
    known.last().unwrap_or_else(|| answer.to_string())
}

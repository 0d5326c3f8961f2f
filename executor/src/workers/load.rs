//! Loads models at workers, with their files where these are not there.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use predictsql_catalog::{Model, ModelOptions};
use tonic::Status;

use super::served::Served;
use super::trouble::{Asked, told};
use crate::error::ModelError;
use crate::oip::Failure;
use crate::oip::worker::model_part::Part;
use crate::oip::worker::{LoadResponse, Model as SentModel, ModelPart};
use crate::sources::ModelFiles;

/// Bytes of a file in one message.
const PART_BYTES: usize = 1 << 20;

/// A model that is wanted at workers.
pub(super) struct Wanted {
    /// The name under which workers serve it: its output id.
    pub(super) name: String,
    pub(super) model: Arc<Model>,
    sent: SentModel,
    files: Arc<ModelFiles>,
}

impl fmt::Debug for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Wanted").field(&self.name).finish()
    }
}

impl Wanted {
    /// A model of the catalog; `files` has its file.
    pub(super) fn of(model: &Arc<Model>, files: &Arc<ModelFiles>) -> Result<Self, ModelError> {
        Ok(Self {
            name: hex::encode(model.output_id()),
            sent: sent(&model.name, (&model.uri, &model.sha256), &model.options)?,
            model: model.clone(),
            files: files.clone(),
        })
    }
}

/// The model as it is sent.
pub(super) fn sent(
    name: &str,
    (uri, sha256): (&str, &str),
    options: &ModelOptions,
) -> Result<SentModel, ModelError> {
    let options = serde_json::to_string(options).map_err(|error| ModelError::Options {
        reason: error.to_string(),
    })?;
    Ok(SentModel {
        uri: uri.to_string(),
        sha256: sha256.to_string(),
        options,
        name: name.to_string(),
    })
}

/// Messages of a model, and of its file if there is one.
pub(super) fn parts(
    model: &SentModel,
    file: Option<Bytes>,
) -> impl Iterator<Item = ModelPart> + use<> {
    let mut rest = file.unwrap_or_default();
    let file = std::iter::from_fn(move || {
        let next = rest.split_to(rest.len().min(PART_BYTES));
        (!next.is_empty()).then_some(Part::File(next))
    });
    let model = Part::Model(model.clone());
    let part = |part| ModelPart { part: Some(part) };
    std::iter::once(model).chain(file).map(part)
}

/// Loads a model at a worker.
///
/// # Errors
/// [`Trouble`](super::trouble::Trouble) if the worker could not be asked.
pub(super) async fn load(served: &Served, wanted: &Wanted) -> Asked<LoadResponse> {
    let mut client = served.worker.clone();
    let mut answered = client.load(stream::iter(parts(&wanted.sent, None))).await;
    if let Err(status) = &answered
        && lacks_file(status)
    {
        let model = &wanted.model;
        let file = read(&wanted.files, &model.uri, Some(&model.sha256)).await;
        let file = match file {
            Ok((file, _)) => file,
            Err(error) => return Ok(Err(error)),
        };
        answered = client
            .load(stream::iter(parts(&wanted.sent, Some(file))))
            .await;
    }
    match answered {
        Ok(loaded) => Ok(same_version(wanted, loaded.into_inner())),
        Err(status) => told(&status).map(Err),
    }
}

/// Outputs of a worker that prepares images in another way are not those of this program.
fn same_version(wanted: &Wanted, loaded: LoadResponse) -> Result<LoadResponse, ModelError> {
    match loaded.name == wanted.name {
        true => Ok(loaded),
        false => Err(ModelError::NoWorker {
            reason: "a worker is of a version that prepares inputs in another way; run the same \
                     version of PredictSQL everywhere"
                .to_string(),
        }),
    }
}

/// Content and SHA-256 of a file, read on a thread that may block.
pub(super) async fn read(
    files: &Arc<ModelFiles>,
    uri: &str,
    pinned: Option<&str>,
) -> Result<(Bytes, String), ModelError> {
    let (files, uri) = (files.clone(), uri.to_string());
    let pinned = pinned.map(str::to_string);
    let reading = move || match pinned {
        Some(sha256) => Ok((files.read_pinned(&uri, &sha256)?, sha256)),
        None => files.read(&uri),
    };
    let read = tokio::task::spawn_blocking(reading).await;
    read.unwrap_or_else(|_| Err(ModelError::abandoned()))
}

/// Whether a worker has not got the file that it was asked for.
pub(super) fn lacks_file(status: &Status) -> bool {
    use ModelError::{Changed, NotFound, OutsideRoots, Unreadable, Uri};
    matches!(
        Failure::of(status),
        Some(Failure::Load(
            Uri { .. } | OutsideRoots { .. } | NotFound { .. } | Unreadable { .. } | Changed { .. }
        ))
    )
}

//! Trials of new models at workers.

use std::sync::Arc;

use futures_util::stream;
use predictsql_catalog::ModelOptions;

use super::load::{lacks_file, parts, read, sent};
use super::pool::Pool;
use super::trouble::told;
use crate::error::ModelError;
use crate::oip::worker::TryResponse;
use crate::sources::{ModelFile, ModelFiles};

/// Has a file tried by a worker. Only the file's SHA-256 is known before.
///
/// # Errors
/// Any reason why the model cannot predict, and [`ModelError::NoWorker`].
pub(super) async fn tried(
    pool: &Pool,
    files: Arc<ModelFiles>,
    uri: String,
    pinned: Option<String>,
    options: ModelOptions,
) -> Result<ModelFile, ModelError> {
    let (file, sha256) = read(&files, &uri, pinned.as_deref()).await?;
    let model = sent("", (&uri, &sha256), &options)?;
    let tried = pool.anywhere(|served| {
        let (alone, whole) = (parts(&model, None), parts(&model, Some(file.clone())));
        Box::pin(async move {
            let mut client = served.worker.clone();
            let mut answered = client.r#try(stream::iter(alone)).await;
            if answered.as_ref().is_err_and(lacks_file) {
                answered = client.r#try(stream::iter(whole)).await;
            }
            match answered {
                Ok(tried) => Ok(Ok(tried.into_inner())),
                Err(status) => told(&status).map(Err),
            }
        })
    });
    let tried: TryResponse = tried.await?;
    let warnings = tried.warnings.iter().map(|w| serde_json::from_str(w));
    Ok(ModelFile {
        sha256,
        bytes: file.len() as u64,
        seconds_per_image: tried.seconds_per_input,
        // A warning of another version that this one cannot read is left out.
        warnings: warnings.filter_map(Result::ok).collect(),
    })
}

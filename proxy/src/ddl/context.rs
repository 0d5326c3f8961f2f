//! Parameters and answers of catalog statements.

use std::future::Future;

use bytes::Bytes;
use predictsql_catalog::{ModelOptions, OnnxHead};
use predictsql_executor::{Executor, ImageRootError, ModelError, ModelFile};
use tokio::time::Instant;

use crate::account::ServiceAccount;
use crate::error::SqlError;

/// Reads and runs a model's file once; any problem of the file is an error.
pub trait Inspect {
    /// See [`Executor::inspect`].
    fn inspect(
        &self,
        uri: &str,
        options: &ModelOptions,
    ) -> impl Future<Output = Result<ModelFile, ModelError>>;

    /// See [`Executor::onnx_head`].
    fn onnx_head(&self, uri: &str) -> impl Future<Output = Result<OnnxHead, ModelError>>;

    /// See [`Executor::read_beside_model`].
    fn read_beside(&self, uri: &str) -> impl Future<Output = Result<Bytes, ModelError>>;

    /// See [`Executor::check_image_roots`].
    fn check_image_roots(
        &self,
        roots: &[String],
    ) -> impl Future<Output = Result<(), ImageRootError>>;
}

impl Inspect for Executor {
    fn onnx_head(&self, uri: &str) -> impl Future<Output = Result<OnnxHead, ModelError>> {
        Executor::onnx_head(self, uri)
    }

    fn read_beside(&self, uri: &str) -> impl Future<Output = Result<Bytes, ModelError>> {
        Executor::read_beside_model(self, uri)
    }

    /// Off the session's thread: a file system may take its time.
    async fn check_image_roots(&self, roots: &[String]) -> Result<(), ImageRootError> {
        let (executor, roots) = (self.clone(), roots.to_vec());
        let check = move || executor.check_image_roots(&roots);
        let checked = tokio::task::spawn_blocking(check).await;
        checked.unwrap_or(Err(ImageRootError::Interrupted))
    }

    fn inspect(
        &self,
        uri: &str,
        options: &ModelOptions,
    ) -> impl Future<Output = Result<ModelFile, ModelError>> {
        Executor::inspect(self, uri, options)
    }
}

/// Parameters of a catalog statement.
#[derive(Clone, Copy)]
pub struct DdlContext<'a, I> {
    /// Account for changes.
    pub account: &'a ServiceAccount,
    /// Checks model files.
    pub inspector: &'a I,
    /// Account of the user, `user@host`, for `created_by`.
    pub user: &'a str,
    /// Deadline for the store's work, if any.
    pub until: Option<Instant>,
}

/// Answer to a statement that changed the catalog, or that had nothing to change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DdlAnswer {
    /// For the OK packet: number of dropped models, otherwise 0.
    pub affected_rows: u64,
    /// Rows of SHOW WARNINGS at level `Note`.
    pub notes: Vec<SqlError>,
    /// Rows of SHOW WARNINGS at level `Warning`.
    pub warnings: Vec<SqlError>,
}

impl DdlAnswer {
    /// Answer to a statement that had nothing to change, with the reason as a note.
    pub(super) fn note(error: SqlError) -> Self {
        Self {
            affected_rows: 0,
            notes: vec![error],
            warnings: Vec::new(),
        }
    }
}

//! With what catalog statements run, and what they answer.

use std::future::Future;

use predictsql_catalog::ModelOptions;
use predictsql_executor::{Executor, ModelError, ModelFile};
use tokio::time::Instant;

use crate::account::ServiceAccount;
use crate::error::SqlError;

/// Reads and runs a model's file once; everything wrong with it is an error.
pub trait Inspect {
    /// What [`Executor::inspect`] does.
    fn inspect(
        &self,
        uri: &str,
        options: &ModelOptions,
    ) -> impl Future<Output = Result<ModelFile, ModelError>>;
}

impl Inspect for Executor {
    fn inspect(
        &self,
        uri: &str,
        options: &ModelOptions,
    ) -> impl Future<Output = Result<ModelFile, ModelError>> {
        Executor::inspect(self, uri, options)
    }
}

/// What a catalog statement runs with.
#[derive(Clone, Copy)]
pub struct DdlContext<'a, I> {
    /// Who writes.
    pub account: &'a ServiceAccount,
    /// Who checks model files.
    pub inspector: &'a I,
    /// Account of the user, `user@host`, for `created_by`.
    pub user: &'a str,
    /// When the store must have ended what it is asked to do, if ever.
    pub until: Option<Instant>,
}

/// The answer to a statement that changed the catalog, or found it as wished.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DdlAnswer {
    /// For the OK packet: models dropped, else 0.
    pub affected_rows: u64,
    /// Rows of SHOW WARNINGS at level `Note`.
    pub notes: Vec<SqlError>,
}

impl DdlAnswer {
    /// The answer to a statement that found the catalog as wished, with the reason as a note.
    pub(super) fn note(error: SqlError) -> Self {
        Self {
            affected_rows: 0,
            notes: vec![error],
        }
    }
}

//! Errors of the catalog in the store.

use mysql_async::{DriverError, Error, ServerError};
use thiserror::Error as ThisError;

/// Why the catalog could not be set up, read or changed. The texts are for users.
#[derive(Debug, ThisError)]
pub enum StoreError {
    /// The configured schema name is not allowed.
    #[error(
        "'{0}' cannot be the catalog's schema: a name of letters, digits and '_', at most 48 \
         characters and not a system schema, is needed"
    )]
    SchemaName(String),
    /// A database of that name exists, but is not a catalog.
    #[error(
        "database '{schema}' exists and is not PredictSQL's; it was left untouched. Choose another \
         schema name, or rename that database"
    )]
    Foreign {
        /// The configured schema.
        schema: String,
    },
    /// The catalog was set up by a newer PredictSQL.
    #[error(
        "the catalog in '{schema}' has version {found}, this PredictSQL knows only up to {known}: \
         use a newer PredictSQL"
    )]
    Newer {
        /// The configured schema.
        schema: String,
        /// Version found in the store.
        found: u32,
        /// Highest version supported by this program.
        known: u32,
    },
    /// The catalog is missing or too old for this program.
    #[error("the catalog in '{schema}' is not set up for this version: run `predictsql init`")]
    NotSetUp {
        /// The configured schema.
        schema: String,
    },
    /// The service account has no access to the definitions of views.
    #[error(
        "the service account cannot read the definitions of views by '{schema}': run `predictsql init` \
         again"
    )]
    ViewsNotSetUp {
        /// The schema of the objects only for the service account.
        schema: String,
    },
    /// The catalog's lock is held by another session.
    #[error("another change of the catalog is still running; try again")]
    Locked,
    /// The store does not allow this account to create functions while its binary log is on.
    #[error(
        "the store's binary log is on and the account may not create functions: set \
         log_bin_trust_function_creators = 1 on the store, or grant SUPER to the service account"
    )]
    BinaryLog,
    /// A task or model of that name (and version) exists.
    #[error("{kind} '{name}' already exists")]
    Exists {
        /// `Task` or `Model`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There is no task or model of that name.
    #[error("{kind} '{name}' does not exist")]
    Unknown {
        /// `Task` or `Model`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The task was dropped or recreated since the model's options were checked against it.
    #[error("task '{0}' was changed meanwhile; try again")]
    TaskChanged(String),
    /// The model's name is used by versions for another task.
    #[error("Model '{name}' already exists for task '{task}'; choose another name")]
    OtherTask {
        /// The model.
        name: String,
        /// The task of those versions.
        task: String,
    },
    /// A task that still has models cannot be dropped.
    #[error("Cannot drop task '{task}': models {models} answer it; drop them first")]
    InUse {
        /// The task.
        task: String,
        /// Names of its models, comma-separated.
        models: String,
    },
    /// A function with the stub's name exists, but belongs to no task of the catalog.
    #[error("function '{schema}.{name}' already exists and belongs to no task; drop it first")]
    ForeignStub {
        /// The configured schema.
        schema: String,
        /// The function.
        name: String,
    },
    /// An error of the store or its connection.
    #[error("the store answered: {0}")]
    Sql(#[source] Error),
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        match error {
            Error::Server(ServerError { code: 1419, .. }) => Self::BinaryLog,
            error => Self::Sql(error),
        }
    }
}

impl StoreError {
    /// The store's error number, if the store returned an error.
    pub fn server_code(&self) -> Option<u16> {
        match self {
            Self::Sql(Error::Server(server)) => Some(server.code),
            _ => None,
        }
    }

    /// Whether the store could not be reached, or the connection was lost.
    pub fn is_connection(&self) -> bool {
        matches!(
            self,
            Self::Sql(Error::Io(_) | Error::Driver(DriverError::ConnectionClosed))
        )
    }
}

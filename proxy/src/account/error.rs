//! Errors of the service account, and their client-visible form.

use predictsql_catalog::store::StoreError;
use std::sync::Arc;
use thiserror::Error;

use crate::error::{ErrorKind, SqlError};

/// Why the service account could not do its work.
#[derive(Debug, Error)]
pub enum AccountError {
    /// No service account is configured.
    #[error("predict statements need a service account: run `predictsql init`")]
    NotConfigured,
    /// The store did not answer in time.
    #[error("the store did not answer the service account within {0} ms")]
    TimedOut(u64),
    /// The account's runtime was stopped, or its thread could not be started.
    #[error("the service account is stopped")]
    Stopped,
    /// An error from the store or from the catalog code.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The same work, started by another caller, failed while this caller waited for it.
    #[error("{0}")]
    Shared(Arc<AccountError>),
}

impl AccountError {
    /// Whether the message explains how to set up a catalog of another version.
    pub fn is_about_set_up(&self) -> bool {
        matches!(
            self,
            Self::Store(StoreError::NotSetUp { .. } | StoreError::Newer { .. })
        )
    }
}

impl From<&AccountError> for SqlError {
    /// Error code by cause: 1105 not configured, stopped or not set up; 1205 timed out or locked;
    /// 1045 login refused; 1158 (08S01) store unreachable; 1304 exists; 1305 unknown; 1451 in use;
    /// 1419 binary log; 1969 time limit reached; any other error of the store 1105, without its
    /// text.
    fn from(error: &AccountError) -> Self {
        let cause = match error {
            AccountError::Shared(error) => return Self::from(&**error),
            AccountError::TimedOut(_) => {
                return Self::new(ErrorKind::LockWaitTimeout, error.to_string());
            }
            AccountError::NotConfigured | AccountError::Stopped => {
                return Self::other(error.to_string());
            }
            AccountError::Store(cause) => cause,
        };
        let kind = match cause {
            StoreError::Exists { .. }
            | StoreError::OtherTask { .. }
            | StoreError::ForeignStub { .. } => ErrorKind::AlreadyExists,
            StoreError::Unknown { .. } => ErrorKind::UnknownName,
            StoreError::InUse { .. } => ErrorKind::Referenced,
            StoreError::Locked | StoreError::TaskChanged(_) => ErrorKind::LockWaitTimeout,
            StoreError::BinaryLog => ErrorKind::BinaryLog,
            StoreError::Sql(_) => return Self::from_store(cause),
            StoreError::SchemaName(_)
            | StoreError::Foreign { .. }
            | StoreError::Newer { .. }
            | StoreError::NotSetUp { .. }
            | StoreError::ViewsNotSetUp { .. } => ErrorKind::Other,
        };
        Self::new(kind, cause.to_string())
    }
}

impl SqlError {
    /// Client-visible form of an error between the proxy and the store: the cause without the
    /// store's text, which contains the service account's name and its statements.
    fn from_store(cause: &StoreError) -> Self {
        if cause.is_connection() {
            return Self::new(
                ErrorKind::StoreLost,
                "the service account cannot reach the store",
            );
        }
        match cause.server_code() {
            Some(1044 | 1045 | 1142 | 1227 | 1370 | 1698) => Self::other(
                "the store refused the service account: check its password, and run \
                 `predictsql init` for its grants",
            ),
            Some(1969) => Self::new(
                ErrorKind::StatementTimeout,
                "Query execution was interrupted (max_statement_time exceeded)",
            ),
            Some(1290 | 1792 | 1836) => Self::new(
                ErrorKind::OptionPrevents,
                "the store is read-only: the catalog cannot be changed",
            ),
            Some(code) => Self::other(format!("the catalog's store failed with error {code}")),
            None => Self::other("the catalog's store could not be used"),
        }
    }
}

impl From<AccountError> for SqlError {
    fn from(error: AccountError) -> Self {
        Self::from(&error)
    }
}

//! An EVALUATE that may run: its models exist and its rows are theirs.

use std::sync::Arc;

use predictsql_catalog::{Model, Task};

use crate::lane::statements::evaluate::rows::Form;

/// An EVALUATE that may run.
pub struct Request {
    pub task: Arc<Task>,
    pub models: Vec<Arc<Model>>,
    /// All of the task's models are evaluated.
    pub whole_task: bool,
    /// As written.
    pub query: String,
    /// What its columns are.
    pub form: Form,
    /// Labels that are no class are meant.
    pub keep_foreign: bool,
    /// An input that cannot be read is an error.
    pub fail_on_error: bool,
    /// Account of the user, `user@host`.
    pub user: String,
}

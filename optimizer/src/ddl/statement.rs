//! Catalog statements as typed values: changes of the catalog, listings of it,
//! and work for its models.

use predictsql_catalog::{OptionValue, TaskInput, TaskKind};

/// A catalog statement as written; names keep their case and are not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogStatement {
    /// Changes the catalog.
    Change(Change),
    /// Lists what is in it.
    Show(Show),
    /// Has models run.
    Work(Work),
}

/// A statement that changes the catalog.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// `CREATE TASK`
    CreateTask(CreateTask),
    /// `CREATE MODEL`
    CreateModel(CreateModel),
    /// `ALTER TASK`
    AlterTask {
        /// The task.
        name: String,
        /// Options in order.
        options: Vec<(String, OptionValue)>,
    },
    /// `ALTER MODEL`
    AlterModel {
        /// The model.
        name: String,
        /// This version; the one created last without.
        version: Option<String>,
        /// Options in order.
        options: Vec<(String, OptionValue)>,
    },
    /// `DROP TASK`
    DropTask {
        /// The task.
        name: String,
        /// Whether a missing task is a note only.
        if_exists: bool,
    },
    /// `DROP MODEL`
    DropModel {
        /// The model.
        name: String,
        /// One version; all without.
        version: Option<String>,
        /// Whether a missing model is a note only.
        if_exists: bool,
    },
}

/// A statement that lists what is in the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// `SHOW TASKS`
    Tasks {
        /// Which.
        filter: Option<ShowFilter>,
    },
    /// `SHOW MODELS`
    Models {
        /// Of this task only.
        task: Option<String>,
        /// Which.
        filter: Option<ShowFilter>,
    },
    /// `SHOW CREATE TASK`
    CreateTask {
        /// The task.
        name: String,
    },
    /// `SHOW CREATE MODEL`
    CreateModel {
        /// The model.
        name: String,
        /// This version; the one created last without.
        version: Option<String>,
    },
}

/// A statement that has models run, and keeps what comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// `EVALUATE`
    Evaluate(Evaluate),
}

/// What `EVALUATE` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluate {
    /// What is measured.
    pub target: Evaluated,
    /// The query of labelled rows as written, without its parentheses.
    pub query: String,
}

/// What `EVALUATE` measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evaluated {
    /// All models of this task.
    Task(String),
    /// One model.
    Model {
        /// The model.
        name: String,
        /// This version; the one created last without.
        version: Option<String>,
    },
}

/// What `CREATE TASK` says.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTask {
    /// Name of the task.
    pub name: String,
    /// Whether an existing task is a note only.
    pub if_not_exists: bool,
    /// Kind of answer.
    pub kind: TaskKind,
    /// What it looks at.
    pub input: TaskInput,
    /// Classes in order.
    pub classes: Vec<String>,
    /// `OPTIONS` in order.
    pub options: Vec<(String, OptionValue)>,
}

/// What `CREATE MODEL` says.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateModel {
    /// Name of the model.
    pub name: String,
    /// Whether an existing model of that version is a note only.
    pub if_not_exists: bool,
    /// The task that it answers.
    pub task: String,
    /// Where the file is.
    pub uri: String,
    /// Version label.
    pub version: Option<String>,
    /// Classes that it answers.
    pub covers: Option<Vec<String>>,
    /// `OPTIONS` in order.
    pub options: Vec<(String, OptionValue)>,
}

/// Which rows a `SHOW` lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShowFilter {
    /// Names like a pattern.
    Like(String),
    /// Rows for which an expression over the columns of the answer holds; its text as written.
    Where(String),
}

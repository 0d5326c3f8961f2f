//! Catalog statements as typed values: changes of the catalog, listings, and jobs for models.

use predictsql_catalog::{OptionValue, TaskInput, TaskKind};

/// A parsed catalog statement; names keep their case and are not checked yet.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogStatement {
    /// Changes the catalog.
    Change(Change),
    /// Lists catalog entries.
    Show(Show),
    /// Runs models.
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
        /// The version; without it the one created last.
        version: Option<String>,
        /// Options in order.
        options: Vec<(String, OptionValue)>,
    },
    /// `DROP TASK`
    DropTask {
        /// The task.
        name: String,
        /// Whether a missing task causes only a note.
        if_exists: bool,
    },
    /// `DROP MODEL`
    DropModel {
        /// The model.
        name: String,
        /// The version; without it all versions.
        version: Option<String>,
        /// Whether a missing model causes only a note.
        if_exists: bool,
    },
}

/// A statement that lists catalog entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Show {
    /// `SHOW TASKS`
    Tasks {
        /// Filter of the rows.
        filter: Option<ShowFilter>,
    },
    /// `SHOW MODELS`
    Models {
        /// Only models of this task.
        task: Option<String>,
        /// Filter of the rows.
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
        /// The version; without it the one created last.
        version: Option<String>,
    },
}

/// A statement that runs models and stores the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// `EVALUATE`
    Evaluate(Evaluate),
}

/// A parsed `EVALUATE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluate {
    /// The evaluated task or model.
    pub target: Evaluated,
    /// The query of labelled rows as written, without its parentheses.
    pub query: String,
    /// Whether labels that are no class are meant, and not warned of.
    pub keep_foreign: bool,
}

/// The subject of an `EVALUATE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evaluated {
    /// All models of this task.
    Task(String),
    /// One model.
    Model {
        /// The model.
        name: String,
        /// The version; without it the one created last.
        version: Option<String>,
    },
}

/// A parsed `CREATE TASK`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateTask {
    /// Name of the task.
    pub name: String,
    /// Whether an existing task causes only a note.
    pub if_not_exists: bool,
    /// Kind of answer.
    pub kind: TaskKind,
    /// Kind of input.
    pub input: TaskInput,
    /// Classes in order.
    pub classes: Vec<String>,
    /// Where classes come from that are not listed.
    pub classes_from: Option<ClassesFrom>,
    /// `OPTIONS` in order.
    pub options: Vec<(String, OptionValue)>,
}

/// Where classes come from, below the model roots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassesFrom {
    /// `CLASSES FROM FILE 'labels.txt'`
    File(String),
    /// `CLASSES FROM MODEL 'dir/'`: the labels of a model's file or of its folder.
    Model(String),
}

/// A parsed `CREATE MODEL`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateModel {
    /// Name of the model.
    pub name: String,
    /// Whether an existing model of that version causes only a note.
    pub if_not_exists: bool,
    /// The task it belongs to.
    pub task: String,
    /// Path or URI of the file.
    pub uri: String,
    /// Version label.
    pub version: Option<String>,
    /// Classes that it covers.
    pub covers: Option<Vec<String>>,
    /// `OPTIONS` in order.
    pub options: Vec<(String, OptionValue)>,
}

/// Row filter of a `SHOW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShowFilter {
    /// Names that match a LIKE pattern.
    Like(String),
    /// Rows for which an expression over the result's columns is true; as written.
    Where(String),
}

//! Catalog statements: `CREATE TASK`, `CREATE MODEL`, `DROP`, `SHOW`, from text to typed values.
//!
//! ```text
//! CREATE TASK [IF NOT EXISTS] t [KIND CLASSIFICATION] CLASSES ('a', ...) [INPUT i] [OPTIONS (k = v, ...)]
//! CREATE TASK [IF NOT EXISTS] t KIND REGRESSION [INPUT i] [OPTIONS (k = v, ...)]
//!   i: IMAGE | (c1 DOUBLE, c2 VARCHAR, ...)
//! CREATE MODEL [IF NOT EXISTS] m FOR TASK t FROM 'uri' [VERSION 'v'] [COVERS ('a', ...)] [OPTIONS (k = v, ...)]
//! DROP TASK [IF EXISTS] t          DROP MODEL [IF EXISTS] m [VERSION 'v']
//! SHOW TASKS [LIKE 'p' | WHERE e]  SHOW MODELS [FOR TASK t] [LIKE 'p' | WHERE e]
//! SHOW CREATE TASK t               SHOW CREATE MODEL m [VERSION 'v']
//! ALTER TASK t SET k = v, ...      ALTER MODEL m [VERSION 'v'] SET accuracy = v
//! EVALUATE TASK t ON (SELECT input, label FROM ...)
//! EVALUATE MODEL m[@v] ON (SELECT input, label FROM ...)
//! ```
//!
//! The grammar works on tokens; what options mean is the catalog's.

mod parser;

use predictsql_catalog::{OptionValue, TaskInput, TaskKind};

use crate::{LexMode, Refusal};

/// A catalog statement as written; names keep their case and are not yet checked.
#[derive(Debug, Clone, PartialEq)]
pub enum CatalogStatement {
    /// `CREATE TASK`
    CreateTask(CreateTask),
    /// `CREATE MODEL`
    CreateModel(CreateModel),
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
    /// `SHOW TASKS`
    ShowTasks {
        /// Which.
        filter: Option<ShowFilter>,
    },
    /// `SHOW MODELS`
    ShowModels {
        /// Of this task only.
        task: Option<String>,
        /// Which.
        filter: Option<ShowFilter>,
    },
    /// `SHOW CREATE TASK`
    ShowCreateTask {
        /// The task.
        name: String,
    },
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
    /// `EVALUATE`
    Evaluate(Evaluate),
    /// `SHOW CREATE MODEL`
    ShowCreateModel {
        /// The model.
        name: String,
        /// This version; the one created last without.
        version: Option<String>,
    },
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

/// Whether `sql` begins as a catalog statement does. Cheap; it may still be refused by [`parse`].
pub fn recognise(sql: &str) -> bool {
    let mut words = Words { rest: sql };
    let mut is = |expected: &[&str]| {
        let word = words.next_word();
        expected.iter().position(|e| word.eq_ignore_ascii_case(e))
    };
    const KINDS: [&str; 2] = ["TASK", "MODEL"];
    match is(&["CREATE", "SHOW", "DROP", "ALTER", "EVALUATE"]) {
        None => false,
        Some(0) => match is(&["TASK", "MODEL", "OR"]) {
            Some(2) => is(&["REPLACE"]).is_some() && is(&KINDS).is_some(),
            kind => kind.is_some(),
        },
        Some(1) => match is(&["TASKS", "MODELS", "CREATE"]) {
            Some(2) => is(&KINDS).is_some(),
            kind => kind.is_some(),
        },
        Some(_) => is(&KINDS).is_some(),
    }
}

/// Whether `sql` begins as a statement for which settings are set (`SET STATEMENT a = b FOR ...`), and may be a
/// catalog statement. Cheap, too: where `FOR` stands in a string, what follows it may look like one.
pub fn recognise_with_settings(sql: &str) -> bool {
    let mut words = Words { rest: sql };
    let mut is = |expected: &str| words.next_word().eq_ignore_ascii_case(expected);
    if !(is("SET") && is("STATEMENT")) {
        return false;
    }
    const FOR: &str = "FOR";
    let bytes = words.rest.as_bytes();
    let mut places = bytes.windows(FOR.len()).enumerate();
    places.any(|(place, word)| {
        let is_for = word.eq_ignore_ascii_case(FOR.as_bytes());
        is_for && words.rest.get(place + FOR.len()..).is_some_and(recognise)
    })
}

/// Reads a catalog statement of a session in the default SQL mode.
pub fn parse(sql: &str) -> Result<CatalogStatement, Refusal> {
    parse_in(sql, LexMode::default())
}

/// Reads a catalog statement of a session in `mode`.
pub fn parse_in(sql: &str, mode: LexMode) -> Result<CatalogStatement, Refusal> {
    parser::parse(sql, mode)
}

/// The words at the head of a text, past white space and comments.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The next word; empty where something else stands, or the text ends.
    fn next_word(&mut self) -> &'a str {
        self.skip_blank();
        let end = self
            .rest
            .bytes()
            .position(|b| !(b.is_ascii_alphanumeric() || matches!(b, b'_' | b'$') || b >= 0x80))
            .unwrap_or(self.rest.len());
        // A byte below 0x80 is a boundary of characters, and so is the end.
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn skip_blank(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            let after = if let Some(comment) = self.rest.strip_prefix("/*") {
                // `/*!` is run by the store.
                (!comment.starts_with('!') && !comment.starts_with("M!"))
                    .then(|| comment.split_once("*/"))
                    .flatten()
            } else if self.rest.starts_with('#') || is_dash_comment(self.rest) {
                Some(self.rest.split_once('\n').unwrap_or(("", "")))
            } else {
                None
            };
            match after {
                Some((_, rest)) => self.rest = rest,
                None => return,
            }
        }
    }
}

/// `--` begins a comment only where white space, a control character or the end follows.
fn is_dash_comment(text: &str) -> bool {
    text.strip_prefix("--").is_some_and(|rest| {
        rest.chars()
            .next()
            .is_none_or(|c| c.is_whitespace() || c.is_control())
    })
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

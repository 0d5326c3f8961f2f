//! Refusal of a statement: its kind, and the message for the client.

/// Kind of a refusal. The proxy maps each kind to a MySQL error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The text cannot be parsed.
    Syntax,
    /// A construct that is not supported yet.
    Unsupported,
    /// A task or model that the catalog does not have.
    UnknownTarget,
    /// A column that the statement does not have.
    UnknownColumn,
    /// A column of a derived table whose name another one has.
    DuplicateColumn,
    /// A prediction that no model can answer.
    NoModel,
    /// A constraint on predictions that cannot be kept.
    Constraint,
    /// A declared prior that does not fit the task.
    Prior,
    /// A number of arguments that the function does not take.
    ArgumentCount,
    /// An argument that the function does not take.
    Argument,
    /// A class that the task does not have.
    UnknownClass,
    /// A violated invariant: an error without a more specific kind.
    Internal,
}

/// An error that is sent to the client as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Its kind.
    pub kind: RefusalKind,
    /// Error message: what is wrong and how to fix it.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(kind: RefusalKind, message: String) -> Self {
        Self { kind, message }
    }

    /// A construct that is not supported yet.
    pub fn unsupported(construct: impl std::fmt::Display) -> Self {
        Self::new(
            RefusalKind::Unsupported,
            format!("PredictSQL does not yet support {construct}"),
        )
    }

    /// A task or model that the catalog does not have.
    pub fn unknown_target(schema: &str, name: &str) -> Self {
        Self::new(
            RefusalKind::UnknownTarget,
            format!(
                "Task or model '{name}' does not exist in schema {schema}; SHOW TASKS and SHOW MODELS list them"
            ),
        )
    }

    /// A column that the statement does not have.
    pub fn unknown_column(column: impl std::fmt::Display, clause: &str) -> Self {
        let message = format!("Unknown column '{column}' in '{clause}'");
        Self::new(RefusalKind::UnknownColumn, message)
    }

    /// A column of a derived table whose name another one has.
    pub fn duplicate_column(name: &str) -> Self {
        let message = format!("Duplicate column name '{name}'");
        Self::new(RefusalKind::DuplicateColumn, message)
    }

    /// A prediction that no model can answer.
    pub fn no_model(what: impl std::fmt::Display) -> Self {
        let what = what.to_string();
        let mut message: String = what.chars().take(1).flat_map(char::to_uppercase).collect();
        message.extend(what.chars().skip(1));
        Self::new(RefusalKind::NoModel, message)
    }

    /// A constraint on predictions that cannot be kept.
    pub fn constraint(what: impl std::fmt::Display) -> Self {
        Self::new(RefusalKind::Constraint, what.to_string())
    }

    /// A declared prior that does not fit the task.
    pub fn prior(what: impl std::fmt::Display) -> Self {
        let message = format!("The declared prior cannot be meant: {what}");
        Self::new(RefusalKind::Prior, message)
    }

    /// A text that cannot be parsed.
    pub fn syntax(what: impl Into<String>) -> Self {
        Self::new(RefusalKind::Syntax, what.into())
    }

    /// A violated invariant.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(RefusalKind::Internal, what.into())
    }

    /// A number of arguments that the function does not take.
    pub fn argument_count(function: &str, expected: usize, got: usize) -> Self {
        Self::new(
            RefusalKind::ArgumentCount,
            format!(
                "Incorrect number of arguments for FUNCTION {function}; expected {expected}, got {got}"
            ),
        )
    }

    /// An argument that the function does not take.
    pub fn argument(function: &str, what: impl std::fmt::Display) -> Self {
        let message = format!("Incorrect arguments to {function}: {what}");
        Self::new(RefusalKind::Argument, message)
    }

    /// A class that the task does not have.
    pub fn unknown_class(task: &str, class: &str, classes: &[String]) -> Self {
        let mut known: Vec<String> = classes.iter().take(20).map(|c| format!("'{c}'")).collect();
        if classes.len() > known.len() {
            known.push(format!("and {} more", classes.len() - known.len()));
        }
        Self::new(
            RefusalKind::UnknownClass,
            format!(
                "Incorrect class value: '{class}'; task '{task}' has the classes {}",
                known.join(", ")
            ),
        )
    }
}

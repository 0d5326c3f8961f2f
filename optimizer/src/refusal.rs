//! Why a predict statement is not planned, with the MySQL error that says so.

/// A refusal that goes to the client as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// MySQL error code.
    pub code: u16,
    /// Five characters.
    pub sqlstate: &'static str,
    /// A sentence that says what is wrong and what to do.
    pub message: String,
}

impl Refusal {
    fn new(code: u16, sqlstate: &'static str, message: String) -> Self {
        Self {
            code,
            sqlstate,
            message,
        }
    }

    /// 1235 ER_NOT_SUPPORTED_YET, naming the construct.
    pub fn unsupported(construct: impl std::fmt::Display) -> Self {
        Self::new(
            1235,
            "42000",
            format!("PredictSQL does not yet support {construct}"),
        )
    }

    /// 1305 ER_SP_DOES_NOT_EXIST for a task or model that the catalog does not have.
    pub fn unknown_target(schema: &str, name: &str) -> Self {
        Self::new(
            1305,
            "42000",
            format!(
                "Task or model '{name}' does not exist in schema {schema}; SHOW TASKS and SHOW MODELS list them"
            ),
        )
    }

    /// 1054 ER_BAD_FIELD_ERROR.
    pub fn unknown_column(column: impl std::fmt::Display, clause: &str) -> Self {
        let message = format!("Unknown column '{column}' in '{clause}'");
        Self::new(1054, "42S22", message)
    }

    /// 1235 for a prediction that no model can answer.
    pub fn no_model(what: impl std::fmt::Display) -> Self {
        let what = what.to_string();
        let mut message: String = what.chars().take(1).flat_map(char::to_uppercase).collect();
        message.extend(what.chars().skip(1));
        Self::new(1235, "42000", message)
    }

    /// 1644 ER_SIGNAL_EXCEPTION for a constraint on predictions that cannot be kept.
    pub fn constraint(what: impl std::fmt::Display) -> Self {
        Self::new(1644, "45000", what.to_string())
    }

    /// 1231 ER_WRONG_VALUE_FOR_VAR for a declared prior that does not fit the task.
    pub fn prior(what: impl std::fmt::Display) -> Self {
        Self::new(
            1231,
            "42000",
            format!("The declared prior cannot be meant: {what}"),
        )
    }

    /// 1064 ER_PARSE_ERROR.
    pub fn syntax(what: impl Into<String>) -> Self {
        Self::new(1064, "42000", what.into())
    }

    /// 1105 ER_UNKNOWN_ERROR: what must not happen.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::new(1105, "HY000", what.into())
    }

    /// 1318 ER_SP_WRONG_NO_OF_ARGS.
    pub fn argument_count(function: &str, expected: usize, got: usize) -> Self {
        Self::new(
            1318,
            "42000",
            format!(
                "Incorrect number of arguments for FUNCTION {function}; expected {expected}, got {got}"
            ),
        )
    }

    /// 1210 ER_WRONG_ARGUMENTS.
    pub fn argument(function: &str, what: impl std::fmt::Display) -> Self {
        Self::new(
            1210,
            "HY000",
            format!("Incorrect arguments to {function}: {what}"),
        )
    }

    /// 1525 ER_WRONG_VALUE for a class that the task does not have.
    pub fn unknown_class(task: &str, class: &str, classes: &[String]) -> Self {
        let mut known: Vec<String> = classes.iter().take(20).map(|c| format!("'{c}'")).collect();
        if classes.len() > known.len() {
            known.push(format!("and {} more", classes.len() - known.len()));
        }
        Self::new(
            1525,
            "HY000",
            format!(
                "Incorrect class value: '{class}'; task '{task}' has the classes {}",
                known.join(", ")
            ),
        )
    }
}

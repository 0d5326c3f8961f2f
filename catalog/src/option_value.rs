//! Options of statements as parsed, and what can be wrong with them.

use thiserror::Error;

/// The value of one option as written.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    /// `0.5`, `-1`
    Number(f64),
    /// `'28x28'`
    Text(String),
    /// `NHWC`: a bare word
    Word(String),
    /// `(0.1, 0.2, 0.3)`, `('a', 'b')`
    List(Vec<OptionValue>),
}

impl OptionValue {
    /// The text of a string or bare word.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(s) | Self::Word(s) => Some(s),
            _ => None,
        }
    }

    /// A number, also one written in quotes.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Number(n) => Some(*n),
            Self::Text(s) => s.trim().parse().ok().filter(|n: &f64| n.is_finite()),
            _ => None,
        }
    }

    /// The elements of a list; a single value counts as a list of one.
    pub(crate) fn elements(&self) -> &[OptionValue] {
        match self {
            Self::List(values) => values,
            single => std::slice::from_ref(single),
        }
    }
}

/// What is wrong with the options of a task or model; the text is for whoever wrote them.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum OptionError {
    /// An option that does not exist.
    #[error("Unknown option '{key}'; the options are {known}")]
    Unknown {
        /// The option as written.
        key: String,
        /// Names of the options that exist.
        known: String,
    },
    /// An option that has no default is missing.
    #[error("Option '{key}' is missing: {hint}")]
    Missing {
        /// Name of the option.
        key: &'static str,
        /// How to give it.
        hint: &'static str,
    },
    /// A value outside what the option takes.
    #[error("Incorrect value of option '{key}': {reason}")]
    Value {
        /// Name of the option.
        key: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// A class that the task does not have.
    #[error("Unknown class '{class}' in {place}: the classes of task '{task}' are {classes}")]
    UnknownClass {
        /// The class as written.
        class: String,
        /// `COVERS`, `option 'labels'` or `option 'prior'`.
        place: &'static str,
        /// Name of the task.
        task: String,
        /// The task's classes, quoted.
        classes: String,
    },
    /// `COVERS` is empty or repeats a class.
    #[error("Incorrect COVERS: {0}")]
    Covers(String),
    /// The classes of a task are empty, repeated or malformed.
    #[error("Incorrect CLASSES: {0}")]
    Classes(String),
    /// The columns of a task are repeated or malformed.
    #[error("Incorrect INPUT: {0}")]
    Columns(String),
}

/// A value that the option does not take.
pub(crate) fn value_error(key: &'static str, reason: impl Into<String>) -> OptionError {
    OptionError::Value {
        key,
        reason: reason.into(),
    }
}

/// The value of an option, if it is given.
pub(crate) fn find<'a>(options: &'a [(String, OptionValue)], key: &str) -> Option<&'a OptionValue> {
    options
        .iter()
        .find(|(k, _)| k.eq_ignore_ascii_case(key))
        .map(|(_, v)| v)
}

/// Refuses options that do not exist.
pub(crate) fn check_keys(
    options: &[(String, OptionValue)],
    known: &[&str],
) -> Result<(), OptionError> {
    match options
        .iter()
        .find(|(k, _)| !known.iter().any(|n| n.eq_ignore_ascii_case(k)))
    {
        None => Ok(()),
        Some((key, _)) => Err(OptionError::Unknown {
            key: key.clone(),
            known: known.join(", "),
        }),
    }
}

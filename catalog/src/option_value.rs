//! Parsed options of statements, and their errors.

use thiserror::Error;

/// Value of an option as written.
#[derive(Debug, Clone, PartialEq)]
pub enum OptionValue {
    /// `0.5`, `-1`
    Number(f64),
    /// `'28x28'`
    Text(String),
    /// `NHWC`: a bare word
    Word(String),
    /// `FILE 'labels.txt'`: a file whose content is the value.
    File(String),
    /// `(0.1, 0.2, 0.3)`, `('a', 'b')`
    List(Vec<OptionValue>),
}

impl OptionValue {
    /// Content of a string or bare word.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(s) | Self::Word(s) => Some(s),
            _ => None,
        }
    }

    /// A number, possibly written in quotes.
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

/// An error in the options of a task or model; the text is for the statement's author.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum OptionError {
    /// An unknown option.
    #[error("Unknown option '{key}'; the options are {known}")]
    Unknown {
        /// The option as written.
        key: String,
        /// Names of the known options.
        known: String,
    },
    /// A required option is missing.
    #[error("Option '{key}' is missing: {hint}")]
    Missing {
        /// Name of the option.
        key: &'static str,
        /// How to set it.
        hint: &'static str,
    },
    /// An invalid value of an option.
    #[error("Incorrect value of option '{key}': {reason}")]
    Value {
        /// Name of the option.
        key: &'static str,
        /// The problem, and valid values.
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

/// An invalid value of an option.
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

/// Rejects unknown options.
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

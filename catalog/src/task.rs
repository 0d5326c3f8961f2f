//! A task: a question that models answer with one of its classes or with a number.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use crate::answer_shape::AnswerShape;
use crate::constraints::TaskConstraints;
use crate::option_value::OptionError;

/// Names rejected by `CREATE TASK` and `CREATE MODEL`, since functions of that name exist or are
/// planned.
const RESERVED_NAMES: [&str; 5] = ["predict", "predict_proba", "has", "count", "detect"];

/// Maximum length of a task or model name, in characters; a task's name is also the name of a
/// stored function, which the store limits to 64.
pub const NAME_CHARS_MAX: usize = 60;

/// Maximum length of a class name, in characters: the typed stub returns VARCHAR(255).
pub const CLASS_CHARS_MAX: usize = 255;

/// Maximum classes of one task: including NULL, they are counted in 16 bits.
pub const CLASSES_MAX: usize = 65_535;

/// Maximum columns of one task.
pub const COLUMNS_MAX: usize = 1000;

/// Maximum length of a column name, in characters: the store's limit for names of parameters.
const COLUMN_CHARS_MAX: usize = 64;

/// Kind of a task's answers. Its text form is that of `CREATE TASK`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum TaskKind {
    /// One class per input.
    Classification,
    /// A number per input.
    Regression,
}

impl TaskKind {
    /// Name in `CREATE TASK`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// All kinds, in the order used by messages.
    pub fn all() -> &'static [Self] {
        Self::VARIANTS
    }

    /// Shape of its answers.
    pub fn answer_shape(self) -> AnswerShape {
        match self {
            Self::Classification => AnswerShape::Label,
            Self::Regression => AnswerShape::Value,
        }
    }
}

impl FromStr for TaskKind {
    type Err = UnknownText;

    fn from_str(text: &str) -> Result<Self, UnknownText> {
        let mut kinds = Self::all().iter().copied();
        kinds.find(|kind| kind.as_str() == text).ok_or(UnknownText)
    }
}

/// Input of a task. Its text form is that of `CREATE TASK`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskInput {
    /// One image: a path or URI in a string, or the encoded bytes in a BLOB.
    Image,
    /// A value for each of these columns, at least one.
    Columns(Vec<Column>),
}

impl fmt::Display for TaskInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image => f.write_str("IMAGE"),
            Self::Columns(columns) => {
                for (i, column) in columns.iter().enumerate() {
                    let before = if i == 0 { "(" } else { ", " };
                    write!(f, "{before}`{}` {}", column.name, column.kind.as_str())?;
                }
                f.write_str(")")
            }
        }
    }
}

impl FromStr for TaskInput {
    type Err = UnknownText;

    /// Parses the output of [`TaskInput`]'s `Display`.
    fn from_str(text: &str) -> Result<Self, UnknownText> {
        if text == "IMAGE" {
            return Ok(Self::Image);
        }
        let inner = text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
        let column = |text: &str| {
            let (name, kind) = text.strip_prefix('`')?.split_once("` ")?;
            let kind = ColumnKind::from_word(kind)?;
            let name = name.to_owned();
            Some(Column { name, kind })
        };
        let columns = inner.ok_or(UnknownText)?.split(", ").map(column);
        let columns: Vec<Column> = columns.collect::<Option<_>>().ok_or(UnknownText)?;
        check_columns(&columns).map_err(|_| UnknownText)?;
        Ok(Self::Columns(columns))
    }
}

/// A text that this version of the program does not support; a newer one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not understood")]
pub struct UnknownText;

/// A column of a task's input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name as written; also the name of the typed stub's parameter.
    pub name: String,
    /// Its type.
    pub kind: ColumnKind,
}

/// Type of a column of a task's input. Values of other types are converted by the store.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum ColumnKind {
    /// A finite 64-bit number.
    Double,
    /// Text of any length.
    Varchar,
}

impl ColumnKind {
    /// Name in `CREATE TASK`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The type with this name, ignoring case.
    pub fn from_word(word: &str) -> Option<Self> {
        let mut kinds = Self::VARIANTS.iter().copied();
        kinds.find(|kind| kind.as_str().eq_ignore_ascii_case(word))
    }
}

/// A task of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Lower-case name, unique among tasks and models; also the name of its typed stub.
    pub name: String,
    /// Kind of answer.
    pub kind: TaskKind,
    /// Kind of input.
    pub input: TaskInput,
    /// Class names in the order of creation, distinct and never empty. Empty if answers have no
    /// classes ([`AnswerShape::has_classes`]).
    pub classes: Vec<String>,
    /// How far the default plan's accuracy may be below that of the best single model, in points
    /// (0..=100).
    pub accuracy_slack_points: f64,
    /// Constraints on plans, unless a statement overrides them.
    pub constraints: TaskConstraints,
    /// Where its images may be read, paths and URIs as given; the first is that of relative
    /// locations. Empty: wherever a proxy reads images.
    #[serde(default)]
    pub image_roots: Vec<String>,
    /// Incremented by each change of the meaning of its answers; not by changes of options.
    pub version: u32,
}

impl Task {
    /// Index of `class` in [`Task::classes`]. Class names are compared byte by byte.
    pub fn class_index(&self, class: &str) -> Option<usize> {
        self.classes.iter().position(|c| c == class)
    }

    /// Shape of its answers.
    pub fn answer_shape(&self) -> AnswerShape {
        self.kind.answer_shape()
    }

    /// Number of distinct answers, including NULL; `None` if unlimited.
    pub fn outcomes(&self) -> Option<usize> {
        self.answer_shape().outcomes(self.classes.len())
    }

    /// Clause for users: the task has no classes.
    pub fn without_classes(&self) -> String {
        let kind = self.kind.as_str().to_ascii_lowercase();
        format!("task '{}' is a {kind} and has no classes", self.name)
    }

    /// Columns of its input; empty for an image.
    pub fn columns(&self) -> &[Column] {
        match &self.input {
            TaskInput::Image => &[],
            TaskInput::Columns(columns) => columns,
        }
    }

    /// Number of input arguments of a call.
    pub fn input_arguments(&self) -> usize {
        match &self.input {
            TaskInput::Image => 1,
            TaskInput::Columns(columns) => columns.len(),
        }
    }
}

/// Whether `name` is not allowed for a task or model.
pub fn is_reserved_name(name: &str) -> bool {
    RESERVED_NAMES.iter().any(|r| r.eq_ignore_ascii_case(name))
}

/// Checks a task or model name: letters, digits and `_`, not starting with a digit, at most
/// [`NAME_CHARS_MAX`] characters, not reserved. The error is a clause for users.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    let mut chars = name.chars();
    match chars.next() {
        None => return Err("is empty"),
        Some(c) if c.is_ascii_alphabetic() || c == '_' => {}
        Some(_) => return Err("must start with a letter or '_'"),
    }
    if !chars.all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err("may hold only letters, digits and '_'");
    }
    if name.len() > NAME_CHARS_MAX {
        return Err("is longer than 60 characters");
    }
    if is_reserved_name(name) {
        return Err("is reserved");
    }
    Ok(())
}

/// Checks the classes of a new task: none if its answers have no classes
/// ([`AnswerShape::has_classes`]), otherwise at least one, distinct, each 1 to [`CLASS_CHARS_MAX`]
/// characters without control characters and without leading or trailing spaces (which comparisons
/// in the store would ignore).
pub fn check_classes(kind: TaskKind, classes: &[String]) -> Result<(), OptionError> {
    let wrong = |reason: String| Err(OptionError::Classes(reason));
    if !kind.answer_shape().has_classes() {
        return match classes {
            [] => Ok(()),
            [_, ..] => wrong(format!("a task of KIND {} has none", kind.as_str())),
        };
    }
    if classes.is_empty() || classes.len() > CLASSES_MAX {
        return wrong(format!("a task has 1 to {CLASSES_MAX} classes"));
    }
    let mut seen = std::collections::HashSet::new();
    for class in classes {
        if class.is_empty() || class.chars().count() > CLASS_CHARS_MAX {
            return wrong(format!("a class has 1 to {CLASS_CHARS_MAX} characters"));
        }
        if class.trim() != class || class.chars().any(char::is_control) {
            return wrong(format!(
                "class '{}' begins or ends with a space or holds a control character",
                class.escape_debug()
            ));
        }
        if !seen.insert(class) {
            return wrong(format!("class '{class}' is named twice"));
        }
    }
    Ok(())
}

/// Checks the columns of a new task: 1 to [`COLUMNS_MAX`], with distinct names of letters, digits
/// and `_`.
pub fn check_columns(columns: &[Column]) -> Result<(), OptionError> {
    let wrong = |reason: String| Err(OptionError::Columns(reason));
    if columns.is_empty() || columns.len() > COLUMNS_MAX {
        return wrong(format!("a task has 1 to {COLUMNS_MAX} columns"));
    }
    let mut seen = std::collections::HashSet::new();
    for Column { name, .. } in columns {
        let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
        let fits = name.starts_with(starts)
            && name.len() <= COLUMN_CHARS_MAX
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fits {
            return wrong(format!(
                "column '{}' is not of 1 to {COLUMN_CHARS_MAX} letters, digits and '_', the first \
                 not a digit",
                name.escape_debug()
            ));
        }
        if !seen.insert(name.to_ascii_lowercase()) {
            return wrong(format!("column '{name}' is named twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_read_as_they_are_written() {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        let columns = vec![
            column("Sepal_length", ColumnKind::Double),
            column("count", ColumnKind::Varchar),
        ];
        for input in [TaskInput::Image, TaskInput::Columns(columns)] {
            assert_eq!(input.to_string().parse(), Ok(input));
        }
        let two = vec![
            column("a", ColumnKind::Double),
            column("A", ColumnKind::Double),
        ];
        assert!(check_columns(&two).is_err());
        for bad in [
            "",
            "()",
            "(`a` FLOAT)",
            "(`a`DOUBLE)",
            "(`1` DOUBLE)",
            "IMAGES",
        ] {
            assert_eq!(bad.parse::<TaskInput>(), Err(UnknownText), "{bad}");
        }
    }

    #[test]
    fn classes_are_distinct_and_visible() {
        let classes = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        let check_classes = |names: &[String]| check_classes(TaskKind::Classification, names);
        assert!(check_classes(&classes(&["cat", "Cat", "Katze (groß)"])).is_ok());
        for bad in [
            &[][..],
            &["a", "a"],
            &[""],
            &["a "],
            &["a\nb"],
            &[&"x".repeat(256)],
        ] {
            assert!(check_classes(&classes(bad)).is_err(), "{bad:?}");
        }
        assert!(super::check_classes(TaskKind::Regression, &classes(&["a"])).is_err());
        assert!(super::check_classes(TaskKind::Regression, &[]).is_ok());
    }

    #[test]
    fn names() {
        assert_eq!(check_name("animals_2"), Ok(()));
        assert!(check_name("2animals").is_err());
        assert!(check_name("a-b").is_err());
        assert!(check_name("").is_err());
        assert!(check_name(&"a".repeat(61)).is_err());
        assert_eq!(check_name("Predict"), Err("is reserved"));
    }
}

//! A task: a question that models answer, with its finite set of classes.

use serde::{Deserialize, Serialize};

use crate::OptionError;

/// Names that `CREATE TASK` and `CREATE MODEL` refuse, since functions of that name exist or will.
const RESERVED_NAMES: [&str; 5] = ["predict", "predict_proba", "has", "count", "detect"];

/// Longest task or model name, in characters; a task's name is also a stored function's name,
/// which the store limits to 64.
pub const NAME_CHARS_MAX: usize = 60;

/// Longest class name, in characters: the typed stub returns VARCHAR(255).
pub const CLASS_CHARS_MAX: usize = 255;

/// Most classes of one task: with NULL they are counted in 16 bits.
pub const CLASSES_MAX: usize = 65_535;

/// What kind of answer a task asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskKind {
    /// One class per input.
    Classification,
}

/// What a task looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskInput {
    /// One image: a path or URI in a string, or the encoded bytes in a BLOB.
    Image,
}

/// A task of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Lower-case name, unique among tasks and models; also the name of its typed stub.
    pub name: String,
    /// Kind of answer.
    pub kind: TaskKind,
    /// What it looks at.
    pub input: TaskInput,
    /// Class names in the order of creation, distinct and never empty.
    pub classes: Vec<String>,
    /// How far below the best single model's accuracy the default plan may be, in points (0..=100).
    pub accuracy_slack_points: f64,
    /// Grows by one with each change of the task.
    pub version: u32,
}

impl Task {
    /// Position of `class` in [`Task::classes`]. Class names compare byte for byte.
    pub fn class_index(&self, class: &str) -> Option<usize> {
        self.classes.iter().position(|c| c == class)
    }
}

/// Whether `name` cannot be given to a task or model.
pub fn is_reserved_name(name: &str) -> bool {
    RESERVED_NAMES.iter().any(|r| r.eq_ignore_ascii_case(name))
}

/// Checks a task or model name: letters, digits and `_`, not starting with a digit, at most
/// [`NAME_CHARS_MAX`] characters, not reserved. The error is a clause for a user's eyes.
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

/// Checks the classes of a new task: at least one, distinct, each 1 to [`CLASS_CHARS_MAX`]
/// characters without control characters and without spaces at its ends (comparisons in the store
/// would not see them).
pub fn check_classes(classes: &[String]) -> Result<(), OptionError> {
    let wrong = |reason: String| Err(OptionError::Classes(reason));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_distinct_and_visible() {
        let classes = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
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

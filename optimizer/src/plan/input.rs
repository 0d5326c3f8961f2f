//! What the inputs of predictions are, by the store's description of their expressions.

use predictsql_catalog::{Column as TaskColumn, ColumnKind};

use crate::exchange::Column;
use crate::refusal::Refusal;
use crate::sql::key::ColumnsKey;

/// What an input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// The location of an image.
    Location,
    /// The bytes of an image.
    Bytes,
    /// A parameter: only the result's own column says which of the two it is.
    Bound,
    /// Values of a task's columns, fetched as such a key.
    Columns(ColumnsKey),
}

impl InputKind {
    /// An image as its expression is described; `text` is the expression. It must be text (a
    /// location) or bytes.
    ///
    /// # Errors
    /// It is neither.
    pub fn of_image(described: &Column, text: &str) -> Result<Self, Refusal> {
        if !described.is_string {
            return Err(Refusal::argument(
                "the predict call",
                format_args!(
                    "the input {text} is neither text (a path or URI) nor bytes (an image)"
                ),
            ));
        }
        Ok(Self::of_string(described.is_binary))
    }

    /// An image in a column of strings, which is one of bytes or of text.
    pub fn of_string(is_binary: bool) -> Self {
        match is_binary {
            true => Self::Bytes,
            false => Self::Location,
        }
    }
}

/// The most bytes of an image that the store is asked for, where the expression `described` so may
/// have more; a byte of it has `growth` bytes in UTF-8 at most. The store's length of a variable
/// is not to be believed: it describes a variable as MEDIUMTEXT at most.
pub fn bytes_asked(described: &Column, growth: u64, bytes_max: u64) -> Option<u64> {
    const BELIEVED_BELOW: u64 = (1 << 24) - 1;
    let length = u64::from(described.length).saturating_mul(growth);
    (length > bytes_max || length >= BELIEVED_BELOW).then_some(bytes_max)
}

/// How the key of a task's columns is made of arguments that are `described` so. A text for a
/// number is an error of the store where the session is `strict`.
pub fn columns_key(columns: &[TaskColumn], described: &[Column], strict: bool) -> ColumnsKey {
    let is_checked = |(_, (column, argument)): &(usize, (&TaskColumn, &Column))| {
        strict && column.kind == ColumnKind::Double && argument.is_string
    };
    let arguments = columns.iter().zip(described).enumerate();
    let checked = arguments.filter(is_checked).map(|(place, _)| place);
    ColumnsKey {
        checked: checked.collect(),
    }
}

//! Kinds of prediction inputs, from the store's description of their expressions.

use predictsql_catalog::{Column as TaskColumn, ColumnKind};

use crate::exchange::Column;
use crate::refusal::Refusal;
use crate::sql::key::ColumnsKey;

/// The kind of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputKind {
    /// The location of an image.
    Location,
    /// The bytes of an image.
    Bytes,
    /// A parameter: only the result's column tells whether it is text or bytes.
    Bound,
    /// Values of a task's columns, fetched as a single key.
    Columns(ColumnsKey),
}

impl InputKind {
    /// The kind of an image input whose expression `text` has the type `described`: text (a
    /// location) or bytes.
    ///
    /// # Errors
    /// The expression is neither text nor bytes.
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

    /// The kind of an image in a string column: bytes if the column is binary, else a location.
    pub fn of_string(is_binary: bool) -> Self {
        match is_binary {
            true => Self::Bytes,
            false => Self::Location,
        }
    }
}

/// Maximum number of bytes of an image to request from the store, where the expression `described`
/// may be longer; one byte of it takes at most `growth` bytes in UTF-8. The length the store
/// reports for a variable is unreliable: it is MEDIUMTEXT at most.
pub fn bytes_asked(described: &Column, growth: u64, bytes_max: u64) -> Option<u64> {
    const BELIEVED_BELOW: u64 = (1 << 24) - 1;
    let length = u64::from(described.length).saturating_mul(growth);
    (length > bytes_max || length >= BELIEVED_BELOW).then_some(bytes_max)
}

/// How the key of a task's columns is built from arguments of the types `described`. In a `strict`
/// session, a text passed for a number is an error of the store.
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

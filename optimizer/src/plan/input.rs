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
    /// location) or bytes. `literals_binary`: string literals are described as bytes.
    ///
    /// # Errors
    /// The expression is neither text nor bytes.
    pub fn of_image(
        described: &Column,
        text: &str,
        literals_binary: bool,
    ) -> Result<Self, Refusal> {
        if !described.is_string {
            return Err(Refusal::argument(
                "the predict call",
                format_args!(
                    "the input {text} is neither text (a path or URI) nor bytes (an image)"
                ),
            ));
        }
        let is_location = literals_binary && is_literal_location(text);
        Ok(Self::of_string(described.is_binary && !is_location))
    }

    /// The kind of an image in a string column: bytes if the column is binary, else a location.
    pub fn of_string(is_binary: bool) -> Self {
        match is_binary {
            true => Self::Bytes,
            false => Self::Location,
        }
    }
}

/// Whether an expression is a string literal that may be a location, and no image: all of it is
/// printable, and none is escaped.
fn is_literal_location(text: &str) -> bool {
    let text = text.trim();
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    let content = quoted('\'').or_else(|| quoted('"'));
    let is_plain = |c: char| !c.is_control() && !matches!(c, '\'' | '"' | '\\');
    content.is_some_and(|content| content.chars().all(is_plain))
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::exchange::Layout;

    #[test]
    fn a_literal_of_a_binary_session_may_be_a_location() {
        let bytes = Column {
            name: String::new(),
            layout: Layout::String,
            is_string: true,
            is_binary: true,
            length: 9,
        };
        let kind =
            |text, literals_binary| InputKind::of_image(&bytes, text, literals_binary).unwrap();
        assert_eq!(kind("'red.png'", true), InputKind::Location);
        assert_eq!(kind(" \"fotos/\u{e9}.png\" ", true), InputKind::Location);
        assert_eq!(kind("'red.png'", false), InputKind::Bytes);
        for bytes in [
            "_binary'red.png'",
            "photo",
            "'a' 'b'",
            r"'\0'",
            "'\u{89}PNG'",
            "x'41'",
            "'",
        ] {
            assert_eq!(kind(bytes, true), InputKind::Bytes, "{bytes}");
        }
    }
}

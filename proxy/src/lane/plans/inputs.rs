//! What the inputs of predictions are: images by location or as bytes, or the values of columns; and
//! how they are read from cells of the store.

use bytes::Bytes;
use predictsql_catalog::{Column, ColumnKind};
use predictsql_executor::{ColumnValue, Input};
use predictsql_optimizer::{ColumnsKey, TOO_LONG_MARK};

use crate::error::{ErrorKind, SqlError};
use crate::lane::store::rows::is_string;
use crate::wire::{ColumnDefinition, Malformed};

/// Collation id of bytes: a column of it holds the image itself.
const BINARY: u16 = 63;

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
    /// An image as its expression is described; `text` is the expression. It must be text (a location)
    /// or bytes.
    pub fn of_image(described: &ColumnDefinition, text: &str) -> Result<Self, SqlError> {
        if !is_string(described.column_type) {
            return Err(SqlError::new(
                ErrorKind::WrongArguments,
                format!(
                    "Incorrect arguments to the predict call: the input {text} is neither text (a path or URI) nor bytes (an image)"
                ),
            ));
        }
        Ok(Self::of_string(described))
    }

    /// An image in a column of strings.
    pub fn of_string(column: &ColumnDefinition) -> Self {
        match column.charset == BINARY {
            true => Self::Bytes,
            false => Self::Location,
        }
    }

    /// Reads an input from a cell's string; `columns` are the task's. An image has at most `bytes_max` bytes.
    pub fn read(
        &self,
        columns: &[Column],
        value: Option<Bytes>,
        bytes_max: u64,
    ) -> Result<Input, Malformed> {
        let Some(value) = value else {
            return Ok(Input::Null);
        };
        let is_image = !matches!(self, Self::Columns(_));
        if let (true, Some(bytes)) = (is_image, marked_length(&value)) {
            return Ok(Input::TooLarge { bytes, bytes_max });
        }
        Ok(match self {
            Self::Columns(_) => Input::Columns(values(&value, columns)?.into()),
            // Drivers bind bytes as text, so that only their content tells them from a location.
            Self::Location | Self::Bound if may_be_location(&value) => Input::Location(value),
            _ => Input::Image(value),
        })
    }
}

/// The most bytes of an image that the store is asked for, where the expression `described` so may have more.
/// What the store says of a variable's length is not to be believed; it describes it as MEDIUMTEXT at most.
pub fn bytes_asked(described: &ColumnDefinition, growth: u64, bytes_max: u64) -> Option<u64> {
    const BELIEVED_BELOW: u64 = (1 << 24) - 1;
    let length = u64::from(described.length).saturating_mul(growth);
    (length > bytes_max || length >= BELIEVED_BELOW).then_some(bytes_max)
}

/// The length of a value that the store did not send.
fn marked_length(value: &[u8]) -> Option<u64> {
    let digits = value.strip_prefix(TOO_LONG_MARK.as_bytes())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// How the key of a task's columns is made of arguments that are `described` so. A text for a number
/// is an error of the store where the session is `strict`.
pub fn columns_key(columns: &[Column], described: &[ColumnDefinition], strict: bool) -> ColumnsKey {
    let is_checked = |(_, (column, argument)): &(usize, (&Column, &ColumnDefinition))| {
        strict && column.kind == ColumnKind::Double && is_string(argument.column_type)
    };
    let arguments = columns.iter().zip(described).enumerate();
    let checked = arguments.filter(is_checked).map(|(place, _)| place);
    ColumnsKey {
        checked: checked.collect(),
    }
}

/// The values that a key of columns says: each followed by a comma, text in hexadecimal.
fn values(key: &[u8], columns: &[Column]) -> Result<Vec<ColumnValue>, Malformed> {
    let wrong = Malformed("a key of columns does not say their values");
    let mut rest = key;
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        let end = memchr::memchr(b',', rest).ok_or(wrong)?;
        let (value, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        values.push(match column.kind {
            ColumnKind::Double => {
                let digits = std::str::from_utf8(value).map_err(|_| wrong)?;
                ColumnValue::Number(digits.parse().map_err(|_| wrong)?)
            }
            ColumnKind::Varchar => ColumnValue::Text(unhex(value).ok_or(wrong)?),
        });
    }
    match rest.is_empty() {
        true => Ok(values),
        false => Err(wrong),
    }
}

fn unhex(digits: &[u8]) -> Option<Bytes> {
    let nibble = |digit: &u8| (*digit as char).to_digit(16);
    let byte = |pair: &[u8]| {
        let [high, low] = pair else { return None };
        u8::try_from(nibble(high)? << 4 | nibble(low)?).ok()
    };
    digits.chunks(2).map(byte).collect()
}

/// The text by which a warning names an input.
pub fn short_name(input: &Input) -> String {
    const CHARS_MAX: usize = 200;
    match input {
        Input::Location(location) => {
            let text = String::from_utf8_lossy(location);
            let mut name: String = text.chars().take(CHARS_MAX).collect();
            if name.len() < text.len() {
                name.push_str("...");
            }
            format!("'{name}'")
        }
        Input::Image(bytes) => format!("of {} bytes", bytes.len()),
        Input::TooLarge { bytes, .. } => format!("of {bytes} bytes"),
        Input::Null | Input::Columns(_) => "of an earlier row".to_owned(),
    }
}

/// Text without NUL bytes: every path and URI is, and no image file of any format.
fn may_be_location(bytes: &[u8]) -> bool {
    memchr::memchr(0, bytes).is_none() && std::str::from_utf8(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn columns() -> [Column; 3] {
        let column = |name: &str, kind| Column {
            name: name.to_owned(),
            kind,
        };
        [
            column("a", ColumnKind::Double),
            column("b", ColumnKind::Varchar),
            column("c", ColumnKind::Double),
        ]
    }

    #[test]
    fn a_value_that_was_not_sent_says_its_length() {
        let read = |kind: &InputKind, value: &[u8]| {
            let value = Some(Bytes::copy_from_slice(value));
            kind.read(&[], value, 100).unwrap()
        };
        let marked = format!("{TOO_LONG_MARK}209715200");
        for kind in [InputKind::Location, InputKind::Bytes, InputKind::Bound] {
            let expected = Input::TooLarge {
                bytes: 209_715_200,
                bytes_max: 100,
            };
            assert_eq!(read(&kind, marked.as_bytes()), expected);
            assert_eq!(short_name(&expected), "of 209715200 bytes");
            let unmarked = read(&kind, format!("{marked}x").as_bytes());
            assert!(!matches!(unmarked, Input::TooLarge { .. }), "{kind:?}");
        }
    }

    #[test]
    fn values_are_read_from_keys() {
        assert_eq!(
            values(b"-1.5e-300,C3A42C,0.1,", &columns()).unwrap(),
            [
                ColumnValue::Number(-1.5e-300),
                ColumnValue::Text(Bytes::from("ä,")),
                ColumnValue::Number(0.1),
            ]
        );
        let empty = values(b"1,,2,", &columns()).unwrap();
        assert_eq!(empty.get(1), Some(&ColumnValue::Text(Bytes::new())));
        for wrong in [&b""[..], b"1,,2", b"1,,2,3", b"1,4,2,", b"x,,2,", b"1,,2,,"] {
            assert!(values(wrong, &columns()).is_err(), "{wrong:?}");
        }
    }
}

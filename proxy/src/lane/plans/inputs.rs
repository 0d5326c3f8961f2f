//! Decodes the inputs of predictions from the store's cells.

use bytes::Bytes;
use predictsql_catalog::{Column, ColumnKind};
use predictsql_executor::{ColumnValue, Input};
use predictsql_optimizer::TOO_LONG_MARK;
use predictsql_optimizer::plan::InputKind;

use crate::wire::Malformed;

/// Decodes an input of `kind` from a cell's string; `None` is NULL. `columns` are the task's input
/// columns, `bytes_max` is the limit that a too large image is reported with.
pub fn read_input(
    kind: &InputKind,
    columns: &[Column],
    value: Option<Bytes>,
    bytes_max: u64,
) -> Result<Input, Malformed> {
    let Some(value) = value else {
        return Ok(Input::Null);
    };
    let is_image = !matches!(kind, InputKind::Columns(_));
    if let (true, Some(bytes)) = (is_image, marked_length(&value)) {
        return Ok(Input::TooLarge { bytes, bytes_max });
    }
    Ok(match kind {
        InputKind::Columns(_) => Input::Columns(values(&value, columns)?.into()),
        // Drivers may bind binary data as text: only the content distinguishes it from a location.
        InputKind::Location | InputKind::Bound if may_be_location(&value) => Input::Location(value),
        InputKind::Location | InputKind::Bound | InputKind::Bytes => Input::Image(value),
    })
}

/// The length in bytes of a value that the store did not send because it is too long.
fn marked_length(value: &[u8]) -> Option<u64> {
    let digits = value.strip_prefix(TOO_LONG_MARK.as_bytes())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Decodes the key of an input over columns: each value is followed by a comma, text is in
/// hexadecimal.
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
            ColumnKind::Varchar => ColumnValue::Text(hex::decode(value).map_err(|_| wrong)?.into()),
        });
    }
    match rest.is_empty() {
        true => Ok(values),
        false => Err(wrong),
    }
}

/// The noun phrase for an input in a warning; long texts are cut.
pub fn short_name(input: &Input) -> String {
    match input {
        Input::Location(location) => format!("Image {}", short_text(location)),
        Input::Image(bytes) => format!("Image of {} bytes", bytes.len()),
        Input::TooLarge { bytes, .. } => format!("Image of {bytes} bytes"),
        Input::Null => UNNAMED.to_owned(),
        Input::Columns(values) => {
            let shown = |value: &ColumnValue| match value {
                ColumnValue::Null => "NULL".to_owned(),
                ColumnValue::Number(number) => number.to_string(),
                ColumnValue::Text(text) => short_text(text),
            };
            const VALUES_MAX: usize = 8;
            let mut texts: Vec<String> = values.iter().take(VALUES_MAX).map(shown).collect();
            if values.len() > VALUES_MAX {
                texts.push("...".to_owned());
            }
            format!("Input ({})", texts.join(", "))
        }
    }
}

/// The noun phrase for an input that is not at hand any more.
pub const UNNAMED: &str = "Image of an earlier row";

fn short_text(bytes: &[u8]) -> String {
    const CHARS_MAX: usize = 200;
    let text = String::from_utf8_lossy(bytes);
    let mut name: String = text.chars().take(CHARS_MAX).collect();
    if name.len() < text.len() {
        name.push_str("...");
    }
    format!("'{name}'")
}

/// Whether the bytes are UTF-8 text without NUL: true for every path and URI, false for every
/// image file format.
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
            read_input(kind, &[], value, 100).unwrap()
        };
        let marked = format!("{TOO_LONG_MARK}209715200");
        for kind in [InputKind::Location, InputKind::Bytes, InputKind::Bound] {
            let expected = Input::TooLarge {
                bytes: 209_715_200,
                bytes_max: 100,
            };
            assert_eq!(read(&kind, marked.as_bytes()), expected);
            assert_eq!(short_name(&expected), "Image of 209715200 bytes");
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

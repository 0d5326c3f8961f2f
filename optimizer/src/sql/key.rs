//! Key expressions for inputs: the store evaluates them to the same bytes for equal inputs, and to
//! different bytes for different inputs.
//!
//! The key of an input over columns is a text that contains the input: each argument as a number's
//! shortest digits or as a text's bytes in hexadecimal, followed by a comma. It is NULL if an
//! argument is NULL. Arguments are converted like parameters of the typed stub.

use predictsql_catalog::{Column, ColumnKind, Task};

use super::calls::stub_name;
use super::fragment::{Fragment, quote_string};

/// Regular expression for texts that the store converts to a number completely. It has no
/// backslashes, whose meaning depends on the session.
const NUMBER: &str =
    "^[[:space:]]*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?[[:space:]]*$";

/// The largest DOUBLE, to which the store converts values out of range.
const NUMBER_MAX: &str = "1.7976931348623157e308";

/// Key encoding of an input over columns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnsKey {
    /// Indexes of arguments that must be numbers but may be other text. The store raises an error
    /// for such text in a function argument; for these values the key calls the typed stub, which
    /// raises it.
    pub checked: Vec<usize>,
}

impl ColumnsKey {
    /// The key of `arguments`, one per column of the task, as text.
    pub(crate) fn text(&self, task: &Task, arguments: &[Fragment], schema: &str) -> Fragment {
        let mut key = Fragment::plain("CONCAT(");
        for (place, argument) in arguments.iter().enumerate() {
            let column = task.columns().get(place);
            let part = match column.map(|c| c.kind) {
                Some(ColumnKind::Double)
                    if self.checked.contains(&place) && !is_number_of_bits(&argument.sql) =>
                {
                    checked_number(argument, &stub_call(task, schema, place, argument))
                }
                Some(ColumnKind::Double) => number(argument),
                _ => text(argument),
            };
            key.push(if place == 0 { "" } else { ", " })
                .push_fragment(&part)
                .push(", ','");
        }
        key.push(")");
        key
    }

    /// Maximum key length in bytes, from the maximum UTF-8 length of each text argument.
    pub fn bytes_max(columns: &[Column], text_bytes: &[u64]) -> u64 {
        /// A number: sign, 17 digits, point, and an exponent of five characters.
        const NUMBER_BYTES: u64 = 24;
        let bytes = columns.iter().zip(text_bytes).map(|(column, bytes)| {
            1 + match column.kind {
                ColumnKind::Double => NUMBER_BYTES,
                ColumnKind::Varchar => bytes.saturating_mul(2),
            }
        });
        bytes.fold(0, u64::saturating_add)
    }
}

/// Prefix of the text that replaces a value that is too long ([`within`]); the value's length in
/// bytes follows. It is a URI with an unused scheme, and not an image: an input that equals it
/// cannot be read either.
pub const TOO_LONG_MARK: &str = "ml-too-long://";

/// A string of at most `bytes_max` bytes unchanged, a longer one as [`TOO_LONG_MARK`] and its
/// length. Evaluates the value twice.
pub(crate) fn within(value: &Fragment, bytes_max: u64) -> Fragment {
    let mut out = wrapped(
        "IF(OCTET_LENGTH(",
        value,
        &format!(") > {bytes_max}, CONCAT("),
    );
    out.push(&quote_string(TOO_LONG_MARK))
        .push(", OCTET_LENGTH(")
        .push_fragment(value)
        .push(")), ")
        .push_fragment(value)
        .push(")");
    out
}

/// The bytes of a text in UTF-8.
pub(crate) fn utf8_bytes(text: &Fragment) -> Fragment {
    wrapped("CAST(CONVERT((", text, ") USING utf8mb4) AS BINARY)")
}

pub(crate) fn wrapped(before: &str, inner: &Fragment, after: &str) -> Fragment {
    let mut out = Fragment::plain(before);
    out.push_fragment(inner).push(after);
    out
}

fn text(argument: &Fragment) -> Fragment {
    wrapped("HEX(CONVERT((", argument, ") USING utf8mb4))")
}

/// Whether an argument is a literal `b'101'`, `0b101` or `0x1F`. The store describes these as
/// strings, but where a number is due they are numbers. (`x'1F'` is a string.)
fn is_number_of_bits(argument: &str) -> bool {
    let mut literal = argument.trim();
    while let Some(inner) = literal.strip_prefix('(').and_then(|l| l.strip_suffix(')')) {
        literal = inner.trim();
    }
    let digits = |text: &str, is_digit: fn(&char) -> bool| text.chars().all(|c| is_digit(&c));
    let is_bit = |c: &char| matches!(c, '0' | '1');
    match (literal.split_at_checked(2), literal.strip_suffix('\'')) {
        (Some(("0x", rest)), _) => digits(rest, char::is_ascii_hexdigit),
        (Some(("0b", rest)), _) => digits(rest, is_bit),
        (Some(("b'" | "B'", _)), Some(quoted)) => {
            quoted.get(2..).is_some_and(|text| digits(text, is_bit))
        }
        _ => false,
    }
}

fn number(argument: &Fragment) -> Fragment {
    wrapped("CAST((", argument, ") AS DOUBLE)")
}

fn checked_number(argument: &Fragment, stub: &Fragment) -> Fragment {
    let number = number(argument);
    let mut key = wrapped("IF((", argument, ") IS NULL OR (");
    key.push_fragment(argument)
        .push(&format!(") REGEXP '{NUMBER}' AND ABS("))
        .push_fragment(&number)
        .push(&format!(") < {NUMBER_MAX}, "))
        .push_fragment(&number)
        .push(", ")
        .push_fragment(&wrapped("CAST(", stub, " AS DOUBLE))"));
    key
}

/// A call of the task's typed stub with one argument at its position and NULL at the others.
fn stub_call(task: &Task, schema: &str, place: usize, argument: &Fragment) -> Fragment {
    let mut call = Fragment::plain(stub_name(schema, task));
    for i in 0..task.input_arguments() {
        call.push(if i == 0 { "(" } else { ", " });
        match i == place {
            true => call.push_fragment(argument),
            false => call.push("NULL"),
        };
    }
    call.push(")");
    call
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::columns_task;

    #[test]
    fn of_a_long_value_its_length_is_asked() {
        let mark = "_utf8mb4 X'6D6C2D746F6F2D6C6F6E673A2F2F'";
        assert_eq!(
            within(&Fragment::plain("p.photo"), 99).sql,
            format!(
                "IF(OCTET_LENGTH(p.photo) > 99, CONCAT({mark}, OCTET_LENGTH(p.photo)), p.photo)"
            )
        );
    }

    #[test]
    fn literals_of_bits_are_numbers() {
        for literal in ["b'0'", "B'101'", "0b1", "0x1F", " ( (b'1') ) ", "b''"] {
            assert!(is_number_of_bits(literal), "{literal}");
        }
        for other in [
            "x'1F'",
            "b",
            "'1'",
            "_binary'1'",
            "0x1F + ''",
            "b'1' b'",
            "b'",
            "0xg",
            "'b'",
        ] {
            assert!(!is_number_of_bits(other), "{other}");
        }
    }

    #[test]
    fn a_key_says_each_argument_once() {
        let task = columns_task();
        let arguments = [Fragment::plain("x + 1"), Fragment::plain("'y'")];
        let key = ColumnsKey::default();
        assert_eq!(
            key.text(&task, &arguments, "ml").sql,
            "CONCAT(CAST((x + 1) AS DOUBLE), ',', HEX(CONVERT(('y') USING utf8mb4)), ',')"
        );
        let checked = ColumnsKey { checked: vec![0] };
        let text = checked.text(&task, &arguments, "ml").sql;
        let raising = format!("CAST(`ml`.`{}`(x + 1, NULL) AS DOUBLE)", task.name);
        assert!(text.contains(&raising), "{text}");
        assert_eq!(ColumnsKey::bytes_max(task.columns(), &[0, 40]), 25 + 81);
    }
}

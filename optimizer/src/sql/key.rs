//! Keys of inputs: expressions that the store evaluates to the same bytes for the same input, and
//! to other bytes for another.
//!
//! The key of an input over columns is a text that says the input itself: each argument as a
//! number's shortest digits or a text's bytes in hexadecimal, and a comma after it. It is NULL
//! where an argument is. Arguments are converted as parameters of the typed stub would be.

use predictsql_catalog::{Column, ColumnKind, Task};

use super::calls::stub_name;
use super::fragment::{Fragment, quote_string};

/// What the store takes for a number and nothing else, as a regular expression without
/// backslashes, whose meaning depends on the session.
const NUMBER: &str =
    "^[[:space:]]*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?[[:space:]]*$";

/// The greatest number: what is out of range is converted to it.
const NUMBER_MAX: &str = "1.7976931348623157e308";

/// How the key of an input over columns is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnsKey {
    /// Positions of arguments that must be numbers and may be other texts, which is an error of
    /// the store where they are a function's argument: for these the typed stub is called,
    /// which raises it.
    pub checked: Vec<usize>,
}

impl ColumnsKey {
    /// The key of `arguments`, one for each column of the task, as text.
    pub(crate) fn text(&self, task: &Task, arguments: &[Fragment], schema: &str) -> Fragment {
        let mut key = Fragment::plain("CONCAT(");
        for (place, argument) in arguments.iter().enumerate() {
            let column = task.columns().get(place);
            let part = match column.map(|c| c.kind) {
                Some(ColumnKind::Double) if self.checked.contains(&place) => {
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

    /// Most bytes of a key, by those of each text argument in UTF-8.
    pub fn bytes_max(columns: &[Column], text_bytes: &[u64]) -> u64 {
        /// Of a number: sign, 17 digits, point, and an exponent of five characters.
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

/// The start of what the store sends in place of a value that is too long ([`within`]); the
/// value's length in bytes follows. It is a URI whose scheme nobody serves, and no image: a value
/// that says the same cannot be read either.
pub const TOO_LONG_MARK: &str = "ml-too-long://";

/// A string of up to `bytes_max` bytes as it is, a longer one as [`TOO_LONG_MARK`] and its length.
/// It is evaluated twice.
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

/// A text's bytes in UTF-8.
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

/// A call of the task's typed stub with one argument at its place and NULL at the others.
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

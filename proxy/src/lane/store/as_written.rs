//! What the store calls the columns of a statement as the client wrote it, where that cannot be
//! told from the text, and what the lane's own statements call otherwise.

use bytes::Bytes;
use predictsql_optimizer::statement::PredictStatement;

use crate::lane::store::error::LinkError;
use crate::lane::store::link::{StoreLink, UNPREPARABLE};
use crate::lane::store::questions::is_binary;
use crate::wire::ColumnDefinition;

/// A column of the client's statement.
#[derive(Debug)]
pub struct AsWritten {
    name: Option<Bytes>,
    /// Collation and length of a label, which stays text in a session whose results are binary.
    label: Option<(u16, u32)>,
}

/// The columns of a statement with this text, if any differs from what runs. `is_rewritten`: the
/// statement that runs has other texts in its select list.
pub async fn columns(
    store: &mut StoreLink<'_>,
    statement: &PredictStatement<'_>,
    text: &str,
    is_rewritten: bool,
) -> Result<Option<Vec<AsWritten>>, LinkError> {
    if statement.explain().is_some() {
        return Ok(None);
    }
    let names = is_rewritten || statement.has_unclear_names();
    let labels = match store.results_binary {
        true => statement.predicted_columns(),
        false => Vec::new(),
    };
    if !names && labels.is_empty() {
        return Ok(None);
    }
    let in_its_case = statement.with_schema_in_its_case();
    let described = in_its_case.as_deref().unwrap_or(text);
    let mut described = match store.describe_types(described).await {
        Err(LinkError::Refused(error)) if error.code == UNPREPARABLE => return Ok(None),
        described => described?,
    };
    if let Some(in_its_case) = &in_its_case {
        let mut from = 0;
        for column in &mut described {
            from = spell(&mut column.name, (in_its_case, text), from);
        }
    }
    let as_written = |(number, column): (usize, ColumnDefinition)| AsWritten {
        label: (labels.contains(&number) && !is_binary(&column))
            .then_some((column.charset, column.length)),
        name: names.then(|| readable(column.name)),
    };
    Ok(Some(
        described.into_iter().enumerate().map(as_written).collect(),
    ))
}

/// Gives the columns of a result their names and labels as written.
pub fn apply(columns: &mut [ColumnDefinition], as_written: &[AsWritten]) {
    if columns.len() != as_written.len() {
        return;
    }
    for (column, written) in columns.iter_mut().zip(as_written) {
        if let Some(name) = &written.name {
            // The result of an expression has one name; a table's column keeps its original one.
            if column.org_name == column.name {
                column.org_name = name.clone();
            }
            column.name = name.clone();
        }
        if let Some((charset, length)) = written.label {
            column.charset = charset;
            column.length = length;
        }
    }
}

/// Spells a name, which is a part of `described`, as it stands in `written`, a text of the same
/// length. It is looked for from a place on; returns where to look for the next one.
fn spell(name: &mut Bytes, (described, written): (&str, &str), from: usize) -> usize {
    let rest = described.as_bytes().get(from..).unwrap_or_default();
    let Some(place) = memchr::memmem::find(rest, name).filter(|_| !name.is_empty()) else {
        return from;
    };
    let start = from + place;
    let end = start + name.len();
    if let Some(spelled) = written.as_bytes().get(start..end) {
        *name = Bytes::copy_from_slice(spelled);
    }
    end
}

/// A name that has the data of an image in it, in which bytes beyond ASCII are written as the
/// store writes them in UTF-8, where they are no characters. In other character sets each byte is
/// a character for the store, but not for drivers: they fail to decode the name.
fn readable(name: Bytes) -> Bytes {
    let has_data =
        memchr::memchr(0, &name).is_some() || memchr::memmem::find(&name, b"\\0").is_some();
    if !has_data || std::str::from_utf8(&name).is_ok() {
        return name;
    }
    let mut readable = Vec::with_capacity(4 * name.len());
    for byte in &name {
        match byte.is_ascii() {
            true => readable.push(*byte),
            false => readable.extend_from_slice(format!("\\x{byte:02X}").as_bytes()),
        }
    }
    readable.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_they_were_written() {
        let texts = (
            "SELECT ml.a(x), ml.a(x) FROM t",
            "SELECT ML.a(x), Ml.a(x) FROM t",
        );
        let mut from = 0;
        for expected in ["ML.a(x)", "Ml.a(x)", "ml.a(x)"] {
            let mut name = Bytes::from_static(b"ml.a(x)");
            from = spell(&mut name, texts, from);
            assert_eq!(name, expected);
        }
    }

    #[test]
    fn names_with_data_can_be_decoded() {
        let name = |name: &'static [u8]| readable(Bytes::from_static(name));
        assert_eq!(name(b"ml.a('\x89PNG\\0')"), &br"ml.a('\x89PNG\0')"[..]);
        assert_eq!(
            name(b"ml.a('\xe9')"),
            &b"ml.a('\xe9')"[..],
            "text in latin1"
        );
        let utf8 = "ml.a('\u{e9}\\0')".as_bytes();
        assert_eq!(readable(Bytes::from_static(utf8)), utf8);
    }
}

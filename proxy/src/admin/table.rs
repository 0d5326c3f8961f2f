//! Result sets of the admin endpoint.

use super::value::Value;

/// Type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A signed integer.
    Signed,
    /// An unsigned integer.
    Unsigned,
    /// A number with a fraction.
    Real,
}

impl Kind {
    /// The type of a column with this value.
    pub fn of(value: &Value) -> Self {
        match value {
            Value::Null | Value::Text(_) => Self::Text,
            Value::Int(int) if *int > i128::from(i64::MAX) => Self::Unsigned,
            Value::Int(_) => Self::Signed,
            Value::Real(_) => Self::Real,
        }
    }
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub kind: Kind,
}

/// A result set: columns, and rows with one value per column.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// A table whose columns are of text or, with `!` after the name, of unsigned integers.
    pub fn new(columns: &[&str], rows: Vec<Vec<Value>>) -> Self {
        let column = |name: &&str| match name.strip_suffix('!') {
            Some(name) => Column {
                name: name.to_owned(),
                kind: Kind::Unsigned,
            },
            None => Column {
                name: (*name).to_owned(),
                kind: Kind::Text,
            },
        };
        Self {
            columns: columns.iter().map(column).collect(),
            rows,
        }
    }

    /// A table with rows of text.
    pub fn of_texts(columns: &[&str], rows: &[&[&str]]) -> Self {
        let row = |row: &&[&str]| row.iter().map(|text| Value::text(*text)).collect();
        Self::new(columns, rows.iter().map(row).collect())
    }
}

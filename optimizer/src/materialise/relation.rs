//! Relations of (key, answer): key encodings, and the tables as SQL.

use predictsql_catalog::{AnswerShape, RelationColumn};

use super::analysis::Target;
use super::shape::{Members, Shape};
use crate::sql::calls::Asked;
use crate::sql::fragment::Fragment;
use crate::sql::key::{ColumnsKey, utf8_bytes, within, wrapped};

/// Score of an input without scores.
const NO_SCORE: &str = "-1e0";

/// Encoding of an input's key. Keys are compared byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyForm {
    /// Short text: its bytes in UTF-8.
    Text,
    /// Text of any length: its SHA-256.
    LongText,
    /// Bytes: their SHA-256.
    Bytes,
    /// The values of a task's columns, encoded as a text.
    Columns,
    /// The same where the text may be long: its SHA-256.
    LongColumns,
}

impl KeyForm {
    /// Whether the key itself contains the input, unhashed.
    pub fn says_input(self) -> bool {
        matches!(self, Self::Text | Self::Columns)
    }

    /// The key of an input.
    pub(super) fn key(self, input: &Fragment) -> Fragment {
        match self {
            Self::Text | Self::Columns => utf8_bytes(input),
            Self::LongText | Self::LongColumns => {
                wrapped("UNHEX(SHA2(CONVERT((", input, ") USING utf8mb4), 256))")
            }
            Self::Bytes => wrapped("UNHEX(SHA2((", input, "), 256))"),
        }
    }

    /// The value to predict, where the key does not contain it; for an image longer than
    /// `bytes_max`, only its length.
    pub(super) fn value(self, input: &Fragment, bytes_max: Option<u64>) -> Option<Fragment> {
        let bounded = || bytes_max.map_or_else(|| input.clone(), |max| within(input, max));
        match self {
            Self::Text | Self::Columns => None,
            Self::LongText => Some(utf8_bytes(&bounded())),
            Self::LongColumns => Some(utf8_bytes(input)),
            Self::Bytes => Some(bounded()),
        }
    }

    /// Whether the harvest uses DISTINCT. The other forms fetch values that may be whole images,
    /// which the store would have to buffer.
    pub fn is_distinct(self) -> bool {
        !matches!(self, Self::LongText | Self::Bytes)
    }
}

/// The relation in which the calls of a harvest look up their answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Key encoding.
    pub form: KeyForm,
    /// The relation as a table reference, without alias.
    pub relation: String,
    /// Key encoding of the task's input columns.
    pub columns: ColumnsKey,
    /// The tables and conditions its keys were harvested with.
    pub shape: Shape,
    /// The rows whose keys must not be missing; `None`: all rows for which the store evaluates the
    /// call.
    pub members: Option<Members>,
    /// Whether a missing key is no answer, and not an error: where more rows are looked at than
    /// the statement has.
    pub missing_is_none: bool,
}

/// A relation's answer for an input, one variant per [`AnswerShape`].
#[derive(Debug, Clone, PartialEq)]
pub enum RelationAnswer<'a> {
    /// A label.
    Class {
        /// The class's position plus one; 0 for NULL.
        code: usize,
        /// A score for each class of [`Target::scored`]; `None` is NULL.
        scores: &'a [Option<f64>],
    },
    /// A value; `None` is NULL.
    Value(Option<f64>),
}

impl Target {
    /// The columns of its relation besides the key, as (name, type, value for NULL): the answer,
    /// and a score per requested class.
    fn answers(&self) -> Vec<(String, &'static str, &'static str)> {
        let RelationColumn {
            name,
            sql_type,
            none,
        } = self.task.answer_shape().relation_column();
        let answer = (name.to_owned(), sql_type, none);
        let scores = self.scored.iter();
        let scores = scores.map(|class| (score_column(*class), "DOUBLE", NO_SCORE));
        [answer].into_iter().chain(scores).collect()
    }

    /// The column names of its relation.
    pub fn columns(&self) -> Vec<String> {
        let answers = self.answers().into_iter().map(|(name, ..)| name);
        ["`ml k`".to_owned()].into_iter().chain(answers).collect()
    }

    /// The CREATE TEMPORARY TABLE statement of its relation. `key_bytes` is the maximum key length
    /// in bytes.
    pub fn create(&self, table: &str, key_bytes: usize) -> String {
        let mut sql = format!(
            "CREATE TEMPORARY TABLE {table} (`ml k` VARBINARY({key_bytes}) NOT NULL PRIMARY KEY"
        );
        for (name, kind, _) in self.answers() {
            sql.push_str(&format!(", {name} {kind} NOT NULL"));
        }
        sql.push_str(") ENGINE=InnoDB");
        sql
    }

    /// A row of the relation, in parentheses.
    pub fn row(key: &[u8], answer: &RelationAnswer<'_>) -> String {
        use std::fmt::Write as _;
        let mut row = String::with_capacity(key.len() * 2 + 32);
        row.push_str("(X'");
        row.push_str(&hex::encode_upper(key));
        row.push('\'');
        // Writing to a string cannot fail.
        let mut number = |number: Option<f64>, none: &str| match number {
            Some(number) => write!(row, ",{number:e}"),
            None => write!(row, ",{none}"),
        };
        match answer {
            RelationAnswer::Value(value) => {
                let _ = number(*value, AnswerShape::Value.relation_column().none);
            }
            RelationAnswer::Class { code, scores } => {
                let _ = number(None, &code.to_string());
                for score in *scores {
                    let _ = number(*score, NO_SCORE);
                }
            }
        }
        row.push(')');
        row
    }

    /// The relation as a derived table of these [`Target::row`]s, plus the row of NULL inputs.
    pub fn inline(&self, rows: &[String]) -> String {
        let mut sql = String::from("(SELECT X'' AS `ml k`");
        for (name, _, none) in self.answers() {
            sql.push_str(&format!(", {none} AS {name}"));
        }
        if !rows.is_empty() {
            sql.push_str(" UNION ALL VALUES ");
            sql.push_str(&rows.join(","));
        }
        sql.push(')');
        sql
    }

    /// The row of NULL inputs. It also serves empty keys: neither has a prediction.
    pub fn null_row(&self) -> String {
        let answers = self.answers().into_iter().map(|(.., none)| none);
        let cells: Vec<&str> = ["X''"].into_iter().chain(answers).collect();
        format!("({})", cells.join(","))
    }
}

fn score_column(class: usize) -> String {
    format!("`ml s{class}`")
}

/// A class's score column in relation `ml r`.
pub(super) fn score_cell(class: usize) -> String {
    format!("`ml r`.{}", score_column(class))
}

/// The answer column in relation `ml r`.
pub(super) fn answer_cell(shape: AnswerShape) -> String {
    let cell = format!("`ml r`.{}", shape.relation_column().name);
    match shape {
        AnswerShape::Label => cell,
        // As a literal in the text its described length may exceed that of other numbers.
        AnswerShape::Value => format!("CAST({cell} AS DOUBLE)"),
    }
}

/// The value in a relation for a NULL answer of a call.
pub(super) fn none_of(asked: Asked) -> &'static str {
    match asked {
        Asked::Answer(shape) => shape.relation_column().none,
        Asked::Probability(_) => NO_SCORE,
    }
}

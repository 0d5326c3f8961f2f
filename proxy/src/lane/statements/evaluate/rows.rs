//! The labelled rows of an EVALUATE: its query on the user's session, and what comes of it.

use std::fmt::Write;

use bytes::Bytes;
use predictsql_catalog::{ColumnKind, Task, TaskInput};
use predictsql_executor::{ColumnValue, Input};
use predictsql_optimizer::{Fragment, TOO_LONG_MARK, may_leave_traces, prefilter, quote_string};

use crate::error::{ErrorKind, SqlError};
use crate::lane::plans::stream::{CutRow, RowInput, StringValue};
use crate::lane::store::error::LinkError;
use crate::lane::store::rows::{Codec, RowCodec, is_string};
use crate::lane::store::spool;
use crate::lane::store::spool::Spool;
use crate::lane::turn::Turn;
use crate::wire::{ColumnDefinition, Malformed};
use mysql_common::constants::ColumnType;
use predictsql_optimizer::plan::InputKind;

/// Collation id of bytes: a column of it holds the image itself.
const BINARY: u16 = 63;

/// What the columns are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Those before the label.
    pub input: InputForm,
    /// Whether the label is of type BIT: its text would be bytes.
    pub bit_label: bool,
}

/// What the columns before the label are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputForm {
    /// A path or URI of an image.
    Location,
    /// An image.
    Bytes,
    /// The columns of the task's input.
    Columns(Vec<ColumnKind>),
}

/// Has the store check the query, and looks whether its columns are an input of the task and a
/// label.
pub async fn check(
    turn: &mut Turn<'_>,
    query: &str,
    schema: &str,
    task: &Task,
) -> Result<Form, LinkError> {
    let prepared = turn.store.prepare(query).await?;
    turn.store.close(prepared.id).await?;
    if !prepared.parameters.is_empty() {
        return Err(SqlError::unsupported("parameters in EVALUATE").into());
    }
    if prefilter::has_schema_call(query, schema) {
        return Err(SqlError::unsupported("predictions in the query of EVALUATE").into());
    }
    let columns = match turn.store.results_binary {
        true => turn.store.describe_types(query).await?,
        false => prepared.columns,
    };
    Ok(form(&columns, task)?)
}

fn form(columns: &[ColumnDefinition], task: &Task) -> Result<Form, SqlError> {
    let wanted = task.input_arguments() + 1;
    if columns.len() != wanted {
        // ER_OPERAND_COLUMNS
        let message = format!("Operand should contain {wanted} column(s): an input and its label");
        return Err(SqlError::new(ErrorKind::ColumnCount, message));
    }
    let input = match (&task.input, columns.first()) {
        (TaskInput::Columns(columns), _) => {
            InputForm::Columns(columns.iter().map(|c| c.kind).collect())
        }
        (TaskInput::Image, Some(input)) if is_string(input.column_type) => match input.charset {
            BINARY => InputForm::Bytes,
            _ => InputForm::Location,
        },
        (TaskInput::Image, _) => {
            return Err(SqlError::new(
                ErrorKind::WrongArguments,
                "Incorrect arguments to EVALUATE: the first column, the input, is neither text (a path or \
                 URI) nor bytes (an image)",
            ));
        }
    };
    let label = columns.last().map(|label| label.column_type);
    Ok(Form {
        input,
        bit_label: label == Some(ColumnType::MYSQL_TYPE_BIT as u8),
    })
}

/// The query with its texts in UTF-8, whatever the session's character set, and all rows, whatever
/// its `sql_select_limit`. Of an image of more than `bytes_max` bytes the length is asked for,
/// unless the query is not to be evaluated twice.
pub fn fetch(query: &str, form: &Form, bytes_max: u64) -> Fragment {
    let image = match may_leave_traces(query) {
        true => "ml_input".to_owned(),
        false => format!(
            "IF(OCTET_LENGTH(ml_input) > {bytes_max}, CONCAT({}, OCTET_LENGTH(ml_input)), ml_input)",
            quote_string(TOO_LONG_MARK)
        ),
    };
    let utf8 = |name: &str| format!("CAST(CONVERT({name} USING utf8mb4) AS BINARY)");
    let mut names = String::new();
    let mut columns = String::new();
    let mut add = |name: &str, column: String| {
        // Writing to a String cannot fail.
        let _ = write!(names, "{name}, ");
        let _ = write!(columns, "{column}, ");
    };
    match &form.input {
        InputForm::Location => add("ml_input", utf8(&image)),
        InputForm::Bytes => add("ml_input", image),
        InputForm::Columns(kinds) => {
            for (number, kind) in kinds.iter().enumerate() {
                let name = format!("ml_{number}");
                match kind {
                    ColumnKind::Double => add(&name, format!("CAST({name} AS DOUBLE)")),
                    ColumnKind::Varchar => add(&name, utf8(&name)),
                }
            }
        }
    }
    let label = match form.bit_label {
        true => "ml_label + 0",
        false => "ml_label",
    };
    Fragment {
        sql: format!(
            "WITH ml_rows ({names}ml_label) AS (\n{query}\n) SELECT {columns}{} FROM ml_rows \
             LIMIT 18446744073709551615",
            utf8(label)
        ),
        parameters: Vec::new(),
    }
}

/// A row of [`fetch`].
pub struct LabelledRow {
    pub input: RowInput,
    /// `None` for NULL.
    pub label: Option<Bytes>,
    /// Bytes that it holds in memory.
    pub held_bytes: usize,
    /// It lies on disk.
    pub is_long: bool,
}

/// Takes rows off a spool.
pub struct LabelledRows<'s> {
    spool: &'s Spool,
    codec: RowCodec,
    block: Option<spool::Rows>,
    form: &'s InputForm,
    image_bytes_max: u64,
}

impl<'s> LabelledRows<'s> {
    /// Rows of [`fetch`].
    pub fn new(
        spool: &'s Spool,
        columns: &[ColumnDefinition],
        (form, image_bytes_max): (&'s InputForm, u64),
    ) -> Self {
        Self {
            spool,
            codec: RowCodec::new(Codec::Text, columns),
            block: None,
            form,
            image_bytes_max,
        }
    }

    /// Where they come from.
    pub fn spool(&self) -> &'s Spool {
        self.spool
    }

    /// The next row; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<LabelledRow>, LinkError> {
        loop {
            let Some(block) = &mut self.block else {
                self.block = self.spool.read().await?;
                if self.block.is_none() {
                    return Ok(None);
                }
                continue;
            };
            let Some(row) = block.next()? else {
                self.block = None;
                continue;
            };
            let row = CutRow::cut(row, &self.codec).await?;
            let label = match self.form {
                InputForm::Columns(kinds) => kinds.len(),
                InputForm::Location | InputForm::Bytes => 1,
            };
            let label = text(&row, label).await?;
            return Ok(Some(LabelledRow {
                input: self.input(&row).await?,
                label,
                held_bytes: row.held_bytes(),
                is_long: row.is_long(),
            }));
        }
    }

    async fn input(&self, row: &CutRow) -> Result<RowInput, LinkError> {
        let kinds = match self.form {
            InputForm::Columns(kinds) => kinds,
            form => {
                let kind = match form {
                    InputForm::Bytes => InputKind::Bytes,
                    _ => InputKind::Location,
                };
                let value = row.string(0)?;
                return Ok(RowInput::of(&kind, &[], value, self.image_bytes_max)?);
            }
        };
        let mut values = Vec::with_capacity(kinds.len());
        for (column, kind) in kinds.iter().enumerate() {
            let text = text(row, column).await?;
            values.push(match (text, kind) {
                (None, _) => ColumnValue::Null,
                (Some(text), ColumnKind::Varchar) => ColumnValue::Text(text),
                (Some(text), ColumnKind::Double) => number(&text)?,
            });
        }
        Ok(RowInput::Here(Input::Columns(values.into())))
    }
}

/// The value of a column; `None` for NULL.
async fn text(row: &CutRow, column: usize) -> Result<Option<Bytes>, LinkError> {
    Ok(match row.string(column)? {
        None => None,
        Some(StringValue::Here(text)) => Some(text),
        Some(StringValue::Far(text)) => Some(text.read(0, text.bytes()).await?.into()),
    })
}

/// A DOUBLE as the store writes it.
fn number(text: &[u8]) -> Result<ColumnValue, Malformed> {
    let number = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    let number = number.ok_or(Malformed("a DOUBLE that is no number"))?;
    Ok(ColumnValue::Number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_travels_so_that_it_is_read_exactly() {
        let form = |input, bit_label| Form { input, bit_label };
        let columns = InputForm::Columns(vec![ColumnKind::Double, ColumnKind::Varchar]);
        assert_eq!(
            fetch("SELECT a, b, c FROM t -- all", &form(columns, false), 9).sql,
            "WITH ml_rows (ml_0, ml_1, ml_label) AS (\nSELECT a, b, c FROM t -- all\n) \
             SELECT CAST(ml_0 AS DOUBLE), CAST(CONVERT(ml_1 USING utf8mb4) AS BINARY), \
             CAST(CONVERT(ml_label USING utf8mb4) AS BINARY) FROM ml_rows \
             LIMIT 18446744073709551615"
        );
        let bytes = fetch("SELECT 1, 2", &form(InputForm::Bytes, true), 9).sql;
        assert!(
            bytes.contains("CONVERT(ml_label + 0 USING utf8mb4)"),
            "{bytes}"
        );
        let bounded = "SELECT IF(OCTET_LENGTH(ml_input) > 9, CONCAT(_utf8mb4 X'6D6C2D746F6F2D6C6F6E673A2F2F', \
                       OCTET_LENGTH(ml_input)), ml_input), CAST(";
        assert!(bytes.contains(bounded), "{bytes}");
        let once = fetch("SELECT stored(1), 2", &form(InputForm::Bytes, false), 9).sql;
        assert!(once.contains("SELECT ml_input, CAST("), "{once}");
        assert_eq!(number(b"1.5e-300"), Ok(ColumnValue::Number(1.5e-300)));
        assert!(number(b"one").is_err());
    }
}

//! The labelled rows of an EVALUATE: its query on the user's session, and what comes of it.

use bytes::Bytes;
use predictsql_executor::Input;
use predictsql_optimizer::{Fragment, prefilter};

use super::super::Turn;
use super::super::rows::{Cells, Codec, RowCodec, is_string};
use super::super::spool::{self, Spool};
use super::super::store_link::LinkError;
use super::super::verdict::may_be_location;
use crate::error::SqlError;
use crate::wire::{ColumnDefinition, Malformed, lenenc};

/// Collation id of bytes: a column of it holds the image itself.
const BINARY: u16 = 63;

/// Has the store check the query: two columns, the first text (a path or URI) or bytes (an image). Says
/// whether it is bytes.
pub async fn check(turn: &mut Turn<'_>, query: &str, schema: &str) -> Result<bool, LinkError> {
    let prepared = turn.store.prepare(query).await?;
    turn.store.close(prepared.id).await?;
    if !prepared.parameters.is_empty() {
        return Err(SqlError::unsupported("parameters in EVALUATE").into());
    }
    if prefilter::has_schema_call(query, schema) {
        return Err(SqlError::unsupported("predictions in the query of EVALUATE").into());
    }
    let [input, _label] = &prepared.columns[..] else {
        // ER_OPERAND_COLUMNS
        let message = "Operand should contain 2 column(s): an input and its label";
        return Err(SqlError::new(1241, "21000", message).into());
    };
    if !is_string(input.column_type) {
        return Err(SqlError::new(
            1210,
            "HY000",
            "Incorrect arguments to EVALUATE: the first column, the input, is neither text (a path or \
             URI) nor bytes (an image)",
        )
        .into());
    }
    Ok(input.charset == BINARY)
}

/// The query with its texts in UTF-8, whatever the session's character set, and all rows, whatever
/// its `sql_select_limit`.
pub fn fetch(query: &str, is_bytes: bool) -> Fragment {
    const UTF8: &str = "CAST(CONVERT(ml_input USING utf8mb4) AS BINARY)";
    let input = if is_bytes { "ml_input" } else { UTF8 };
    Fragment {
        sql: format!(
            "WITH ml_rows (ml_input, ml_label) AS (\n{query}\n) SELECT {input}, \
             CAST(CONVERT(ml_label USING utf8mb4) AS BINARY) FROM ml_rows LIMIT 18446744073709551615"
        ),
        parameters: Vec::new(),
    }
}

/// Takes rows off a spool.
pub struct LabelledRows<'s> {
    spool: &'s Spool,
    codec: RowCodec,
    block: Option<spool::Rows>,
    cells: Cells,
    is_bytes: bool,
}

impl<'s> LabelledRows<'s> {
    /// Rows of [`fetch`].
    pub fn new(spool: &'s Spool, columns: &[ColumnDefinition], is_bytes: bool) -> Self {
        Self {
            spool,
            codec: RowCodec::new(Codec::Text, columns),
            block: None,
            cells: Cells::new(),
            is_bytes,
        }
    }

    /// The next row's input and label; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<(Input, Option<Bytes>)>, LinkError> {
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
            self.codec.split(&row, &mut self.cells)?;
            let input = match self.string(&row, 0)? {
                None => Input::Null,
                Some(value) if self.is_bytes || !may_be_location(&value) => Input::Image(value),
                Some(value) => Input::Location(value),
            };
            return Ok(Some((input, self.string(&row, 1)?)));
        }
    }

    fn string(&self, row: &Bytes, column: usize) -> Result<Option<Bytes>, Malformed> {
        let cell = self.cells.get(column).cloned().flatten();
        let Some(mut cell) = cell.and_then(|range| row.get(range)) else {
            return Ok(None);
        };
        Ok(Some(row.slice_ref(lenenc::get_str(&mut cell)?)))
    }
}

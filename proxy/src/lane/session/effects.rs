//! The session after a predict statement: what ROW_COUNT(), FOUND_ROWS(), warnings and errors say is what the
//! statement itself would have left, although the lane's own statements came in between.
//!
//! The store is brought to say so wherever it can be: a statement that finds as many rows sets FOUND_ROWS(),
//! one that fails likewise sets the rest. What it cannot be brought to say (a row count, warnings of the lane)
//! is remembered, and written into the next statement that reads it.

use bytes::Bytes;
use predictsql_optimizer::LexMode;
use predictsql_optimizer::last_statement::{LastStatement, may_read_last_statement};
use predictsql_optimizer::quote_string;

use crate::lane::plans::stream;
use crate::lane::store::link::{LinkError, StoreLink, command_payload};
use crate::lane::{Lane, Turn};
use crate::relay::Handled;
use crate::wire::{ErrPacket, command};

/// Rows that one list makes in a statement which finds as many as it is told.
const LIST_ROWS: u64 = 1000;

/// Longest text of a condition in the store, in bytes.
const CONDITION_BYTES_MAX: usize = 512;

/// What the statement before the lane's first own one has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Before {
    /// `ROW_COUNT()`
    pub row_count: i64,
    /// `FOUND_ROWS()`
    pub found_rows: u64,
    /// `@@warning_count`
    pub warnings: u64,
    /// `@@error_count`
    pub errors: u64,
}

/// Counts that a statement has left and the store does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// `ROW_COUNT()`
    pub row_count: Option<i64>,
    /// `FOUND_ROWS()`
    pub found_rows: Option<u64>,
}

impl Before {
    /// What a predict statement reads of it. Where it reads tables, the store has forgotten the warnings by then.
    pub fn as_read_by(&self, statement: &str) -> LastStatement {
        let words = || statement.split_ascii_whitespace();
        let reads_tables = words().any(|word| word.eq_ignore_ascii_case("FROM"))
            || !words()
                .next()
                .is_some_and(|word| word.eq_ignore_ascii_case("SELECT"));
        let kept = |count: u64| Some(if reads_tables { 0 } else { count });
        LastStatement {
            row_count: Some(self.row_count),
            found_rows: Some(self.found_rows),
            warnings: kept(self.warnings),
            errors: kept(self.errors),
        }
    }
}

impl StoreLink<'_> {
    /// Has the session say so many FOUND_ROWS(). Its warnings are forgotten, and ROW_COUNT() is -1, as after
    /// any SELECT.
    pub async fn set_found_rows(&mut self, rows: u64) -> Result<(), LinkError> {
        match self.command(&finding(rows)).await {
            // The session says something else then, and goes on.
            Err(LinkError::Refused(_)) => Ok(()),
            done => done,
        }
    }

    /// Leaves the session as a statement does that fails with this error before it begins.
    pub async fn leave_error(&mut self, command: u8, error: &ErrPacket) -> Result<(), LinkError> {
        if command == command::STMT_PREPARE {
            // What was prepared last is closed: the store's own last statement is none from here on, too.
            match self.describe("DO 0").await {
                Ok(_) | Err(LinkError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(before) = self.before {
            self.set_found_rows(before.found_rows).await?;
        }
        match self.command(&failing(error)).await {
            Err(LinkError::Refused(_)) => Ok(()), // as it is to
            done => done,
        }
    }
}

/// A statement that finds so many rows and sends none.
fn finding(rows: u64) -> String {
    let list = |name: &str, rows: u64| {
        let zeros = rows.saturating_sub(1);
        format!(
            "JSON_TABLE(CONCAT('[0', REPEAT(',0', {zeros}), ']'), '$[*]' COLUMNS (n FOR ORDINALITY)) AS {name}"
        )
    };
    match rows {
        0 => "SELECT 1 LIMIT 0".to_owned(),
        1..=LIST_ROWS => format!(
            "SELECT SQL_CALC_FOUND_ROWS 1 FROM {} LIMIT 0",
            list("a", rows)
        ),
        _ => format!(
            "SELECT STRAIGHT_JOIN SQL_CALC_FOUND_ROWS 1 FROM {} JOIN {} \
             WHERE (a.n - 1) * {LIST_ROWS} + b.n <= {rows} LIMIT 0",
            list("a", rows.div_ceil(LIST_ROWS)),
            list("b", LIST_ROWS)
        ),
    }
}

/// A statement that fails with an error.
fn failing(error: &ErrPacket) -> String {
    let message = String::from_utf8_lossy(&error.message);
    let mut end = message.len().min(CONDITION_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    let state: String = error
        .sqlstate
        .iter()
        .map(|&byte| char::from(byte))
        .collect();
    format!(
        "SIGNAL SQLSTATE '{}' SET MYSQL_ERRNO = {}, MESSAGE_TEXT = {}",
        match state.chars().all(|c| c.is_ascii_alphanumeric()) && !state.starts_with("00") {
            true => &state,
            false => "HY000",
        },
        error.code.max(1),
        quote_string(message.get(..end).unwrap_or_default())
    )
}

impl Lane {
    /// Whether a statement may read what only the lane knows of the one before.
    pub(in crate::lane) fn may_read_remembered(&self, statement: &[u8]) -> bool {
        (self.diagnostics.is_some() || self.counts != Counts::default())
            && may_read_last_statement(statement)
    }

    /// What the lane knows of the last statement better than the store.
    fn remembered(&self) -> LastStatement {
        LastStatement {
            row_count: self.counts.row_count,
            found_rows: self.counts.found_rows,
            warnings: self.diagnostics.as_ref().map(|d| d.warning_count()),
            errors: self.diagnostics.as_ref().map(|d| d.error_count()),
        }
    }

    /// Adds it to what the store has said of the statement before.
    pub(in crate::lane) fn tell_remembered(&mut self, turn: &mut Turn<'_>) {
        let remembered = self.remembered();
        if let Some(before) = &mut turn.store.before {
            before.row_count = remembered.row_count.unwrap_or(before.row_count);
            before.found_rows = remembered.found_rows.unwrap_or(before.found_rows);
            before.warnings = remembered.warnings.unwrap_or(before.warnings);
            before.errors = remembered.errors.unwrap_or(before.errors);
        }
        self.counts = Counts::default();
    }

    /// The text of a statement for the store with what it reads of the one before; `None`: as it is. Warnings stay as
    /// long as no table is read.
    pub(in crate::lane) fn with_remembered(
        &mut self,
        statement: &str,
        mode: LexMode,
    ) -> Option<String> {
        let written = self.remembered().written_into(statement, mode);
        let mut words = statement.split_ascii_whitespace();
        if written.is_none() || words.any(|word| word.eq_ignore_ascii_case("FROM")) {
            self.diagnostics = None;
        }
        self.counts = Counts::default();
        written
    }

    /// A statement that is the store's to answer but for what it reads of the one before.
    pub(in crate::lane) fn forward_with_remembered(&mut self, statement: &Bytes) -> Handled {
        let text = String::from_utf8_lossy(statement);
        // The session's sql_mode is not known: asking for it would disturb what is read.
        let plain = !text.contains(['"', '\\', char::REPLACEMENT_CHARACTER]);
        let written = match plain {
            true => self.with_remembered(&text, LexMode::default()),
            false => None,
        };
        Handled::Forward(match written {
            Some(written) => command_payload(command::QUERY, written.as_bytes()),
            None => command_payload(command::QUERY, statement),
        })
    }

    /// Leaves the session as the lane found it in this turn: no statement was executed.
    pub(in crate::lane) async fn leave_as_found(
        &mut self,
        turn: &mut Turn<'_>,
    ) -> Result<(), LinkError> {
        self.tell_remembered(turn);
        let Some(before) = turn.store.before.take() else {
            return Ok(());
        };
        self.counts.row_count = Some(before.row_count);
        if before.found_rows == 1 {
            return Ok(()); // as the lane's own statement has left it
        }
        if self.diagnostics.is_none() && before.warnings > 0 {
            let mut diagnostics = stream::no_diagnostics(turn);
            stream::store_warnings(turn, &mut diagnostics, before.warnings).await?;
            self.diagnostics = Some(diagnostics);
        }
        turn.store.set_found_rows(before.found_rows).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_between_characters() {
        let error = ErrPacket::new(1235, b"42000", "é".repeat(400));
        let sql = failing(&error);
        assert!(
            sql.ends_with(&format!("X'{}'", "C3A9".repeat(256))),
            "{sql}"
        );
        assert!(sql.starts_with("SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1235"));
    }

    #[test]
    fn warnings_are_read_where_no_table_is() {
        let before = Before {
            warnings: 3,
            ..Before::default()
        };
        let read = |text| before.as_read_by(text).warnings;
        assert_eq!(read("SELECT @@warning_count, ml.t('x')"), Some(3));
        assert_eq!(read("SELECT @@warning_count, ml.t(x) FROM p"), Some(0));
        assert_eq!(read("UPDATE p SET x = @@warning_count"), Some(0));
    }
}

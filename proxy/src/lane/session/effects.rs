//! The session after a predict statement: what ROW_COUNT(), FOUND_ROWS(), warnings and errors say
//! is what the statement itself would have left,
//! although the lane's own statements came in between.
//!
//! The store is brought to say so wherever it can be: a statement that finds as many rows sets
//! FOUND_ROWS(), one that fails likewise sets the rest. What it cannot be brought to say (a row
//! count, warnings of the lane) is remembered, and written into the next statement that reads it.

use bytes::Bytes;
use predictsql_optimizer::LexMode;
use predictsql_optimizer::last_statement::{
    LastStatement, forgets_warnings, may_read_last_statement,
};

use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::{Done, FoundRows, Left, Remembered};
use crate::lane::store::error::LinkError;
use crate::lane::store::link::command_payload;
use crate::lane::turn::Turn;
use crate::wire::command;

impl Lane {
    /// Writes what a statement leaves into its session. The client has its answer.
    pub(in crate::lane) async fn leave(
        &mut self,
        turn: &mut Turn<'_>,
        left: Left,
    ) -> Result<(), LinkError> {
        self.remembered = Remembered {
            diagnostics: left.diagnostics,
            row_count: left.row_count,
            found_rows: match left.found_rows {
                FoundRows::Remembered(rows) => Some(rows),
                FoundRows::AsStore | FoundRows::Set(_) => None,
            },
        };
        if let FoundRows::Set(rows) = left.found_rows {
            turn.store.set_for_statements(None);
            turn.store.set_found_rows(rows).await?;
        }
        Ok(())
    }

    /// Whether a statement may read what only the lane knows of the one before.
    pub(in crate::lane) fn may_read_remembered(&self, statement: &[u8]) -> bool {
        self.remembered.is_any() && may_read_last_statement(statement)
    }

    /// What the lane knows of the last statement better than the store.
    fn last_statement(&self) -> LastStatement {
        let diagnostics = self.remembered.diagnostics.as_ref();
        LastStatement {
            row_count: self.remembered.row_count,
            found_rows: self.remembered.found_rows,
            warnings: diagnostics.map(Diagnostics::warning_count),
            errors: diagnostics.map(Diagnostics::error_count),
        }
    }

    /// Adds it to what the store has said of the statement before.
    pub(in crate::lane) fn tell_remembered(&mut self, turn: &mut Turn<'_>) {
        let last = self.last_statement();
        if let Some(before) = &mut turn.store.before {
            before.row_count = last.row_count.unwrap_or(before.row_count);
            before.found_rows = last.found_rows.unwrap_or(before.found_rows);
            before.warnings = last.warnings.unwrap_or(before.warnings);
            before.errors = last.errors.unwrap_or(before.errors);
        }
        self.forget_counts();
    }

    fn forget_counts(&mut self) {
        self.remembered.row_count = None;
        self.remembered.found_rows = None;
    }

    /// The text of a statement for the store with what it reads of the one before; `None`: as it
    /// is. Warnings stay as long as no table is read.
    pub(in crate::lane) fn with_remembered(
        &mut self,
        statement: &str,
        mode: LexMode,
    ) -> Option<String> {
        let written = self.last_statement().written_into(statement, mode);
        if written.is_none() || forgets_warnings(statement, mode) {
            self.remembered.diagnostics = None;
        }
        self.forget_counts();
        written
    }

    /// A statement that is the store's to answer but for what it reads of the one before.
    pub(in crate::lane) fn forward_with_remembered(&mut self, statement: &Bytes) -> Done {
        let text = String::from_utf8_lossy(statement);
        // The session's sql_mode is not known: asking for it would disturb what is read.
        let plain = !text.contains(['"', '\\', char::REPLACEMENT_CHARACTER]);
        let written = match plain {
            true => self.with_remembered(&text, LexMode::default()),
            false => None,
        };
        Done::Forward(match written {
            Some(written) => command_payload(command::QUERY, written.as_bytes()),
            None => command_payload(command::QUERY, statement),
        })
    }

    /// The session as the lane found it in this turn: no statement was executed.
    pub(in crate::lane) async fn as_found(
        &mut self,
        turn: &mut Turn<'_>,
    ) -> Result<Left, LinkError> {
        self.tell_remembered(turn);
        let mut left = self.remembered.unchanged();
        let Some(before) = turn.store.before.take() else {
            return Ok(left);
        };
        left.row_count = Some(before.row_count);
        if before.found_rows == 1 {
            return Ok(left); // as the lane's own statement has left it
        }
        if left.diagnostics.is_none() && before.warnings > 0 {
            let mut diagnostics = Diagnostics::keeping(turn.store.warnings_kept);
            diagnostics
                .add_from_store(&mut turn.store, before.warnings)
                .await?;
            left.diagnostics = Some(diagnostics);
        }
        left.found_rows = FoundRows::Set(before.found_rows);
        Ok(left)
    }

    /// Brings the session into the state in which the lane found it in this turn,
    /// for a statement that the store answers.
    pub(in crate::lane) async fn leave_as_found(
        &mut self,
        turn: &mut Turn<'_>,
    ) -> Result<(), LinkError> {
        let left = self.as_found(turn).await?;
        self.leave(turn, left).await
    }
}

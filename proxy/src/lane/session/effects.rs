//! The session after a predict statement: what ROW_COUNT(), FOUND_ROWS(), warnings and errors say is what the
//! statement itself would have left, although the lane's own statements came in between.
//!
//! The store is brought to say so wherever it can be: a statement that finds as many rows sets FOUND_ROWS(),
//! one that fails likewise sets the rest. What it cannot be brought to say (a row count, warnings of the lane)
//! is remembered, and written into the next statement that reads it.

use bytes::Bytes;
use predictsql_optimizer::LexMode;
use predictsql_optimizer::last_statement::{LastStatement, may_read_last_statement};

use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::Counts;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::command_payload;
use crate::lane::turn::Turn;
use crate::relay::Handled;
use crate::wire::command;

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
            let mut diagnostics = Diagnostics::keeping(turn.store.warnings_kept);
            diagnostics
                .add_from_store(&mut turn.store, before.warnings)
                .await?;
            self.diagnostics = Some(diagnostics);
        }
        turn.store.set_found_rows(before.found_rows).await
    }
}

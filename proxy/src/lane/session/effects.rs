//! Session state after a predict statement: ROW_COUNT(), FOUND_ROWS(), warnings and errors have
//! the values that the statement itself would have set, although the lane has run statements of
//! its own in between.
//!
//! Where possible, the lane sets the state in the store: a statement that finds as many rows sets
//! FOUND_ROWS(), and one that fails with the same error sets the rest. Values that cannot be set
//! in the store (a row count, warnings of the lane) are remembered in the lane and substituted
//! into the next statement that reads them.

use bytes::Bytes;
use predictsql_optimizer::LexMode;
use predictsql_optimizer::last_statement::{
    LastStatement, forgets_warnings, may_read_last_statement,
};

use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::session::lane::Lane;
use crate::lane::session::left::{Done, FoundRows, Left, Remembered};
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::error::LinkError;
use crate::lane::store::link::{Protocol, command_payload};
use crate::lane::turn::Turn;
use crate::wire::command;

impl Lane {
    /// Applies a statement's effects to its session, after the client has its answer.
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
            kept: None,
        };
        if let FoundRows::Set(rows) = left.found_rows {
            turn.store.set_for_statements(None);
            turn.store.set_found_rows(rows).await?;
        }
        Ok(())
    }

    /// Whether a statement may read values of the previous one that only the lane holds.
    pub(in crate::lane) fn may_read_remembered(&self, statement: &[u8]) -> bool {
        self.remembered.is_any() && may_read_last_statement(statement)
    }

    /// The values of the last statement that override the store's.
    fn last_statement(&self) -> LastStatement {
        let diagnostics = self.remembered.diagnostics.as_ref();
        LastStatement {
            row_count: self.remembered.row_count,
            found_rows: self.remembered.found_rows,
            warnings: diagnostics.map(Diagnostics::warning_count),
            errors: diagnostics.map(Diagnostics::error_count),
        }
    }

    /// Overrides the store's values for the previous statement with the remembered ones.
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

    /// The text of a statement for the store, with the values that it reads of the previous
    /// statement substituted; `None` if nothing changes. Remembered warnings are kept only if
    /// values were substituted and the statement has no FROM.
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

    /// Forwards a statement to the store, with the values of the previous statement substituted.
    pub(in crate::lane) fn forward_with_remembered(&mut self, statement: &Bytes) -> Done {
        let text = String::from_utf8_lossy(statement);
        // The session's sql_mode is not known here: a query for it would overwrite the values.
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

    /// Notes the warnings that the previous statement has left, if `statement` leaves them in the
    /// session. Not for the binary protocol: once a statement is prepared and executed, the store
    /// has no older warnings.
    pub(in crate::lane) async fn keep_warnings(
        &mut self,
        turn: &mut Turn<'_>,
        statement: &str,
        settings: &SessionSettings,
        protocol: &Protocol,
    ) -> Result<(), LinkError> {
        self.remembered.kept = None;
        let before = turn.store.before.map_or(0, |before| before.warnings);
        let keeps = matches!(protocol, Protocol::Text) && before > 0;
        if !keeps || forgets_warnings(statement, settings.lex) {
            return Ok(());
        }
        self.remembered.kept = match &mut self.remembered.diagnostics {
            Some(known) => {
                known.fetch_from(&mut turn.store).await?;
                Some(known.clone())
            }
            None => store_warnings(turn, before).await?,
        };
        Ok(())
    }

    /// Effects that restore the session state from before this turn, for a turn that executed no
    /// statement of the client.
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
            return Ok(left); // the lane's own statement has left the same number
        }
        if left.diagnostics.is_none() {
            left.diagnostics = store_warnings(turn, before.warnings).await?;
        }
        left.found_rows = FoundRows::Set(before.found_rows);
        Ok(left)
    }

    /// Restores the session state from before this turn, for a statement that the store answers.
    pub(in crate::lane) async fn leave_as_found(
        &mut self,
        turn: &mut Turn<'_>,
    ) -> Result<(), LinkError> {
        let left = self.as_found(turn).await?;
        self.leave(turn, left).await
    }
}

/// The store's `count` warnings, if there are any.
async fn store_warnings(turn: &mut Turn<'_>, count: u64) -> Result<Option<Diagnostics>, LinkError> {
    if count == 0 {
        return Ok(None);
    }
    let mut diagnostics = Diagnostics::keeping(turn.store.warnings_kept);
    diagnostics.add_from_store(&mut turn.store, count).await?;
    Ok(Some(diagnostics))
}

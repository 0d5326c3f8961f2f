//! Effects of a statement on its session that the store does not hold.

use bytes::Bytes;
use predictsql_optimizer::LexMode;
use predictsql_optimizer::last_statement::forgets_warnings;

use crate::lane::session::diagnostics::Diagnostics;
use crate::wire::command;

/// Effects of a statement on its session that the store does not have by itself. (The status
/// flags are the store's; the turn copies them from each answer.) Statement handlers return this;
/// only [`Lane::leave`](crate::lane::session::lane::Lane) applies it.
#[derive(Debug, Default)]
pub struct Left {
    /// Warnings and errors; `None`: those of the store.
    pub diagnostics: Option<Diagnostics>,
    /// `ROW_COUNT()`; `None`: the store's value.
    pub row_count: Option<i64>,
    /// `FOUND_ROWS()`
    pub found_rows: FoundRows,
}

/// `FOUND_ROWS()` after a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FoundRows {
    /// The store's value.
    #[default]
    AsStore,
    /// The store has another value: the lane substitutes this one into the next statement that
    /// reads it.
    Remembered(u64),
    /// The lane sets this value in the store.
    Set(u64),
}

/// Values of the last statement that override the store's.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Warnings and errors.
    pub diagnostics: Option<Diagnostics>,
    /// `ROW_COUNT()`
    pub row_count: Option<i64>,
    /// `FOUND_ROWS()`
    pub found_rows: Option<u64>,
    /// Warnings of the statement before the one that runs now, which leaves them in the session
    /// unless it has warnings of its own.
    pub kept: Option<Diagnostics>,
}

impl Remembered {
    /// Whether any value is remembered.
    pub fn is_any(&self) -> bool {
        self.diagnostics.is_some() || self.row_count.is_some() || self.found_rows.is_some()
    }

    /// Updates the values for a command that the store answers: the command sets counts of its
    /// own. Warnings are dropped only by a COM_QUERY that reads tables or is no SELECT.
    pub fn forwarded(&mut self, payload: &[u8]) {
        if payload.first() == Some(&command::STMT_CLOSE) {
            return; // changes nothing
        }
        self.row_count = None;
        self.found_rows = None;
        if self.diagnostics.is_some() && payload.first() == Some(&command::QUERY) {
            let text = String::from_utf8_lossy(payload.get(1..).unwrap_or_default());
            // The session's sql_mode is not known here: one that quotes otherwise finds a FROM
            // too many or too few.
            if forgets_warnings(&text, LexMode::default()) {
                self.diagnostics = None;
            }
        }
    }

    /// The same values as the effects of a command that changes none of them.
    pub fn unchanged(&mut self) -> Left {
        let Self {
            diagnostics,
            row_count,
            found_rows,
            kept: _,
        } = std::mem::take(self);
        Left {
            diagnostics,
            row_count,
            found_rows: found_rows.map_or(FoundRows::AsStore, FoundRows::Remembered),
        }
    }
}

/// The outcome of a command's handler.
#[derive(Debug)]
pub enum Done {
    /// The client has its answer.
    Answered(Left),
    /// The store is to answer this payload; its effects are the store's.
    Forward(Bytes),
}

//! What a statement leaves in its session, where the store does not say it.

use bytes::Bytes;
use predictsql_optimizer::LexMode;
use predictsql_optimizer::last_statement::forgets_warnings;

use crate::lane::session::diagnostics::Diagnostics;
use crate::wire::command;

/// What a statement leaves in its session besides what the store says by itself (the status flags
/// among it, which a turn notes with each answer of the store). Handlers of statements return it;
/// [`Lane::leave`](crate::lane::session::lane::Lane) alone writes it.
#[derive(Debug, Default)]
pub struct Left {
    /// Warnings and errors; `None`: the store has them.
    pub diagnostics: Option<Diagnostics>,
    /// `ROW_COUNT()`; `None`: as the store says.
    pub row_count: Option<i64>,
    /// `FOUND_ROWS()`
    pub found_rows: FoundRows,
}

/// `FOUND_ROWS()` after a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FoundRows {
    /// As the store says.
    #[default]
    AsStore,
    /// The store says another number: the lane writes this one into the next statement that reads
    /// it.
    Remembered(u64),
    /// The store is brought to say it.
    Set(u64),
}

/// What the lane knows of the last statement better than the store.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Warnings and errors.
    pub diagnostics: Option<Diagnostics>,
    /// `ROW_COUNT()`
    pub row_count: Option<i64>,
    /// `FOUND_ROWS()`
    pub found_rows: Option<u64>,
}

impl Remembered {
    /// Whether the lane knows anything.
    pub fn is_any(&self) -> bool {
        self.diagnostics.is_some() || self.row_count.is_some() || self.found_rows.is_some()
    }

    /// The store answers a command, which leaves counts of its own;
    /// warnings stay where it reads no table.
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

    /// The same, to be left by a command that changes nothing of it.
    pub fn unchanged(&mut self) -> Left {
        let Self {
            diagnostics,
            row_count,
            found_rows,
        } = std::mem::take(self);
        Left {
            diagnostics,
            row_count,
            found_rows: found_rows.map_or(FoundRows::AsStore, FoundRows::Remembered),
        }
    }
}

/// How a handler is done with a command.
#[derive(Debug)]
pub enum Done {
    /// The client has its answer.
    Answered(Left),
    /// The store answers this payload, and leaves what it leaves.
    Forward(Bytes),
}

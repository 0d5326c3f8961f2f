//! What the client's statement before has left in the session.

use predictsql_optimizer::last_statement::LastStatement;

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

impl From<Before> for LastStatement {
    fn from(before: Before) -> Self {
        Self {
            row_count: Some(before.row_count),
            found_rows: Some(before.found_rows),
            warnings: Some(before.warnings),
            errors: Some(before.errors),
        }
    }
}

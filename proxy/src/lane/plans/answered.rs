//! The receiver of a plan's answer, and the effects of a plan.

use crate::lane::session::diagnostics::Diagnostics;

/// The receiver of an answer's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The client.
    Client,
    /// Nobody: the rows are only counted, and the client gets the count.
    Nobody,
}

/// Effects of a plan that the store does not hold.
#[derive(Debug, Default)]
pub struct Answered {
    /// Its warnings; `None`: those of the store.
    pub diagnostics: Option<Diagnostics>,
    /// FOUND_ROWS(), if the store's value differs.
    pub found_rows: Option<u64>,
    /// ROW_COUNT(), if the lane ended a transaction after the statement.
    pub row_count: Option<i64>,
    /// Number of rows in its answer, if it returns rows.
    pub rows: Option<u64>,
    /// Number of rows that it changed, if it changes rows.
    pub affected: Option<u64>,
    /// `@@warning_count`, as sent in the protocol.
    pub warnings: u16,
}

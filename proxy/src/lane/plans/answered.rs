//! Who gets the answer of a plan, and what the plan leaves.

use crate::lane::session::diagnostics::Diagnostics;

/// Who gets the rows of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// The client.
    Client,
    /// Nobody: they are counted, and the client is told of them.
    Nobody,
}

/// What a plan has left that the store does not know.
#[derive(Debug, Default)]
pub struct Answered {
    /// Its warnings; `None`: the store has them.
    pub diagnostics: Option<Diagnostics>,
    /// FOUND_ROWS(), where the store found others.
    pub found_rows: Option<u64>,
    /// ROW_COUNT(), where the end of a transaction came after it.
    pub row_count: Option<i64>,
    /// Rows of its answer, if it has any.
    pub rows: Option<u64>,
    /// Rows that it has changed, if it changes any.
    pub affected: Option<u64>,
    /// `@@warning_count`, as the protocol has it.
    pub warnings: u16,
}

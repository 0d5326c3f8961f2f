//! Shape of a harvest query: its tables and conditions.

/// The tables that a harvest reads, and the block's conditions it uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Index of the candidate table set.
    pub source: usize,
    /// Indexes of the conditions.
    pub conditions: Vec<usize>,
    /// Index of the only table of the join to read: the store may evaluate a condition before a
    /// join, for rows that the join drops.
    pub factor: Option<usize>,
    /// Whether the conditions of derived tables are removed; the store may merge these tables into
    /// the block and then evaluate their conditions in any order.
    pub stripped: bool,
}

/// The members of a harvest, as pass 2 queries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The tables and conditions of the member query.
    pub shape: Shape,
    /// Whether to read current rows, as a statement that changes the tables does.
    pub locking: bool,
}

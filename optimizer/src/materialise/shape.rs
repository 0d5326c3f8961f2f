//! By which tables and conditions the store is asked for the keys of a harvest.

/// Which tables a harvest reads, and by which of the block's conditions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Number of the choice of tables.
    pub source: usize,
    /// Numbers of the conditions.
    pub conditions: Vec<usize>,
    /// Of the tables that are joined only the one of this number: the store may evaluate a
    /// condition before it joins, for rows that no join keeps.
    pub factor: Option<usize>,
    /// Without the conditions of derived tables, which the store may merge into the block and then
    /// evaluate in any order.
    pub stripped: bool,
}

/// The members of a harvest, as pass 2 asks for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// By which tables and conditions they are found.
    pub shape: Shape,
    /// Rows are read as they are now, as a change of the tables reads them.
    pub locking: bool,
}

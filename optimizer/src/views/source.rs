//! Views as the store has them, and the session that a view's text is put into.

use crate::sql::LexMode;

/// A view as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSource {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its query, as the store prints it: names in backquotes, strings with backslashes.
    pub definition: String,
    /// The store keeps its rows apart (`ALGORITHM = TEMPTABLE`): all its columns are evaluated.
    pub kept_apart: bool,
    /// `collation_connection` when it was made.
    pub collation: String,
}

/// What the meaning of a view's text depends on where it is put.
#[derive(Debug, Clone, Copy)]
pub struct ViewSession<'a> {
    /// How text is cut into tokens.
    pub mode: LexMode,
    /// The current database; empty for none.
    pub database: &'a str,
    /// `@@collation_connection`.
    pub collation: &'a str,
    /// The statement is sent in UTF-8.
    pub utf8: bool,
}

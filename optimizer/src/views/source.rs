//! View definitions from the store, and the session that a view's text is rendered for.

use crate::sql::LexMode;

/// A view definition from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewSource {
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// Its query, as the store prints it: names in backquotes, strings with backslashes.
    pub definition: String,
    /// Whether the store materialises it (`ALGORITHM = TEMPTABLE`): all its columns are evaluated.
    pub kept_apart: bool,
    /// `collation_connection` at its creation.
    pub collation: String,
}

/// The session state that affects the meaning of a view's text.
#[derive(Debug, Clone, Copy)]
pub struct ViewSession<'a> {
    /// The tokenization mode.
    pub mode: LexMode,
    /// The current database; empty for none.
    pub database: &'a str,
    /// `@@collation_connection`.
    pub collation: &'a str,
    /// Whether the statement is sent in UTF-8.
    pub utf8: bool,
}

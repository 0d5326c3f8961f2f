//! Recursive-descent parser for catalog statements, with one file per kind of statement.

mod change;
mod cursor;
mod show;
mod work;

use cursor::{Cursor, read_whole};

use super::statement::CatalogStatement;
use crate::{LexMode, Refusal};

/// Parses a catalog statement under the default SQL mode.
pub fn parse(sql: &str) -> Result<CatalogStatement, Refusal> {
    parse_in(sql, LexMode::default())
}

/// Parses a catalog statement under `mode`.
pub fn parse_in(sql: &str, mode: LexMode) -> Result<CatalogStatement, Refusal> {
    read_whole(sql, mode, statement)
}

fn statement(cursor: &mut Cursor<'_>) -> Result<CatalogStatement, Refusal> {
    if let Some(change) = change::change(cursor)? {
        return Ok(CatalogStatement::Change(change));
    }
    if let Some(show) = show::show(cursor)? {
        return Ok(CatalogStatement::Show(show));
    }
    if let Some(work) = work::work(cursor)? {
        return Ok(CatalogStatement::Work(work));
    }
    Err(cursor.syntax("CREATE, ALTER, DROP, SHOW or EVALUATE of a TASK or MODEL"))
}

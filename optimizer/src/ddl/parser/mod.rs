//! The recursive descent over a catalog statement's tokens: a file a type of statement.

mod change;
mod cursor;
mod show;
mod work;

use cursor::{Cursor, read_whole};

use super::statement::{CatalogStatement, ShowFilter};
use crate::{LexMode, Refusal};

/// Reads a catalog statement of a session in the default SQL mode.
pub fn parse(sql: &str) -> Result<CatalogStatement, Refusal> {
    parse_in(sql, LexMode::default())
}

/// Reads a catalog statement of a session in `mode`.
pub fn parse_in(sql: &str, mode: LexMode) -> Result<CatalogStatement, Refusal> {
    read_whole(sql, mode, statement)
}

/// Reads `SHOW list [LIKE 'p' | WHERE e]` of lists that are not the catalog's, each a word and
/// what it stands for: which list, and which rows.
pub fn parse_listing<L: Clone>(
    sql: &str,
    lists: &[(&str, L)],
) -> Result<(L, Option<ShowFilter>), Refusal> {
    read_whole(sql, LexMode::default(), |cursor| {
        show::listing(cursor, lists)
    })
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

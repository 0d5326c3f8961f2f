//! Table references of a query block.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use crate::sql::blocks::{Block, Blocks};
use crate::sql::text::Lexed;

/// A table, view or common table expression referenced in FROM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference {
    /// Including its alias.
    pub(super) range: Range<usize>,
    pub(super) schema: Option<String>,
    pub(super) table: String,
    pub(super) alias: Option<String>,
}

impl Reference {
    /// The qualifier of its columns.
    pub(super) fn qualifier(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.table)
    }
}

/// Words that may follow a table name and are not an alias.
const NO_ALIAS: [&str; 19] = [
    "JOIN",
    "INNER",
    "CROSS",
    "LEFT",
    "RIGHT",
    "NATURAL",
    "STRAIGHT_JOIN",
    "ON",
    "USING",
    "USE",
    "FORCE",
    "IGNORE",
    "PARTITION",
    "FOR",
    "SET",
    "LIMIT",
    "WHERE",
    "ORDER",
    "LOCK",
];

/// The tables that a block references, in order, and whether the list is complete: it is not if
/// there is a derived table, a table function or unknown syntax.
pub(super) fn references(
    lexed: &Lexed<'_>,
    blocks: &Blocks,
    block: &Block,
) -> (Vec<Reference>, bool) {
    let conditions = blocks.on_conditions(lexed, block);
    let (mut found, mut only) = (Vec::new(), true);
    let (mut at, mut expected) = (block.from.start, true);
    while at < block.from.end {
        if let Some(condition) = conditions.iter().find(|c| c.contains(&at)) {
            at = condition.end;
            continue;
        }
        let starts = |words: &[&str]| words.iter().any(|w| lexed.is_keyword(at, w));
        match lexed.token(at) {
            Some(Token::LParen) if expected && !opens_query(lexed, at + 1) => at += 1,
            Some(Token::LParen) => {
                only &= !expected;
                expected = false;
                at = lexed.after_closing(at).unwrap_or(block.from.end);
            }
            Some(Token::Comma) => {
                expected = true;
                at += 1;
            }
            _ if starts(&["JOIN", "STRAIGHT_JOIN"]) => {
                expected = true;
                at += 1;
            }
            Some(Token::Word(_)) if expected && !starts(&["LATERAL"]) => {
                expected = false;
                match named(lexed, at, block.from.end) {
                    Some(reference) => {
                        at = reference.range.end;
                        found.push(reference);
                    }
                    None => {
                        only = false;
                        at += 1;
                    }
                }
            }
            _ => at += 1,
        }
    }
    (found, only)
}

fn opens_query(lexed: &Lexed<'_>, mut at: usize) -> bool {
    while matches!(lexed.token(at), Some(Token::LParen)) {
        at += 1;
    }
    let words = ["SELECT", "WITH", "VALUES"];
    words.iter().any(|w| lexed.is_keyword(at, w))
}

/// `[schema.]table [[AS] alias]` at `at`.
fn named(lexed: &Lexed<'_>, at: usize, end: usize) -> Option<Reference> {
    let is_period = |at: usize| matches!(lexed.token(at), Some(Token::Period));
    let word = |at: usize| match lexed.token(at) {
        Some(Token::Word(_)) => lexed.name(at),
        _ => None,
    };
    let mut next = at + 1;
    let mut schema = None;
    let mut table = word(at)?;
    if is_period(next) {
        schema = Some(std::mem::replace(&mut table, word(next + 1)?));
        next += 2;
    }
    if matches!(lexed.token(next), Some(Token::LParen)) || is_period(next) {
        return None;
    }
    let explicit = next < end && lexed.is_keyword(next, "AS");
    let place = next + usize::from(explicit);
    let mut alias = None;
    let free = |at: usize| at < end && !NO_ALIAS.iter().any(|w| lexed.is_keyword(at, w));
    if free(place)
        && let Some(name) = word(place)
    {
        alias = Some(name);
        next = place + 1;
    }
    Some(Reference {
        range: at..next,
        schema,
        table,
        alias,
    })
}

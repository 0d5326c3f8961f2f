//! Finds names of view columns in a query block.

use sqlparser::tokenizer::Token;

use super::references::Reference;
use crate::sql::text::Lexed;

/// The form of a column name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Written {
    /// Unqualified.
    Alone,
    /// Qualified by a table name; the qualified name starts at lexeme `start`.
    Qualified {
        start: usize,
        schema: Option<String>,
        table: String,
    },
    /// Not a column name, or not certain.
    Other,
}

/// The form of the name at `at`.
pub(super) fn written(lexed: &Lexed<'_>, at: usize) -> Written {
    let is_period = |at: usize| matches!(lexed.token(at), Some(Token::Period));
    let word = |at: usize| match lexed.token(at) {
        Some(Token::Word(_)) => lexed.name(at),
        _ => None,
    };
    if is_period(at + 1) || matches!(lexed.token(at + 1), Some(Token::LParen)) {
        return Written::Other;
    }
    let before = |back: usize| at.checked_sub(back);
    match before(1).and_then(|at| lexed.token(at)) {
        Some(Token::Period) => {
            let Some((place, table)) = before(2).and_then(|at| Some((at, word(at)?))) else {
                return Written::Other;
            };
            let schema = match before(3).filter(|at| is_period(*at)) {
                Some(_) => match before(4).and_then(word) {
                    Some(schema) => Some(schema),
                    None => return Written::Other,
                },
                None => None,
            };
            let start = if schema.is_some() { place - 2 } else { place };
            Written::Qualified {
                start,
                schema,
                table,
            }
        }
        Some(Token::AtSign) => Written::Other,
        _ => Written::Alone,
    }
}

/// Whether a qualifier refers to a reference, whose view is in schema `of`.
pub(super) fn means(reference: &Reference, of: &str, schema: Option<&str>, table: &str) -> bool {
    let named = reference.qualifier() == table;
    match schema {
        Some(schema) => named && reference.alias.is_none() && schema == of,
        None => named,
    }
}

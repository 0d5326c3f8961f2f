//! Select list elements without an alias: their column name is their text, which must not change
//! when a call is replaced.

use std::ops::Range;

use sqlparser::ast::SelectItem;
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use super::text::{Lexed, StoreDialect};
use crate::refusal::Refusal;

/// Maximum nesting depth of the parser.
const RECURSION_MAX: usize = 64;

/// Maximum number of tokens of a parsed element: a chain of operators gives a tree as deep as it
/// is long.
const ELEMENT_TOKENS_MAX: usize = 2000;

/// Words between SELECT and the first element.
const MODIFIERS: [&str; 11] = [
    "ALL",
    "DISTINCT",
    "DISTINCTROW",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_CACHE",
    "SQL_NO_CACHE",
    "SQL_CALC_FOUND_ROWS",
];

/// The elements of a select list, without modifiers.
pub(crate) fn elements(lexed: &Lexed<'_>, mut items: Range<usize>) -> Vec<Range<usize>> {
    while MODIFIERS.iter().any(|m| lexed.is_keyword(items.start, m)) {
        items.start += 1;
    }
    if items.start >= items.end {
        return Vec::new();
    }
    lexed.split_commas(items)
}

/// Longest name in characters that is certain to be an alias of the store.
const ALIAS_CHARS_MAX: usize = 256;

/// Whether a text cannot be an alias of its own: it is too long, or has characters that the
/// store's names cannot have. `as_bytes`: the text's characters stand for bytes, of which not all
/// sequences are characters for the store.
pub(crate) fn is_no_alias(text: &str, as_bytes: bool) -> bool {
    let beyond = |c: char| c > '\u{ffff}' || (as_bytes && !c.is_ascii());
    text.chars().any(beyond) || text.chars().count() > ALIAS_CHARS_MAX
}

/// Whether the store may give an element of this text another name than the text itself.
pub(crate) fn is_unclear_name(text: &str) -> bool {
    /// Names are cut somewhere beyond this length.
    const CLEAR_BYTES_MAX: usize = 200;
    text.len() > CLEAR_BYTES_MAX || !text.is_ascii()
}

/// Operators in words, after which an operand follows and no alias.
const OPERATORS: [&str; 13] = [
    "AND", "BETWEEN", "BINARY", "COLLATE", "DIV", "IS", "LIKE", "MOD", "NOT", "OR", "REGEXP",
    "RLIKE", "XOR",
];

/// Whether an element has no alias.
pub(crate) fn is_unnamed(lexed: &Lexed<'_>, element: &Range<usize>) -> Result<bool, Refusal> {
    let Some(last) = element.end.checked_sub(1) else {
        return Ok(true);
    };
    if matches!(lexed.token(last), Some(Token::RParen)) {
        return Ok(true); // an alias never ends with a parenthesis
    }
    if last > element.start && lexed.is_keyword(last - 1, "AS") {
        return Ok(false);
    }
    if last > element.start
        && OPERATORS
            .iter()
            .any(|word| lexed.is_keyword(last - 1, word))
    {
        return Ok(true);
    }
    let unclear = || {
        Refusal::unsupported(
            "this syntax in a select list with predictions; give it an alias by AS",
        )
    };
    if element.len() > ELEMENT_TOKENS_MAX {
        return Err(unclear());
    }
    let dialect = StoreDialect::new(lexed.mode);
    let mut parser = Parser::new(&dialect)
        .with_recursion_limit(RECURSION_MAX)
        .with_tokens_with_locations(lexed.parser_tokens(element.clone()));
    let item = parser.parse_select_item().map_err(|_| unclear())?;
    if !matches!(parser.peek_token().token, Token::EOF) {
        return Err(unclear());
    }
    Ok(!matches!(item, SelectItem::ExprWithAlias { .. }))
}

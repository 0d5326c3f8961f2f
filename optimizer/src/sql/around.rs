//! The largest enclosing expression that satisfies a predicate, found by tokens: operands of AND
//! and OR, elements of lists and of CASE, parenthesised expressions, functions.
//!
//! A range wrongly taken for an expression contains a keyword that is not an operator; the
//! predicate must refuse it.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::boolean::{self, Split};
use super::expression::is_subquery;
use super::text::Lexed;

/// Reserved words that precede an expression.
const BEFORE: [&str; 9] = [
    "BY", "DISTINCT", "ELSE", "HAVING", "ON", "SELECT", "THEN", "WHEN", "WHERE",
];

/// Reserved words that follow an expression.
const AFTER: [&str; 27] = [
    "AS",
    "ASC",
    "CROSS",
    "DESC",
    "ELSE",
    "EXCEPT",
    "FOR",
    "FROM",
    "GROUP",
    "HAVING",
    "INNER",
    "INTERSECT",
    "INTO",
    "JOIN",
    "LIMIT",
    "LOCK",
    "NATURAL",
    "ORDER",
    "PROCEDURE",
    "STRAIGHT_JOIN",
    "THEN",
    "UNION",
    "USING",
    "WHEN",
    "WHERE",
    "WINDOW",
    "WITH",
];

/// Reserved words that follow an expression, unless they are function names.
const AFTER_OR_FUNCTIONS: [&str; 2] = ["LEFT", "RIGHT"];

/// The largest expression in `block` around `call` that satisfies `holds`, or `call` itself.
pub(crate) fn largest(
    lexed: &Lexed<'_>,
    block: &Range<usize>,
    call: &Range<usize>,
    holds: &dyn Fn(&Range<usize>) -> bool,
) -> Range<usize> {
    let (mut found, mut at) = (call.clone(), call.clone());
    loop {
        let around = enclosing(lexed, block, at.start);
        let within = around.as_ref().map_or(block, |around| &around.inner);
        let element = element(lexed, within, &at);
        if let Some(part) = part(lexed, element, &at, holds) {
            found = part;
        }
        let Some(around) = around.filter(|around| holds(&around.outer)) else {
            return found;
        };
        if !around.is_list {
            found = around.outer.clone();
        }
        at = around.outer;
    }
}

/// Parentheses or a CASE that enclose a lexeme.
struct Enclosing {
    /// Without the parentheses, or the keywords CASE and END.
    inner: Range<usize>,
    /// Including them, and the function name if any.
    outer: Range<usize>,
    /// Whether it is a list of expressions and not an expression itself.
    is_list: bool,
}

/// The innermost enclosing construct of a lexeme within a block; `None` for a sub-query.
fn enclosing(lexed: &Lexed<'_>, block: &Range<usize>, at: usize) -> Option<Enclosing> {
    let is_open = |i: usize| matches!(lexed.token(i), Some(Token::LParen));
    let mut open: Vec<usize> = Vec::new();
    for i in block.start..at {
        if is_open(i) || lexed.is_keyword(i, "CASE") {
            open.push(i);
        } else if matches!(lexed.token(i), Some(Token::RParen)) {
            while open.pop().is_some_and(|i| !is_open(i)) {}
        } else if lexed.is_keyword(i, "END") && open.last().is_some_and(|i| !is_open(*i)) {
            open.pop();
        }
    }
    let start = open.pop()?;
    if !is_open(start) {
        let mut depth = 0_usize;
        let mut rest = lexed.outside_parentheses(start..block.end);
        let end = rest.find(|&i| {
            depth += usize::from(lexed.is_keyword(i, "CASE"));
            depth -= usize::from(lexed.is_keyword(i, "END") && depth > 0);
            depth == 0
        })?;
        return Some(Enclosing {
            inner: start + 1..end,
            outer: start..end + 1,
            is_list: false,
        });
    }
    let end = lexed.after_closing(start).filter(|end| *end <= block.end)?;
    if is_subquery(lexed, start) {
        return None;
    }
    let is_name = |i: &usize| *i >= block.start && matches!(lexed.token(*i), Some(Token::Word(_)));
    let name = start.checked_sub(1).filter(is_name);
    // The preceding word may be an operator, such as IN.
    let is_list = lexed.split_commas(start + 1..end - 1).len() != 1
        && name.is_none_or(|name| OPERATORS.iter().any(|w| lexed.is_keyword(name, w)));
    let is_operator = name.is_some_and(|n| OPERATORS.iter().any(|w| lexed.is_keyword(n, w)));
    Some(Enclosing {
        inner: start + 1..end - 1,
        outer: name.filter(|_| !is_operator).unwrap_or(start)..end,
        is_list,
    })
}

/// Reserved words before parentheses that are not functions.
const OPERATORS: [&str; 20] = [
    "AND", "BETWEEN", "BINARY", "BY", "CASE", "DIV", "ELSE", "HAVING", "IN", "LIKE", "NOT", "ON",
    "OR", "REGEXP", "RLIKE", "SELECT", "THEN", "WHEN", "WHERE", "XOR",
];

/// The element of `within` that contains `at`, delimited by commas and reserved words; those of
/// other CASEs are skipped.
fn element(lexed: &Lexed<'_>, within: &Range<usize>, at: &Range<usize>) -> Range<usize> {
    let is = |at: usize, words: &[&str]| words.iter().any(|w| lexed.is_keyword(at, w));
    let (mut start, mut end) = (within.start, within.end);
    let mut open_cases = 0_usize;
    for i in lexed.outside_parentheses(within.clone()) {
        open_cases += usize::from(is(i, &["CASE"]));
        let is_end = open_cases > 0 && is(i, &["END"]);
        open_cases -= usize::from(is_end);
        let comma = matches!(lexed.token(i), Some(Token::Comma | Token::SemiColon));
        let function = matches!(lexed.token(i + 1), Some(Token::LParen));
        // A string right after the call is an alias.
        let alias = i == at.end && lexed.string_literal(&(i..i + 1)).is_some();
        let is_after = comma || alias || is(i, &AFTER) || !function && is(i, &AFTER_OR_FUNCTIONS);
        if open_cases > 0 || at.contains(&i) {
            continue;
        } else if i < at.start && (comma || is(i, &BEFORE)) {
            start = i + 1;
        } else if i >= at.end && is_after {
            end = i;
            break;
        }
    }
    start..end
}

/// The largest AND/OR operand of an element around `at` that satisfies `holds`.
fn part(
    lexed: &Lexed<'_>,
    element: Range<usize>,
    at: &Range<usize>,
    holds: &dyn Fn(&Range<usize>) -> bool,
) -> Option<Range<usize>> {
    let mut part = element;
    while !holds(&part) {
        let (Split::Any(parts) | Split::All(parts)) = boolean::split(lexed, &part) else {
            return None;
        };
        part = parts.into_iter().find(|p| p.contains(&at.start))?;
    }
    Some(part)
}

//! The select list of a stream plan: elements computed by the store, and predicted ones.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::structure::ItemShape;
use crate::refusal::Refusal;
use crate::sql::calls::Call;
use crate::sql::expression::in_subquery;
use crate::sql::text::Lexed;

/// An element of the select list as lexeme ranges.
#[derive(Debug, Clone)]
pub(crate) struct ItemText {
    /// Including its alias.
    pub(crate) all: Range<usize>,
    /// Without its alias.
    pub(crate) expression: Range<usize>,
    pub(crate) alias: Option<String>,
    pub(crate) wildcard: bool,
    /// Indexes of the calls within it.
    pub(crate) calls: Vec<usize>,
}

/// Pairs the lexeme ranges of the select list with the parsed shapes.
pub(crate) fn read(
    lexed: &Lexed<'_>,
    ranges: Vec<Range<usize>>,
    shapes: &[ItemShape],
    calls: &[Call],
) -> Result<Vec<ItemText>, Refusal> {
    if ranges.len() != shapes.len() {
        return Err(Refusal::unsupported(
            "this form of select list in a statement with predictions",
        ));
    }
    ranges
        .into_iter()
        .zip(shapes)
        .map(|(all, shape)| item(lexed, all, shape, calls))
        .collect()
}

fn item(
    lexed: &Lexed<'_>,
    all: Range<usize>,
    shape: &ItemShape,
    calls: &[Call],
) -> Result<ItemText, Refusal> {
    let (expression, alias) = match shape {
        ItemShape::Aliased => {
            let at = all.end.saturating_sub(1).max(all.start);
            let alias = lexed.name(at).ok_or_else(|| {
                Refusal::unsupported("this alias in a statement with predictions")
            })?;
            let has_as = at > all.start && lexed.is_keyword(at - 1, "AS");
            (all.start..at - usize::from(has_as), Some(alias))
        }
        ItemShape::Expression | ItemShape::Wildcard => (all.clone(), None),
    };
    let within: Vec<usize> = calls
        .iter()
        .enumerate()
        .filter(|(_, c)| all.contains(&c.range.start))
        .map(|(i, _)| i)
        .collect();
    for &i in &within {
        if calls
            .get(i)
            .is_some_and(|c| in_subquery(lexed, all.clone(), c.range.start))
        {
            return Err(Refusal::unsupported("a predict call in a sub-query"));
        }
    }
    Ok(ItemText {
        all,
        expression,
        alias,
        wildcard: matches!(shape, ItemShape::Wildcard),
        calls: within,
    })
}

/// Refuses an ORDER BY that orders by a predicted element, by name or by position.
pub(crate) fn check_order(
    lexed: &Lexed<'_>,
    order: &Range<usize>,
    items: &[ItemText],
) -> Result<(), Refusal> {
    let refusal = || Err(Refusal::unsupported("ORDER BY a prediction"));
    if order.is_empty() {
        return Ok(());
    }
    for term in lexed.split_commas(order.start + 2..order.end) {
        if is_parameter(lexed, &term) {
            // If bound to a number, it would be a position.
            return Err(Refusal::unsupported("a parameter as a term of ORDER BY"));
        }
        if let Some(position) = position(lexed, &term) {
            let before = items.get(..position.min(items.len())).unwrap_or_default();
            let wildcard = before.iter().any(|i| i.wildcard);
            if position > items.len() && !wildcard {
                // The store would sort by one of the hidden columns.
                return Err(Refusal::unknown_column(position, "ORDER BY"));
            }
            let unclear = wildcard && items.iter().any(|i| !i.calls.is_empty());
            if unclear || before.last().is_some_and(|i| !i.calls.is_empty()) {
                return refusal();
            }
        }
        for at in term {
            if !matches!(lexed.token(at), Some(Token::Word(_))) {
                continue;
            }
            let word = lexed.name(at).unwrap_or_default();
            let predicted = items.iter().filter(|i| !i.calls.is_empty());
            for item in predicted {
                let name = item
                    .alias
                    .as_deref()
                    .unwrap_or_else(|| lexed.text_of(&item.expression));
                if may_be_same_name(name, &word) {
                    return refusal();
                }
            }
        }
    }
    Ok(())
}

/// Whether a term of ORDER BY is a single parameter.
fn is_parameter(lexed: &Lexed<'_>, term: &Range<usize>) -> bool {
    matches!(only_token(lexed, term), Some(Token::Placeholder(_)))
}

/// The select list position that a term of ORDER BY refers to.
fn position(lexed: &Lexed<'_>, term: &Range<usize>) -> Option<usize> {
    match only_token(lexed, term)? {
        Token::Number(digits, _) => Some(digits.parse().unwrap_or(0)),
        _ => None,
    }
}

/// The only token of a term of ORDER BY: the store treats `(2)` and `+2` as 2.
fn only_token<'l>(lexed: &'l Lexed<'_>, term: &Range<usize>) -> Option<&'l Token> {
    let last = term.end.checked_sub(1)?;
    let direction = ["ASC", "DESC"].iter().any(|w| lexed.is_keyword(last, w));
    let mut rest = (term.start..term.end - usize::from(direction))
        .filter_map(|at| lexed.token(at))
        .filter(|t| !matches!(t, Token::LParen | Token::RParen | Token::Plus));
    match (rest.next(), rest.next()) {
        (only, None) => only,
        _ => None,
    }
}

/// Whether the store may treat two names as equal. It compares them character by character,
/// ignoring case and accents: non-ASCII names are treated as different only if their lengths
/// differ.
fn may_be_same_name(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
        || (!(a.is_ascii() && b.is_ascii()) && a.chars().count() == b.chars().count())
}

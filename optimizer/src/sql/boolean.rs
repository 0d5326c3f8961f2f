//! Splits conditions at OR, AND and NOT.

use std::ops::Range;

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator};
use sqlparser::tokenizer::Token;

use super::text::Lexed;

/// The outermost operator of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Split {
    /// OR
    Any(Vec<Range<usize>>),
    /// AND
    All(Vec<Range<usize>>),
    /// NOT before parentheses.
    Not(Range<usize>),
    /// Another operator, or none.
    Leaf,
}

/// Splits a condition at its outermost ORs or, if it has none, at its outermost ANDs. XOR has a
/// precedence between them.
pub(crate) fn split(lexed: &Lexed<'_>, range: &Range<usize>) -> Split {
    let (mut ors, mut ands, mut is_xor) = (Vec::new(), Vec::new(), false);
    let (mut open_cases, mut betweens) = (0_usize, 0_usize);
    for at in lexed.outside_parentheses(range.clone()) {
        if lexed.is_keyword(at, "CASE") {
            open_cases += 1;
        } else if lexed.is_keyword(at, "END") {
            open_cases = open_cases.saturating_sub(1);
        }
        if open_cases > 0 {
            continue;
        }
        let pipes =
            matches!(lexed.token(at), Some(Token::StringConcat)) && !lexed.mode.pipes_as_concat;
        if pipes || lexed.is_keyword(at, "OR") {
            ors.push(at);
        } else if lexed.is_keyword(at, "XOR") {
            is_xor = true;
        } else if lexed.is_keyword(at, "BETWEEN") {
            betweens += 1;
        } else if lexed.is_keyword(at, "AND") || matches!(lexed.token(at), Some(Token::Overlap)) {
            match betweens {
                0 => ands.push(at),
                _ => betweens -= 1,
            }
        }
    }
    match (&ors[..], is_xor, &ands[..]) {
        ([_, ..], ..) => Split::Any(between(range, &ors)),
        (_, true, _) => Split::Leaf,
        (.., [_, ..]) => Split::All(between(range, &ands)),
        _ if lexed.is_keyword(range.start, "NOT")
            && is_parenthesised(lexed, &(range.start + 1..range.end)) =>
        {
            Split::Not(range.start + 1..range.end)
        }
        _ => Split::Leaf,
    }
}

/// The parts of a range between these lexemes.
fn between(range: &Range<usize>, at: &[usize]) -> Vec<Range<usize>> {
    let starts = [range.start].into_iter().chain(at.iter().map(|at| at + 1));
    let ends = at.iter().copied().chain([range.end]);
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

/// Whether sqlparser's tree of a condition agrees with [`split`] on these operators.
pub(crate) fn is_parsed_so(lexed: &Lexed<'_>, range: &Range<usize>, parsed: &Expr) -> bool {
    let all = |ranges: &[Range<usize>], operator: &BinaryOperator| {
        let mut parts = Vec::new();
        operands(parsed, operator, &mut parts);
        let mut pairs = ranges.iter().zip(&parts);
        parts.len() == ranges.len() && pairs.all(|(range, part)| is_parsed_so(lexed, range, part))
    };
    match (split(lexed, range), parsed) {
        (Split::Any(ranges), _) => all(&ranges, &BinaryOperator::Or),
        (Split::All(ranges), _) => all(&ranges, &BinaryOperator::And),
        (Split::Not(range), Expr::UnaryOp { op, expr }) => {
            *op == UnaryOperator::Not && is_parsed_so(lexed, &range, expr)
        }
        (Split::Not(_), _) => false,
        (Split::Leaf, Expr::Nested(inner)) if is_parenthesised(lexed, range) => {
            is_parsed_so(lexed, &(range.start + 1..range.end - 1), inner)
        }
        (Split::Leaf, Expr::BinaryOp { op, .. }) => {
            !matches!(op, BinaryOperator::And | BinaryOperator::Or)
        }
        (Split::Leaf, _) => true,
    }
}

/// The operands of a chain of one operator.
fn operands<'e>(expression: &'e Expr, operator: &BinaryOperator, found: &mut Vec<&'e Expr>) {
    match expression {
        Expr::BinaryOp { left, op, right } if op == operator => {
            operands(left, operator, found);
            operands(right, operator, found);
        }
        other => found.push(other),
    }
}

fn is_parenthesised(lexed: &Lexed<'_>, range: &Range<usize>) -> bool {
    matches!(lexed.token(range.start), Some(Token::LParen))
        && lexed.after_closing(range.start) == Some(range.end)
}

/// The condition without enclosing parentheses.
pub(crate) fn without_parentheses(lexed: &Lexed<'_>, mut range: Range<usize>) -> Range<usize> {
    while is_parenthesised(lexed, &range) {
        range = range.start + 1..range.end - 1;
    }
    range
}

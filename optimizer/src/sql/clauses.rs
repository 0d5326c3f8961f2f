//! Splits a single-block SELECT into its clauses by tokens; refuses other statements, naming the
//! unsupported construct.
//!
//! `SELECT * FROM (block) AS t WHERE ... ORDER BY ... LIMIT n`, which tools write around a query,
//! is split into the clauses of the block, and what stands around it.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::text::Lexed;
use crate::refusal::Refusal;

/// Ranges of lexemes. An absent clause is an empty range.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clauses {
    /// The block that the other clauses are of.
    pub(crate) block: Range<usize>,
    /// `[WITH ...] SELECT [modifiers]`, after any `SELECT * FROM (`.
    pub(crate) head: Range<usize>,
    /// The select list.
    pub(crate) items: Range<usize>,
    /// `FROM ...`, the word included, up to WHERE.
    pub(crate) from: Range<usize>,
    /// The condition after WHERE.
    pub(crate) condition: Range<usize>,
    /// `ORDER BY ...`, the words included.
    pub(crate) order: Range<usize>,
    /// `) AS t WHERE ... ORDER BY ...` of the query around the block, up to its LIMIT.
    pub(crate) around: Range<usize>,
    /// The lexemes after LIMIT; of the query around the block, if there is one.
    pub(crate) limit: Range<usize>,
}

/// A row count of LIMIT or OFFSET.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowCount {
    /// Written in the statement.
    Number(u64),
    /// The client's parameter with this index (from 0).
    Parameter(usize),
}

/// LIMIT and OFFSET of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// Maximum number of rows.
    pub rows: RowCount,
    /// Number of rows to skip.
    pub offset: RowCount,
}

const MODIFIERS: [&str; 9] = [
    "ALL",
    "HIGH_PRIORITY",
    "STRAIGHT_JOIN",
    "SQL_SMALL_RESULT",
    "SQL_BIG_RESULT",
    "SQL_BUFFER_RESULT",
    "SQL_CACHE",
    "SQL_NO_CACHE",
    "SQL_SMALL_RESULT",
];

/// Most `SELECT * FROM (...)` around a block.
const WRAPPERS_MAX: usize = 8;

/// Splits the lexemes `range`, which start at SELECT or WITH.
pub(crate) fn cut(lexed: &Lexed<'_>, range: Range<usize>) -> Result<Clauses, Refusal> {
    cut_within(lexed, range, WRAPPERS_MAX)
}

fn cut_within(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    wrappers_max: usize,
) -> Result<Clauses, Refusal> {
    match end_of_wrapped(lexed, &range) {
        Some(end) if wrappers_max > 0 => cut_wrapped(lexed, range, end, wrappers_max - 1),
        _ => cut_block(lexed, range),
    }
}

/// For `SELECT * FROM (SELECT ...)` and what follows: the closing parenthesis.
fn end_of_wrapped(lexed: &Lexed<'_>, range: &Range<usize>) -> Option<usize> {
    let start = range.start;
    let is = |at: usize, token: &Token| lexed.token(at) == Some(token);
    let wraps = lexed.is_keyword(start, "SELECT")
        && is(start + 1, &Token::Mul)
        && lexed.is_keyword(start + 2, "FROM")
        && is(start + 3, &Token::LParen)
        && lexed.is_keyword(start + 4, "SELECT");
    let after = wraps.then(|| lexed.after_closing(start + 3)).flatten();
    after.map(|after| after - 1).filter(|end| *end < range.end)
}

fn cut_wrapped(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    end: usize,
    wrappers_max: usize,
) -> Result<Clauses, Refusal> {
    let unsupported = || Refusal::unsupported("a predict call in FROM (ON, derived table)");
    let block = cut_within(lexed, range.start + 4..end, wrappers_max)?;
    let alias = end + 1 + usize::from(lexed.is_keyword(end + 1, "AS"));
    let marks = marks(lexed, alias..range.end)?;
    let after = marks.first().map_or(range.end, |mark| mark.0);
    let is_alias = matches!(lexed.token(alias), Some(Token::Word(_))) && after == alias + 1;
    if !is_alias || !block.limit.is_empty() {
        return Err(unsupported());
    }
    let limit = marks.iter().find(|mark| mark.1 == "LIMIT");
    let limit = limit.map_or(range.end, |mark| mark.0);
    Ok(Clauses {
        head: range.start..block.head.end,
        around: match block.around.is_empty() {
            true => end..limit,
            false => block.around.start..limit,
        },
        limit: (limit + 1).min(range.end)..range.end,
        ..block
    })
}

fn cut_block(lexed: &Lexed<'_>, range: Range<usize>) -> Result<Clauses, Refusal> {
    let select = find_select(lexed, &range)?;
    let mut items_start = select + 1;
    while let Some(word) = lexed.keyword(items_start) {
        if ["DISTINCT", "DISTINCTROW", "SQL_CALC_FOUND_ROWS"]
            .iter()
            .any(|m| m.eq_ignore_ascii_case(word))
        {
            return Err(Refusal::unsupported(format_args!(
                "{} in a statement with predictions",
                word.to_uppercase()
            )));
        }
        if !MODIFIERS.iter().any(|m| m.eq_ignore_ascii_case(word)) {
            break;
        }
        items_start += 1;
    }
    let marks = marks(lexed, items_start..range.end)?;
    let clause = |name: &str, skip: usize| {
        marks
            .iter()
            .position(|(_, n)| *n == name)
            .and_then(|i| Some(marks.get(i)?.0 + skip..marks.get(i + 1).map_or(range.end, |m| m.0)))
            .unwrap_or(range.end..range.end)
    };
    Ok(Clauses {
        block: range.clone(),
        head: range.start..items_start,
        items: items_start..marks.first().map_or(range.end, |m| m.0),
        from: clause("FROM", 0),
        condition: clause("WHERE", 1),
        order: clause("ORDER", 0),
        around: range.end..range.end,
        limit: clause("LIMIT", 1),
    })
}

/// Position of the SELECT of the outermost block, after a WITH clause if there is one.
fn find_select(lexed: &Lexed<'_>, range: &Range<usize>) -> Result<usize, Refusal> {
    if lexed.is_keyword(range.start, "SELECT") {
        return Ok(range.start);
    }
    if lexed.is_keyword(range.start, "WITH") {
        return lexed
            .outside_parentheses(range.clone())
            .find(|&at| lexed.is_keyword(at, "SELECT"))
            .ok_or_else(|| Refusal::unsupported("predictions in this form of WITH"));
    }
    match lexed.token(range.start) {
        Some(Token::LParen) => Err(Refusal::unsupported("predictions in a parenthesised query")),
        Some(Token::Word(w)) => Err(Refusal::unsupported(format_args!(
            "predictions in {}",
            w.value.to_uppercase()
        ))),
        _ => Err(Refusal::unsupported("predictions in this statement")),
    }
}

/// Start of each clause, in order; refuses clauses that stream plans do not support.
fn marks(lexed: &Lexed<'_>, range: Range<usize>) -> Result<Vec<(usize, &'static str)>, Refusal> {
    const CLAUSES: [&str; 4] = ["FROM", "WHERE", "ORDER", "LIMIT"];
    let refuse = |what: &str| {
        Err(Refusal::unsupported(format_args!(
            "{what} in a statement with predictions"
        )))
    };
    let mut marks: Vec<(usize, &'static str)> = Vec::new();
    let mut skip_until = 0;
    for at in lexed.outside_parentheses(range) {
        if matches!(lexed.token(at), Some(Token::SemiColon)) {
            return Err(Refusal::unsupported(
                "predictions among several statements in one text",
            ));
        }
        let Some(word) = lexed.keyword(at) else {
            continue;
        };
        if at < skip_until {
            continue;
        }
        let word = word.to_ascii_uppercase();
        match word.as_str() {
            "FOR"
                if ["ORDER", "GROUP", "JOIN", "SYSTEM_TIME"]
                    .iter()
                    .any(|w| lexed.is_keyword(at + 1, w)) =>
            {
                skip_until = at + 3; // an index hint or a system-versioned table
            }
            "UNION" | "INTERSECT" | "EXCEPT" | "MINUS" | "HAVING" | "WINDOW" | "PROCEDURE"
            | "INTO" | "FETCH" => {
                return refuse(&word);
            }
            "GROUP" => return refuse("GROUP BY"),
            "FOR" => return refuse("FOR UPDATE"),
            "LOCK" if lexed.is_keyword(at + 1, "IN") => return refuse("LOCK IN SHARE MODE"),
            _ => {
                if let Some(clause) = CLAUSES.iter().find(|c| **c == word) {
                    marks.push((at, clause));
                }
            }
        }
    }
    let rank = |name: &str| CLAUSES.iter().position(|c| *c == name);
    if !marks.is_sorted_by(|a, b| rank(a.1) < rank(b.1)) {
        return Err(Refusal::unsupported(
            "predictions in a statement with this order of clauses",
        ));
    }
    Ok(marks)
}

/// Parses the lexemes after LIMIT: `n`, `offset, n` or `n OFFSET offset`.
pub(crate) fn limit(lexed: &Lexed<'_>, range: &Range<usize>) -> Result<Option<Limit>, Refusal> {
    if range.is_empty() {
        return Ok(None);
    }
    let unsupported = || Refusal::unsupported("this form of LIMIT in a statement with predictions");
    let count = |at: usize| row_count(lexed, at).ok_or_else(unsupported);
    let zero = RowCount::Number(0);
    match (range.len(), lexed.token(range.start + 1)) {
        (1, _) => Ok(Some(Limit {
            rows: count(range.start)?,
            offset: zero,
        })),
        (3, Some(Token::Comma)) => Ok(Some(Limit {
            rows: count(range.start + 2)?,
            offset: count(range.start)?,
        })),
        (3, _) if lexed.is_keyword(range.start + 1, "OFFSET") => Ok(Some(Limit {
            rows: count(range.start)?,
            offset: count(range.start + 2)?,
        })),
        _ => Err(unsupported()),
    }
}

fn row_count(lexed: &Lexed<'_>, at: usize) -> Option<RowCount> {
    match lexed.token(at)? {
        Token::Number(digits, _) => digits.parse().ok().map(RowCount::Number),
        Token::Placeholder(_) => {
            let before = lexed.lexemes.iter().take(at);
            Some(RowCount::Parameter(
                before
                    .filter(|l| matches!(l.token, Token::Placeholder(_)))
                    .count(),
            ))
        }
        _ => None,
    }
}

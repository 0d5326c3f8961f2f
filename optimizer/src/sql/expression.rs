//! Classifies expressions around predictions: conjuncts, constants, and functions that must not be
//! evaluated more often than written.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::boolean::{self, Split};
use super::text::Lexed;
use crate::refusal::Refusal;

/// Keywords allowed in a constant expression besides literals and functions. All are reserved, so
/// none is a column name; END is not reserved and is matched with its CASE.
const OPERATOR_WORDS: [&str; 21] = [
    "AND", "OR", "XOR", "NOT", "IN", "IS", "NULL", "TRUE", "FALSE", "LIKE", "BETWEEN", "REGEXP",
    "RLIKE", "DIV", "MOD", "CASE", "WHEN", "THEN", "ELSE", "BINARY", "AS",
];

/// Functions whose value depends on their arguments only.
const PURE_FUNCTIONS: [&str; 62] = [
    "ABS",
    "ASCII",
    "CAST",
    "CEIL",
    "CEILING",
    "CHAR",
    "CHAR_LENGTH",
    "CHARACTER_LENGTH",
    "COALESCE",
    "CONCAT",
    "CONCAT_WS",
    "CONVERT",
    "CRC32",
    "ELT",
    "FIELD",
    "FIND_IN_SET",
    "FLOOR",
    "FORMAT",
    "GREATEST",
    "HEX",
    "IF",
    "IFNULL",
    "INSERT",
    "INSTR",
    "ISNULL",
    "JSON_ARRAY",
    "JSON_OBJECT",
    "JSON_QUOTE",
    "LCASE",
    "LEAST",
    "LEFT",
    "LENGTH",
    "LOCATE",
    "LOWER",
    "LPAD",
    "LTRIM",
    "MD5",
    "MID",
    "MOD",
    "NULLIF",
    "NVL",
    "NVL2",
    "OCTET_LENGTH",
    "ORD",
    "POSITION",
    "QUOTE",
    "REGEXP_INSTR",
    "REGEXP_REPLACE",
    "REGEXP_SUBSTR",
    "REPEAT",
    "REPLACE",
    "REVERSE",
    "RIGHT",
    "ROUND",
    "RPAD",
    "RTRIM",
    "SOUNDEX",
    "STRCMP",
    "SUBSTR",
    "SUBSTRING",
    "TRIM",
    "UPPER",
];

/// Further functions with a single value per statement, or whose value depends on the row only.
const ROW_FUNCTIONS: [&str; 26] = [
    "CURDATE",
    "CURRENT_DATE",
    "CURRENT_TIMESTAMP",
    "NOW",
    "DATE",
    "DATE_ADD",
    "DATE_FORMAT",
    "DATE_SUB",
    "DATEDIFF",
    "DAY",
    "DAYOFWEEK",
    "EXTRACT",
    "HOUR",
    "INTERVAL",
    "MONTH",
    "QUARTER",
    "TIMESTAMPDIFF",
    "UCASE",
    "UNIX_TIMESTAMP",
    "WEEK",
    "WEEKDAY",
    "YEAR",
    "EXISTS",
    "JSON_EXTRACT",
    "JSON_VALUE",
    "TRUNCATE",
];

/// Aggregate functions.
const AGGREGATES: [&str; 20] = [
    "AVG",
    "BIT_AND",
    "BIT_OR",
    "BIT_XOR",
    "COUNT",
    "GROUP_CONCAT",
    "JSON_ARRAYAGG",
    "JSON_OBJECTAGG",
    "MAX",
    "MIN",
    "STD",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "SUM",
    "VAR_POP",
    "VAR_SAMP",
    "VARIANCE",
    "MEDIAN",
    "PERCENTILE_CONT",
];

/// Maximum number of operators, names and keywords of an expression: the parser builds a tree as
/// deep as a chain of operators is long, regardless of its nesting limit. Of the elements of a
/// list, the longest counts.
const CHAIN_TOKENS_MAX: usize = 5000;

/// Refuses a statement whose analysis would cost too much.
pub(crate) fn check_length(lexed: &Lexed<'_>, body: Range<usize>) -> Result<(), Refusal> {
    let chained = |at: &usize| {
        let element = matches!(
            lexed.token(*at),
            Some(
                Token::Comma
                    | Token::Number(..)
                    | Token::SingleQuotedString(_)
                    | Token::DoubleQuotedString(_)
                    | Token::HexStringLiteral(_)
                    | Token::Placeholder(_)
            )
        );
        !element
    };
    // Of each open parenthesis, the counts of the element so far, and the greatest of the elements
    // before it.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let (mut element, mut greatest) = (0_usize, 0_usize);
    for at in body {
        match lexed.token(at) {
            Some(Token::Comma) => {
                greatest = greatest.max(element);
                element = 0;
            }
            Some(Token::LParen) => {
                open.push((element, greatest));
                (element, greatest) = (1, 0);
            }
            Some(Token::RParen) if !open.is_empty() => {
                let within = element.max(greatest) + 1;
                (element, greatest) = open.pop().unwrap_or_default();
                element += within;
            }
            _ => element += usize::from(chained(&at)),
        }
        if element > CHAIN_TOKENS_MAX {
            return Err(Refusal::unsupported(format_args!(
                "an expression of more than {CHAIN_TOKENS_MAX} operators, names and keywords in a statement with predictions"
            )));
        }
    }
    Ok(())
}

/// How often an expression around a prediction must be evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dependence {
    /// It depends on the prediction and constants only: once per class.
    Prediction,
    /// It depends on columns too: once per class and row.
    Row,
}

/// Classifies an expression that contains the calls `calls`; refuses functions that may have side
/// effects or are non-deterministic.
pub(crate) fn dependence(
    lexed: &Lexed<'_>,
    range: Range<usize>,
    calls: &[Range<usize>],
) -> Result<Dependence, Refusal> {
    let mut found = Dependence::Prediction;
    let mut open_cases = 0_usize;
    let mut at = range.start;
    while at < range.end {
        if let Some(call) = calls.iter().find(|c| c.start == at) {
            at = call.end;
            continue;
        }
        if let Some(Token::Word(word)) = lexed.token(at) {
            let name = word.value.to_ascii_uppercase();
            let is = |list: &[&str]| list.contains(&name.as_str());
            let before_parenthesis = matches!(lexed.token(at + 1), Some(Token::LParen));
            let in_name = matches!(lexed.token(at.wrapping_sub(1)), Some(Token::Period))
                || matches!(lexed.token(at + 1), Some(Token::Period));
            if word.quote_style.is_some() || in_name || name.starts_with('@') {
                if before_parenthesis {
                    return Err(unknown_function(&word.value));
                }
                found = Dependence::Row;
            } else if name == "COLLATE" {
                at += 1; // the collation's name
            } else if name == "END" && open_cases > 0 {
                open_cases -= 1;
            } else if is(&OPERATOR_WORDS) || (before_parenthesis && is(&PURE_FUNCTIONS)) {
                open_cases += usize::from(name == "CASE");
            } else if before_parenthesis && !is(&ROW_FUNCTIONS) && !is(&AGGREGATES) {
                return Err(unknown_function(&word.value));
            } else {
                found = Dependence::Row;
            }
        }
        at += 1;
    }
    Ok(found)
}

fn unknown_function(name: &str) -> Refusal {
    Refusal::unsupported(format_args!("{name}() in one expression with a prediction"))
}

/// Splits a condition at its outermost ANDs. A condition with an outermost OR or XOR is a single
/// part.
pub(crate) fn conjuncts(lexed: &Lexed<'_>, range: &Range<usize>) -> Vec<Range<usize>> {
    if range.is_empty() {
        return Vec::new();
    }
    match boolean::split(lexed, range) {
        Split::All(parts) => parts,
        _ => vec![range.clone()],
    }
}

/// The first aggregate or window function that may belong to the block itself, by name. An
/// aggregate in a sub-query belongs to the outer block if its arguments are the outer block's
/// columns, which is not known here: only `COUNT(*)` surely belongs to the sub-query.
pub(crate) fn aggregate_or_window(lexed: &Lexed<'_>, range: Range<usize>) -> Option<String> {
    let mut subquery_ends: Vec<usize> = Vec::new();
    for at in range {
        subquery_ends.retain(|end| at < *end);
        if matches!(lexed.token(at), Some(Token::LParen)) && is_subquery(lexed, at) {
            subquery_ends.extend(lexed.after_closing(at));
        }
        let Some(word) = lexed.keyword(at) else {
            continue;
        };
        let before_parenthesis = matches!(lexed.token(at + 1), Some(Token::LParen));
        if before_parenthesis && AGGREGATES.iter().any(|a| a.eq_ignore_ascii_case(word)) {
            let counts_rows = matches!(lexed.token(at + 2), Some(Token::Mul));
            if subquery_ends.is_empty() {
                return Some(format!("{}()", word.to_uppercase()));
            }
            if !counts_rows {
                return Some(format!("{}() in a sub-query", word.to_uppercase()));
            }
        }
        if subquery_ends.is_empty() && word.eq_ignore_ascii_case("OVER") {
            return Some("a window function".to_owned());
        }
    }
    None
}

/// The first function in `range` whose value depends on the number of calls: RAND with a seed, and
/// sequence functions.
pub(crate) fn sequence_function(lexed: &Lexed<'_>, range: Range<usize>) -> Option<String> {
    range.clone().find_map(|at| {
        let word = lexed.keyword(at)?.to_uppercase();
        let call = matches!(lexed.token(at + 1), Some(Token::LParen));
        let seeded = word == "RAND" && !matches!(lexed.token(at + 2), Some(Token::RParen));
        let sequence = ["NEXTVAL", "LASTVAL", "SETVAL"].contains(&word.as_str());
        (call && (seeded || sequence)).then(|| format!("{word}()"))
    })
}

/// Whether the parenthesis at `open` opens a sub-query.
pub(crate) fn is_subquery(lexed: &Lexed<'_>, open: usize) -> bool {
    ["SELECT", "WITH", "VALUES", "TABLE"]
        .iter()
        .any(|w| lexed.is_keyword(open + 1, w))
}

/// Whether lexeme `at` is within a sub-query that starts in `range`.
pub(crate) fn in_subquery(lexed: &Lexed<'_>, range: Range<usize>, at: usize) -> bool {
    range.take_while(|&i| i < at).any(|open| {
        matches!(lexed.token(open), Some(Token::LParen))
            && is_subquery(lexed, open)
            && lexed.after_closing(open).is_some_and(|end| at < end)
    })
}

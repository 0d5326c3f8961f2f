//! Groups calls by identical text, so that different lookups have different texts.
//!
//! The store identifies an expression of ORDER BY or GROUP BY with one of the select list if both
//! have the same text. For a sub-query among a function's arguments it compares the first 255
//! characters only, case-insensitively. A lookup is such a sub-query, and two lookups in one
//! inline relation may begin with the same thousand keys: the rows would be ordered by the answer
//! of the wrong call. A lookup's column is therefore named after the number of its call, which
//! stands among its first characters. Calls with identical text share a number: the store still
//! sees that `SELECT ml.t(x) ... GROUP BY ml.t(x)` groups by the selected expression.

use std::collections::HashMap;
use std::ops::Range;

use sqlparser::tokenizer::Token;

use crate::sql::calls::Call;
use crate::sql::text::Lexed;

/// For each call, the index of the first call with the same text in enclosing sub-queries of the
/// same texts: in `COALESCE((SELECT ml.t(x) FROM q WHERE k = 1), '')` the sub-query is an argument
/// itself. Texts with parameters are never equal, since the parameters may differ.
pub(super) fn first_alike(lexed: &Lexed<'_>, body: &Range<usize>, calls: &[Call]) -> Vec<usize> {
    let mut texts: HashMap<&str, usize> = HashMap::new();
    let mut number = |range: &Range<usize>| match lexed.holds_parameter(range) {
        true => range.start,
        false => *texts.entry(lexed.text_of(range)).or_insert(range.start),
    };
    let queries = parenthesised_queries(lexed, body);
    let queries: Vec<_> = queries.into_iter().map(|q| (number(&q), q)).collect();
    let mut first: HashMap<Vec<usize>, usize> = HashMap::new();
    let mut of_call = Vec::with_capacity(calls.len());
    for (index, call) in calls.iter().enumerate() {
        let around = queries.iter();
        let around = around.filter(|(_, q)| q.contains(&call.range.start));
        let mut written: Vec<usize> = around.map(|(number, _)| *number).collect();
        written.push(number(&call.range));
        of_call.push(*first.entry(written).or_insert(index));
    }
    of_call
}

/// Ranges of the queries in parentheses, including the parentheses, outer ones first.
fn parenthesised_queries(lexed: &Lexed<'_>, body: &Range<usize>) -> Vec<Range<usize>> {
    let mut open = Vec::new();
    let mut queries = Vec::new();
    for at in body.clone() {
        match lexed.token(at) {
            Some(Token::LParen) => open.push(at),
            Some(Token::RParen) => {
                let query = open.pop().map(|start| start..at + 1);
                queries.extend(query.filter(|query| begins_query(lexed, query.start)));
            }
            _ => {}
        }
    }
    queries.sort_by_key(|query| query.start);
    queries
}

/// Whether the parentheses that open at `at` contain a query.
fn begins_query(lexed: &Lexed<'_>, at: usize) -> bool {
    let mut word = at;
    while matches!(lexed.token(word), Some(Token::LParen)) {
        word += 1;
    }
    let queries = ["SELECT", "WITH", "VALUES"];
    queries.iter().any(|begin| lexed.is_keyword(word, begin))
}

/// Removes the call numbers from a text.
#[cfg(test)]
pub(super) fn unnumbered(sql: &str) -> String {
    let without = |sql: String, call| sql.replace(&format!(" AS `ml {call}`"), "");
    (0..20).fold(sql.to_owned(), without)
}

#[cfg(test)]
mod tests {
    use crate::fixture::catalog;
    use crate::sql::text::LexMode;
    use crate::statement::PredictStatement;

    use super::*;

    fn alike(text: &str) -> Vec<usize> {
        let catalog = catalog();
        let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog)
            .expect("reads")
            .expect("has a call");
        first_alike(&statement.lexed, &statement.body, &statement.calls)
    }

    #[test]
    fn calls_are_alike_where_their_texts_are() {
        for (text, expected) in [
            ("SELECT ml.t(i) FROM p GROUP BY ml.t(i)", vec![0, 0]),
            (
                "SELECT ml.t(i) FROM p ORDER BY ml.t('a'), ml.t('A'), ml.t('a')",
                vec![0, 1, 2, 1],
            ),
            ("SELECT ml.t(I) FROM p ORDER BY ml.t(i)", vec![0, 1]),
            ("SELECT ml.t(?) FROM p ORDER BY ml.t(?)", vec![0, 1]),
            (
                "SELECT UPPER(ml.t(i)) FROM p ORDER BY (ml.t(i))",
                vec![0, 0],
            ),
        ] {
            assert_eq!(alike(text), expected, "{text}");
        }
    }

    #[test]
    fn calls_within_different_sub_queries_are_not_alike() {
        let of = |first: &str, second: &str| {
            alike(&format!(
                "SELECT UPPER({first}) FROM p ORDER BY UPPER({second})"
            ))
        };
        let query = "(SELECT ml.t(i) FROM q WHERE k = 1)";
        assert_eq!(of(query, query), [0, 0]);
        for other in [
            "(SELECT ml.t(i) FROM q WHERE k = 2)",
            "(SELECT ml.t(i) FROM q WHERE k = 1 UNION SELECT 1)",
            "(WITH c AS (SELECT 1) SELECT ml.t(i) FROM q WHERE k = 1)",
            "((SELECT ml.t(i) FROM q WHERE k = 1) UNION SELECT 1)",
        ] {
            assert_eq!(of(query, other), [0, 1], "{other}");
        }
        let parameter = "(SELECT ml.t(i) FROM q WHERE k = ?)";
        assert_eq!(of(parameter, parameter), [0, 1]);
    }
}

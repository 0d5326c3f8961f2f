//! Groups calls that look up the same, so that different lookups have different texts.
//!
//! The store identifies an expression of ORDER BY or GROUP BY with one of the select list if both
//! have the same text. For a sub-query among a function's arguments it compares the first 255
//! characters only, case-insensitively. A lookup is such a sub-query, and two lookups in one
//! inline relation may begin with the same thousand keys: the rows would be ordered by the answer
//! of the wrong call. A lookup's column is therefore named after the number of its call, which
//! stands among its first characters. Calls of one task and input share a number: the store still
//! sees that `SELECT ml.t(x) ... GROUP BY ml.t(x)` groups by the selected expression.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use sqlparser::tokenizer::Token;

use crate::sql::calls::Call;
use crate::sql::expression::is_subquery;
use crate::sql::text::Lexed;

/// For each call, the first call that is looked up alike: of the same target (one for each call in
/// `targets`) and input, asked for the same, and within queries in parentheses that have the same
/// texts. Those count since a sub-query may be an argument itself:
/// `COALESCE((SELECT ml.t(x) FROM q WHERE k = 1), '')`. Texts with parameters are never the same,
/// since the parameters may differ.
pub(super) fn first_alike(
    lexed: &Lexed<'_>,
    body: &Range<usize>,
    calls: &[Call],
    targets: &[usize],
) -> Vec<usize> {
    let mut texts: HashMap<&str, usize> = HashMap::new();
    let mut number = |range: &Range<usize>| match lexed.holds_parameter(range) {
        true => range.start,
        false => *texts.entry(lexed.text_of(range)).or_insert(range.start),
    };
    let queries = parenthesised_queries(lexed, body);
    let queries: Vec<_> = queries.into_iter().map(|q| (number(&q), q)).collect();
    let around = |call: &Call| -> Vec<usize> {
        let around = queries.iter();
        let around = around.filter(|(_, q)| q.contains(&call.range.start));
        around.map(|(number, _)| *number).collect()
    };
    let around: Vec<_> = calls.iter().map(around).collect();
    let alike = |a: usize, b: usize| {
        let target = |call: usize| targets.get(call);
        target(a) == target(b)
            && around.get(a) == around.get(b)
            && calls.get(a).zip(calls.get(b)).is_some_and(|(a, b)| {
                a.asked == b.asked
                    && !lexed.holds_parameter(&a.input)
                    && lexed.is_same(&a.input, &b.input)
            })
    };
    let all = 0..calls.len();
    all.map(|call| (0..call).find(|first| alike(*first, call)).unwrap_or(call))
        .collect()
}

/// Ranges of the queries in parentheses, including the parentheses, outer ones first. An
/// expression that begins with a query, as `((SELECT 1) + 2)` does, is none.
fn parenthesised_queries(lexed: &Lexed<'_>, body: &Range<usize>) -> Vec<Range<usize>> {
    const AFTER: [&str; 6] = ["UNION", "EXCEPT", "INTERSECT", "MINUS", "ORDER", "LIMIT"];
    let mut open = Vec::new();
    // By the opening parenthesis: the lexeme after the closing one. Inner ones close first.
    let mut queries: BTreeMap<usize, usize> = BTreeMap::new();
    for at in body.clone() {
        match lexed.token(at) {
            Some(Token::LParen) => open.push(at),
            Some(Token::RParen) => {
                let Some(start) = open.pop() else {
                    continue;
                };
                let goes_on = |after: &usize| {
                    *after == at || AFTER.iter().any(|word| lexed.is_keyword(*after, word))
                };
                if is_subquery(lexed, start) || queries.get(&(start + 1)).is_some_and(goes_on) {
                    queries.insert(start, at + 1);
                }
            }
            _ => {}
        }
    }
    queries.into_iter().map(|(start, end)| start..end).collect()
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

    fn alike(text: &str) -> Vec<usize> {
        let catalog = catalog();
        let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog)
            .expect("reads")
            .expect("has a call");
        statement.materialise().expect("can be planned").alike
    }

    #[test]
    fn calls_are_alike_where_their_texts_are() {
        for (text, expected) in [
            ("SELECT ml.t(i) FROM p GROUP BY ml.t(i)", vec![0, 0]),
            (
                "SELECT ml.t(i) FROM p ORDER BY ml.t('a'), ml.t('A'), ml.t('a')",
                vec![0, 1, 2, 1],
            ),
            (
                "SELECT ml.t( I ) FROM p GROUP BY ml.T(i), ml.predict('t', `i`)",
                vec![0, 0, 2],
            ),
            (
                "SELECT ml.t(p.i) FROM p ORDER BY ml.t(P.i), ml.t(p.I)",
                vec![0, 1, 0],
            ),
            (
                "SELECT (SELECT 1) + ml.t(i) FROM p GROUP BY ((SELECT 1) + ml.t(i))",
                vec![0, 0],
            ),
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

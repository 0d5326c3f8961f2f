//! Expressions that make an interrupted statement fail, where the store would continue with NULL.
//!
//! After a KILL QUERY or when `max_statement_time` is over, the store stops evaluating
//! sub-queries: their value is NULL, without an error. Scans check for a KILL before each row,
//! UPDATE and DELETE at their end. SET, INSERT ... VALUES and queries without tables do not check:
//! they store that NULL and succeed (10.11, measured).
//!
//! [`GOES_ON`] contains a sub-query that is NULL only after an interruption, and then overflows an
//! addition. DO discards errors, so it cannot be protected.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::analysis::Materialise;
use crate::sql::blocks::Block;
use crate::sql::fragment::{Fragment, Splice};

/// True, or error 1690 if the statement was interrupted. RAND() prevents the value from being
/// cached.
const GOES_ON: &str = "~0 + IFNULL((SELECT 0 FROM DUAL WHERE RAND() IS NOT NULL), 1317)";

/// A variable that SET assigns NULL to, as its last assignment.
const LAST_VARIABLE: &str = "@ml_last";

/// Whether this error of the store comes from `GOES_ON`, that is, from an interruption.
pub fn says_interrupted(code: u16, message: &[u8]) -> bool {
    const OUT_OF_RANGE: u16 = 1690;
    let message = String::from_utf8_lossy(message);
    code == OUT_OF_RANGE && message.contains("rand() is not null),1317)")
}

/// An expression that is evaluated only if the statement was not interrupted.
pub(super) fn unless_interrupted(expression: &str) -> String {
    format!("IF({GOES_ON}, {expression}, NULL)")
}

impl Materialise<'_, '_> {
    /// Whether the statement changes tables: its changes persist once the store has acknowledged
    /// it.
    pub fn changes_tables(&self) -> bool {
        let first = ["INSERT", "REPLACE", "UPDATE", "DELETE", "CREATE"];
        let start = self.statement.body.start;
        first
            .iter()
            .any(|word| self.statement.lexed.is_keyword(start, word))
    }

    /// Whether the store acknowledges the statement only if all its assignments were evaluated
    /// without interruption.
    pub fn fails_if_interrupted(&self) -> bool {
        let start = self.statement.body.start;
        self.statement.lexed.is_keyword(start, "SET")
    }

    /// The last assignment of a SET. The store evaluates all assignments before it performs any,
    /// so an error in one leaves all variables unchanged.
    pub(super) fn last_assignment(&self) -> Option<Splice> {
        let end = self.statement.body.end;
        let last = format!(", {LAST_VARIABLE} = {}", unless_interrupted("NULL"));
        self.fails_if_interrupted()
            .then(|| (end..end, Fragment::plain(last)))
    }

    /// Wraps the sub-queries whose values are stored, so that a NULL from an interruption is an
    /// error. `splices` are those of pass 2.
    pub(super) fn stored_queries(&self, splices: &[Splice]) -> Vec<Splice> {
        let stored = self.stored_values();
        let blocks = self.blocks.blocks.iter();
        let queries = blocks.filter_map(|block| self.stored_query(block, &stored));
        queries
            .map(|range| {
                let within = |mut splices: Vec<Splice>| {
                    splices.extend(self.names_within(&range));
                    self.spliced(&range, splices)
                };
                let mut value = Fragment::plain("IFNULL(");
                value
                    .push_fragment(&within(splices.to_vec()))
                    .push(&format!(", IF({GOES_ON}, NULL, "));
                // Never evaluated: it only provides the type.
                value
                    .push_fragment(&within(self.statement.described_splices(&range)))
                    .push("))");
                (range.clone(), value)
            })
            .collect()
    }

    /// Ranges of the values that a statement stores.
    fn stored_values(&self) -> Vec<Range<usize>> {
        let lexed = &self.statement.lexed;
        let body = &self.statement.body;
        let is = |at: usize, words: &[&str]| words.iter().any(|w| lexed.is_keyword(at, w));
        let clause = |from: usize, words: &[&str]| {
            let mut outside = lexed.outside_parentheses(from..body.end);
            outside.find(|at| is(*at, words))
        };
        let until = |from: usize, words: &[&str]| from..clause(from, words).unwrap_or(body.end);
        if is(body.start, &["UPDATE"]) {
            let set = clause(body.start, &["SET"]);
            let ends = ["WHERE", "ORDER", "LIMIT", "RETURNING"];
            return set.map(|set| until(set + 1, &ends)).into_iter().collect();
        }
        let words: &[&str] = match () {
            () if is(body.start, &["INSERT", "REPLACE"]) => &["VALUES", "VALUE", "SET", "SELECT"],
            () if is(body.start, &["CREATE"]) => &["SELECT"],
            () => return Vec::new(),
        };
        let ends = ["FROM", "ON", "WHERE", "UNION", "RETURNING"];
        let values = clause(body.start, words);
        let again = clause(body.start, &["DUPLICATE"]);
        let again = again.map(|again| until(again, &["RETURNING"]));
        values
            .map(|values| until(values + 1, &ends))
            .into_iter()
            .chain(again)
            .collect()
    }

    /// The range of a single-column query in parentheses that is a stored value, or an argument in
    /// one.
    fn stored_query(&self, block: &Block, stored: &[Range<usize>]) -> Option<Range<usize>> {
        let lexed = &self.statement.lexed;
        let open = block.range.start.checked_sub(1)?;
        let region = stored.iter().find(|region| region.contains(&open))?;
        let outermost = block
            .parent
            .and_then(|parent| self.blocks.blocks.get(parent))
            .is_none_or(|parent| !region.contains(&parent.range.start));
        let is = |at: usize, words: &[&str]| words.iter().any(|w| lexed.is_keyword(at, w));
        let token = |at: usize| lexed.token(at);
        let before = open.checked_sub(1)?;
        let is_value = matches!(
            token(before),
            Some(Token::Eq | Token::Comma | Token::LParen)
        ) || is(before, &["SELECT"]);
        let end = lexed.after_closing(open)?;
        // `a IN ((SELECT ...))` uses all rows of the query.
        let compared = (region.start..open).any(|at| {
            matches!(token(at), Some(Token::LParen))
                && is(
                    at.saturating_sub(1),
                    &["IN", "EXISTS", "ANY", "ALL", "SOME"],
                )
                && lexed.after_closing(at).is_some_and(|after| after >= end)
        });
        let one_column = lexed.split_commas(block.items.clone()).len() == 1
            && !matches!(token(block.items.end.saturating_sub(1)), Some(Token::Mul));
        (matches!(token(open), Some(Token::LParen)) && outermost && is_value && !compared)
            .then_some(open..end)
            .filter(|_| one_column)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::fixture::catalog;
    use crate::materialise::alike::unnumbered;
    use crate::materialise::{KeyForm, Lookup, Shape};
    use crate::sql::key::ColumnsKey;
    use crate::sql::text::LexMode;
    use crate::statement::PredictStatement;

    /// Pass 2 with the check abbreviated as `GOES_ON`, and lookups as their relation.
    fn run(text: &str) -> String {
        let catalog = catalog();
        let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog);
        let statement = statement.unwrap().unwrap();
        let plan = statement.materialise().unwrap();
        let lookup = |_| Lookup {
            missing_is_none: false,
            form: KeyForm::Text,
            relation: "r".to_owned(),
            columns: ColumnsKey::default(),
            shape: Shape::default(),
            members: None,
        };
        let lookups: Vec<Lookup> = (0..plan.harvests().len()).map(lookup).collect();
        let whole = plan.run(&lookups).sql;
        let call = plan.spliced(
            &statement.calls[0].range,
            plan.lookup_splices(&statement.calls[0].range, &lookups),
        );
        unnumbered(&whole)
            .replace(&unnumbered(&call.sql), "LOOKUP")
            .replace(GOES_ON, "GOES_ON")
            .replace("  AS", " AS")
    }

    #[test]
    fn a_set_fails_in_its_last_assignment() {
        assert_eq!(
            run("SET @a = (SELECT ml.t(i) FROM p), @b = 1;"),
            "SET @a = (SELECT LOOKUP AS `ml.t(i)` FROM p), @b = 1, @ml_last = IF(GOES_ON, NULL, NULL)"
        );
        assert!(!run("DO (SELECT ml.t(i) FROM p)").contains("@ml_last"));
    }

    #[test]
    fn queries_whose_values_are_stored_are_checked() {
        let checked = "IFNULL((SELECT LOOKUP AS `ml.t(i)` FROM p), \
                       IF(GOES_ON, NULL, (SELECT `ml`.`t`(i) AS `ml.t(i)` FROM p)))";
        let query = "(SELECT ml.t(i) FROM p)";
        for text in [
            "INSERT INTO q (a, b) VALUES (1, QUERY), (CONCAT(QUERY, 'x'), 2)",
            "REPLACE INTO q SET a = QUERY",
            "INSERT INTO q SELECT QUERY AS x",
            "CREATE TABLE q (b INT) SELECT 1 AS b, QUERY AS a",
            "INSERT INTO q SELECT a, QUERY AS x FROM o WHERE b > 2",
            "INSERT INTO q VALUES (1) ON DUPLICATE KEY UPDATE a = QUERY, b = 2",
            "UPDATE q JOIN o USING (id) SET a = QUERY, b = QUERY WHERE b > 2",
        ] {
            let expected = text.replace("QUERY", checked);
            assert_eq!(run(&text.replace("QUERY", query)), expected);
        }
        for text in [
            "INSERT INTO q VALUES (1 IN (QUERY))",
            "INSERT INTO q VALUES (1 IN QUERY)",
            "INSERT INTO q VALUES (EXISTS QUERY)",
            "INSERT INTO q QUERY",
            "INSERT INTO q SELECT a FROM o WHERE a = QUERY",
            "UPDATE q SET a = 1 WHERE a = QUERY",
            "INSERT INTO q SELECT x.k FROM (SELECT ml.t(i) AS k FROM p) AS x",
            "INSERT INTO q VALUES ((1, 2) = (SELECT 1, ml.t(i) FROM p))",
        ] {
            let pass_2 = run(&text.replace("QUERY", query));
            assert!(!pass_2.contains("GOES_ON"), "{pass_2}");
        }
    }

    #[test]
    fn the_error_of_the_check_is_told_from_others() {
        let message =
            b"BIGINT UNSIGNED value is out of range in '~0 + ifnull((select 0 from DUAL  \
                        where rand() is not null),1317)'";
        assert!(says_interrupted(1690, message));
        assert!(!says_interrupted(1644, message));
        assert!(!says_interrupted(
            1690,
            b"BIGINT value is out of range in 'a + 1317'"
        ));
    }
}

//! Predictions that nothing reads, as tools write them around a query: below LIMIT 0 or a
//! condition that is never true, and columns of a derived table that no block around it names
//! (`SELECT COUNT(*) FROM (SELECT id, ml.t(photo) AS c FROM p) q`).
//!
//! This is a guess, which spares a harvest. If the store reads such a prediction after all, its
//! key is missing, and the statement is harvested and run again.

use std::ops::Range;

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::Token;

use super::analysis::Materialise;
use crate::sql::blocks::Block;
use crate::sql::{expression, select_list};

/// Most columns of derived tables looked at for one call: what passes a column on may do so twice
/// in each of many tables.
const COLUMNS_MAX: usize = 16;

/// Most calls, and most lexemes, of a statement whose columns are looked at. Probes are short.
const CALLS_MAX: usize = 64;
const LEXEMES_MAX: usize = 10_000;

impl Materialise<'_, '_> {
    /// Whether nothing seems to read the predictions of a harvest, in a statement that may run
    /// again.
    pub fn is_unread(&self, harvest: usize) -> bool {
        let may_run_again = !self.changes_tables()
            && !self.reads_current_rows()
            && !self.writes_file()
            && !self.fails_if_interrupted()
            && self.changes_once().is_none();
        let calls = self.of_call.iter().enumerate();
        let mut own = calls.filter(|(_, of)| **of == harvest);
        may_run_again && own.all(|(call, _)| self.is_call_unread(call))
    }

    fn is_call_unread(&self, call: usize) -> bool {
        self.is_within(call, &|block, _| self.is_empty(block)) || self.is_unread_column(call)
    }

    /// Whether a call is in a column of a derived table that no block around it names.
    pub(super) fn is_unread_column(&self, call: usize) -> bool {
        let is_short = self.of_call.len() <= CALLS_MAX && self.statement.body.len() <= LEXEMES_MAX;
        is_short && self.is_within(call, &|block, at| self.is_column_unread(block, at))
    }

    /// Whether a test holds for a block around a call, and the call's first lexeme.
    fn is_within(&self, call: usize, test: &dyn Fn(&Block, usize) -> bool) -> bool {
        let at = self.statement.calls.get(call).map(|call| call.range.start);
        let mut number = at.and_then(|at| self.blocks.around(at));
        while let Some((block, at)) = number.and_then(|b| self.blocks.blocks.get(b)).zip(at) {
            if test(block, at) {
                return true;
            }
            number = block.parent;
        }
        false
    }

    /// Whether a block has LIMIT 0, or a condition that is never true.
    fn is_empty(&self, block: &Block) -> bool {
        let lexed = &self.statement.lexed;
        let is_zero = |at: usize| matches!(lexed.token(at), Some(Token::Number(n, _)) if n == "0");
        let no_rows = is_zero(block.limit.start)
            && (block.limit.len() == 1 || lexed.is_keyword(block.limit.start + 1, "OFFSET"));
        let conditions = expression::conjuncts(lexed, &block.condition);
        no_rows || conditions.into_iter().any(|c| self.is_never_true(c))
    }

    /// Whether lexeme `at` is in a column of a derived table, or of an element of WITH, that no
    /// block around it names. The store merges such a table into the block around it, and does
    /// not evaluate the column, unless the table's own clauses need all its rows first.
    fn is_column_unread(&self, block: &Block, at: usize) -> bool {
        let mut columns = vec![(block, at)];
        let mut looked_at = 0;
        while let Some((block, at)) = columns.pop() {
            looked_at += 1;
            match self.passed_on(block, at) {
                Some(passed) if looked_at < COLUMNS_MAX => columns.extend(passed),
                _ => return false,
            }
        }
        true
    }

    /// The columns of blocks around that pass on the column at lexeme `at` of a block; `None`: it
    /// is no column of a derived table, or something seems to read it.
    fn passed_on<'b>(&'b self, block: &Block, at: usize) -> Option<Vec<(&'b Block, usize)>> {
        let lexed = &self.statement.lexed;
        let around = self.around_derived(block)?;
        let elements = select_list::elements(lexed, block.items.clone());
        let element = elements.into_iter().find(|e| e.contains(&at))?;
        if self.needs_all_rows(block, &element) {
            return None;
        }
        let name = match select_list::is_unnamed(lexed, &element).ok()? {
            true => None,
            false => Some(lexed.name(element.end - 1)?),
        };
        let mut passed = Vec::new();
        for at in around.filter(|at| !block.range.contains(at)) {
            if lexed.is_keyword(at, "NATURAL") {
                return None;
            }
            let names = name.as_ref().is_some_and(|name| lexed.may_be(at, name));
            if names || self.is_every_column(at) {
                passed.push((self.passing(block, at)?, at));
            }
        }
        Some(passed)
    }

    /// The lexemes from which the columns of a derived table or of an element of WITH may be read;
    /// `None` for any other block.
    fn around_derived(&self, block: &Block) -> Option<Range<usize>> {
        let start = block.range.start;
        let parent = block.parent.and_then(|b| self.blocks.blocks.get(b));
        let Some(parent) = parent else {
            let mut ctes = self.blocks.ctes.iter();
            return ctes
                .any(|c| c.range.contains(&start) && !c.recursive)
                .then(|| self.statement.body.clone());
        };
        let conditions = self.blocks.on_conditions(&self.statement.lexed, parent);
        let is_derived =
            parent.from.contains(&start) && !conditions.iter().any(|c| c.contains(&start));
        is_derived.then(|| parent.range.clone())
    }

    /// Whether a block's clauses need an element of its select list, or all the block's rows
    /// before others read the first.
    fn needs_all_rows(&self, block: &Block, element: &Range<usize>) -> bool {
        const CLAUSES: [&str; 4] = ["HAVING", "DISTINCT", "DISTINCTROW", "WINDOW"];
        const SETS: [&str; 4] = ["UNION", "EXCEPT", "INTERSECT", "MINUS"];
        let lexed = &self.statement.lexed;
        let is_set = |at: usize| SETS.iter().any(|word| lexed.is_keyword(at, word));
        let before = block.range.start.saturating_sub(2)..block.range.start;
        !block.group.is_empty()
            || !block.limit.is_empty()
            || expression::aggregate_or_window(lexed, element.clone()).is_some()
            || CLAUSES.iter().any(|word| {
                let mut own = lexed.outside_parentheses(block.range.clone());
                own.any(|at| lexed.is_keyword(at, word))
            })
            || is_set(block.range.end)
            || before.into_iter().any(is_set)
    }

    /// Whether lexeme `at` is the star of `*` or `t.*`, and no sign of multiplication.
    fn is_every_column(&self, at: usize) -> bool {
        let lexed = &self.statement.lexed;
        let before = at.checked_sub(1).and_then(|before| lexed.token(before));
        let begins = match before {
            Some(Token::Word(word)) => {
                word.quote_style.is_none() && word.keyword == Keyword::SELECT
            }
            Some(token) => matches!(token, Token::Comma | Token::Period),
            None => false,
        };
        begins && lexed.token(at) == Some(&Token::Mul)
    }

    /// The block around `inner` in whose select list lexeme `at` stands.
    fn passing(&self, inner: &Block, at: usize) -> Option<&Block> {
        let block = self.blocks.blocks.get(self.blocks.around(at)?)?;
        let encloses = block.range.start < inner.range.start && inner.range.end <= block.range.end;
        (encloses && block.items.contains(&at)).then_some(block)
    }

    fn is_never_true(&self, mut condition: Range<usize>) -> bool {
        let lexed = &self.statement.lexed;
        let is = |at: usize, token: &Token| lexed.token(at) == Some(token);
        while condition.len() > 2
            && is(condition.start, &Token::LParen)
            && lexed.after_closing(condition.start) == Some(condition.end)
        {
            condition = condition.start + 1..condition.end - 1;
        }
        let number = |at: usize| match lexed.token(at) {
            Some(Token::Number(digits, _)) => digits.parse::<u64>().ok(),
            _ => None,
        };
        let at = condition.start;
        match condition.len() {
            1 => {
                number(at) == Some(0)
                    || lexed.is_keyword(at, "FALSE")
                    || lexed.is_keyword(at, "NULL")
            }
            3 => number(at).zip(number(at + 2)).is_some_and(|(a, b)| {
                (is(at + 1, &Token::Eq) && a != b) || (is(at + 1, &Token::Neq) && a == b)
            }),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::catalog;
    use crate::sql::text::LexMode;
    use crate::statement::PredictStatement;

    fn unread(text: &str) -> bool {
        let catalog = catalog();
        let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog)
            .expect("reads")
            .expect("has a call");
        let plan = statement.materialise().expect("can be planned");
        (0..plan.harvests().len()).all(|number| plan.is_unread(number))
    }

    #[test]
    fn what_nothing_reads_is_seen() {
        let inner = "SELECT id, ml.t(i) AS c FROM p";
        for text in [
            format!("SELECT * FROM ({inner}) t LIMIT 0"),
            format!("SELECT * FROM (SELECT * FROM ({inner}) s) t LIMIT 0 OFFSET 5"),
            format!("SELECT * FROM ({inner}) t WHERE (1 = 0)"),
            format!("SELECT c, COUNT(*) FROM ({inner}) t WHERE a > 1 AND FALSE GROUP BY c"),
            format!("SELECT COUNT(*) FROM ({inner}) t"),
            format!("SELECT SUM(1) AS `COL` FROM ({inner}) t HAVING COUNT(1) > 0"),
            format!("SELECT 2 * id FROM ({inner} WHERE a > 1 ORDER BY b) t ORDER BY id LIMIT 3"),
            format!("SELECT COUNT(*) FROM (SELECT *, 1 FROM ({inner}) s) t"),
            format!("SELECT COUNT(*) FROM (SELECT id, `c` AS k FROM ({inner}) s) t JOIN q"),
            format!("WITH t AS ({inner}) SELECT id FROM t WHERE id > 3"),
            "SELECT COUNT(*) FROM (SELECT id, ml.t(i) FROM p) t".to_owned(),
        ] {
            assert!(unread(&text), "{text}");
        }
        for text in [
            format!("SELECT * FROM ({inner}) t LIMIT 1"),
            format!("SELECT * FROM ({inner}) t WHERE 1 = 1"),
            format!("SELECT id FROM ({inner}) t WHERE t.`C` = 'cat'"),
            format!("SELECT COUNT(*) FROM ({inner} LIMIT 5) t"),
            format!("SELECT COUNT(*) FROM ({inner} UNION SELECT 1, 'cat') t"),
            format!("SELECT COUNT(*) FROM (SELECT 1, 'cat' UNION ALL {inner}) t"),
            format!("SELECT COUNT(*) FROM ({inner} GROUP BY id) t"),
            format!("SELECT COUNT(*) FROM ({inner} HAVING c = 'cat') t"),
            format!("SELECT COUNT(*) FROM ({inner}) t NATURAL JOIN q"),
            format!("SELECT COUNT(*) FROM ({inner}) t JOIN q USING (C)"),
            format!("SELECT COUNT(*) FROM (SELECT id, c AS k FROM ({inner}) s) t WHERE k = 'cat'"),
            format!("SELECT t.* FROM ({inner}) t LIMIT 1"),
            format!("WITH t AS ({inner}) SELECT * FROM t"),
            // Each table passes the column within on twice.
            (0..40).fold(
                "SELECT id, ml.t(i) AS a FROM p".to_owned(),
                |within, depth| {
                    let (last, next) = match depth % 2 {
                        0 => ("a", ["b", "a2"]),
                        _ => ("b", ["a", "b2"]),
                    };
                    let [x, y] = next;
                    format!("SELECT {last} AS {x}, {last} AS {y} FROM ({within}) t{depth}")
                },
            ),
            "SELECT COUNT(*) FROM (SELECT DISTINCT ml.t(i) AS c FROM p) t".to_owned(),
            "SELECT COUNT(*) FROM (SELECT MAX(ml.t(i)) AS c FROM p) t".to_owned(),
            "SELECT (SELECT ml.t(i) AS c FROM p LIMIT 1) FROM q".to_owned(),
            "SELECT 1 FROM q WHERE EXISTS (SELECT ml.t(i) FROM p)".to_owned(),
            "SELECT COUNT(*) FROM (SELECT id FROM p WHERE ml.t(i) = 'cat') t".to_owned(),
            format!("SELECT COUNT(*) FROM ({inner}) t WHERE 1 = 0 OR c = 'cat'"),
            format!("INSERT INTO q SELECT id, 1 FROM ({inner}) t WHERE 1 = 0"),
            format!("SELECT @n := 1 FROM ({inner}) t"),
        ] {
            assert!(!unread(&text), "{text}");
        }
    }
}

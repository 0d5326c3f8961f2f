//! Predictions that nothing reads: below LIMIT 0 or a condition that is never true, as tools write
//! them around a query to learn its shape.
//!
//! This is a guess, which spares a harvest. If the store reads such a prediction after all, its
//! key is missing, and the statement is harvested and run again.

use std::ops::Range;

use sqlparser::tokenizer::Token;

use super::analysis::Materialise;
use crate::sql::blocks::Block;
use crate::sql::expression;

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
        let Some(call) = self.statement.calls.get(call) else {
            return false;
        };
        let mut number = self.blocks.around(call.range.start);
        while let Some(block) = number.and_then(|b| self.blocks.blocks.get(b)) {
            if self.is_empty(block) {
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
        ] {
            assert!(unread(&text), "{text}");
        }
        for text in [
            format!("SELECT * FROM ({inner}) t LIMIT 1"),
            format!("SELECT * FROM ({inner}) t WHERE 1 = 1"),
            format!("SELECT id FROM ({inner}) t WHERE t.`C` = 'cat'"),
            format!("SELECT COUNT(*) FROM ({inner}) t WHERE 1 = 0 OR c = 'cat'"),
            format!("INSERT INTO q SELECT id, 1 FROM ({inner}) t WHERE 1 = 0"),
            format!("SELECT @n := 1 FROM ({inner}) t"),
        ] {
            assert!(!unread(&text), "{text}");
        }
    }
}

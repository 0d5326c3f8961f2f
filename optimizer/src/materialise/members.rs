//! Members: the rows whose keys must not be missing, where the store evaluates calls for more rows
//! than affect the result.
//!
//! The store merges views and derived tables into the statement that names them, and may then
//! evaluate a call before their conditions, or before a join. The value of a call for a row that
//! these drop does not affect the result, but its key is in no relation. The rows that may affect
//! the result are the *members* of a harvest. Pass 2 queries the members itself, in the state that
//! it reads: once, and only after it met a missing key. For any other row a missing key is no
//! error.

use super::analysis::Materialise;
use super::relation::{KeyForm, Lookup};
use super::shape::Shape;
use crate::sql::blocks::Block;
use crate::sql::fragment::Fragment;
use crate::sql::key::wrapped;

/// The source of a harvest's members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberRows {
    /// Cannot be determined.
    Unknown,
    /// The rows of its block.
    OfBlock,
    /// The rows of the single table that its input reads, since an outer join also gives rows that
    /// the conditions drop.
    OfTable {
        /// Whether the conditions on that table apply.
        conditions: bool,
    },
}

impl Materialise<'_, '_> {
    /// The source of the members of a harvest over a candidate table set.
    pub fn member_rows(&self, number: usize, source: usize) -> MemberRows {
        let Some(harvest) = self.harvests.get(number) else {
            return MemberRows::Unknown;
        };
        let block = harvest.block.and_then(|b| self.blocks.blocks.get(b));
        let block = block.filter(|block| {
            Self::reads_own_rows(harvest, source)
                && !block.from.is_empty()
                && self.calls_in(&harvest.input).is_empty()
                && !self.predicts_in_tables(block)
        });
        let Some(block) = block else {
            return MemberRows::Unknown;
        };
        if !self.joins_outer(block) {
            return MemberRows::OfBlock;
        }
        let calls = self.of_call.iter().zip(&self.statement.calls);
        let mut own = calls.filter(|(of, _)| **of == number);
        MemberRows::OfTable {
            conditions: !own.any(|(_, call)| block.from.contains(&call.range.start)),
        }
    }

    /// The shape without the conditions that look up predictions.
    pub fn native_shape(&self, number: usize, shape: &Shape) -> Shape {
        let all = self.conditions(number, shape.source);
        let is_native = |c: &usize| all.get(*c).is_some_and(|c| self.calls_in(c).is_empty());
        let conditions = shape.conditions.iter().copied();
        Shape {
            conditions: conditions.filter(is_native).collect(),
            ..shape.clone()
        }
    }

    /// Whether a block's FROM clause contains predictions outside join conditions.
    fn predicts_in_tables(&self, block: &Block) -> bool {
        let on = self.blocks.on_conditions(&self.statement.lexed, block);
        let calls = self.calls_in(&block.from).into_iter();
        let mut calls = calls.filter_map(|c| self.statement.calls.get(c));
        calls.any(|call| !on.iter().any(|c| c.contains(&call.range.start)))
    }

    fn joins_outer(&self, block: &Block) -> bool {
        let lexed = &self.statement.lexed;
        let sides = ["LEFT", "RIGHT", "FULL"];
        let mut from = block.from.clone();
        from.any(|at| sides.iter().any(|side| lexed.is_keyword(at, side)))
    }

    /// An expression that counts the members with this input. Keys are hashed, so that the store
    /// can index them.
    pub(super) fn is_member(&self, number: usize, lookup: &Lookup) -> Option<Fragment> {
        let members = lookup.members.as_ref()?;
        let harvest = self.harvests.get(number)?;
        let input = self.input(&harvest.input, number, lookup, &|_| Vec::new());
        let key = lookup.form.key(&input);
        let hash = match lookup.form {
            KeyForm::Text | KeyForm::Columns => wrapped("UNHEX(SHA2((", &key, "), 256))"),
            KeyForm::LongText | KeyForm::LongColumns | KeyForm::Bytes => key,
        };
        let select = wrapped("SELECT DISTINCT ", &hash, " AS `ml k`");
        let rows = self.query_in_scope(number, &members.shape, &select, &|_| Vec::new());
        let mut is_member = Fragment::plain("(SELECT COUNT(*) FROM (");
        is_member
            .push_fragment(&rows)
            .push(match members.locking {
                true => " LOCK IN SHARE MODE",
                false => "",
            })
            .push(") AS `ml h` WHERE `ml h`.`ml k` = ")
            .push_fragment(&hash)
            .push(" AND RAND() IS NOT NULL)");
        Some(is_member)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ColumnsKey;
    use crate::fixture::catalog;
    use crate::materialise::Members;
    use crate::sql::text::LexMode;
    use crate::statement::PredictStatement;

    /// The source of the first call's members, and the expression that tests whether a row has a
    /// member's input.
    fn missing(text: &str) -> (MemberRows, String) {
        let catalog = catalog();
        let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog);
        let statement = statement.unwrap().unwrap();
        let plan = statement.materialise().unwrap();
        let lookup = |number: usize| {
            let shape = Shape {
                conditions: (0..plan.condition_count(number, 0)).collect(),
                ..Shape::default()
            };
            Lookup {
                missing_is_none: false,
                form: KeyForm::Bytes,
                relation: format!("r{number}"),
                columns: ColumnsKey::default(),
                members: Some(Members {
                    shape: plan.native_shape(number, &shape),
                    locking: plan.reads_current_rows(),
                }),
                shape,
            }
        };
        let lookups: Vec<Lookup> = (0..plan.harvests().len()).map(lookup).collect();
        let member = plan.is_member(0, &lookups[0]).unwrap().sql;
        assert!(plan.run(&lookups).sql.contains(&member), "{text}");
        (plan.member_rows(0, 0), member)
    }

    #[test]
    fn the_rows_that_count_are_asked_for_in_the_statement_itself() {
        let hash = |input: &str| format!("UNHEX(SHA2(({input}), 256))");
        let (rows, member) = missing(
            "SELECT COUNT(*) FROM v AS s JOIN q USING (id) WHERE ml.t(s.i) = 'cat' AND a < 5 AND ml.t(j) = 'dog'",
        );
        assert_eq!(rows, MemberRows::OfBlock);
        assert_eq!(
            member,
            format!(
                "(SELECT COUNT(*) FROM (SELECT DISTINCT {0} AS `ml k` FROM v AS s JOIN q USING (id) WHERE (a < 5)) AS `ml h` \
                 WHERE `ml h`.`ml k` = {0} AND RAND() IS NOT NULL)",
                hash("s.i")
            )
        );
        let (_, member) = missing("UPDATE v SET a = 1 WHERE ml.t(i) = 'cat'");
        assert!(member.contains("FROM v LOCK IN SHARE MODE)"), "{member}");
    }

    #[test]
    fn outer_joins_count_rows_that_their_conditions_drop() {
        let rows = |text| {
            let catalog = catalog();
            let statement = PredictStatement::read(text, LexMode::default(), "ml", &catalog);
            let statement = statement.unwrap().unwrap();
            let plan = statement.materialise().unwrap();
            plan.member_rows(0, 0)
        };
        for (text, expected) in [
            (
                "SELECT COUNT(*) FROM q LEFT JOIN v ON v.id = q.k WHERE ml.t(v.i) = 'cat'",
                MemberRows::OfTable { conditions: true },
            ),
            (
                "SELECT COUNT(*) FROM q LEFT JOIN v ON ml.t(v.i) = 'cat' WHERE v.id IS NULL",
                MemberRows::OfTable { conditions: false },
            ),
            (
                "SELECT COUNT(*) FROM (SELECT ml.t(i) AS k, i FROM v) d WHERE d.k = 'cat' GROUP BY k",
                MemberRows::OfBlock,
            ),
            ("SELECT ml.t(MAX(i)) FROM v GROUP BY a", MemberRows::Unknown),
        ] {
            assert_eq!(rows(text), expected, "{text}");
        }
    }
}

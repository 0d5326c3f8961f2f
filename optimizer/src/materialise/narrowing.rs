//! Narrowing of harvests by conditions on other predictions:
//! `WHERE ml.a(x) = 'p' AND ml.b(y) = 'q'` predicts `b` only for rows that pass the first
//! condition; the same applies to a call in the select list.
//!
//! Narrowing conditions are terms of an AND, in written order. Pass 2 must not look up keys that
//! were not harvested: in pass 2 and in harvests these conditions become an
//! `IF(first, second, FALSE)`, which the store evaluates in this order.

use std::ops::Range;

use super::analysis::{Harvest, Materialise};
use crate::sql::blocks::{Block, factors};
use crate::sql::expression;
use crate::sql::fragment::{Fragment, Splice};
use crate::sql::functions;

impl Materialise<'_, '_> {
    /// The terms of a block's WHERE that contain predictions of its own rows only, and have the
    /// same value for a row however often they are evaluated.
    fn predicted_conditions(&self, number: usize) -> Vec<Range<usize>> {
        let Some(block) = self.blocks.blocks.get(number) else {
            return Vec::new();
        };
        let lexed = &self.statement.lexed;
        let narrows = |condition: &Range<usize>| {
            let calls = self.calls_in(condition);
            let calls = calls.iter().filter_map(|&c| self.statement.calls.get(c));
            let calls: Vec<_> = calls.map(|call| call.range.clone()).collect();
            let mut own = calls.iter().map(|c| self.blocks.around(c.start));
            !calls.is_empty()
                && own.all(|block| block == Some(number))
                && functions::varying(lexed, condition.clone()).is_none()
                && functions::not_harmless(lexed, condition.clone(), &calls).is_none()
                && self.is_steady(condition)
        };
        let conjuncts = expression::conjuncts(lexed, &block.condition);
        conjuncts.into_iter().filter(narrows).collect()
    }

    /// The predicted conditions that narrow a harvest over the rows of its own block.
    pub(super) fn narrowing(&self, number: usize) -> Vec<Range<usize>> {
        let Some(harvest) = self.harvests.get(number) else {
            return Vec::new();
        };
        let block = |b| self.blocks.blocks.get(b).map(|block| (b, block));
        let Some((at, block)) = harvest.block.and_then(block) else {
            return Vec::new();
        };
        let mut narrowing = self.predicted_conditions(at);
        let of_call = self.of_call.iter().enumerate();
        let calls = of_call.filter(|(_, of)| **of == number);
        for call in calls.filter_map(|(call, _)| self.statement.calls.get(call)) {
            let at = call.range.start;
            let first = match block.condition.contains(&at) {
                true if self.is_chained(block) => narrowing.iter().position(|c| c.contains(&at)),
                true => None,
                // Join conditions are evaluated before WHERE.
                false if block.from.contains(&at) => None,
                false => continue,
            };
            narrowing.truncate(first.unwrap_or(0));
        }
        narrowing
    }

    /// Whether a harvest reads the rows of its own block.
    pub(super) fn reads_own_rows(harvest: &Harvest, source: usize) -> bool {
        let own: Vec<usize> = harvest.block.into_iter().collect();
        !harvest.aggregates && harvest.sources.get(source) == Some(&own)
    }

    /// Whether pass 2 evaluates a block's conditions on predictions in order. Over several tables
    /// the store must be free to drop rows of one table before the join.
    fn is_chained(&self, block: &Block) -> bool {
        factors(&self.statement.lexed, &block.from).len() == 1
    }

    /// The conditions chained in order: each is evaluated only where all before it are true.
    pub(super) fn chain(
        &self,
        conditions: &[Range<usize>],
        replace: &dyn Fn(&Range<usize>) -> Vec<Splice>,
    ) -> Option<Fragment> {
        let conditions = conditions.iter().rev();
        let conditions = conditions.map(|c| self.spliced(c, replace(c)));
        conditions.reduce(|last, first| {
            let mut both = Fragment::plain("IF((");
            both.push_fragment(&first)
                .push("), (")
                .push_fragment(&last)
                .push("), FALSE)");
            both
        })
    }

    /// Splices of pass 2 that replace the last chained condition by the chain, and the others by
    /// TRUE.
    pub(super) fn chain_splices(
        &self,
        replace: &dyn Fn(&Range<usize>) -> Vec<Splice>,
    ) -> Vec<Splice> {
        let mut splices = Vec::new();
        for (number, block) in self.blocks.blocks.iter().enumerate() {
            let mut conditions = match self.is_chained(block) {
                true => self.predicted_conditions(number),
                false => continue,
            };
            if let [_, .., last] = &conditions[..]
                && let Some(chain) = self.chain(&conditions, replace)
            {
                splices.push((last.clone(), chain));
                conditions.pop();
                let rest = conditions.into_iter();
                splices.extend(rest.map(|condition| (condition, Fragment::plain("TRUE"))));
            }
        }
        splices
    }
}

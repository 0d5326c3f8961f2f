//! Conditions on predictions that narrow the harvests of others:
//! `WHERE ml.a(x) = 'p' AND ml.b(y) = 'q'` asks `b` only about rows that pass the first, and so
//! does a call in the select list.
//!
//! What narrows is joined by AND, in the order in which it is written. Pass 2 must not look up
//! what was not harvested: there, and in harvests, these conditions are an
//! `IF(first, second, FALSE)`, which the store evaluates in this order.

use std::ops::Range;

use super::analysis::{Harvest, Materialise};
use crate::sql::blocks::{Block, factors};
use crate::sql::expression;
use crate::sql::fragment::{Fragment, Splice};
use crate::sql::functions;

impl Materialise<'_, '_> {
    /// The parts of a block's WHERE that hold predictions of its own rows, with one value for a
    /// row however often they are evaluated.
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

    /// Of these, those that narrow a harvest over the rows of its own block.
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
                // Joined before WHERE is looked at.
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
    /// it must be free to drop rows of one before it joins them.
    fn is_chained(&self, block: &Block) -> bool {
        factors(&self.statement.lexed, &block.from).len() == 1
    }

    /// These conditions, evaluated in order, each only where those before are true.
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

    /// The conditions of pass 2 that are evaluated in order, in the place of the last of them.
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

//! Pass 2: the statement itself, over lookups of what was predicted.

use std::ops::Range;

use super::analysis::Materialise;
use super::relation::Lookup;
use crate::sql::blocks::end_of_order_after_having;
use crate::sql::calls::outermost_splices;
use crate::sql::fragment::{Fragment, Splice};
use crate::sql::key::wrapped;

/// The store's error for a number out of its range: of a column that was expected not to be read.
pub const UNREAD_CODE: u16 = 1690;

impl Materialise<'_, '_> {
    /// Pass 2: the statement with each call replaced by a lookup. `lookups` has one per harvest.
    pub fn run(&self, lookups: &[Lookup]) -> Fragment {
        self.run_over(&|range| self.lookup_splices(range, lookups))
    }

    /// Pass 2 of an attempt for which unread harvests were not run: unread columns fail when the
    /// store evaluates them, with [`UNREAD_CODE`]. The store merges derived tables and evaluates
    /// only columns that are read, but merges none with a lookup, which appears to be
    /// non-deterministic.
    pub fn run_without_unread(&self, lookups: &[Lookup]) -> Fragment {
        self.run_over(&|range| {
            outermost_splices(&self.statement.calls, range, |call| {
                let harvest = self.of_call.get(call);
                match harvest.is_some_and(|&h| self.is_unread(h)) && self.is_unread_column(call) {
                    true => self.failing(call),
                    false => self.lookup(call, lookups),
                }
            })
        })
    }

    /// An expression of a call's type that is an error for each row.
    fn failing(&self, index: usize) -> Fragment {
        let Some(call) = self.statement.calls.get(index) else {
            return Fragment::default();
        };
        let arguments = self.statement.lexed.split_commas(call.input.clone());
        let of_row = arguments.into_iter().next().unwrap_or_default();
        let inner = outermost_splices(&self.statement.calls, &of_row, |inner| self.failing(inner));
        let of_row = self.spliced(&of_row, inner);
        self.answer(index, &wrapped("~0 + 1 + ISNULL(", &of_row, ")"))
    }

    fn run_over(&self, answers: &dyn Fn(&Range<usize>) -> Vec<Splice>) -> Fragment {
        let mut splices = self.chain_splices(answers);
        splices.extend(answers(&self.statement.body));
        splices.extend(self.late_limits());
        splices.extend(self.stored_queries(&splices));
        splices.extend(self.last_assignment());
        self.whole(splices)
    }

    /// Prevents the store from applying LIMIT before a HAVING without groups. The store does so if
    /// the HAVING reads non-deterministic expressions (lookups appear to be) and it sorts the
    /// table itself; with a non-deterministic ORDER BY term it sorts a temporary table instead.
    fn late_limits(&self) -> Vec<Splice> {
        let lexed = &self.statement.lexed;
        let blocks = self.blocks.blocks.iter();
        let sorted = blocks.filter(|b| b.group.is_empty() && !self.calls_in(&b.range).is_empty());
        let ends = sorted.filter_map(|b| end_of_order_after_having(lexed, b));
        ends.map(|end| (end..end, Fragment::plain(", RAND() IS NULL")))
            .collect()
    }
}

//! The classes that a materialise plan's statement distinguishes, where it uses them only in
//! expressions over one prediction and constants.

use std::ops::Range;

use super::analysis::Materialise;
use crate::sql::around;
use crate::sql::expression::{self, Dependence};
use crate::sql::fragment::Fragment;
use crate::stream::{class_rows, over_classes};

/// Column of the class code in a class query.
const CODE: &str = "`ml classes`.`k`";

/// A query for the values of the statement's expressions over a target's predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassQuery {
    /// The query: a row for NULL, then one per class of the target's task in order, with the value
    /// of each expression.
    pub text: Fragment,
    /// Whether all expressions are conditions, which only filter rows.
    pub filters: bool,
}

/// An expression over one prediction and constants.
#[derive(Debug, PartialEq, Eq)]
struct Look {
    range: Range<usize>,
    /// Whether it is a condition: only its truth matters.
    filters: bool,
}

impl Materialise<'_, '_> {
    /// The class query of a target. `None` where the statement uses a label directly, or scores:
    /// then every class may make a difference.
    pub fn class_query(&self, target: usize) -> Option<ClassQuery> {
        let asked = self.targets.get(target)?;
        let looks = self.looks(target)?;
        let mut text = Fragment::plain("SELECT ");
        for (i, look) in looks.iter().enumerate() {
            let over = over_classes(self.statement, &look.range, CODE);
            let (head, tail) = match look.filters {
                true => ("IF((", ") IS TRUE, '1', '0')"),
                // Compares bytes, independent of the character set of results.
                false => ("HEX(CAST((", ") AS BINARY))"),
            };
            text.push(if i > 0 { ", " } else { "" })
                .push(head)
                .push_fragment(&over)
                .push(tail);
        }
        text.push(&class_rows(asked.task.classes.len()));
        Some(ClassQuery {
            text,
            filters: looks.iter().all(|look| look.filters),
        })
    }

    /// Expressions that together contain all calls of a target.
    fn looks(&self, target: usize) -> Option<Vec<Look>> {
        let mut looks: Vec<Look> = Vec::new();
        for (index, call) in self.statement.calls.iter().enumerate() {
            let harvest = *self.of_call.get(index)?;
            if self.harvests.get(harvest)?.target != target {
                continue;
            }
            if !call.asked.is_label() {
                return None;
            }
            let is_over_this = |range: &Range<usize>| self.is_over(range, harvest);
            let condition = self.condition_around(call.range.start);
            let look = match condition.filter(|range| is_over_this(range)) {
                Some(range) => Look {
                    range,
                    filters: true,
                },
                None => Look {
                    range: self.expression_around(&call.range, &is_over_this)?,
                    filters: false,
                },
            };
            if !looks.contains(&look) {
                looks.push(look);
            }
        }
        (!looks.is_empty()).then_some(looks)
    }

    /// Whether a range consists of predictions of one harvest, and constants.
    fn is_over(&self, range: &Range<usize>, harvest: usize) -> bool {
        let within = self.calls_in(range);
        let calls = within.iter().filter_map(|&c| self.statement.calls.get(c));
        let ranges: Vec<_> = calls.map(|c| c.range.clone()).collect();
        let mut own = within.iter().map(|c| self.of_call.get(*c));
        own.all(|of| of == Some(&harvest))
            && matches!(
                expression::dependence(&self.statement.lexed, range.clone(), &ranges),
                Ok(Dependence::Prediction)
            )
    }

    /// The largest such expression around a call; `None`: the label itself is used.
    fn expression_around(
        &self,
        call: &Range<usize>,
        is_over_this: &dyn Fn(&Range<usize>) -> bool,
    ) -> Option<Range<usize>> {
        let whole = &self.statement.body;
        let block = self.blocks.around(call.start);
        let block = block.and_then(|b| self.blocks.blocks.get(b));
        let block = block.map_or(whole, |b| &b.range);
        let lexed = &self.statement.lexed;
        Some(around::largest(lexed, block, call, is_over_this)).filter(|range| range != call)
    }

    /// The outermost term after WHERE or ON that contains this lexeme of its own block: rows pass
    /// exactly where the term is true.
    fn condition_around(&self, at: usize) -> Option<Range<usize>> {
        let block = self.blocks.blocks.get(self.blocks.around(at)?)?;
        let lexed = &self.statement.lexed;
        let on = self.blocks.on_conditions(lexed, block);
        let mut conditions = on.into_iter().chain([block.condition.clone()]);
        let condition = conditions.find(|c| c.contains(&at))?;
        let mut parts = expression::conjuncts(lexed, &condition).into_iter();
        parts.find(|c| c.contains(&at))
    }
}

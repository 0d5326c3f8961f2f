//! Which classes a materialise plan's statement tells apart, where only conditions look at them.

use std::ops::Range;

use super::analysis::Materialise;
use crate::sql::calls::Asked;
use crate::sql::expression::{self, Dependence};
use crate::sql::fragment::Fragment;
use crate::stream::{class_rows, over_classes};

/// Column of the class's code in a query over classes.
const CODE: &str = "`ml classes`.`k`";

impl Materialise<'_, '_> {
    /// A query that answers a row for NULL and then one for each class of a target's task in order:
    /// whether the conditions by which alone the statement looks at the target's labels are true, as
    /// `'1'` or `'0'`. `None` where something else looks at them, or at scores: there every class may
    /// make a difference.
    pub fn class_query(&self, target: usize) -> Option<Fragment> {
        let asked = self.targets.get(target)?;
        let conditions = self.deciding_conditions(target)?;
        let mut text = Fragment::plain("SELECT ");
        for (i, condition) in conditions.iter().enumerate() {
            let over = over_classes(self.statement, condition, CODE);
            text.push(if i > 0 { ", IF((" } else { "IF((" })
                .push_fragment(&over)
                .push(") IS TRUE, '1', '0')");
        }
        text.push(&class_rows(asked.task.classes.len()));
        Some(text)
    }

    /// The texts of these conditions, for people.
    pub fn condition_texts(&self, target: usize) -> Vec<&str> {
        let conditions = self.deciding_conditions(target).unwrap_or_default();
        let text = |range: &Range<usize>| self.statement.lexed.text_of(range);
        conditions.iter().map(text).collect()
    }

    /// Conditions over one prediction and constants that together hold all calls of a target.
    fn deciding_conditions(&self, target: usize) -> Option<Vec<Range<usize>>> {
        let mut conditions: Vec<Range<usize>> = Vec::new();
        for (index, call) in self.statement.calls.iter().enumerate() {
            let harvest = *self.of_call.get(index)?;
            if self.harvests.get(harvest)?.target != target {
                continue;
            }
            if call.asked != Asked::Label {
                return None;
            }
            let condition = self.condition_around(call.range.start)?;
            let within = self.calls_in(&condition);
            let same_input = |c: &usize| self.of_call.get(*c) == Some(&harvest);
            if !within.iter().all(same_input) {
                return None;
            }
            let calls = within.iter().filter_map(|&c| self.statement.calls.get(c));
            let ranges: Vec<_> = calls.map(|c| c.range.clone()).collect();
            let lexed = &self.statement.lexed;
            let constant = matches!(
                expression::dependence(lexed, condition.clone(), &ranges),
                Ok(Dependence::Prediction)
            );
            if !constant {
                return None;
            }
            if !conditions.contains(&condition) {
                conditions.push(condition);
            }
        }
        (!conditions.is_empty()).then_some(conditions)
    }

    /// The outermost condition after WHERE or ON that a lexeme of its own block stands in: rows pass
    /// where it is true, whatever else it may be.
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

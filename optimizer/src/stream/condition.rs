//! The condition of a stream plan's WHERE: a tree of AND and OR over tests of at most one
//! prediction each.

use std::ops::Range;

use predictsql_catalog::AnswerShape;

use super::analysis::StreamSelect;
use super::predicate::score_test;
use super::row_test::{Decider, RowTest};
use crate::planner::ordering::Condition;
use crate::refusal::Refusal;
use crate::sql::boolean::{self, Split, without_parentheses};
use crate::sql::calls::Asked;
use crate::sql::expression::{self, Dependence};

impl StreamSelect<'_, '_> {
    /// Splits the terms of WHERE: the store evaluates those without predictions.
    pub(super) fn read_conditions(&mut self, conjuncts: Vec<Range<usize>>) -> Result<(), Refusal> {
        let mut conditions = Vec::new();
        for range in conjuncts {
            match self.calls_in(&range).is_empty() {
                true => self.native.push(range),
                false => conditions.push(self.read_condition(range, false)?),
            }
        }
        self.condition = Condition::All(conditions);
        Ok(())
    }

    /// A single test if it is decided by class, by score, or by the store; otherwise the condition
    /// is split as far as possible.
    fn read_condition(&mut self, range: Range<usize>, negated: bool) -> Result<Condition, Refusal> {
        let lexed = &self.statement.lexed;
        let calls = self.calls_in(&range);
        for call in calls.iter().filter_map(|&i| self.statement.calls.get(i)) {
            if expression::in_subquery(lexed, range.clone(), call.range.start) {
                return Err(Refusal::unsupported("a predict call in a sub-query"));
            }
        }
        let range = without_parentheses(lexed, range);
        let whole = self.decider(&range, &calls);
        let is_apart = |d: &Decider| !matches!(d, Decider::PerRow(_));
        if whole.as_ref().is_ok_and(is_apart) {
            return Ok(self.test(range, whole?, negated));
        }
        let split = match self.is_condition_clear {
            true => boolean::split(&self.statement.lexed, &range),
            false => Split::Leaf,
        };
        let (parts, all) = match split {
            Split::All(parts) => (parts, !negated),
            Split::Any(parts) => (parts, negated),
            Split::Not(part) => return self.read_condition(part, !negated),
            Split::Leaf => return Ok(self.test(range, whole?, negated)),
        };
        let parts = parts.into_iter();
        let parts = parts.map(|part| self.read_condition(part, negated));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        Ok(match all {
            true => Condition::All(parts),
            false => Condition::Any(parts),
        })
    }

    fn test(&mut self, range: Range<usize>, decider: Decider, negated: bool) -> Condition {
        self.tests.push(RowTest {
            decider,
            negated,
            range,
        });
        Condition::Test(self.tests.len() - 1)
    }

    fn decider(&mut self, range: &Range<usize>, calls: &[usize]) -> Result<Decider, Refusal> {
        if calls.is_empty() {
            expression::dependence(&self.statement.lexed, range.clone(), &[])?;
            return Ok(Decider::Native);
        }
        match self.label_dependence(range, calls)? {
            Some((prediction, Dependence::Prediction)) => Ok(Decider::PerClass(prediction)),
            Some((prediction, Dependence::Row)) => Ok(Decider::PerRow(prediction)),
            None => self.score_decider(range, calls),
        }
    }

    fn score_decider(&mut self, range: &Range<usize>, calls: &[usize]) -> Result<Decider, Refusal> {
        let refusal = || {
            Refusal::unsupported("this condition on a predicted number; compare it with a constant")
        };
        let [index] = calls else {
            return Err(refusal());
        };
        let (Some(call), Some(prediction)) =
            (self.statement.calls.get(*index), self.of_call.get(*index))
        else {
            return Err(refusal());
        };
        let test = score_test(
            &self.statement.lexed,
            range.clone(),
            &call.range,
            &mut self.constants,
        )
        .ok_or_else(refusal)?;
        match call.asked {
            Asked::Probability(class) => Ok(Decider::Score(*prediction, class, test)),
            Asked::Answer(AnswerShape::Value) => Ok(Decider::Value(*prediction, test)),
            Asked::Answer(AnswerShape::Label) => Err(refusal()),
        }
    }

    /// The calls within a range.
    fn calls_in(&self, range: &Range<usize>) -> Vec<usize> {
        let calls = self.statement.calls.iter().enumerate();
        let within = calls.filter(|(_, call)| range.contains(&call.range.start));
        within.map(|(index, _)| index).collect()
    }
}

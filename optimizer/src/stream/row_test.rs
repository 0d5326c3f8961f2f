//! Tests of rows: the leaves of a condition, and how they are evaluated.

use std::ops::Range;

use super::predicate::ScoreTest;

/// How a test is evaluated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decider {
    /// By label and constants: once per class.
    PerClass(usize),
    /// By label and columns: the store sends one bit per class with each row.
    PerRow(usize),
    /// By the score of a class (position in the task's classes).
    Score(usize, usize, ScoreTest),
    /// By the number that a regression predicts.
    Value(usize, ScoreTest),
    /// By columns: the store sends a bit with each row.
    Native,
}

/// A leaf of a condition: whether an expression is true or, below NOT, false. In three-valued
/// logic these results are enough to evaluate AND and OR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowTest {
    /// How it is evaluated.
    pub decider: Decider,
    /// The row passes if the expression is false.
    pub negated: bool,
    pub(super) range: Range<usize>,
}

impl RowTest {
    /// The prediction it depends on, if any.
    pub fn prediction(&self) -> Option<usize> {
        match &self.decider {
            Decider::PerClass(p)
            | Decider::PerRow(p)
            | Decider::Score(p, ..)
            | Decider::Value(p, _) => Some(*p),
            Decider::Native => None,
        }
    }

    /// The SQL suffix for the required truth value.
    pub(super) fn wanted(&self) -> &'static str {
        match self.negated {
            true => "IS FALSE",
            false => "IS TRUE",
        }
    }
}

//! A part of a condition that is decided at once, and how.

use std::ops::Range;

use super::predicate::ScoreTest;

/// How a test of a row is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decider {
    /// Over a label and constants: once a class.
    PerClass(usize),
    /// Over a label and columns: the store sends one bit a class with each row.
    PerRow(usize),
    /// Over the score of a class (position in the task's classes).
    Score(usize, usize, ScoreTest),
    /// Over the number that a regression answers.
    Value(usize, ScoreTest),
    /// Over columns: the store sends a bit with each row.
    Native,
}

/// A part of a condition that is decided at once: whether it is true or, below NOT, whether it is
/// false. In SQL's logic of three values a row passes AND and OR by such truths alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowTest {
    /// How.
    pub decider: Decider,
    /// It passes where it is false.
    pub negated: bool,
    pub(super) range: Range<usize>,
}

impl RowTest {
    /// The prediction that decides it, if one does.
    pub fn prediction(&self) -> Option<usize> {
        match &self.decider {
            Decider::PerClass(p)
            | Decider::PerRow(p)
            | Decider::Score(p, ..)
            | Decider::Value(p, _) => Some(*p),
            Decider::Native => None,
        }
    }

    /// What its expression must be.
    pub(super) fn wanted(&self) -> &'static str {
        match self.negated {
            true => "IS FALSE",
            false => "IS TRUE",
        }
    }
}

//! What an evaluation found of a model: statistics to plan with, and tallies to show.

use crate::statistics::{ModelStatistics, Part};

/// How often a model was right in one part of the rows, by its greatest probability alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartTally {
    /// Rows of classes that the model covers.
    pub own: u32,
    /// Those of them that it answers rightly.
    pub own_correct: u32,
    /// All rows.
    pub all: u32,
    /// Those that it answers rightly, where "none of my classes" is right for an input of a class
    /// that it does not cover.
    pub all_correct: u32,
}

/// Rows of one true outcome that a model gave one answer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confused {
    /// Which part of the rows.
    pub part: Part,
    /// Class position plus one; 0: none of the task's classes.
    pub truth: u16,
    /// Class position plus one; 0: none of the classes that the model knows.
    pub answer: u16,
    /// How many.
    pub rows: u32,
}

/// What is published of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluatedModel {
    /// Lower-case name.
    pub name: String,
    /// Version label.
    pub version: String,
    /// Its calibration, votes and costs, under its catalog id.
    pub statistics: ModelStatistics,
    /// By part.
    pub tallies: Vec<(Part, PartTally)>,
    /// What was taken for what.
    pub confusion: Vec<Confused>,
}

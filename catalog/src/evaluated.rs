//! Results of evaluating a model: statistics for planning, and tallies for display.

use crate::statistics::{ModelStatistics, Part};

/// How often a model was correct in one part of the rows, by its greatest probability alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PartTally {
    /// Number of rows with classes that the model covers.
    pub own: u32,
    /// Number of these answered correctly.
    pub own_correct: u32,
    /// Number of all rows.
    pub all: u32,
    /// Number of these answered correctly, where "none of my classes" is correct for an input of a
    /// class that the model does not cover.
    pub all_correct: u32,
}

/// Number of rows with one true outcome for which a model gave one answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confused {
    /// Part of the rows.
    pub part: Part,
    /// Class index plus one; 0: none of the task's classes.
    pub truth: u16,
    /// Class index plus one; 0: none of the model's classes.
    pub answer: u16,
    /// Number of rows.
    pub rows: u32,
}

/// Published results of one model.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluatedModel {
    /// Lower-case name.
    pub name: String,
    /// Version label.
    pub version: String,
    /// Its calibration, votes and costs, under its catalog id.
    pub statistics: ModelStatistics,
    /// Tallies by part.
    pub tallies: Vec<(Part, PartTally)>,
    /// Confusion counts.
    pub confusion: Vec<Confused>,
}

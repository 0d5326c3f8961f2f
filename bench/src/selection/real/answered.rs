//! A question of E2, what was asked of it, and what each decision for it gave.

use super::client::Run;
use super::questions::Question;

/// What is asked for with a constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint {
    /// A share of the way from what the cheapest models reach to what the best plan does.
    Between,
    /// The most that a single model can be promised to keep.
    OfSingle,
}

/// One question under one constraint; plans are numbers of its decisions.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Why this much is asked for.
    pub constraint: Constraint,
    /// Least F1 or accuracy.
    pub least: f64,
    /// The planner's choice; `None` where nothing could be promised.
    pub optimal: Option<usize>,
    /// The cheapest single model of which the same is promised by the same rows, if any.
    pub single: Option<usize>,
}

/// One question with all that was run for it.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The statement.
    pub question: Question,
    /// Each decision once.
    pub runs: Vec<Run>,
    /// The most accurate plan.
    pub most_accurate: Option<usize>,
    /// By constraint.
    pub asked: Vec<Asked>,
    /// Each model by itself, named by the statement: its score and CPU seconds of inference.
    pub named: Vec<(f64, f64)>,
}

//! A plan under construction.

use std::sync::Arc;

use crate::distinctions::Distinctions;
use crate::exchange::{Failure, Layout, Step};
use crate::plan::{ByClass, Plan};
use crate::planner::Decided;

/// The next step of planning: a question to the store, or the finished plan.
pub(super) type PlanStep<'s, 'a> = Result<Step<Plan<'s, 'a>>, Failure>;

/// A prediction of a stream plan whose models are chosen.
#[derive(Debug)]
pub(super) struct Draft {
    /// The chosen models.
    pub decided: Arc<Decided>,
    /// Classes whose scores are requested, ascending.
    pub scored: Vec<usize>,
    /// Outcomes that the statement distinguishes by expressions over the prediction alone.
    pub distinctions: Distinctions,
    /// Whether some row may need inference.
    pub needed: bool,
    /// Per-class values of cells and tests.
    pub by_class: ByClass,
    /// Encodings of the per-class cells, in order.
    pub layouts: Vec<Layout>,
}

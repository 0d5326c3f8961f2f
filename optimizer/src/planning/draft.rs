//! A prediction of a stream plan whose plan is being made.

use std::sync::Arc;

use crate::distinctions::Distinctions;
use crate::exchange::Layout;
use crate::plan::ByClass;
use crate::planner::Decided;

/// A prediction, decided.
#[derive(Debug)]
pub(super) struct Draft {
    /// The models.
    pub decided: Arc<Decided>,
    /// Classes whose scores are asked for, ascending.
    pub scored: Vec<usize>,
    /// Which outcomes the statement distinguishes by expressions over the prediction alone.
    pub distinctions: Distinctions,
    /// Whether any row may need inference.
    pub needed: bool,
    /// Values by class.
    pub by_class: ByClass,
    /// How the cells among them are laid out, in order.
    pub layouts: Vec<Layout>,
}

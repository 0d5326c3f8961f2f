//! Views over predictions: what their definitions predict, and statements over them rewritten so
//! that the calls stand in the statement itself.
//!
//! A column that predicts of columns which the view shows is asked for *through* the view: the
//! store checks the right to the view alone, and never evaluates its own column. Otherwise the
//! view's body stands in its place, which needs rights on what the body reads.

mod analyse;
mod definition;
mod expand;
mod known;
mod merge;
mod names;
mod pieces;
mod references;
mod source;
mod stored;
#[cfg(test)]
mod tests;
mod view;

pub use expand::{Expansion, Reading};
pub use known::Views;
pub use source::{ViewSession, ViewSource};
pub use stored::{changes_views, stored_view};

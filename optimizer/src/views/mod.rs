//! Views over predictions: finds the predictions in view definitions, and rewrites statements over
//! such views so that the predict calls stand in the statement itself.
//!
//! A predicted column whose inputs are columns that the view shows is computed *through* the view:
//! the store checks the right to the view only, and never evaluates the view's predicted column.
//! Otherwise the view's body replaces the view, which needs rights on the tables the body reads.

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

//! Materialise plans: support any statement shape, in two passes.
//!
//! Pass 1 *harvests* the distinct inputs of each call with separate queries; the inputs are
//! predicted and passed to the session as *relations* of (key, answer). Pass 2 is the statement
//! itself with each call replaced by an expression that looks its key up. The result depends on
//! pass 2 alone: a harvest with too many inputs only costs inference, and one with too few is
//! detected, since a key missing from a relation raises the stub's error instead of giving NULL.

mod alike;
mod analysis;
mod distinctions;
mod evaluated_once;
mod interruption;
mod members;
mod narrowing;
mod nesting;
mod once;
mod recursion;
mod relation;
mod second_pass;
mod shape;
mod texts;
mod unread;

pub use analysis::{Harvest, Materialise, Target};
pub use distinctions::ClassQuery;
pub use interruption::says_interrupted;
pub use members::MemberRows;
pub use nesting::NESTED_PREDICTIONS_MAX;
pub use relation::{KeyForm, Lookup, RelationAnswer};
pub use second_pass::UNREAD_CODE;
pub use shape::{Members, Shape};
pub use texts::HarvestPass;

#[cfg(test)]
mod tests;

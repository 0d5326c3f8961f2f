//! Materialise plans: any statement at all, in two passes.
//!
//! Pass 1 *harvests* the distinct inputs of each call with queries of their own; they are
//! predicted and given to the session as *relations* of key and answer; pass 2 is the statement
//! itself with each call replaced by an expression that looks its key up. Pass 2 alone decides the
//! answer: a harvest that finds too many inputs costs inference, and one that finds too few is
//! noticed, since a key that a relation lacks raises the stub's error instead of giving NULL.

mod alike;
mod analysis;
mod distinctions;
mod interruption;
mod members;
mod narrowing;
mod nesting;
mod relation;
mod shape;
mod texts;

pub use analysis::{Harvest, Materialise, Target};
pub use distinctions::ClassQuery;
pub use interruption::says_interrupted;
pub use members::MemberRows;
pub use nesting::NESTED_PREDICTIONS_MAX;
pub use relation::{KeyForm, Lookup, RelationAnswer};
pub use shape::{Members, Shape};
pub use texts::HarvestPass;

#[cfg(test)]
mod tests;

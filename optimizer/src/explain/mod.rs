//! EXPLAIN of a plan: its nodes as lines for people, and as JSON for programs.

mod lines;
mod prediction;
mod whole;

pub use lines::WIDTH;
pub use prediction::{Kept, amount, duration, model_name};
pub use whole::{Shown, short};

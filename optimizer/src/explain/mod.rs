//! EXPLAIN output of a plan: text lines for users, JSON for programs.

mod elapsed;
mod lines;
mod prediction;
mod whole;

pub use elapsed::Elapsed;
pub use lines::WIDTH;
pub use prediction::{Kept, amount, duration, model_name};
pub use whole::{Shown, short};

//! Executes a decision of the optimizer: takes inputs and returns a task's answers.
//!
//! ```text
//! Planner ─► Decision ─► Predictor: distinct inputs ─► stages
//!     ─► kept outputs, or Executor ─► answers
//! ```
//!
//! The [`Planner`] decides which models predict, and caches the decision. A [`Predictor`] is one
//! prediction of one caller: it executes the decision stage by stage, loads models when they are
//! first needed, and maps their votes to the task's classes. All predictors of one caller share a
//! [`Work`], which counts inferences and enforces their limit. Callers do not depend on models or
//! labels.

mod answer;
mod distinct;
mod forecast;
mod planning;
mod predictor;
mod shared;
mod stages;
mod tally;
#[cfg(test)]
mod tests;
mod used;
mod work;

pub use answer::Answer;
pub use forecast::Forecast;
pub use planning::Planner;
pub use predictor::{Predictor, PredictorWarning, admit};
pub use tally::{Tally, VoterTally};
pub use used::UsedDecisions;
pub use work::{Counters, Work};

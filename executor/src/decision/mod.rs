//! Runs a decision of the optimizer over inputs: inputs go in, answers of a task come out.
//!
//! ```text
//! Planner ─► Decision ─► Predictor: distinct inputs ─► stages
//!     ─► kept outputs, or Executor ─► answers
//! ```
//!
//! The [`Planner`] decides which models answer, and remembers the decision. A [`Predictor`] stands
//! for one prediction of one caller: it runs the decision stage by stage, loads models when they
//! are first needed, and turns their votes into the task's classes. All predictors of one caller
//! share a [`Work`], which counts what they do and holds the limit of inferences. Callers know
//! neither models nor labels.

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
mod work;

pub use answer::Answer;
pub use forecast::Forecast;
pub use planning::Planner;
pub use predictor::{Predictor, PredictorWarning, admit};
pub use tally::{Tally, VoterTally};
pub use work::{Counters, Work};

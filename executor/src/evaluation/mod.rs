//! Evaluation of models on labelled rows: division of the rows into parts, answers of all models,
//! and the resulting calibrations, votes and tallies.

mod features;
mod sample;
mod tally;

pub use features::{Features, features};
pub use sample::{Feature, Labelled, RowKey, Rows, RowsMax, Sample};
pub use tally::{Measured, evaluate};

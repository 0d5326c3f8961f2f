//! Measures models on labelled rows: which row is used for what, what all models answer to it, and
//! the calibrations, votes and tallies that follow.

mod features;
mod sample;
mod tally;

pub use features::{Features, features};
pub use sample::{Feature, Labelled, RowKey, Rows, RowsMax, Sample};
pub use tally::{Measured, evaluate};

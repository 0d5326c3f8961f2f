//! Evaluation of models on labelled rows: which class a label means, division of the rows into
//! parts, answers of all models, and the resulting calibrations, votes, tallies and verdicts.

mod features;
mod labels;
mod sample;
mod tally;
mod verdict;

pub use features::{Features, features};
pub use labels::{Foreign, Labels, Meaning};
pub use sample::{Feature, Labelled, RowKey, Rows, RowsMax, Sample};
pub use tally::{Measured, evaluate};
pub use verdict::{Verdict, verdicts};

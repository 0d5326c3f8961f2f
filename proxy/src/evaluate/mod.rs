//! EVALUATE without its session: which labelled rows are used for what, and what follows from the
//! answers of models to them. How rows come out of the store is the lane's.

mod sample;
mod tally;

pub use sample::{Feature, Labelled, RowKey, Rows, RowsMax, Sample};
pub use tally::{Measured, evaluate};

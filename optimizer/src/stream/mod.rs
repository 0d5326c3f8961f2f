//! Stream plans: one query block whose rows are passed on with the predicted cells inserted.

mod analysis;
mod condition;
mod items;
mod predicate;
mod row_test;
mod structure;
mod texts;

pub use analysis::{Cell, Prediction, StreamSelect};
pub use predicate::{Comparison, ScoreTest};
pub use row_test::{Decider, RowTest};
pub use texts::{CELL_MARK, ClassQuery, InputText, Pushdown, PushdownChoices};
pub(crate) use texts::{class_rows, over_classes};

/// Maximum number of classes of a task where an expression over its prediction also reads columns:
/// the store evaluates such an expression for each class and row, and returns a condition's
/// outcomes as one bit each of a BIGINT.
pub const CLASSES_PER_ROW_MAX: usize = 63;

#[cfg(test)]
mod tests;

//! Views with predictions, as analysed from their definitions.

use super::pieces::Pieces;
use crate::refusal::Refusal;

/// A view with predictions.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) collation: String,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// Its rows are rows of its tables, and predictions occur only in its columns.
    Merged {
        columns: Vec<Column>,
        /// Its query without the predicted columns, and with the inputs of these.
        body: Pieces,
        /// Whether the store evaluates only those columns that a statement uses.
        lazy: bool,
    },
    /// Any other view: its whole query.
    Whole(Pieces),
    /// Its query cannot be inserted into statements.
    Refused(Refusal),
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) prediction: Option<Prediction>,
}

/// The expression of a predicted column.
#[derive(Debug, Clone)]
pub(super) struct Prediction {
    /// Over columns of the view; `None` if the view does not show them all.
    pub(super) over_view: Option<Pieces>,
    /// Over columns of [`Shape::Merged`]'s body.
    pub(super) over_body: Pieces,
    /// Whether it is a single call.
    pub(super) is_call: bool,
    /// Whether it is a call whose input is a column: then it is NULL where an outer join finds no
    /// row of the view. For other expressions (`IFNULL(...)`) this is unknown.
    pub(super) is_null_of_null: bool,
}

impl Column {
    /// Whether it is a single call.
    pub(super) fn is_call(&self) -> bool {
        self.prediction.as_ref().is_some_and(|p| p.is_call)
    }

    /// Whether it is NULL where an outer join finds no row of the view.
    pub(super) fn is_null_of_null(&self) -> bool {
        let prediction = self.prediction.as_ref();
        prediction.is_some_and(|p| p.is_null_of_null)
    }
}

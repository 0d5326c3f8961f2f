//! Views that predict, as their definitions were understood.

use super::pieces::Pieces;
use crate::refusal::Refusal;

/// A view that predicts.
#[derive(Debug, Clone)]
pub(super) struct View {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) collation: String,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone)]
pub(super) enum Shape {
    /// A row of its tables is a row of it, and only its columns predict.
    Merged {
        columns: Vec<Column>,
        /// Its query without what predicts, and with what that needs.
        body: Pieces,
        /// The store evaluates no column that a statement does not name.
        lazy: bool,
    },
    /// Anything else: its whole query.
    Whole(Pieces),
    /// Its query cannot be put into statements.
    Refused(Refusal),
}

#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) prediction: Option<Prediction>,
}

/// The expression of a column that predicts.
#[derive(Debug, Clone)]
pub(super) struct Prediction {
    /// Over columns of the view; `None` where it does not show them all.
    pub(super) over_view: Option<Pieces>,
    /// Over columns of [`Shape::Merged`]'s body.
    pub(super) over_body: Pieces,
    /// It is a call and nothing else.
    pub(super) is_call: bool,
    /// It is a call whose input is a column: NULL where an outer join finds no row of the view. Of
    /// other expressions (`IFNULL(...)`) that cannot be told.
    pub(super) is_null_of_null: bool,
}

impl Column {
    /// Whether it is a call and nothing else.
    pub(super) fn is_call(&self) -> bool {
        self.prediction.as_ref().is_some_and(|p| p.is_call)
    }

    /// Whether it is NULL where an outer join finds no row of the view.
    pub(super) fn is_null_of_null(&self) -> bool {
        let prediction = self.prediction.as_ref();
        prediction.is_some_and(|p| p.is_null_of_null)
    }
}

//! Tests which rows of a stream plan pass the condition, and provides their predicted cells.

use std::borrow::Cow;

use predictsql_optimizer::plan::{FilterTest, InputKind};
use predictsql_optimizer::planner::ordering::Known;
use predictsql_optimizer::stream::{Cell, Decider};

use crate::lane::plans::inputs::UNNAMED;
use crate::lane::plans::ready::Pipeline;
use crate::lane::plans::stream::{CellBytes, CutRow, RowInput};
use crate::lane::store::error::LinkError;
use crate::lane::store::questions::encoded;
use crate::lane::store::rows::{CellLayout, Codec, RowCodec, double_cell};
use crate::lane::store::spool::Row;
use crate::predict::Answer;
use crate::wire::{Malformed, lenenc};

/// A row of the store that is processed for the client.
#[derive(Debug)]
pub struct PendingRow {
    /// The row.
    pub row: CutRow,
    /// One answer per prediction; `None` if the prediction is not made.
    pub answers: Vec<Option<Answer>>,
    /// Whether it passes the condition, once that is decided.
    pub passes: Option<bool>,
    /// Results of the condition's tests, as far as they are known.
    known: Vec<Known>,
}

impl PendingRow {
    /// Splits a row into cells.
    pub async fn new(row: Row, codec: &RowCodec) -> Result<Self, LinkError> {
        Ok(Self {
            row: CutRow::cut(row, codec).await?,
            answers: Vec::new(),
            passes: None,
            known: Vec::new(),
        })
    }

    fn answer(&self, prediction: usize) -> Option<&Answer> {
        self.answers.get(prediction)?.as_ref()
    }

    /// The outcome of a prediction. Also 0 if the prediction is not made, since nothing depends on
    /// it then.
    fn code(&self, prediction: usize) -> usize {
        self.answer(prediction).map_or(0, Answer::code)
    }
}

/// Filters the rows of one statement.
#[derive(Debug)]
pub struct RowFilter<'r, 's, 'a> {
    pipeline: &'r Pipeline<'r, 's, 'a>,
    codec: Codec,
    /// Input kind of each prediction.
    inputs: Vec<InputKind>,
    /// Maximum size of an image, in bytes.
    image_bytes_max: u64,
    /// For each cell that depends only on a prediction: its encoded value for each outcome.
    by_class: Vec<Option<Vec<Option<Vec<u8>>>>>,
}

impl<'r, 's, 'a> RowFilter<'r, 's, 'a> {
    /// A filter for rows with the visible columns, followed by the hidden ones. `inputs` are the
    /// input kinds of the predictions.
    pub fn new(
        pipeline: &'r Pipeline<'r, 's, 'a>,
        codec: Codec,
        (inputs, image_bytes_max): (Vec<InputKind>, u64),
    ) -> Self {
        Self {
            pipeline,
            codec,
            inputs,
            image_bytes_max,
            by_class: encoded_cells(pipeline, codec),
        }
    }

    fn cells(&self) -> &'r [Cell] {
        &self.pipeline.project.cells
    }

    /// The order of the predictions: first those that the condition needs, as planned, then those
    /// that fill cells of rows that pass.
    pub fn order(&self) -> Vec<usize> {
        let predicts = self.pipeline.predicts.iter();
        let needed = predicts.filter(|p| p.needed).map(|p| p.prediction);
        let filling = needed.filter(|p| self.cells().iter().any(|c| c.prediction() == *p));
        let deciding = self.pipeline.filter.deciding.iter().copied();
        deciding.chain(filling).collect()
    }

    /// Initialises a row from the store and evaluates the tests that need no prediction.
    pub fn begin(&self, row: &mut PendingRow) -> Result<(), Malformed> {
        row.answers = vec![None; self.pipeline.predicts.len()];
        row.known.clone_from(&self.pipeline.filter.known);
        for (index, test) in self.pipeline.filter.tests.iter().enumerate() {
            let outcomes = match test.test.decider {
                Decider::Native => 1,
                Decider::PerRow(p) => self.pipeline.outcomes(p),
                Decider::PerClass(_) | Decider::Score(..) | Decider::Value(..) => continue,
            };
            let (bits, all) = (
                self.bits(row, index)?,
                u64::MAX >> (64 - outcomes.clamp(1, 64)),
            );
            let is_one = bits & all == 0 || bits & all == all;
            if let Some(known) = row.known.get_mut(index).filter(|_| is_one) {
                *known = Some(Some(bits & all != 0));
            }
        }
        self.decide(row);
        Ok(())
    }

    fn decide(&self, row: &mut PendingRow) {
        row.passes = self.pipeline.filter.condition.passes(&row.known);
    }

    /// The input of a prediction for a row; `None` if, by the tests evaluated so far, the answer
    /// does not depend on the prediction.
    pub fn input(
        &self,
        row: &PendingRow,
        prediction: usize,
    ) -> Result<Option<RowInput>, Malformed> {
        let depends = match row.passes {
            _ if row.answer(prediction).is_some() => false,
            Some(false) => false,
            Some(true) => self.cells().iter().any(|c| c.prediction() == prediction),
            None => self
                .tests_of(prediction)
                .any(|(index, _)| self.pipeline.filter.condition.depends_on(index, &row.known)),
        };
        match depends {
            true => self.fetched(row, prediction),
            false => Ok(None),
        }
    }

    /// The tests that depend on a prediction, with their indexes.
    fn tests_of(&self, prediction: usize) -> impl Iterator<Item = (usize, &'r FilterTest)> {
        let tests = self.pipeline.filter.tests.iter().enumerate();
        tests.filter(move |(_, test)| test.test.prediction() == Some(prediction))
    }

    /// The input of a prediction in a row from the store; `None` if it was not selected.
    fn fetched(&self, row: &PendingRow, prediction: usize) -> Result<Option<RowInput>, Malformed> {
        let predict = self.pipeline.predicts.get(prediction);
        let asked = self.pipeline.ready.plan.predictions.get(prediction);
        let (Some(column), Some(asked), Some(kind)) = (
            predict.and_then(|p| p.column),
            asked,
            self.inputs.get(prediction),
        ) else {
            return Ok(None);
        };
        let value = row.row.string(self.pipeline.visible() + column)?;
        let (columns, bytes_max) = (asked.task.columns(), self.image_bytes_max);
        RowInput::of(kind, columns, value, bytes_max).map(Some)
    }

    /// Stores the answer of a prediction for a row, and evaluates the tests that depend on it.
    pub fn answer(
        &self,
        row: &mut PendingRow,
        prediction: usize,
        answer: Answer,
    ) -> Result<(), Malformed> {
        if let Some(place) = row.answers.get_mut(prediction) {
            *place = Some(answer);
        }
        for (index, test) in self.tests_of(prediction) {
            let passes = self.passes(row, index, test)?;
            if let Some(known) = row.known.get_mut(index) {
                *known = Some(Some(passes));
            }
        }
        self.decide(row);
        Ok(())
    }

    fn passes(&self, row: &PendingRow, index: usize, test: &FilterTest) -> Result<bool, Malformed> {
        let constants = &self.pipeline.filter.constants;
        let is = Some(!test.test.negated);
        Ok(match &test.test.decider {
            Decider::PerClass(p) => {
                let tests = self.pipeline.predicts.get(*p).map(|p| &p.by_class.tests);
                let found = tests.and_then(|tests| tests.iter().find(|(of, _)| *of == index));
                found.is_some_and(|(_, passes)| passes.get(row.code(*p)) == Some(&true))
            }
            Decider::PerRow(p) => self.bits(row, index)? >> row.code(*p) & 1 == 1,
            Decider::Native => self.bits(row, index)? & 1 == 1,
            Decider::Score(p, class, of) => of.holds(self.score(row, *p, *class), constants) == is,
            Decider::Value(p, of) => {
                let value = row.answer(*p).and_then(Answer::value);
                of.holds(value, constants) == is
            }
        })
    }

    /// Bitmap of the outcomes that pass a test in this row: bit 0 for NULL, then one bit per
    /// class.
    fn bits(&self, row: &PendingRow, test: usize) -> Result<u64, Malformed> {
        let wrong = Malformed("a hidden column of the lane is not a number");
        let column = self
            .pipeline
            .scan
            .pushdown
            .tests
            .get(test)
            .copied()
            .flatten()
            .ok_or(wrong)?;
        let Some(mut cell) = row.row.short(self.pipeline.visible() + column)? else {
            return Ok(0);
        };
        match self.codec {
            Codec::Binary => lenenc::get_u64(&mut cell),
            Codec::Text => {
                let text = lenenc::get_str(&mut cell)?;
                std::str::from_utf8(text)
                    .ok()
                    .and_then(|t| t.parse().ok())
                    .ok_or(wrong)
            }
        }
    }

    /// The score of a class (index in the task's classes); `None` if the input is NULL or
    /// unreadable, or if no model run covers the class.
    fn score(&self, row: &PendingRow, prediction: usize, class: usize) -> Option<f64> {
        let predictor = self.pipeline.ready.predictors.get(prediction)?;
        predictor.score(row.answer(prediction)?, class)
    }

    /// The encoded cell of a predicted column; `None` for NULL.
    pub fn cell<'c>(&'c self, row: &'c PendingRow, cell: usize) -> Option<CellBytes<'c>> {
        let here = match *self.cells().get(cell)? {
            Cell::PerClass(p) => {
                let values = self.by_class.get(cell)?.as_ref()?;
                values.get(row.code(p))?.as_deref().map(Cow::Borrowed)?
            }
            Cell::PerRow(p) => {
                let first = self
                    .pipeline
                    .scan
                    .pushdown
                    .cells
                    .get(cell)
                    .copied()
                    .flatten()?;
                return row
                    .row
                    .encoded(self.pipeline.visible() + first + row.code(p));
            }
            Cell::Score(p, class) => {
                let score = self.score(row, p, class)?;
                Cow::Owned(double_cell(self.codec, score))
            }
            Cell::Value(p) => {
                let value = row.answer(p)?.value()?;
                Cow::Owned(double_cell(self.codec, value))
            }
        };
        Some(CellBytes::Here(here))
    }

    /// The text that identifies the input of a prediction in a warning.
    pub fn input_name(&self, row: &PendingRow, prediction: usize) -> String {
        match self.fetched(row, prediction) {
            Ok(Some(input)) => input.short_name(),
            _ => UNNAMED.to_owned(),
        }
    }
}

/// For each cell that depends only on a prediction: its encoded value for each outcome.
fn encoded_cells(
    pipeline: &Pipeline<'_, '_, '_>,
    codec: Codec,
) -> Vec<Option<Vec<Option<Vec<u8>>>>> {
    let columns = || {
        pipeline
            .project
            .cell_of_column
            .iter()
            .zip(&pipeline.ready.described)
    };
    let mut encoded_cells = vec![None; pipeline.project.cells.len()];
    for (cell, values) in pipeline.predicts.iter().flat_map(|p| &p.by_class.cells) {
        // Planning ensures that a cell evaluated by the store has the described column's layout.
        let column = columns().find(|(of, _)| **of == Some(*cell));
        let layout = column.map_or(CellLayout::String, |(_, c)| CellLayout::of(c.column_type));
        let values = values.iter();
        let values = values.map(|v| v.as_ref().map(|value| encoded(codec, layout, value)));
        if let Some(place) = encoded_cells.get_mut(*cell) {
            *place = Some(values.collect());
        }
    }
    encoded_cells
}

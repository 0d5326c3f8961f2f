//! From answers to a row's fate: which rows pass, and what their cells hold.

use std::borrow::Cow;

use bytes::Bytes;
use predictsql_executor::Input;
use predictsql_optimizer::stream::{Cell, Conjunct, ScoreTest};

use super::inputs::{InputKind, short_name};
use super::rows::{Cells, Codec, RowCodec, double_cell};
use super::select::{Ready, ReadyPrediction};
use crate::predict::Answer;
use crate::wire::{Malformed, lenenc};

/// A row of the store on its way to the client.
#[derive(Debug)]
pub struct PendingRow {
    /// The payload.
    pub payload: Bytes,
    /// Its encoded cells.
    pub cells: Cells,
    /// One a prediction.
    pub answers: Vec<Answer>,
    /// No condition has failed so far.
    pub passes: bool,
}

impl PendingRow {
    /// Cuts a row.
    pub fn new(payload: Bytes, codec: &RowCodec, predictions: usize) -> Result<Self, Malformed> {
        let mut cells = Cells::new();
        codec.split(&payload, &mut cells)?;
        Ok(Self {
            payload,
            cells,
            answers: vec![Answer::Null; predictions],
            passes: true,
        })
    }

    /// An encoded cell.
    pub fn cell(&self, column: usize) -> Option<&[u8]> {
        self.cells
            .get(column)?
            .clone()
            .and_then(|range| self.payload.get(range))
    }

    /// The value of a string cell.
    fn string(&self, column: usize) -> Result<Option<Bytes>, Malformed> {
        let Some(mut cell) = self.cell(column) else {
            return Ok(None);
        };
        Ok(Some(self.payload.slice_ref(lenenc::get_str(&mut cell)?)))
    }
}

/// Decides rows of one statement.
#[derive(Debug)]
pub struct Judge<'r, 's, 'a> {
    ready: &'r Ready<'s, 'a>,
    codec: Codec,
    /// Number of visible columns: hidden ones follow.
    visible: usize,
    /// What each input is.
    inputs: Vec<InputKind>,
    cells: Vec<Cell>,
    conjuncts: Vec<Conjunct>,
}

impl<'r, 's, 'a> Judge<'r, 's, 'a> {
    /// For rows of `visible` columns and the hidden ones after them.
    pub fn new(
        ready: &'r Ready<'s, 'a>,
        codec: Codec,
        visible: usize,
        inputs: Vec<InputKind>,
    ) -> Self {
        Self {
            ready,
            codec,
            visible,
            inputs,
            cells: ready.select.cells().collect(),
            conjuncts: ready.select.conjuncts().cloned().collect(),
        }
    }

    /// The order in which predictions are made: those that may drop rows first.
    pub fn order(&self) -> Vec<usize> {
        let decides = |p: &usize| self.decides(*p);
        let needed = |p: &usize| self.ready.predictions.get(*p).is_some_and(|r| r.needed);
        let all = 0..self.ready.predictions.len();
        all.clone()
            .filter(decides)
            .chain(all.filter(|p| !decides(p)))
            .filter(needed)
            .collect()
    }

    /// Whether a prediction may drop rows.
    pub fn decides(&self, prediction: usize) -> bool {
        let mut conjuncts = self.conjuncts.iter();
        conjuncts.any(|c| c.prediction() == prediction)
    }

    /// The input of a prediction for a row, or `None` where the row's answer does not depend on it.
    pub fn input(&self, row: &PendingRow, prediction: usize) -> Result<Option<Input>, Malformed> {
        if !row.passes || !self.depends(row, prediction)? {
            return Ok(None);
        }
        self.fetched(row, prediction)
    }

    /// The input of a prediction for a row as the store sent it, if it was fetched.
    fn fetched(&self, row: &PendingRow, prediction: usize) -> Result<Option<Input>, Malformed> {
        let Some(column) = self.ready.predictions.get(prediction).and_then(|p| p.input) else {
            return Ok(None);
        };
        let of_input = self
            .ready
            .select
            .predictions()
            .get(prediction)
            .map_or(0, |p| p.input);
        let value = row.string(self.visible + column)?;
        let kind = self.inputs.get(of_input);
        let read = |kind: &InputKind| kind.read(self.ready.select.input_columns(of_input), value);
        kind.map(read).transpose()
    }

    /// Whether a row's answer depends on a prediction: not if only conditions do that every
    /// outcome passes in this row.
    fn depends(&self, row: &PendingRow, prediction: usize) -> Result<bool, Malformed> {
        if self.cells.iter().any(|c| c.prediction() == prediction) {
            return Ok(true);
        }
        for (index, conjunct) in self.conjuncts.iter().enumerate() {
            if conjunct.prediction() != prediction {
                continue;
            }
            match conjunct {
                Conjunct::PerRow(_) => {
                    let outcomes = self
                        .ready
                        .select
                        .predictions()
                        .get(prediction)
                        .map_or(0, |p| p.task.classes.len() + 1);
                    let bits = self.bits(row, index)?;
                    if (0..outcomes).any(|k| bits >> k & 1 == 0) {
                        return Ok(true);
                    }
                }
                _ => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Takes the answer of a prediction for a row.
    pub fn answer(&self, row: &mut PendingRow, prediction: usize, answer: Answer) {
        if let Some(place) = row.answers.get_mut(prediction) {
            *place = answer;
        }
    }

    /// Applies the conditions of `prediction` to a row whose answer is known.
    pub fn apply(&self, row: &mut PendingRow, prediction: usize) -> Result<(), Malformed> {
        for (index, conjunct) in self.conjuncts.iter().enumerate() {
            if row.passes && conjunct.prediction() == prediction {
                row.passes = self.passes(row, index, conjunct)?;
            }
        }
        Ok(())
    }

    fn passes(
        &self,
        row: &PendingRow,
        index: usize,
        conjunct: &Conjunct,
    ) -> Result<bool, Malformed> {
        let code = |p: usize| row.answers.get(p).map_or(0, Answer::code);
        Ok(match conjunct {
            Conjunct::PerClass(p) => self.by_class(*p, |ready| {
                let found = ready
                    .by_class
                    .conjuncts
                    .iter()
                    .find(|(conjunct, _)| *conjunct == index);
                found
                    .and_then(|(_, passes)| passes.get(code(*p)).copied())
                    .unwrap_or(false)
            }),
            Conjunct::PerRow(p) => self.bits(row, index)? >> code(*p) & 1 == 1,
            Conjunct::Score(p, class, test) => self.holds(test, self.score(row, *p, *class)),
            Conjunct::Value(p, test) => {
                self.holds(test, row.answers.get(*p).and_then(Answer::value))
            }
        })
    }

    fn holds(&self, test: &ScoreTest, number: Option<f64>) -> bool {
        let constant = |place: &usize| self.ready.constants.get(*place).copied().flatten();
        match test {
            ScoreTest::IsNull(null) => number.is_none() == *null,
            ScoreTest::Compare(tests) => tests
                .iter()
                .all(|(comparison, place)| comparison.holds(number, constant(place))),
        }
    }

    fn by_class(&self, prediction: usize, read: impl FnOnce(&ReadyPrediction) -> bool) -> bool {
        self.ready.predictions.get(prediction).is_some_and(read)
    }

    /// The outcomes that pass a condition in this row: bit 0 for NULL, then one a class.
    fn bits(&self, row: &PendingRow, conjunct: usize) -> Result<u64, Malformed> {
        let wrong = Malformed("a hidden column of the lane is not a number");
        let column = self
            .ready
            .pushdown
            .conjuncts
            .get(conjunct)
            .copied()
            .flatten()
            .ok_or(wrong)?;
        let Some(mut cell) = row.cell(self.visible + column) else {
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

    /// The score of a class (position in the task's classes); `None` where the input is NULL or
    /// unreadable, or no model run covers the class.
    fn score(&self, row: &PendingRow, prediction: usize, class: usize) -> Option<f64> {
        let ready = self.ready.predictions.get(prediction)?;
        ready.predictor.score(row.answers.get(prediction)?, class)
    }

    /// The encoded cell of a predicted column; `None` for NULL.
    pub fn cell<'c>(&'c self, row: &'c PendingRow, cell: usize) -> Option<Cow<'c, [u8]>> {
        let code = |p: usize| row.answers.get(p).map_or(0, Answer::code);
        match *self.cells.get(cell)? {
            Cell::PerClass(p) => {
                let ready = self.ready.predictions.get(p)?;
                let (_, values) = ready.by_class.cells.iter().find(|(of, _)| *of == cell)?;
                values.get(code(p))?.as_deref().map(Cow::Borrowed)
            }
            Cell::PerRow(p) => {
                let first = self.ready.pushdown.cells.get(cell).copied().flatten()?;
                row.cell(self.visible + first + code(p)).map(Cow::Borrowed)
            }
            Cell::Score(p, class) => {
                let score = self.score(row, p, class)?;
                Some(Cow::Owned(double_cell(self.codec, score)))
            }
            Cell::Value(p) => {
                let value = row.answers.get(p)?.value()?;
                Some(Cow::Owned(double_cell(self.codec, value)))
            }
        }
    }

    /// The text by which a warning names the input of a prediction.
    pub fn input_name(&self, row: &PendingRow, prediction: usize) -> String {
        match self.fetched(row, prediction) {
            Ok(Some(input)) => short_name(&input),
            _ => "of an earlier row".to_owned(),
        }
    }
}

//! From answers to a row's fate: which rows pass, and what their cells hold.

use std::borrow::Cow;

use predictsql_optimizer::planner::ordering::Known;
use predictsql_optimizer::stream::{Cell, Decider, RowTest};

use crate::lane::plans::inputs::InputKind;
use crate::lane::plans::select::Ready;
use crate::lane::plans::stream::{CellBytes, CutRow, RowInput};
use crate::lane::store::link::LinkError;
use crate::lane::store::rows::{Codec, RowCodec, double_cell};
use crate::lane::store::spool::Row;
use crate::predict::Answer;
use crate::wire::{Malformed, lenenc};

/// A row of the store on its way to the client.
#[derive(Debug)]
pub struct PendingRow {
    /// The row.
    pub row: CutRow,
    /// One a prediction; `None`: it is not made.
    pub answers: Vec<Option<Answer>>,
    /// Whether it passes the condition, once that is decided.
    pub passes: Option<bool>,
    /// What is known of the condition's tests.
    known: Vec<Known>,
}

impl PendingRow {
    /// Cuts a row.
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

    /// The outcome of a prediction: 0 also where it is not made, since nothing depends on it then.
    fn code(&self, prediction: usize) -> usize {
        self.answer(prediction).map_or(0, Answer::code)
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
    /// Most bytes of an image.
    image_bytes_max: u64,
    cells: Vec<Cell>,
}

impl<'r, 's, 'a> Judge<'r, 's, 'a> {
    /// For rows of `visible` columns and the hidden ones after them.
    pub fn new(
        ready: &'r Ready<'s, 'a>,
        codec: Codec,
        visible: usize,
        (inputs, image_bytes_max): (Vec<InputKind>, u64),
    ) -> Self {
        Self {
            ready,
            codec,
            visible,
            inputs,
            image_bytes_max,
            cells: ready.select.cells().collect(),
        }
    }

    /// The order in which predictions are made: those that decide rows, as planned, then those that fill
    /// cells of rows that pass.
    pub fn order(&self) -> Vec<usize> {
        let fills = |p: &usize| {
            let is_needed = self.ready.predictions.get(*p).is_some_and(|r| r.needed);
            is_needed && self.cells.iter().any(|c| c.prediction() == *p)
        };
        let filling = (0..self.ready.predictions.len()).filter(fills);
        self.ready.deciding.iter().copied().chain(filling).collect()
    }

    /// Takes a row as the store sent it: some tests need no prediction.
    pub fn begin(&self, row: &mut PendingRow) -> Result<(), Malformed> {
        row.answers = vec![None; self.ready.predictions.len()];
        row.known.clone_from(&self.ready.known);
        for (index, test) in self.ready.select.tests().iter().enumerate() {
            let outcomes = match test.decider {
                Decider::Native => 1,
                Decider::PerRow(p) => self.outcomes(p),
                _ => continue,
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

    fn outcomes(&self, prediction: usize) -> usize {
        let asked = self.ready.select.predictions().get(prediction);
        asked.map_or(0, |p| p.task.classes.len() + 1)
    }

    fn decide(&self, row: &mut PendingRow) {
        row.passes = self.ready.select.condition().passes(&row.known);
    }

    /// The input of a prediction for a row, or `None` where the row's answer does not depend on it, as far
    /// as is known by now.
    pub fn input(
        &self,
        row: &PendingRow,
        prediction: usize,
    ) -> Result<Option<RowInput>, Malformed> {
        let depends = match row.passes {
            _ if row.answer(prediction).is_some() => false,
            Some(false) => false,
            Some(true) => self.cells.iter().any(|c| c.prediction() == prediction),
            None => self
                .tests_of(prediction)
                .any(|(index, _)| self.ready.select.condition().depends_on(index, &row.known)),
        };
        match depends {
            true => self.fetched(row, prediction),
            false => Ok(None),
        }
    }

    /// The tests that a prediction decides, with their numbers.
    fn tests_of(&self, prediction: usize) -> impl Iterator<Item = (usize, &RowTest)> {
        let tests = self.ready.select.tests().iter().enumerate();
        tests.filter(move |(_, test)| test.prediction() == Some(prediction))
    }

    /// The input of a prediction for a row as the store sent it, if it was fetched.
    fn fetched(&self, row: &PendingRow, prediction: usize) -> Result<Option<RowInput>, Malformed> {
        let Some(column) = self.ready.predictions.get(prediction).and_then(|p| p.input) else {
            return Ok(None);
        };
        let of_input = self
            .ready
            .select
            .predictions()
            .get(prediction)
            .map_or(0, |p| p.input);
        let value = row.row.string(self.visible + column)?;
        let columns = self.ready.select.input_columns(of_input);
        let read = |kind| RowInput::of(kind, columns, value, self.image_bytes_max);
        self.inputs.get(of_input).map(read).transpose()
    }

    /// Takes the answer of a prediction for a row, and what its tests say of it.
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

    fn passes(&self, row: &PendingRow, index: usize, test: &RowTest) -> Result<bool, Malformed> {
        let constants = &self.ready.constants;
        let is = Some(!test.negated);
        Ok(match &test.decider {
            Decider::PerClass(p) => {
                let tests = self.ready.predictions.get(*p).map(|p| &p.by_class.tests);
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

    /// The outcomes that pass a test in this row: bit 0 for NULL, then one a class.
    fn bits(&self, row: &PendingRow, test: usize) -> Result<u64, Malformed> {
        let wrong = Malformed("a hidden column of the lane is not a number");
        let column = self
            .ready
            .pushdown
            .tests
            .get(test)
            .copied()
            .flatten()
            .ok_or(wrong)?;
        let Some(mut cell) = row.row.short(self.visible + column)? else {
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
        ready.predictor.score(row.answer(prediction)?, class)
    }

    /// The encoded cell of a predicted column; `None` for NULL.
    pub fn cell<'c>(&'c self, row: &'c PendingRow, cell: usize) -> Option<CellBytes<'c>> {
        let here = match *self.cells.get(cell)? {
            Cell::PerClass(p) => {
                let ready = self.ready.predictions.get(p)?;
                let (_, values) = ready.by_class.cells.iter().find(|(of, _)| *of == cell)?;
                values.get(row.code(p))?.as_deref().map(Cow::Borrowed)?
            }
            Cell::PerRow(p) => {
                let first = self.ready.pushdown.cells.get(cell).copied().flatten()?;
                return row.row.encoded(self.visible + first + row.code(p));
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

    /// The text by which a warning names the input of a prediction.
    pub fn input_name(&self, row: &PendingRow, prediction: usize) -> String {
        match self.fetched(row, prediction) {
            Ok(Some(input)) => input.short_name(),
            _ => "of an earlier row".to_owned(),
        }
    }
}

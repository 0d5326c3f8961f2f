//! Analysis for a stream plan: predictions, the cells that use them, and the conditions on them.

use std::ops::Range;
use std::sync::Arc;

use predictsql_catalog::{AnswerShape, Column, Model, Task};
use sqlparser::tokenizer::Token;

use super::items::{self, ItemText};
use super::row_test::RowTest;
use super::{CLASSES_PER_ROW_MAX, structure};
use crate::planner::ordering::Condition;
use crate::refusal::Refusal;
use crate::sql::calls::{Asked, Call};
use crate::sql::clauses::{self, Clauses, Limit};
use crate::sql::expression::{self, Dependence};
use crate::sql::functions;
use crate::statement::PredictStatement;

/// Most lexemes around a derived table.
const AROUND_LEXEMES_MAX: usize = 1000;

/// A distinct prediction of a statement: a task (or one of its models) and an input. All calls
/// with the same task, model and input share it.
#[derive(Debug, Clone)]
pub struct Prediction {
    /// The task.
    pub task: Arc<Task>,
    /// The model, where the statement names one.
    pub model: Option<Arc<Model>>,
    /// Index among the inputs, see [`StreamSelect::input_count`].
    pub input: usize,
}

/// How the cells of a predicted select list element are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell {
    /// The label itself, or an expression over it and constants: one value per class.
    PerClass(usize),
    /// An expression over the label and columns: the store sends one value per class with each
    /// row.
    PerRow(usize),
    /// The score of a class (position in the task's classes).
    Score(usize, usize),
    /// The number predicted by a regression.
    Value(usize),
}

impl Cell {
    /// Index of the prediction that the cell uses.
    pub fn prediction(&self) -> usize {
        match self {
            Self::PerClass(p) | Self::PerRow(p) | Self::Score(p, _) | Self::Value(p) => *p,
        }
    }
}

/// The input of predictions: one expression, or one per column of the task.
#[derive(Debug)]
pub(super) struct Input {
    /// The whole input.
    pub(super) range: Range<usize>,
    /// Its expressions.
    pub(super) arguments: Vec<Range<usize>>,
    /// A task with this input; others that share it have the same columns.
    pub(super) task: Arc<Task>,
}

/// A statement with a stream plan.
#[derive(Debug)]
pub struct StreamSelect<'s, 'a> {
    pub(super) statement: &'s PredictStatement<'a>,
    pub(super) clauses: Clauses,
    pub(super) items: Vec<ItemText>,
    /// (item, cell) for each predicted select list element.
    pub(super) cells: Vec<(usize, Cell)>,
    /// Terms of WHERE without predictions, which the store evaluates.
    pub(super) native: Vec<Range<usize>>,
    /// The rest of WHERE, as a condition over the tests.
    pub(super) condition: Condition,
    pub(super) tests: Vec<RowTest>,
    /// Whether WHERE may be split at its operators.
    pub(super) is_condition_clear: bool,
    /// Constants that scores are compared with.
    pub(super) constants: Vec<Range<usize>>,
    pub(super) predictions: Vec<Prediction>,
    pub(super) inputs: Vec<Input>,
    /// Index of the prediction of each call.
    pub(super) of_call: Vec<usize>,
    limit: Option<Limit>,
}

impl<'a> PredictStatement<'a> {
    /// Analyses the statement for a stream plan. Unsupported constructs are refused with error
    /// 1235, which names the construct.
    pub fn stream<'s>(&'s self) -> Result<StreamSelect<'s, 'a>, Refusal> {
        let lexed = &self.lexed;
        let body = self.body.clone();
        if body
            .clone()
            .any(|at| matches!(lexed.token(at), Some(Token::Assignment)))
        {
            return Err(Refusal::unsupported(
                "assignments to variables in a statement with predictions",
            ));
        }
        let nested = |(i, inner): (usize, &Call)| {
            let mut outer = self.calls.iter().take(i);
            outer.any(|c| c.range.contains(&inner.range.start))
        };
        if self.calls.iter().enumerate().any(nested) {
            return Err(Refusal::unsupported(
                "a predict call within the arguments of another",
            ));
        }
        let clauses = clauses::cut(lexed, body)?;
        self.check_places(&clauses)?;
        let structure = structure::parse(lexed, clauses.block.clone(), &clauses.condition)?;
        let item_ranges = lexed.split_commas(clauses.items.clone());
        let items = items::read(lexed, item_ranges, &structure.items, &self.calls)?;
        items::check_order(lexed, &clauses.order, &items)?;
        for range in [&clauses.items, &clauses.order] {
            if let Some(name) = expression::aggregate_or_window(lexed, range.clone()) {
                return Err(Refusal::unsupported(format_args!(
                    "{name} in a statement with predictions"
                )));
            }
        }
        let conjuncts = match structure.is_condition_clear {
            true => expression::conjuncts(lexed, &clauses.condition),
            false => vec![clauses.condition.clone()],
        };
        let limit = clauses::limit(lexed, &clauses.limit)?;
        let (predictions, inputs, of_call) = self.predictions();
        let mut select = StreamSelect {
            statement: self,
            clauses,
            items,
            cells: Vec::new(),
            native: Vec::new(),
            condition: Condition::All(Vec::new()),
            tests: Vec::new(),
            is_condition_clear: structure.is_condition_clear,
            constants: Vec::new(),
            predictions,
            inputs,
            of_call,
            limit,
        };
        select.classify_items()?;
        select.check_around()?;
        select.read_conditions(conjuncts)?;
        select.check_sequences()?;
        Ok(select)
    }

    /// Predict calls are allowed in the select list and in WHERE.
    fn check_places(&self, clauses: &Clauses) -> Result<(), Refusal> {
        for call in &self.calls {
            let at = call.range.start;
            let place = if clauses.items.contains(&at) || clauses.condition.contains(&at) {
                continue;
            } else if clauses.from.contains(&at) {
                "FROM (ON, derived table)"
            } else if clauses.order.contains(&at) {
                "ORDER BY"
            } else if clauses.head.contains(&at) {
                "WITH"
            } else {
                "this place"
            };
            return Err(Refusal::unsupported(format_args!(
                "a predict call in {place}"
            )));
        }
        Ok(())
    }

    /// The distinct predictions and inputs, and the prediction index of each call.
    fn predictions(&self) -> (Vec<Prediction>, Vec<Input>, Vec<usize>) {
        let mut predictions: Vec<Prediction> = Vec::new();
        let mut inputs: Vec<Input> = Vec::new();
        let mut of_call = Vec::new();
        for call in &self.calls {
            let holds_parameter = call
                .input
                .clone()
                .any(|at| matches!(self.lexed.token(at), Some(Token::Placeholder(_))));
            let same_input = |known: &Input| {
                !holds_parameter
                    && known.task.input == call.task.input
                    && self.lexed.text_of(&known.range) == self.lexed.text_of(&call.input)
            };
            let input = inputs.iter().position(same_input).unwrap_or_else(|| {
                inputs.push(Input {
                    range: call.input.clone(),
                    arguments: call.arguments(&self.lexed),
                    task: Arc::clone(&call.task),
                });
                inputs.len() - 1
            });
            let model_id = call.model.as_ref().map(|m| m.id);
            let same = |p: &Prediction| {
                p.input == input
                    && p.task.name == call.task.name
                    && p.model.as_ref().map(|m| m.id) == model_id
            };
            of_call.push(predictions.iter().position(same).unwrap_or_else(|| {
                predictions.push(Prediction {
                    task: Arc::clone(&call.task),
                    model: call.model.clone(),
                    input,
                });
                predictions.len() - 1
            }));
        }
        (predictions, inputs, of_call)
    }
}

impl StreamSelect<'_, '_> {
    /// The distinct predictions.
    pub fn predictions(&self) -> &[Prediction] {
        &self.predictions
    }

    /// The predicted cells, in the order of the select list.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = Cell> + '_ {
        self.cells.iter().map(|(_, cell)| *cell)
    }

    /// The condition that rows must pass besides the store's filter, over indexes of
    /// [`StreamSelect::tests`].
    pub fn condition(&self) -> &Condition {
        &self.condition
    }

    /// The tests of the condition.
    pub fn tests(&self) -> &[RowTest] {
        &self.tests
    }

    /// The text of a test.
    pub fn test_text(&self, test: &RowTest) -> &str {
        self.statement.lexed.text_of(&test.range)
    }

    /// Names of the cells' columns: the alias, or the expression's text.
    pub fn cell_names(&self) -> impl Iterator<Item = &str> + '_ {
        self.cells
            .iter()
            .filter_map(|(item, _)| self.items.get(*item))
            .map(|item| {
                item.alias
                    .as_deref()
                    .unwrap_or_else(|| self.statement.lexed.text_of(&item.expression))
            })
    }

    /// Number of distinct inputs.
    pub fn input_count(&self) -> usize {
        self.inputs.len()
    }

    /// The text of an input expression.
    pub fn input_text(&self, input: usize) -> &str {
        self.inputs
            .get(input)
            .map_or("", |i| self.statement.lexed.text_of(&i.range))
    }

    /// The task's input columns; empty if the input is an image.
    pub fn input_columns(&self, input: usize) -> &[Column] {
        self.inputs.get(input).map_or(&[], |i| i.task.columns())
    }

    /// Number of expressions of an input.
    pub fn input_arguments(&self, input: usize) -> usize {
        self.inputs.get(input).map_or(0, |i| i.arguments.len())
    }

    /// The index of the client's parameter, if an image input is nothing but a parameter.
    pub fn input_parameter(&self, input: usize) -> Option<usize> {
        let lexed = &self.statement.lexed;
        let input = self.inputs.get(input)?;
        let range =
            Some(&input.range).filter(|r| r.len() == 1 && input.task.columns().is_empty())?;
        let is_parameter = |at: usize| matches!(lexed.token(at), Some(Token::Placeholder(_)));
        is_parameter(range.start).then(|| (0..range.start).filter(|&at| is_parameter(at)).count())
    }

    /// Whether an input may be evaluated twice: it is deterministic within a row, has no side
    /// effects, and contains no parameter, which would have to be sent twice.
    pub fn is_repeatable(&self, input: usize) -> bool {
        let lexed = &self.statement.lexed;
        self.inputs.get(input).is_some_and(|input| {
            let range = || input.range.clone();
            let varies = functions::varying(lexed, range());
            !lexed.holds_parameter(&input.range)
                && varies.is_none()
                && functions::not_harmless(lexed, range(), &[]).is_none()
        })
    }

    /// Whether an input is a literal: it is sent as it is, so the store need not be asked how long
    /// it is.
    pub fn is_literal(&self, input: usize) -> bool {
        let input = self.inputs.get(input);
        input.is_some_and(|input| self.statement.lexed.is_literal(&input.range))
    }

    /// LIMIT and OFFSET of the statement.
    pub fn limit(&self) -> Option<Limit> {
        self.limit
    }

    fn classify_items(&mut self) -> Result<(), Refusal> {
        for (index, item) in self.items.iter().enumerate() {
            if item.calls.is_empty() {
                continue;
            }
            let cell = match self.label_dependence(&item.expression, &item.calls)? {
                Some((prediction, Dependence::Prediction)) => Cell::PerClass(prediction),
                Some((prediction, Dependence::Row)) => Cell::PerRow(prediction),
                None => self.score_cell(item)?,
            };
            self.cells.push((index, cell));
        }
        Ok(())
    }

    /// The query around the block passes predicted cells on, and uses none of them itself.
    fn check_around(&self) -> Result<(), Refusal> {
        let lexed = &self.statement.lexed;
        let around = &self.clauses.around;
        let is_comma = |at: usize| matches!(lexed.token(at), Some(Token::Comma));
        // ORDER BY 2
        let is_place = |at: usize| {
            matches!(lexed.token(at), Some(Token::Number(..)))
                && (is_comma(at - 1) || lexed.is_keyword(at - 1, "BY"))
        };
        let uses = |at: usize| {
            let mut names = self.cell_names();
            names.any(|name| lexed.may_be(at, name)) || is_place(at)
        };
        // Each name is compared with each cell's.
        match around.len() > AROUND_LEXEMES_MAX || around.clone().any(uses) {
            true => Err(Refusal::unsupported(
                "a condition or an order by a predicted column of a derived table",
            )),
            false => Ok(()),
        }
    }

    /// Whether the block is a derived table: its columns have different names.
    pub fn is_derived(&self) -> bool {
        !self.clauses.around.is_empty()
    }

    /// Refuses functions with side effects, or with values that depend on the number of calls,
    /// where predictions drop rows: they must be called for the rows of the result only. A stored
    /// function may be one, or an aggregate.
    fn check_sequences(&self) -> Result<(), Refusal> {
        if self.tests.is_empty() {
            return Ok(());
        }
        let lexed = &self.statement.lexed;
        for range in self
            .items
            .iter()
            .map(|i| &i.all)
            .chain([&self.clauses.order, &self.clauses.around])
        {
            let calls: Vec<_> = self
                .statement
                .calls
                .iter()
                .map(|c| c.range.clone())
                .collect();
            let found = expression::sequence_function(lexed, range.clone())
                .or_else(|| functions::not_harmless(lexed, range.clone(), &calls));
            if let Some(name) = found {
                return Err(Refusal::unsupported(format_args!(
                    "{name} in a statement with a condition on a prediction"
                )));
            }
        }
        Ok(())
    }

    fn score_cell(&self, item: &ItemText) -> Result<Cell, Refusal> {
        let call = item
            .calls
            .first()
            .and_then(|&i| Some((self.statement.calls.get(i)?, *self.of_call.get(i)?)));
        match call {
            Some((call, prediction)) if call.range == item.expression => match call.asked {
                Asked::Probability(class) => Ok(Cell::Score(prediction, class)),
                Asked::Answer(AnswerShape::Value) => Ok(Cell::Value(prediction)),
                Asked::Answer(AnswerShape::Label) => Ok(Cell::PerClass(prediction)),
            },
            _ => Err(Refusal::unsupported(
                "an expression over a predicted number in the select list",
            )),
        }
    }

    /// For an expression whose calls all use the label of one prediction: the prediction, and what
    /// the expression depends on. `None`: it uses numbers.
    pub(super) fn label_dependence(
        &self,
        range: &Range<usize>,
        calls: &[usize],
    ) -> Result<Option<(usize, Dependence)>, Refusal> {
        let asked = || {
            calls
                .iter()
                .filter_map(|&i| self.statement.calls.get(i))
                .map(|c| c.asked)
        };
        if !asked().any(Asked::is_label) {
            return Ok(None);
        }
        let mut predictions = calls.iter().filter_map(|&i| self.of_call.get(i).copied());
        let first = predictions.next().unwrap_or_default();
        if !asked().all(Asked::is_label) || predictions.any(|p| p != first) {
            return Err(Refusal::unsupported(
                "several different predictions in one expression",
            ));
        }
        let ranges: Vec<_> = calls
            .iter()
            .filter_map(|&i| self.statement.calls.get(i))
            .map(|c| c.range.clone())
            .collect();
        let dependence = expression::dependence(&self.statement.lexed, range.clone(), &ranges)?;
        let classes = self
            .predictions
            .get(first)
            .map_or(0, |p| p.task.classes.len());
        if dependence == Dependence::Row && classes > CLASSES_PER_ROW_MAX {
            return Err(Refusal::unsupported(format_args!(
                "an expression over columns and a prediction of more than {CLASSES_PER_ROW_MAX} classes"
            )));
        }
        Ok(Some((first, dependence)))
    }
}

//! The statements that a stream plan sends to the store, built from the client's text.

use std::ops::Range;

use super::analysis::{Cell, Input, StreamSelect};
use super::row_test::{Decider, RowTest};
use crate::planner::ordering::Condition;
use crate::sql::calls::Call;
use crate::sql::fragment::{Fragment, Splice, splice};
use crate::sql::key::{ColumnsKey, utf8_bytes, within};
use crate::statement::PredictStatement;

/// Prefix of the column names of predicted cells in the described statement.
pub const CELL_MARK: &str = "ml cell ";

/// How an input is fetched in one hidden column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputText {
    /// Unchanged: bytes, or text that the session receives in UTF-8 anyway.
    AsIs,
    /// Converted to UTF-8: text, in a session with another result character set.
    Utf8,
    /// The value, or [`TOO_LONG_MARK`](crate::TOO_LONG_MARK) and its length if it is longer than
    /// the limit.
    Within {
        /// Whether to convert it to UTF-8.
        utf8: bool,
        /// Maximum length in bytes.
        bytes_max: u64,
    },
    /// The key of a task's columns, which contains their values.
    Columns(ColumnsKey),
}

/// Choices for the pushed-down statement.
#[derive(Debug, Clone)]
pub struct PushdownChoices<'c> {
    /// For each input: how it is fetched; `None`: not fetched.
    pub inputs: &'c [Option<InputText>],
    /// No class passes the condition: the query returns no row.
    pub impossible: bool,
    /// Whether rows may be dropped after the store's filter; if so, LIMIT is not pushed down.
    pub rows_filtered: bool,
}

/// The statement that the store runs, and the positions of its hidden columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushdown {
    /// The text.
    pub text: Fragment,
    /// Number of hidden columns, which follow the visible ones.
    pub hidden: usize,
    /// For each input, its hidden column (from 0), if it is fetched.
    pub inputs: Vec<Option<usize>>,
    /// For each cell of kind [`Cell::PerRow`], the first of its hidden columns: one for NULL, then
    /// one per class.
    pub cells: Vec<Option<usize>>,
    /// For each test of kind [`Decider::PerRow`], its hidden column: bit 0 for NULL, bit n for
    /// class n; for each of kind [`Decider::Native`]: bit 0.
    pub tests: Vec<Option<usize>>,
    /// Whether LIMIT and OFFSET are pushed down to the store.
    pub limit_pushed: bool,
}

/// A statement that evaluates expressions over a prediction once per class.
///
/// It returns a row for NULL and then one per class in order; the columns are the cells listed
/// here, then the tests as `'1'` or `'0'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassQuery {
    /// The text.
    pub text: Fragment,
    /// Indexes in [`StreamSelect::cells`].
    pub cells: Vec<usize>,
    /// Indexes in [`StreamSelect::tests`].
    pub tests: Vec<usize>,
}

impl StreamSelect<'_, '_> {
    /// The statement over typed stubs, for the store to check and describe. Predicted cells are
    /// named [`CELL_MARK`] and their index; with `inputs`, each input follows as a column.
    pub fn describe(&self, inputs: bool) -> Fragment {
        let statement = self.statement;
        let stubs = statement.described_splices(&statement.body);
        let mut out = self.head();
        for (i, item) in self.items.iter().enumerate() {
            out.push(if i > 0 { ", " } else { "" });
            match self.cells.iter().position(|(of, _)| *of == i) {
                Some(cell) => out
                    .push_fragment(&splice(&statement.lexed, item.expression.clone(), &stubs))
                    .push(&format!(" AS `{CELL_MARK}{cell}`")),
                None => out.push_fragment(&self.copy(&item.all)),
            };
        }
        if inputs {
            let arguments = self.inputs.iter().flat_map(|input| &input.arguments);
            for (i, argument) in arguments.enumerate() {
                out.push(", ")
                    .push_fragment(&self.copy(argument))
                    .push(&format!(" AS `ml input {i}`"));
            }
        }
        out.push(" ").push_fragment(&self.copy(&self.clauses.from));
        if !self.clauses.condition.is_empty() {
            out.push(" WHERE ").push_fragment(&splice(
                &statement.lexed,
                self.clauses.condition.clone(),
                &stubs,
            ));
        }
        self.push_order(&mut out);
        self.push_around(&mut out);
        self.push_limit(&mut out);
        out
    }

    /// The query over the classes of `prediction`; `None` where no cell or test is per class.
    pub fn class_query(&self, prediction: usize) -> Option<ClassQuery> {
        let cells: Vec<usize> = positions(self.cells(), &Cell::PerClass(prediction));
        let deciders = self.tests.iter().map(|test| test.decider.clone());
        let tests: Vec<usize> = positions(deciders, &Decider::PerClass(prediction));
        if cells.is_empty() && tests.is_empty() {
            return None;
        }
        let over_classes = |range: &Range<usize>| self.over(range, "`ml classes`.`k`");
        let mut text = Fragment::plain("SELECT ");
        let mut separator = "";
        for item in cells
            .iter()
            .filter_map(|&c| self.items.get(self.cells.get(c)?.0))
        {
            text.push(separator)
                .push_fragment(&over_classes(&item.expression));
            separator = ", ";
        }
        for test in tests.iter().filter_map(|&t| self.tests.get(t)) {
            text.push(separator)
                .push("IF((")
                .push_fragment(&over_classes(&test.range))
                .push(&format!(") {}, '1', '0')", test.wanted()));
            separator = ", ";
        }
        text.push(&class_rows(self.class_count(prediction)));
        Some(ClassQuery { text, cells, tests })
    }

    /// A statement that returns one row: the constants that scores are compared with, as decimal
    /// text of doubles. `None` if there are none.
    pub fn constants_query(&self) -> Option<Fragment> {
        if self.constants.is_empty() {
            return None;
        }
        let mut text = Fragment::plain("SELECT ");
        for (i, constant) in self.constants.iter().enumerate() {
            text.push(if i > 0 { ", CONCAT((" } else { "CONCAT((" });
            text.push_fragment(&self.copy(constant)).push(")+0e0)");
        }
        text.push(" LIMIT 1");
        Some(text)
    }

    /// The statement that the store runs: native parts unchanged, NULL in place of predicted
    /// cells, and the data for the predictions in hidden columns at the end.
    pub fn pushdown(&self, choices: &PushdownChoices<'_>) -> Pushdown {
        let mut text = self.head();
        for (i, item) in self.items.iter().enumerate() {
            text.push(if i > 0 { ", " } else { "" });
            match self.cells.iter().position(|(of, _)| *of == i) {
                Some(cell) if self.is_derived() => {
                    text.push(&format!("NULL AS `{CELL_MARK}{cell}`"))
                }
                Some(_) => text.push("NULL"),
                None => text.push_fragment(&self.copy(&item.all)),
            };
        }
        let mut hidden = Hidden {
            text: &mut text,
            count: 0,
        };
        let inputs = self.push_inputs(&mut hidden, choices.inputs);
        let cells = self
            .cells
            .iter()
            .map(|(item, cell)| self.push_cell(&mut hidden, *item, *cell))
            .collect();
        let tests = self.tests.iter();
        let tests = tests
            .map(|test| self.row_bits(test).map(|bits| hidden.push(&bits)))
            .collect();
        let hidden = hidden.count;
        self.push_from(&mut text, choices.impossible);
        self.push_order(&mut text);
        self.push_around(&mut text);
        let limit_pushed = !choices.rows_filtered;
        if limit_pushed {
            self.push_limit(&mut text);
        }
        Pushdown {
            text,
            hidden,
            inputs,
            cells,
            tests,
            limit_pushed,
        }
    }

    fn push_inputs(
        &self,
        hidden: &mut Hidden<'_>,
        wanted: &[Option<InputText>],
    ) -> Vec<Option<usize>> {
        self.inputs
            .iter()
            .zip(wanted)
            .map(|(input, how)| {
                how.as_ref()
                    .map(|how| hidden.push(&self.fetched(input, how)))
            })
            .collect()
    }

    fn fetched(&self, input: &Input, how: &InputText) -> Fragment {
        match how {
            InputText::AsIs => self.copy(&input.range),
            InputText::Utf8 => utf8_bytes(&self.copy(&input.range)),
            InputText::Within { utf8, bytes_max } => {
                let value = within(&self.copy(&input.range), *bytes_max);
                if *utf8 { utf8_bytes(&value) } else { value }
            }
            InputText::Columns(key) => {
                let arguments: Vec<_> = input.arguments.iter().map(|a| self.copy(a)).collect();
                utf8_bytes(&key.text(&input.task, &arguments, self.statement.schema))
            }
        }
    }

    fn push_cell(&self, hidden: &mut Hidden<'_>, item: usize, cell: Cell) -> Option<usize> {
        let (Cell::PerRow(prediction), Some(item)) = (cell, self.items.get(item)) else {
            return None;
        };
        let first = hidden.count;
        for k in 0..=self.class_count(prediction) {
            hidden.push(&self.over(&item.expression, &k.to_string()));
        }
        Some(first)
    }

    /// FROM and WHERE: native conditions unchanged, and a necessary condition over columns for
    /// each of the others.
    fn push_from(&self, text: &mut Fragment, impossible: bool) {
        let mut conditions: Vec<Fragment> = self.native.iter().map(|r| self.copy(r)).collect();
        if let Condition::All(parts) = &self.condition {
            conditions.extend(parts.iter().filter_map(|part| self.passable(part)));
        }
        if impossible {
            conditions.push(Fragment::plain("FALSE"));
        }
        match self.clauses.from.is_empty() {
            true if conditions.is_empty() => {}
            true => {
                text.push(" FROM DUAL");
            }
            false => {
                text.push(" ").push_fragment(&self.copy(&self.clauses.from));
            }
        }
        for (i, condition) in conditions.iter().enumerate() {
            text.push(if i == 0 { " WHERE (" } else { " AND (" })
                .push_fragment(condition)
                .push(")");
        }
    }

    /// A condition over columns alone that is true wherever `condition` may be true; `None`: any
    /// row may pass.
    fn passable(&self, condition: &Condition) -> Option<Fragment> {
        match condition {
            Condition::Test(test) => self.row_bits(self.tests.get(*test)?),
            Condition::All(parts) => {
                let parts: Vec<_> = parts.iter().filter_map(|p| self.passable(p)).collect();
                joined(&parts, " AND ")
            }
            Condition::Any(parts) => {
                let parts: Option<Vec<_>> = parts.iter().map(|p| self.passable(p)).collect();
                joined(&parts?, " OR ")
            }
            Condition::Not(_) => None,
        }
    }

    /// For a test over columns and a prediction: bit k is set if it passes where the prediction is
    /// class k (0: NULL). For a test over columns: bit 0.
    fn row_bits(&self, test: &RowTest) -> Option<Fragment> {
        let last = match test.decider {
            Decider::PerRow(prediction) => self.class_count(prediction),
            Decider::Native => 0,
            _ => return None,
        };
        let mut bits = Fragment::plain("CAST(");
        for k in 0..=last {
            bits.push(if k > 0 { " | " } else { "" })
                .push("(((")
                .push_fragment(&self.over(&test.range, &k.to_string()));
            bits.push(&format!(") {}) << {k})", test.wanted()));
        }
        bits.push(" AS UNSIGNED)");
        Some(bits)
    }

    /// The expression with each call replaced by the class name that the SQL expression `code`
    /// selects.
    fn over(&self, range: &Range<usize>, code: &str) -> Fragment {
        over_classes(self.statement, range, code)
    }

    /// Shortens a statement of this plan for display, see [`PredictStatement::abbreviated`].
    pub fn abbreviated(&self, sql: &str) -> String {
        let tasks = self.predictions.iter().map(|p| &*p.task);
        self.statement.abbreviated(sql, tasks)
    }

    fn class_count(&self, prediction: usize) -> usize {
        self.predictions
            .get(prediction)
            .map_or(0, |p| p.task.classes.len())
    }

    fn copy(&self, range: &Range<usize>) -> Fragment {
        splice(&self.statement.lexed, range.clone(), &[])
    }

    fn head(&self) -> Fragment {
        let mut head = self.copy(&self.clauses.head);
        head.push(" ");
        head
    }

    fn push_order(&self, text: &mut Fragment) {
        if !self.clauses.order.is_empty() {
            text.push(" ")
                .push_fragment(&self.copy(&self.clauses.order));
        }
    }

    fn push_around(&self, text: &mut Fragment) {
        text.push_fragment(&self.copy(&self.clauses.around));
    }

    fn push_limit(&self, text: &mut Fragment) {
        if !self.clauses.limit.is_empty() {
            text.push(" LIMIT ")
                .push_fragment(&self.copy(&self.clauses.limit));
        }
    }
}

/// Appends hidden columns to a select list.
struct Hidden<'t> {
    text: &'t mut Fragment,
    count: usize,
}

impl Hidden<'_> {
    /// Appends a hidden column; returns its index.
    fn push(&mut self, expression: &Fragment) -> usize {
        self.text
            .push(", ")
            .push_fragment(expression)
            .push(&format!(" AS `ml hidden {}`", self.count));
        self.count += 1;
        self.count - 1
    }
}

/// FROM clause and rest of a class query: a row for NULL and one per class, with its code in
/// column `k` of `ml classes`. The LIMIT overrides sql_select_limit.
pub(crate) fn class_rows(classes: usize) -> String {
    let mut text = " FROM (SELECT 0 AS `k`".to_owned();
    for k in 1..=classes {
        text.push_str(&format!(" UNION ALL SELECT {k}"));
    }
    let outcomes = classes + 1;
    text.push_str(") AS `ml classes` ORDER BY `ml classes`.`k`");
    text.push_str(&format!(" LIMIT {outcomes}"));
    text
}

/// An expression with each call replaced by the class name that the SQL expression `code` selects.
pub(crate) fn over_classes(
    statement: &PredictStatement<'_>,
    range: &Range<usize>,
    code: &str,
) -> Fragment {
    let calls = statement.calls.iter();
    let within = calls.filter(|c| c.range.start >= range.start && c.range.end <= range.end);
    let elt = |call: &Call| {
        let labels = statement.labels.list(&call.task);
        let elt = Fragment::plain(format!("ELT({code}, {labels})"));
        (call.range.clone(), elt)
    };
    let splices: Vec<Splice> = within.map(elt).collect();
    splice(&statement.lexed, range.clone(), &splices)
}

fn joined(parts: &[Fragment], operator: &str) -> Option<Fragment> {
    let mut joined = Fragment::default();
    for (i, part) in parts.iter().enumerate() {
        joined
            .push(if i > 0 { operator } else { "" })
            .push("(")
            .push_fragment(part)
            .push(")");
    }
    (!parts.is_empty()).then_some(joined)
}

fn positions<T: PartialEq>(all: impl Iterator<Item = T>, wanted: &T) -> Vec<usize> {
    all.enumerate()
        .filter(|(_, t)| t == wanted)
        .map(|(i, _)| i)
        .collect()
}

//! The nodes of a plan.

use std::sync::Arc;

use predictsql_catalog::Task;

use super::input::InputKind;
use crate::distinctions::Distinctions;
use crate::materialise::{KeyForm, Lookup, Materialise, Shape, Target};
use crate::planner::ordering::{self, Condition, Known};
use crate::planner::{Decided, Estimate};
use crate::sql::clauses::Limit;
use crate::sql::fragment::Fragment;
use crate::sql::key::ColumnsKey;
use crate::statement::PredictStatement;
use crate::stream::{Cell, Pushdown, RowTest};

/// How a statement is answered.
#[derive(Debug)]
pub struct Plan<'s, 'a> {
    /// The statement.
    pub statement: &'s PredictStatement<'a>,
    /// What models are asked, numbered as the nodes name it.
    pub predictions: Vec<Prediction>,
    /// The nodes in the order in which rows pass them.
    pub nodes: Vec<Node<'s, 'a>>,
}

impl Plan<'_, '_> {
    /// The node that makes a prediction of rows; `None` where it is made of distinct inputs.
    pub fn predict(&self, prediction: usize) -> Option<&Predict> {
        self.nodes.iter().find_map(|node| match node {
            Node::Predict(predict) if predict.prediction == prediction => Some(predict),
            Node::Predict(_)
            | Node::Scan(_)
            | Node::Spool
            | Node::Filter(_)
            | Node::Project(_)
            | Node::Relate(_)
            | Node::Rerun(_) => None,
        })
    }

    /// The [`Relate`]s, one a harvest.
    pub fn relates(&self) -> Vec<&Relate> {
        let relates = self.nodes.iter().filter_map(|node| match node {
            Node::Relate(relate) => Some(relate),
            Node::Predict(_)
            | Node::Scan(_)
            | Node::Spool
            | Node::Filter(_)
            | Node::Project(_)
            | Node::Rerun(_) => None,
        });
        relates.collect()
    }

    /// The node that gives rows to the client, where they pass through.
    pub fn project(&self) -> Option<&Project> {
        self.nodes.iter().find_map(|node| match node {
            Node::Project(project) => Some(project),
            Node::Scan(_)
            | Node::Predict(_)
            | Node::Relate(_)
            | Node::Spool
            | Node::Filter(_)
            | Node::Rerun(_) => None,
        })
    }

    /// The node whose rows pass through.
    pub fn scan(&self) -> Option<&Scan> {
        self.nodes.iter().find_map(|node| match node {
            Node::Scan(scan) => Some(scan),
            Node::Predict(_)
            | Node::Relate(_)
            | Node::Spool
            | Node::Filter(_)
            | Node::Project(_)
            | Node::Rerun(_) => None,
        })
    }
}

/// A task, or one of its models, that is asked, and who answers.
#[derive(Debug)]
pub struct Prediction {
    /// The task.
    pub task: Arc<Task>,
    /// The models, by stages.
    pub decided: Arc<Decided>,
    /// Classes whose scores answers hold (positions among the task's classes, ascending).
    pub scored: Vec<usize>,
    /// Inputs that it is expected to be made for, where the plan is to be shown.
    pub inputs: Estimate<u64>,
}

/// A step of a plan.
#[derive(Debug)]
pub enum Node<'s, 'a> {
    /// The store runs a statement, whose rows go on.
    Scan(Scan),
    /// Rows wait in memory, and on disk beyond that,
    /// so that the store is read as fast as it sends.
    Spool,
    /// A prediction is made of rows, of each only where its answer depends on it. Predictions that
    /// decide whether a row passes the [`Filter`] are made first, in its order.
    Predict(Predict),
    /// Rows that fail a condition are dropped.
    Filter(Filter),
    /// Rows go to the client, with predicted cells put in.
    Project(Project),
    /// The store is asked for distinct inputs, which are predicted, and related to their answers.
    Relate(Relate),
    /// The store runs the statement with a lookup in these relations in place of each call. While
    /// a key is missing, the [`Relate`]s and the statement run again.
    Rerun(Rerun<'s, 'a>),
}

/// See [`Node::Scan`].
#[derive(Debug)]
pub struct Scan {
    /// What the store runs, and where its hidden columns stand.
    pub pushdown: Pushdown,
    /// LIMIT and OFFSET of the statement.
    pub limit: Option<Limit>,
    /// The store's estimate of its rows, where the plan is to be shown and the store has one.
    pub rows: Option<f64>,
}

/// See [`Node::Predict`].
#[derive(Debug)]
pub struct Predict {
    /// Which of the plan's predictions.
    pub prediction: usize,
    /// The text of the input.
    pub text: String,
    /// What the input is.
    pub input: InputKind,
    /// Hidden column of the input, if it is fetched.
    pub column: Option<usize>,
    /// Which outcomes the statement distinguishes by expressions over the prediction alone.
    pub distinctions: Distinctions,
    /// Whether any row may need inference.
    pub needed: bool,
    /// Values by class of cells and tests that depend on the prediction alone.
    pub by_class: ByClass,
    /// Share of the store's rows that it is expected to be made for.
    pub reached: f64,
}

/// The store's values for each outcome of a prediction: 0 is NULL, then one a class.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByClass {
    /// (cell, its value for each outcome), see [`Rows`](crate::exchange::Rows)
    pub cells: Vec<(usize, Vec<Option<Vec<u8>>>)>,
    /// (test, whether each outcome passes)
    pub tests: Vec<(usize, Vec<bool>)>,
}

/// See [`Node::Filter`].
#[derive(Debug)]
pub struct Filter {
    /// What rows must pass besides what the store filters by, over the tests.
    pub condition: Condition,
    /// The tests.
    pub tests: Vec<FilterTest>,
    /// For each test its truth for every row, where it is the same.
    pub known: Vec<Known>,
    /// Constants that scores are compared with; `None` for NULL.
    pub constants: Vec<Option<f64>>,
    /// The [`Predict`] nodes by which rows are dropped (numbers of predictions),
    /// in the order in which they are made.
    pub deciding: Vec<usize>,
    /// Rows may be dropped.
    pub drops: bool,
}

/// A part of a filter's condition.
#[derive(Debug)]
pub struct FilterTest {
    /// How it is decided.
    pub test: RowTest,
    /// Its text.
    pub text: String,
    /// Share of the rows that pass, and seconds a row, as expected.
    pub expected: ordering::Test,
}

impl Filter {
    /// The tests in the order in which they are made.
    pub fn ordered(&self) -> impl Iterator<Item = &FilterTest> {
        let expected: Vec<ordering::Test> = self.tests.iter().map(|t| t.expected).collect();
        let order = self.condition.order(&expected).into_iter();
        order.filter_map(|index| self.tests.get(index))
    }
}

/// See [`Node::Project`].
#[derive(Debug)]
pub struct Project {
    /// How the predicted cells are found.
    pub cells: Vec<Cell>,
    /// Their columns' names.
    pub names: Vec<String>,
    /// For each visible column the cell that it is, if it is predicted.
    pub cell_of_column: Vec<Option<usize>>,
    /// Rows to skip, where the store does not count them.
    pub offset: u64,
    /// Rows to send at most.
    pub rows_max: u64,
}

/// See [`Node::Relate`].
#[derive(Debug, Clone)]
pub struct Relate {
    /// Which of the plan's predictions.
    pub prediction: usize,
    /// Tables and conditions of the harvest, the query for its inputs.
    pub shape: Shape,
    /// How keys are made.
    pub form: KeyForm,
    /// How, of inputs over columns.
    pub columns: ColumnsKey,
    /// To which relation its answers go.
    pub relation: usize,
    /// Most bytes of an image that the store is asked for, where it might send more.
    pub input_bytes_max: Option<u64>,
}

impl Relate {
    /// What its inputs are.
    pub fn input(&self) -> InputKind {
        match self.form {
            KeyForm::Text | KeyForm::LongText => InputKind::Location,
            KeyForm::Bytes => InputKind::Bytes,
            KeyForm::Columns | KeyForm::LongColumns => InputKind::Columns(self.columns.clone()),
        }
    }

    /// Where its calls find their answers.
    pub fn lookup(&self, relation: String) -> Lookup {
        Lookup {
            form: self.form,
            relation,
            columns: self.columns.clone(),
            shape: self.shape.clone(),
            members: None,
        }
    }
}

/// See [`Node::Rerun`].
#[derive(Debug)]
pub struct Rerun<'s, 'a> {
    /// The statements of both passes.
    pub passes: Arc<Materialise<'s, 'a>>,
    /// The relations.
    pub relations: Vec<RelationForm>,
}

/// A relation of key and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationForm {
    /// Which of the plan's predictions its answers are of.
    pub prediction: usize,
    /// How keys are made.
    pub form: KeyForm,
    /// Longest key in bytes.
    pub key_bytes: usize,
}

/// Stands for a relation where it only matters whether, or how often, one is looked at.
const RELATION_MARK: &str = "<relation>";

impl Rerun<'_, '_> {
    /// How often each relation would stand in the statement's text.
    pub fn copies(&self, relates: &[&Relate]) -> usize {
        let run = self.passes.run(&marked_lookups(relates));
        run.sql.matches(RELATION_MARK).count().max(1)
    }

    /// Whether a harvest looks at answers of others.
    pub fn looks_up(&self, relates: &[&Relate], number: usize, shape: &Shape) -> bool {
        let lookups = marked_lookups(relates);
        let query: Fragment = self
            .passes
            .harvest(number, shape, &lookups, Default::default());
        query.sql.contains(RELATION_MARK)
    }

    /// What a relation is of.
    pub fn target(&self, relation: &RelationForm) -> Option<&Target> {
        self.passes.targets().get(relation.prediction)
    }
}

fn marked_lookups(relates: &[&Relate]) -> Vec<Lookup> {
    let lookups = relates.iter();
    lookups
        .map(|r| r.lookup(RELATION_MARK.to_owned()))
        .collect()
}

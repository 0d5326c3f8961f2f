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

/// The physical plan of a statement.
#[derive(Debug)]
pub struct Plan<'s, 'a> {
    /// The statement.
    pub statement: &'s PredictStatement<'a>,
    /// The predictions; nodes refer to them by index.
    pub predictions: Vec<Prediction>,
    /// The nodes in the order in which rows pass through them.
    pub nodes: Vec<Node<'s, 'a>>,
}

impl Plan<'_, '_> {
    /// The [`Predict`] node of a prediction; `None` where it is made for distinct inputs.
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

    /// The [`Relate`] nodes, one per harvest.
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

    /// The node that sends rows to the client, in a stream plan.
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

    /// The node that reads the rows, in a stream plan.
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

/// A task or model that is predicted, and the models chosen for it.
#[derive(Debug)]
pub struct Prediction {
    /// The task.
    pub task: Arc<Task>,
    /// The chosen models, by stage.
    pub decided: Arc<Decided>,
    /// Classes whose scores the answers include (positions among the task's classes, ascending).
    pub scored: Vec<usize>,
    /// Expected number of predicted inputs; estimated only for a plan that is shown.
    pub inputs: Estimate<u64>,
}

/// A step of a plan.
#[derive(Debug)]
pub enum Node<'s, 'a> {
    /// The store runs a statement; its rows are passed on.
    Scan(Scan),
    /// Rows are buffered in memory, and on disk beyond its limit, so that the store is read as
    /// fast as it sends.
    Spool,
    /// Predicts the rows whose result depends on the prediction. Predictions that decide whether a
    /// row passes the [`Filter`] are made first, in the filter's order.
    Predict(Predict),
    /// Drops rows that fail a condition.
    Filter(Filter),
    /// Sends rows to the client, with predicted cells inserted.
    Project(Project),
    /// Reads distinct inputs from the store, predicts them, and stores (key, answer) in a
    /// relation.
    Relate(Relate),
    /// The store runs the statement with each call replaced by a lookup in these relations. While
    /// a key is missing, the [`Relate`] nodes and the statement run again.
    Rerun(Rerun<'s, 'a>),
}

/// See [`Node::Scan`].
#[derive(Debug)]
pub struct Scan {
    /// The statement that the store runs, and the positions of its hidden columns.
    pub pushdown: Pushdown,
    /// LIMIT and OFFSET of the statement.
    pub limit: Option<Limit>,
    /// The store's row estimate, if it has one; requested only for a plan that is shown.
    pub rows: Option<f64>,
}

/// See [`Node::Predict`].
#[derive(Debug)]
pub struct Predict {
    /// Index of the prediction in the plan.
    pub prediction: usize,
    /// SQL text of the input.
    pub text: String,
    /// Kind of the input.
    pub input: InputKind,
    /// Hidden column of the input, if it is fetched.
    pub column: Option<usize>,
    /// Outcomes that the statement distinguishes by expressions over the prediction alone.
    pub distinctions: Distinctions,
    /// Whether some row may need inference.
    pub needed: bool,
    /// Per-class values of the cells and tests that depend on the prediction alone.
    pub by_class: ByClass,
    /// Expected share of the store's rows that are predicted.
    pub reached: f64,
}

/// The store's values for each outcome of a prediction: index 0 is NULL, then one per class.
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
    /// Condition over the tests that rows must pass, besides the store's own filter.
    pub condition: Condition,
    /// The tests.
    pub tests: Vec<FilterTest>,
    /// For each test, its truth value if it is the same for every row.
    pub known: Vec<Known>,
    /// Constants that scores are compared with; `None` for NULL.
    pub constants: Vec<Option<f64>>,
    /// Indexes of the predictions whose [`Predict`] nodes drop rows, in execution order.
    pub deciding: Vec<usize>,
    /// Whether rows may be dropped.
    pub drops: bool,
}

/// One test of a filter's condition.
#[derive(Debug)]
pub struct FilterTest {
    /// How the test is evaluated.
    pub test: RowTest,
    /// SQL text of the test.
    pub text: String,
    /// Expected share of rows that pass, and expected seconds per row.
    pub expected: ordering::Test,
}

impl Filter {
    /// The tests in execution order.
    pub fn ordered(&self) -> impl Iterator<Item = &FilterTest> {
        let order = self.expected().made.into_iter();
        order.filter_map(|(index, _)| self.tests.get(index))
    }

    /// Expected figures of the condition.
    pub fn expected(&self) -> ordering::Expected {
        let tests: Vec<ordering::Test> = self.tests.iter().map(|t| t.expected).collect();
        self.condition.expected(&tests)
    }
}

/// See [`Node::Project`].
#[derive(Debug)]
pub struct Project {
    /// How the predicted cells are computed.
    pub cells: Vec<Cell>,
    /// Column names of the cells.
    pub names: Vec<String>,
    /// For each visible column, the index of its predicted cell, if it is predicted.
    pub cell_of_column: Vec<Option<usize>>,
    /// Rows to skip, where the store does not apply the OFFSET.
    pub offset: u64,
    /// Maximum number of rows to send.
    pub rows_max: u64,
}

/// See [`Node::Relate`].
#[derive(Debug, Clone)]
pub struct Relate {
    /// Index of the prediction in the plan.
    pub prediction: usize,
    /// Tables and conditions of the harvest query.
    pub shape: Shape,
    /// How keys are encoded.
    pub form: KeyForm,
    /// Key encoding of the task's input columns.
    pub columns: ColumnsKey,
    /// Index of the relation that its answers go to.
    pub relation: usize,
    /// Maximum bytes of an image to request from the store, where the store might send more.
    pub input_bytes_max: Option<u64>,
}

impl Relate {
    /// The kind of its inputs.
    pub fn input(&self) -> InputKind {
        match self.form {
            KeyForm::Text | KeyForm::LongText => InputKind::Location,
            KeyForm::Bytes => InputKind::Bytes,
            KeyForm::Columns | KeyForm::LongColumns => InputKind::Columns(self.columns.clone()),
        }
    }

    /// The lookup of its calls in the relation of this name.
    pub fn lookup(&self, relation: String) -> Lookup {
        Lookup {
            missing_is_none: false,
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

/// A relation of (key, answer).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationForm {
    /// Index of the plan's prediction that its answers come from.
    pub prediction: usize,
    /// How keys are encoded.
    pub form: KeyForm,
    /// Maximum key length in bytes.
    pub key_bytes: usize,
}

/// Placeholder for a relation's name, where only the number of its uses matters.
const RELATION_MARK: &str = "<relation>";

impl Rerun<'_, '_> {
    /// How often the lookups of all relations occur in the statement's text, at least 1.
    pub fn copies(&self, relates: &[&Relate]) -> usize {
        let run = self.passes.run(&marked_lookups(relates));
        run.sql.matches(RELATION_MARK).count().max(1)
    }

    /// Whether a harvest query looks up answers of other harvests.
    pub fn looks_up(&self, relates: &[&Relate], number: usize, shape: &Shape) -> bool {
        let lookups = marked_lookups(relates);
        let query: Fragment = self
            .passes
            .harvest(number, shape, &lookups, Default::default());
        query.sql.contains(RELATION_MARK)
    }

    /// The task or model whose answers a relation holds.
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

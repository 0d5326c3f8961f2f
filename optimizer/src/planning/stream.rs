//! Planning of a statement with a stream plan.

use std::collections::BTreeSet;

use predictsql_catalog::AnswerShape;

use super::condition::{deciding, expected_of, is_asked, known_tests, reached};
use super::draft::{Draft, PlanStep};
use super::fetching::Inputs;
use super::session::Context;
use super::{classes, estimate};
use crate::RowCount;
use crate::exchange::{Column, Conversation, Question, Reply, Step};
use crate::plan::{ByClass, Filter, FilterTest, Node, Plan, Predict, Prediction, Project, Scan};
use crate::planner::ordering::{Known, Test};
use crate::planner::{Blocks, Estimate, Metric, PredictionRequest};
use crate::refusal::Refusal;
use crate::statement::PredictStatement;
use crate::stream::{
    CELL_MARK, Cell, ClassQuery, Decider, Pushdown, PushdownChoices, RowTest, StreamSelect,
};

/// The question whose reply is awaited.
#[derive(Debug)]
enum Asked {
    Nothing,
    Description,
    Constants,
    Rows,
    /// Per-class values of the prediction of this index.
    Classes(usize, ClassQuery),
    Estimate,
}

/// The conversation; see [`super`].
pub(super) struct StreamPlanning<'s, 'a, 'd> {
    context: Context<'d>,
    statement: &'s PredictStatement<'a>,
    select: Box<StreamSelect<'s, 'a>>,
    asked: Asked,
    /// The visible columns.
    columns: Vec<Column>,
    /// For each visible column, the index of its predicted cell, if it is predicted.
    cell_of_column: Vec<Option<usize>>,
    inputs: Inputs,
    constants: Vec<Option<f64>>,
    /// The store's estimate of the number of predicted rows, where the choice of models depends on
    /// it.
    rows: Estimate<u64>,
    drafts: Vec<Draft>,
    /// The finished plan, while the store's row estimate is awaited.
    plan: Option<Plan<'s, 'a>>,
}

impl<'s, 'a, 'd> StreamPlanning<'s, 'a, 'd> {
    /// Starts planning an analysed statement.
    pub fn new(
        context: Context<'d>,
        statement: &'s PredictStatement<'a>,
        select: Box<StreamSelect<'s, 'a>>,
    ) -> Self {
        Self {
            context,
            statement,
            select,
            asked: Asked::Nothing,
            columns: Vec::new(),
            cell_of_column: Vec::new(),
            inputs: Inputs::default(),
            constants: Vec::new(),
            rows: Estimate::Absent,
            drafts: Vec::new(),
            plan: None,
        }
    }
}

impl<'s, 'a> Conversation for StreamPlanning<'s, 'a, '_> {
    type Outcome = Plan<'s, 'a>;

    fn begin(&mut self) -> PlanStep<'s, 'a> {
        let description = Question::describe(self.select.describe(true));
        Ok(self.ask(Asked::Description, description))
    }

    fn next(&mut self, reply: Reply) -> PlanStep<'s, 'a> {
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Nothing => Err(Refusal::internal("a reply without a question").into()),
            Asked::Description => {
                self.describe(reply.described()?)?;
                self.ask_constants()
            }
            Asked::Constants => {
                let answer = reply.rows()?;
                let number = |column| answer.text(0, column).and_then(|text| text.parse().ok());
                self.constants = (0..answer.columns.len()).map(number).collect();
                self.ask_rows()
            }
            Asked::Rows => {
                let rows = estimate::rows(self.context.session, reply)?;
                self.rows = whole(rows);
                self.ask_classes()
            }
            Asked::Classes(prediction, query) => {
                let (by_class, layouts) = classes::read(&query, self.outcomes(prediction), reply)?;
                self.decide(prediction, by_class, layouts)?;
                self.ask_classes()
            }
            Asked::Estimate => {
                let rows = estimate::rows(self.context.session, reply)?;
                let plan = self.plan.take().map(|plan| with_estimate(plan, rows));
                let plan = plan.ok_or_else(|| Refusal::internal("an estimate without a plan"))?;
                Ok(Step::Ready(plan))
            }
        }
    }
}

impl<'s, 'a> StreamPlanning<'s, 'a, '_> {
    fn ask(&mut self, asked: Asked, question: Question) -> Step<Plan<'s, 'a>> {
        self.asked = asked;
        Step::Ask(question)
    }

    fn ask_constants(&mut self) -> PlanStep<'s, 'a> {
        match self.select.constants_query() {
            Some(text) => {
                let question = self.context.session.ask(text);
                Ok(self.ask(Asked::Constants, question))
            }
            None => self.ask_rows(),
        }
    }

    fn ask_rows(&mut self) -> PlanStep<'s, 'a> {
        let mut tasks = self.select.predictions().iter().map(|p| &p.task);
        if !tasks.any(|task| self.context.counts_rows(task)) {
            return self.ask_classes();
        }
        let pushdown = self.select.pushdown(&PushdownChoices {
            inputs: &vec![None; self.select.input_count()],
            impossible: false,
            rows_filtered: true,
        });
        let question = estimate::question(self.context.session, &pushdown.text);
        Ok(self.ask(Asked::Rows, question))
    }

    /// Continues with the first prediction whose models are not chosen yet.
    fn ask_classes(&mut self) -> PlanStep<'s, 'a> {
        while self.drafts.len() < self.select.predictions().len() {
            let prediction = self.drafts.len();
            if let Some(query) = self.select.class_query(prediction) {
                // In the statement's own protocol, since the cells are copied into its rows
                // unchanged.
                let question = self.context.session.run(query.text.clone());
                return Ok(self.ask(Asked::Classes(prediction, query), question));
            }
            self.decide(prediction, ByClass::default(), Vec::new())?;
        }
        self.finish()
    }

    fn outcomes(&self, prediction: usize) -> usize {
        let asked = self.select.predictions().get(prediction);
        asked.and_then(|p| p.task.outcomes()).unwrap_or(0)
    }

    /// Reads the description of the statement over stubs, whose last columns are the input
    /// expressions.
    fn describe(&mut self, mut columns: Vec<Column>) -> Result<(), Refusal> {
        let select = &self.select;
        let arguments = (0..select.input_count()).map(|input| select.input_arguments(input));
        let inputs = columns.split_off(columns.len().saturating_sub(arguments.sum()));
        let cells = select.cells().len();
        let cell = |column: &Column| {
            let cell: usize = column.name.strip_prefix(CELL_MARK)?.parse().ok()?;
            Some(cell).filter(|cell| *cell < cells)
        };
        self.cell_of_column = columns.iter().map(cell).collect();
        if self.cell_of_column.iter().flatten().count() != cells {
            return Err(Refusal::internal(
                "the store did not describe every predicted column",
            ));
        }
        if select.is_derived() {
            check_names(select, &columns)?;
        }
        self.inputs = Inputs::read(select, self.context.session, &inputs)?;
        self.columns = columns;
        Ok(())
    }

    /// Chooses the models of a prediction from its per-class values.
    fn decide(
        &mut self,
        prediction: usize,
        by_class: ByClass,
        layouts: Vec<crate::exchange::Layout>,
    ) -> Result<(), Refusal> {
        let select = &self.select;
        let Some(asked) = select.predictions().get(prediction) else {
            return Ok(());
        };
        let classes = asked.task.classes.len();
        // With an unbounded set of outcomes, no distinctions are known before the rows are read.
        let outcomes = asked.task.outcomes().unwrap_or(1);
        let distinctions = classes::distinctions(&by_class, select, outcomes);
        let other_cell = |c: Cell| c.prediction() == prediction && !matches!(c, Cell::PerClass(_));
        let other_test = |test: &RowTest| {
            test.prediction() == Some(prediction) && !matches!(test.decider, Decider::PerClass(_))
        };
        let looks_closer = select.cells().any(other_cell) || select.tests().iter().any(other_test);
        let request = PredictionRequest {
            task: &asked.task,
            model: asked.model.as_ref(),
            blocks: match asked.task.answer_shape() {
                AnswerShape::Label if !looks_closer => Blocks::new(&distinctions, classes, false)
                    .passing(|class| classes::passes(&by_class, select, class + 1)),
                AnswerShape::Label | AnswerShape::Value => Blocks::every_class(classes, false),
            },
            metric: match select.cells().any(|cell| cell.prediction() == prediction) {
                true => Metric::Accuracy,
                false => Metric::F1,
            },
            scored: scored_classes(select, prediction),
            rows: self.rows,
        };
        let decided = self.context.decide.decide(&request)?;
        let scored = request.scored;
        self.drafts.push(Draft {
            decided,
            scored,
            needed: distinctions.blocks() > 1 || looks_closer,
            distinctions,
            by_class,
            layouts,
        });
        Ok(())
    }

    /// Builds the plan; for EXPLAIN, asks for the row estimate.
    fn finish(&mut self) -> PlanStep<'s, 'a> {
        let plan = self.plan()?;
        if self.statement.explain().is_none() {
            return Ok(Step::Ready(plan));
        }
        let Some(scan) = plan.scan() else {
            return Ok(Step::Ready(plan));
        };
        let question = estimate::question(self.context.session, &scan.pushdown.text);
        self.plan = Some(plan);
        Ok(self.ask(Asked::Estimate, question))
    }

    fn plan(&mut self) -> Result<Plan<'s, 'a>, Refusal> {
        let (select, session) = (&*self.select, self.context.session);
        self.check_layouts()?;
        let (offset, rows_max) = session.limits(select.limit())?;
        let known = known_tests(select, &self.drafts, &self.constants);
        let passes = select.condition().passes(&known);
        let drops = passes != Some(true);
        let impossible = rows_max == 0 || passes == Some(false);
        for (index, draft) in self.drafts.iter_mut().enumerate() {
            draft.needed &= !impossible && is_asked(select, index, &known);
        }
        self.inputs.bind(select, session);
        let mut pushdown = select.pushdown(&PushdownChoices {
            inputs: &self.inputs.wanted(select, session, &self.drafts),
            impossible,
            rows_filtered: drops,
        });
        if drops && session.select_limit != u64::MAX {
            // SQL_SELECT_LIMIT limits the rows of the result, not those fetched for it.
            pushdown.text.sql.push_str(" LIMIT 18446744073709551615");
        }
        let expected = expected_of(self.context.catalog, select, &self.drafts, &known);
        let reached = reached(select, &expected);
        let deciding = deciding(select, &self.drafts, &expected);
        let predicts = self.predicts(&pushdown, &reached);
        let scan = Scan {
            pushdown,
            limit: select.limit(),
            rows: None,
        };
        let project = Project {
            cells: select.cells().collect(),
            names: select.cell_names().map(str::to_owned).collect(),
            cell_of_column: std::mem::take(&mut self.cell_of_column),
            offset: if drops { offset } else { 0 },
            rows_max: if drops { rows_max } else { u64::MAX },
        };
        let filter = self.filter(known, expected, deciding, drops);
        let mut nodes = vec![Node::Scan(scan), Node::Spool];
        nodes.extend(predicts.into_iter().map(Node::Predict));
        nodes.extend([Node::Filter(filter), Node::Project(project)]);
        Ok(Plan {
            statement: self.statement,
            predictions: self.predictions(),
            nodes,
        })
    }

    fn predicts(&self, pushdown: &Pushdown, reached: &[f64]) -> Vec<Predict> {
        let asked = self
            .select
            .predictions()
            .iter()
            .zip(&self.drafts)
            .enumerate();
        let predict =
            |(prediction, (asked, draft)): (usize, (&crate::stream::Prediction, &Draft))| {
                let column = pushdown.inputs.get(asked.input).copied().flatten();
                let kind = self.inputs.kinds.get(asked.input).cloned();
                Predict {
                    prediction,
                    text: self.select.input_text(asked.input).to_owned(),
                    input: kind.unwrap_or(crate::plan::InputKind::Bound),
                    column: column.filter(|_| draft.needed),
                    distinctions: draft.distinctions.clone(),
                    needed: draft.needed,
                    by_class: draft.by_class.clone(),
                    reached: reached.get(prediction).copied().unwrap_or(1.0),
                }
            };
        asked.map(predict).collect()
    }

    fn filter(
        &self,
        known: Vec<Known>,
        expected: Vec<Test>,
        deciding: Vec<usize>,
        drops: bool,
    ) -> Filter {
        let tests = self.select.tests().iter().zip(expected);
        let test = |(test, expected): (&RowTest, Test)| FilterTest {
            test: test.clone(),
            text: self.select.test_text(test).to_owned(),
            expected,
        };
        Filter {
            condition: self.select.condition().clone(),
            tests: tests.map(test).collect(),
            known,
            constants: self.constants.clone(),
            deciding,
            drops,
        }
    }

    fn predictions(&self) -> Vec<Prediction> {
        let asked = self.select.predictions().iter().zip(&self.drafts);
        let prediction = |(asked, draft): (&crate::stream::Prediction, &Draft)| Prediction {
            task: asked.task.clone(),
            decided: draft.decided.clone(),
            scored: draft.scored.clone(),
            inputs: Estimate::Absent,
        };
        asked.map(prediction).collect()
    }

    /// In binary rows, cells built from the store's per-class values must have the encoding of the
    /// described column.
    fn check_layouts(&self) -> Result<(), Refusal> {
        if !self.context.session.is_binary() {
            return Ok(());
        }
        let layout_of_cell = |cell: usize| {
            let mut cells = self.cell_of_column.iter();
            let column = cells.position(|c| *c == Some(cell))?;
            Some(self.columns.get(column)?.layout)
        };
        for draft in &self.drafts {
            for ((cell, _), layout) in draft.by_class.cells.iter().zip(&draft.layouts) {
                if layout_of_cell(*cell).is_some_and(|described| described != *layout) {
                    return Err(Refusal::unsupported(
                        "this expression over a prediction in the binary protocol",
                    ));
                }
            }
        }
        Ok(())
    }
}

/// Classes whose scores a prediction's cells and conditions use, ascending.
/// The columns of a derived table have different names; in its description the predicted ones are
/// marks.
fn check_names(select: &StreamSelect<'_, '_>, columns: &[Column]) -> Result<(), Refusal> {
    let mut names: BTreeSet<String> = columns.iter().map(|c| c.name.to_lowercase()).collect();
    for cell in select.cell_names() {
        if !names.insert(cell.to_lowercase()) {
            return Err(Refusal::duplicate_column(cell));
        }
    }
    Ok(())
}

fn scored_classes(select: &StreamSelect<'_, '_>, prediction: usize) -> Vec<usize> {
    let cells = select.cells().filter_map(|cell| match cell {
        Cell::Score(p, class) => Some((p, class)),
        Cell::PerClass(_) | Cell::PerRow(_) | Cell::Value(_) => None,
    });
    let tests = select.tests().iter();
    let tests = tests.filter_map(|test| match test.decider {
        Decider::Score(p, class, _) => Some((p, class)),
        Decider::PerClass(_) | Decider::PerRow(_) | Decider::Value(..) | Decider::Native => None,
    });
    let of_this = |(p, class)| (p == prediction).then_some(class);
    let classes: BTreeSet<usize> = cells.chain(tests).filter_map(of_this).collect();
    classes.into_iter().collect()
}

fn whole(rows: Option<f64>) -> Estimate<u64> {
    rows.map_or(Estimate::Absent, |rows| {
        Estimate::Inexact(rows.ceil() as u64)
    })
}

/// Adds the store's row estimate to a plan, and the expected inputs of each prediction.
fn with_estimate<'s, 'a>(mut plan: Plan<'s, 'a>, estimate: Option<f64>) -> Plan<'s, 'a> {
    let needed = rows_needed(&plan);
    for node in &mut plan.nodes {
        match node {
            Node::Scan(scan) => scan.rows = estimate,
            Node::Predict(predict) => {
                let rows = estimate.map(|rows| needed.map_or(rows, |needed| rows.min(needed)));
                let inputs = whole(rows.map(|rows| rows * predict.reached));
                if let Some(prediction) = plan.predictions.get_mut(predict.prediction) {
                    prediction.inputs = inputs;
                }
            }
            Node::Spool | Node::Filter(_) | Node::Project(_) | Node::Relate(_) | Node::Rerun(_) => {
            }
        }
    }
    plan
}

/// Rows of the store after which a LIMIT written in the statement is expected to be full; `None`
/// without such a LIMIT.
fn rows_needed(plan: &Plan<'_, '_>) -> Option<f64> {
    let scan = plan.scan()?;
    let limit = scan.limit?;
    let (RowCount::Number(rows), RowCount::Number(offset)) = (limit.rows, limit.offset) else {
        return None;
    };
    let passing = plan.nodes.iter().find_map(|node| match node {
        Node::Filter(filter) if filter.drops => Some(filter.expected().passing),
        _ => None,
    });
    // A store that has the LIMIT sends no rows before it.
    let skipped = if scan.pushdown.limit_pushed {
        0
    } else {
        offset
    };
    Some(rows.saturating_add(skipped) as f64 / passing.unwrap_or(1.0))
}

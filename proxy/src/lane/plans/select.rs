//! Makes a statement with predictions ready to run: the store checks and describes it, models are
//! decided and loaded, and the store is asked which classes the statement tells apart.

mod fetching;

use std::collections::BTreeSet;
use std::sync::Arc;

use predictsql_catalog::{Model, Snapshot, Task};
use predictsql_optimizer::distinctions::Distinctions;
use predictsql_optimizer::materialise::Materialise;
use predictsql_optimizer::planner::ordering::{self, Known};
use predictsql_optimizer::planner::{Blocks, Estimate, Metric};
use predictsql_optimizer::statement::PredictStatement;
use predictsql_optimizer::stream::{
    Cell, Decider, Pushdown, PushdownChoices, RowTest, StreamSelect,
};
use predictsql_optimizer::{Fragment, RefusalKind, RowCount, may_call_newer_task};

use crate::error::{ErrorKind, SqlError};
use crate::lane::plans::condition::{deciding, expected_of, is_asked, known_tests, reached};
use crate::lane::plans::deciding::PredictorMaker;
use crate::lane::plans::explain::estimated_rows;
use crate::lane::plans::inputs::{InputKind, columns_key};
use crate::lane::session::settings::{Forced, SessionSettings};
use crate::lane::store::link::{LinkError, Protocol};
use crate::lane::store::result::name_cells;
use crate::lane::store::rows::CellLayout;
use crate::lane::{LaneContext, Turn};
use crate::predict::{Asked, Predictor, Work};
use crate::wire::ColumnDefinition;
use fetching::{image_columns, wanted_inputs};

/// ER_UNSUPPORTED_PS: the store cannot prepare such a statement (CREATE PROCEDURE, say).
pub(in crate::lane) const UNPREPARABLE: u16 = 1295;

/// A prediction with what answers it.
#[derive(Debug)]
pub struct ReadyPrediction {
    /// What answers it.
    pub predictor: Predictor,
    /// Which outcomes the statement tells apart by expressions over the prediction alone.
    pub distinctions: Distinctions,
    /// Whether any row may need inference.
    pub needed: bool,
    /// Values by class of cells and tests that depend on the prediction alone.
    pub by_class: ByClass,
    /// Hidden column of the input, if it is fetched.
    pub input: Option<usize>,
}

/// What the store answered for each outcome: 0 is NULL, then one a class.
#[derive(Debug, Default)]
pub struct ByClass {
    /// (cell, its encoded value for each outcome)
    pub cells: Vec<(usize, Vec<Option<Vec<u8>>>)>,
    /// (test, whether each outcome passes)
    pub tests: Vec<(usize, Vec<bool>)>,
    layouts: Vec<CellLayout>,
}

/// A statement that is ready to run.
#[derive(Debug)]
pub struct Ready<'s, 'a> {
    /// The analysed statement.
    pub select: &'s StreamSelect<'s, 'a>,
    /// Its predictions.
    pub predictions: Vec<ReadyPrediction>,
    /// The predictions by which rows are dropped, in the order in which they are made, and what is
    /// expected of their tests.
    pub deciding: Vec<usize>,
    /// What is expected of each test of the condition.
    pub expected: Vec<ordering::Test>,
    /// For each prediction the share of the store's rows that it is expected to be made for.
    pub reached: Vec<f64>,
    /// What each test says of every row, where it says one thing.
    pub known: Vec<Known>,
    /// What it has had predicted.
    pub work: Arc<Work>,
    /// What the store runs.
    pub pushdown: Pushdown,
    /// With which protocol and parameters.
    pub protocol: Protocol,
    /// The visible columns as described; predicted ones are named.
    pub described: Vec<ColumnDefinition>,
    /// For each visible column the cell that it is, if it is predicted.
    pub cell_of_column: Vec<Option<usize>>,
    /// Constants that scores are compared with.
    pub constants: Vec<Option<f64>>,
    /// What each input is.
    pub inputs: Vec<InputKind>,
    /// Rows to skip, and rows to send at most, where the store does not count them.
    pub offset: u64,
    /// Rows to send at most.
    pub rows_max: u64,
    /// Unreadable images are errors.
    pub fail_on_error: bool,
    /// Rows may be dropped by predictions.
    pub filtered: bool,
}

impl Ready<'_, '_> {
    /// The tests of the condition with their numbers, in the order in which they are made.
    pub fn ordered_tests(&self) -> impl Iterator<Item = (usize, &RowTest)> {
        let order = self.select.condition().order(&self.expected).into_iter();
        order.filter_map(|index| Some((index, self.select.tests().get(index)?)))
    }
}

/// Reads a statement against the catalog; `None`: it holds no predict call. What the catalog does not know may be what another
/// proxy has just made: then it is looked at again.
pub async fn read<'a>(
    context: &'a LaneContext,
    settings: &SessionSettings,
    text: &'a str,
) -> Result<Option<(PredictStatement<'a>, Arc<Snapshot>)>, LinkError> {
    let account = &context.account;
    let mut catalog = account.snapshot().await.map_err(SqlError::from)?;
    let schema = context.schema.as_str();
    let (mode, bare) = (settings.lex, &settings.bare);
    let read = |catalog: &Arc<Snapshot>| {
        PredictStatement::read_with_bare(text, mode, schema, bare, catalog)
    };
    let mut statement = read(&catalog);
    let may_be_newer = match &statement {
        Ok(_) => may_call_newer_task(text, mode, schema, &catalog),
        Err(refusal) => refusal.kind == RefusalKind::UnknownTarget,
    };
    if may_be_newer {
        account.invalidate();
        catalog = account.snapshot().await.map_err(SqlError::from)?;
        statement = read(&catalog);
    }
    let labelled = |statement: PredictStatement<'a>| statement.with_labels(settings.labels);
    Ok(statement?.map(|statement| (labelled(statement), catalog)))
}

/// A statement with its physical plan.
#[derive(Debug)]
pub enum Planned<'s, 'a> {
    /// Rows pass through.
    Stream(Box<StreamSelect<'s, 'a>>),
    /// Two passes.
    Materialise(Box<Materialise<'s, 'a>>),
}

impl Planned<'_, '_> {
    /// What is asked, of whom.
    pub fn asked(&self) -> Vec<(&Task, Option<&Arc<Model>>)> {
        match self {
            Self::Stream(select) => {
                let asked = select.predictions().iter();
                asked.map(|p| (&*p.task, p.model.as_ref())).collect()
            }
            Self::Materialise(plan) => {
                let asked = plan.targets().iter();
                asked.map(|t| (&*t.task, t.model.as_ref())).collect()
            }
        }
    }

    /// The statement over typed stubs.
    pub fn describe(&self) -> Fragment {
        match self {
            Self::Stream(select) => select.describe(false),
            Self::Materialise(plan) => plan.describe(),
        }
    }

    /// Names of the columns that the described statement marks.
    pub fn marked_names(&self) -> Vec<&str> {
        match self {
            Self::Stream(select) => select.cell_names().collect(),
            Self::Materialise(plan) => plan.long_names(),
        }
    }
}

/// Chooses the physical plan: stream where it can answer, else materialise. What neither can is first
/// shown to the store, whose own errors (syntax, unknown columns, rights) come before "not supported".
pub async fn plan<'s, 'a>(
    turn: &mut Turn<'_>,
    statement: &'s PredictStatement<'a>,
    forced: Option<Forced>,
) -> Result<Planned<'s, 'a>, LinkError> {
    let stream = || statement.stream().map(|s| Planned::Stream(Box::new(s)));
    let materialise = || {
        let plan = statement.materialise();
        plan.map(|p| Planned::Materialise(Box::new(p)))
    };
    let planned = match forced {
        None => stream().or_else(|_| materialise()),
        Some(Forced::Stream) => stream(),
        Some(Forced::Temporary | Forced::Inline) => materialise(),
    };
    let described = match &planned {
        Ok(Planned::Stream(_)) => return Ok(planned?),
        Err(refusal) if statement.is_several() => return Err(refusal.clone().into()),
        Ok(Planned::Materialise(plan)) => turn.store.describe(&plan.describe().sql).await,
        Err(_) => turn.store.describe(&statement.as_described().sql).await,
    };
    match (described, planned) {
        (Err(LinkError::Refused(error)), planned) if error.code == UNPREPARABLE => Ok(planned?),
        (described, planned) => {
            described?;
            Ok(planned?)
        }
    }
}

/// Makes a statement ready to be explained and to run.
pub async fn make_ready<'s, 'a>(
    turn: &mut Turn<'_>,
    maker: &PredictorMaker<'_>,
    settings: &SessionSettings,
    select: &'s StreamSelect<'s, 'a>,
    protocol: Protocol,
) -> Result<Ready<'s, 'a>, LinkError> {
    let mut described = describe(turn, select, settings).await?;
    let constants = ask_constants(turn, select, &protocol).await?;
    let mut predictions = Vec::new();
    let rows = rows_to_predict(turn, maker, select, &protocol).await?;
    for index in 0..select.predictions().len() {
        let asked = (index, rows);
        predictions.extend(prediction(turn, maker, select, asked, &protocol).await?);
    }
    check_layouts(&predictions, &described, &protocol)?;
    let (offset, rows_max) = limits(select, settings, &protocol)?;
    let known = known_tests(select, &predictions, &constants);
    let passes = select.condition().passes(&known);
    let filtered = passes != Some(true);
    let impossible = rows_max == 0 || passes == Some(false);
    for (index, ready) in predictions.iter_mut().enumerate() {
        ready.needed &= is_asked(select, index, &known);
    }
    tell_bound_inputs(select, settings, &protocol, &mut described);
    let mut pushdown = select.pushdown(&PushdownChoices {
        inputs: &wanted_inputs(
            (select, maker.context.executor.image_bytes_max()),
            settings,
            &described,
            &predictions,
            impossible,
        ),
        impossible,
        rows_filtered: filtered,
    });
    let expected = expected_of(maker, select, &predictions, &known);
    for (asked, ready) in select.predictions().iter().zip(&mut predictions) {
        ready.needed &= !impossible;
        let column = pushdown.inputs.get(asked.input).copied().flatten();
        ready.input = column.filter(|_| ready.needed);
    }
    if filtered && settings.select_limit != u64::MAX {
        // SQL_SELECT_LIMIT counts the rows of the answer, not those it is made from.
        pushdown.text.sql.push_str(" LIMIT 18446744073709551615");
    }
    Ok(Ready {
        select,
        deciding: deciding(select, &predictions, &expected),
        reached: reached(select, &expected),
        expected,
        known,
        predictions,
        work: Arc::clone(&maker.work),
        pushdown,
        protocol,
        described: described.columns,
        cell_of_column: described.cell_of_column,
        constants,
        inputs: described.inputs,
        offset: if filtered { offset } else { 0 },
        rows_max: if filtered { rows_max } else { u64::MAX },
        fail_on_error: settings.fail_on_error,
        filtered,
    })
}

/// The store's estimate of the rows that predictions are made for, where plans depend on it.
async fn rows_to_predict(
    turn: &mut Turn<'_>,
    maker: &PredictorMaker<'_>,
    select: &StreamSelect<'_, '_>,
    protocol: &Protocol,
) -> Result<Estimate<u64>, LinkError> {
    let tasks = select.predictions().iter().map(|p| &p.task);
    if !tasks.into_iter().any(|task| maker.counts_rows(task)) {
        return Ok(Estimate::Absent);
    }
    let pushdown = select.pushdown(&PushdownChoices {
        inputs: &vec![None; select.input_count()],
        impossible: false,
        rows_filtered: true,
    });
    let estimate = estimated_rows(turn, &pushdown.text, protocol).await?;
    Ok(estimate.map_or(Estimate::Absent, |rows| {
        Estimate::Inexact(rows.ceil() as u64)
    }))
}

/// What the store says of the statement over stubs.
struct Described {
    columns: Vec<ColumnDefinition>,
    cell_of_column: Vec<Option<usize>>,
    inputs: Vec<InputKind>,
    /// For each input that is one expression its description.
    images: Vec<Option<ColumnDefinition>>,
}

async fn describe(
    turn: &mut Turn<'_>,
    select: &StreamSelect<'_, '_>,
    settings: &SessionSettings,
) -> Result<Described, LinkError> {
    let mut columns = turn.store.describe(&select.describe(true).sql).await?;
    let arguments = (0..select.input_count()).map(|input| select.input_arguments(input));
    let inputs = columns.split_off(columns.len().saturating_sub(arguments.sum()));
    let names: Vec<&str> = select.cell_names().collect();
    let cell_of_column = name_cells(&mut columns, &names, turn.store.encoding());
    if cell_of_column.iter().flatten().count() != names.len() {
        return Err(SqlError::other("the store did not describe every predicted column").into());
    }
    let images = image_columns(select, &inputs);
    let inputs = input_kinds(select, settings, &inputs)?;
    Ok(Described {
        columns,
        cell_of_column,
        inputs,
        images,
    })
}

/// Decides a prediction and asks the store for its distinctions.
async fn prediction(
    turn: &mut Turn<'_>,
    maker: &PredictorMaker<'_>,
    select: &StreamSelect<'_, '_>,
    (index, rows): (usize, Estimate<u64>),
    protocol: &Protocol,
) -> Result<Option<ReadyPrediction>, LinkError> {
    let Some(asked) = select.predictions().get(index) else {
        return Ok(None);
    };
    let by_class = ask_classes(turn, select, index, protocol).await?;
    let distinctions = by_class.distinctions(select, asked.task.classes.len() + 1);
    let other_cell = |c: Cell| c.prediction() == index && !matches!(c, Cell::PerClass(_));
    let other_test = |test: &RowTest| {
        test.prediction() == Some(index) && !matches!(test.decider, Decider::PerClass(_))
    };
    let looks_closer = select.cells().any(other_cell) || select.tests().iter().any(other_test);
    let classes = asked.task.classes.len();
    let predictor = maker.predictor(Asked {
        task: &asked.task,
        model: asked.model.as_ref(),
        blocks: match looks_closer {
            true => Blocks::every_class(classes, false),
            false => Blocks::new(&distinctions, classes, false)
                .passing(|class| by_class.passes(select, class + 1)),
        },
        metric: match select.cells().any(|cell| cell.prediction() == index) {
            true => Metric::Accuracy,
            false => Metric::F1,
        },
        scored: scored_classes(select, index),
        rows,
    })?;
    let needed = distinctions.blocks() > 1 || looks_closer;
    Ok(Some(ReadyPrediction {
        predictor,
        distinctions,
        needed,
        by_class,
        input: None,
    }))
}

/// The classes whose scores a prediction's cells and conditions ask for, ascending.
fn scored_classes(select: &StreamSelect<'_, '_>, prediction: usize) -> Vec<usize> {
    let cells = select.cells().filter_map(|cell| match cell {
        Cell::Score(p, class) => Some((p, class)),
        _ => None,
    });
    let tests = select.tests().iter();
    let tests = tests.filter_map(|test| match test.decider {
        Decider::Score(p, class, _) => Some((p, class)),
        _ => None,
    });
    let of_this = |(p, class)| (p == prediction).then_some(class);
    let classes: BTreeSet<usize> = cells.chain(tests).filter_map(of_this).collect();
    classes.into_iter().collect()
}

/// Where text has to be converted, a bound input must be known for text before it is sent.
fn tell_bound_inputs(
    select: &StreamSelect<'_, '_>,
    settings: &SessionSettings,
    protocol: &Protocol,
    described: &mut Described,
) {
    let Protocol::Binary(parameters) = protocol else {
        return;
    };
    for (input, kind) in described.inputs.iter_mut().enumerate() {
        if let (InputKind::Bound, false, Some(number)) =
            (&kind, settings.results_utf8, select.input_parameter(input))
        {
            *kind = match parameters.holds_nul(number) {
                true => InputKind::Bytes,
                false => InputKind::Location,
            };
        }
    }
}

/// What each input is, by the descriptions of all their expressions in order. A parameter's type is
/// known only when it is bound.
fn input_kinds(
    select: &StreamSelect<'_, '_>,
    settings: &SessionSettings,
    mut described: &[ColumnDefinition],
) -> Result<Vec<InputKind>, SqlError> {
    let kind = |input| {
        let arguments = select.input_arguments(input).min(described.len());
        let (own, others) = described.split_at(arguments);
        described = others;
        let columns = select.input_columns(input);
        Ok(match own {
            _ if !columns.is_empty() => {
                InputKind::Columns(columns_key(columns, own, settings.is_strict()))
            }
            [image] if select.input_parameter(input).is_none() => {
                InputKind::of_image(image, select.input_text(input))?
            }
            _ => InputKind::Bound,
        })
    };
    (0..select.input_count()).map(kind).collect()
}

async fn ask_constants(
    turn: &mut Turn<'_>,
    select: &StreamSelect<'_, '_>,
    protocol: &Protocol,
) -> Result<Vec<Option<f64>>, LinkError> {
    let Some(query) = select.constants_query() else {
        return Ok(Vec::new());
    };
    let answer = turn
        .store
        .ask(&query, &protocol_for(&query, protocol))
        .await?;
    let mut constants = Vec::new();
    for i in 0..answer.columns.len() {
        constants.push(answer.text(0, i)?.and_then(|text| text.parse().ok()));
    }
    Ok(constants)
}

async fn ask_classes(
    turn: &mut Turn<'_>,
    select: &StreamSelect<'_, '_>,
    prediction: usize,
    protocol: &Protocol,
) -> Result<ByClass, LinkError> {
    let Some(query) = select.class_query(prediction) else {
        return Ok(ByClass::default());
    };
    // In the statement's own protocol, since the cells go into its rows as they are.
    let answer = turn.store.ask(&query.text, protocol).await?;
    let mut by_class = ByClass {
        cells: query.cells.iter().map(|&cell| (cell, Vec::new())).collect(),
        tests: query.tests.iter().map(|&test| (test, Vec::new())).collect(),
        layouts: answer
            .columns
            .iter()
            .map(|c| CellLayout::of(c.column_type))
            .collect(),
    };
    for row in 0..answer.rows.len() {
        let cells = answer.cells(row)?;
        for ((_, values), cell) in by_class.cells.iter_mut().zip(&cells) {
            values.push(cell.map(<[u8]>::to_vec));
        }
        for (i, (_, passes)) in by_class.tests.iter_mut().enumerate() {
            passes.push(answer.text(row, query.cells.len() + i)?.as_deref() == Some("1"));
        }
    }
    let outcomes = select
        .predictions()
        .get(prediction)
        .map_or(0, |p| p.task.classes.len() + 1);
    if answer.rows.len() != outcomes {
        return Err(SqlError::other("the store did not answer for every class").into());
    }
    Ok(by_class)
}

/// A statement without parameters needs no preparing.
fn protocol_for(query: &Fragment, protocol: &Protocol) -> Protocol {
    if query.parameters.is_empty() {
        Protocol::Text
    } else {
        protocol.clone()
    }
}

impl ByClass {
    /// The partition of the outcomes by all values here; one block where there are none. Outcomes whose
    /// rows are dropped are told from none: nobody sees their cells.
    fn distinctions(&self, select: &StreamSelect<'_, '_>, outcomes: usize) -> Distinctions {
        Distinctions::from_signatures((0..outcomes).map(|outcome| {
            let cells = self.cells.iter();
            let cells: Vec<_> = cells.map(|(_, values)| values.get(outcome)).collect();
            let known = self.known(select, outcome);
            let is_dropped = select.condition().passes(&known) == Some(false);
            (!is_dropped).then_some((cells, known))
        }))
    }

    /// Whether rows with that outcome may be kept.
    fn passes(&self, select: &StreamSelect<'_, '_>, outcome: usize) -> bool {
        select.condition().passes(&self.known(select, outcome)) != Some(false)
    }

    /// What each test of the condition says of the outcome.
    fn known(&self, select: &StreamSelect<'_, '_>, outcome: usize) -> Vec<Known> {
        let mut known: Vec<Known> = vec![None; select.tests().len()];
        for (test, passes) in &self.tests {
            if let Some(known) = known.get_mut(*test) {
                *known = passes.get(outcome).map(|passes| Some(*passes));
            }
        }
        known
    }
}

/// Cells made from the store's values must be laid out as the described column says.
fn check_layouts(
    predictions: &[ReadyPrediction],
    described: &Described,
    protocol: &Protocol,
) -> Result<(), SqlError> {
    if matches!(protocol, Protocol::Text) {
        return Ok(());
    }
    let layout_of_cell = |cell: usize| {
        let column = described
            .cell_of_column
            .iter()
            .position(|c| *c == Some(cell))?;
        let column = described.columns.get(column)?;
        Some(CellLayout::of(column.column_type))
    };
    for ready in predictions {
        for ((cell, _), layout) in ready.by_class.cells.iter().zip(&ready.by_class.layouts) {
            if layout_of_cell(*cell).is_some_and(|described| described != *layout) {
                return Err(SqlError::unsupported(
                    "this expression over a prediction in the binary protocol",
                ));
            }
        }
    }
    Ok(())
}

/// (rows to skip, rows at most)
fn limits(
    select: &StreamSelect<'_, '_>,
    settings: &SessionSettings,
    protocol: &Protocol,
) -> Result<(u64, u64), SqlError> {
    let Some(limit) = select.limit() else {
        return Ok((0, settings.select_limit));
    };
    let count = |count: RowCount| match (count, protocol) {
        (RowCount::Number(n), _) => Ok(n),
        (RowCount::Parameter(n), Protocol::Binary(parameters)) => {
            parameters.integer(n).ok_or_else(|| {
                SqlError::new(
                    ErrorKind::WrongArguments,
                    "Incorrect arguments to LIMIT: a parameter is not a row count",
                )
            })
        }
        (RowCount::Parameter(_), Protocol::Text) => {
            Err(SqlError::new(ErrorKind::Syntax, "A parameter in a query"))
        }
    };
    Ok((count(limit.offset)?, count(limit.rows)?))
}

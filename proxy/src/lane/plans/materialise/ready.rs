//! Makes a materialise plan ready: the store checks and describes the statement, models are decided,
//! and each harvest gets the tables and conditions that the store accepts.

use std::sync::Arc;

use predictsql_optimizer::distinctions::Distinctions;
use predictsql_optimizer::materialise::{KeyForm, Lookup, Materialise, MemberRows, Members, Shape};
use predictsql_optimizer::planner::{Blocks, Estimate, Metric};
use predictsql_optimizer::{ColumnsKey, Fragment};

use crate::error::SqlError;
use crate::lane::Turn;
use crate::lane::plans::deciding::PredictorMaker;
use crate::lane::plans::explain::estimated_rows;
use crate::lane::plans::inputs::{InputKind, bytes_asked, columns_key};
use crate::lane::plans::materialise::relation::Relation;
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::session::settings::Forced;
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::bounds::is_interruption;
use crate::lane::store::link::{LinkError, Protocol, StoreLink};
use crate::predict::{Asked, Predictor, Work};
use crate::wire::ColumnDefinition;

/// Longest key that is kept as it is, in bytes: InnoDB's limit on indexed columns.
const TEXT_KEY_BYTES_MAX: usize = 3072;

/// Bytes of a hash.
const HASH_BYTES: usize = 32;

/// Stands for a relation where only it matters whether, or how often, one is looked at.
pub const RELATION_MARK: &str = "<relation>";

/// A plan that is ready to run.
#[derive(Debug)]
pub struct ReadyPlan<'p, 's, 'a> {
    /// The analysed statement.
    pub plan: &'p Materialise<'s, 'a>,
    /// With which protocol and parameters.
    pub protocol: Protocol,
    /// One a target.
    pub predictors: Vec<Predictor>,
    /// What it has had predicted.
    pub work: Arc<Work>,
    /// One a harvest.
    pub harvests: Vec<ReadyHarvest>,
    /// Target, form and longest key in bytes of each relation.
    relations: Vec<(usize, KeyForm, usize)>,
    /// Unreadable images are errors.
    pub fail_on_error: bool,
    /// The kind of relation that the session forces, if any.
    pub forced: Option<Forced>,
}

/// How one harvest is run.
#[derive(Debug, Clone)]
pub struct ReadyHarvest {
    /// Tables and conditions.
    pub shape: Shape,
    /// How keys are made.
    pub form: KeyForm,
    /// How, of inputs over columns.
    pub columns: ColumnsKey,
    /// Which relation its answers go to.
    pub relation: usize,
    /// Most bytes of an image that the store is asked for, where it might send more.
    pub input_bytes_max: Option<u64>,
}

impl ReadyHarvest {
    /// What its inputs are.
    pub fn kind(&self) -> InputKind {
        match self.form {
            KeyForm::Text | KeyForm::LongText => InputKind::Location,
            KeyForm::Bytes => InputKind::Bytes,
            KeyForm::Columns | KeyForm::LongColumns => InputKind::Columns(self.columns.clone()),
        }
    }
}

/// Makes a plan ready. The store has described the statement over stubs before.
pub async fn make_ready<'p, 's, 'a>(
    turn: &mut Turn<'_>,
    maker: &PredictorMaker<'_>,
    settings: &SessionSettings,
    plan: &'p Materialise<'s, 'a>,
    protocol: Protocol,
) -> Result<ReadyPlan<'p, 's, 'a>, LinkError> {
    let mut ready = ReadyPlan {
        plan,
        protocol,
        predictors: Vec::new(),
        work: Arc::clone(&maker.work),
        harvests: Vec::new(),
        relations: Vec::new(),
        fail_on_error: settings.fail_on_error,
        forced: settings.forced_plan,
    };
    for number in 0..plan.harvests().len() {
        let (shape, input) = probe(turn, plan, number).await?;
        let columns = columns_key(plan.input_columns(number), &input, settings.is_strict());
        let key = ready.form(settings, number, &input)?;
        ready.add(number, shape, columns, key);
        let bytes_max = maker.context.executor.image_bytes_max();
        let growth = if settings.results_utf8 { 1 } else { 4 };
        if let (Some(harvest), [image]) = (ready.harvests.last_mut(), &input[..]) {
            harvest.input_bytes_max = bytes_asked(image, growth, bytes_max)
                .filter(|_| !plan.input_holds_parameter(number));
        }
    }
    for number in 0..plan.targets().len() {
        let rows = ready.rows_to_predict(turn, maker, number).await?;
        let predictor = predictor(turn, maker, plan, (number, rows), &ready.protocol).await?;
        ready.predictors.extend(predictor);
    }
    Ok(ready)
}

/// What answers a target, by what the statement tells apart.
async fn predictor(
    turn: &mut Turn<'_>,
    maker: &PredictorMaker<'_>,
    plan: &Materialise<'_, '_>,
    (number, rows): (usize, Estimate<u64>),
    protocol: &Protocol,
) -> Result<Option<Predictor>, LinkError> {
    let Some(target) = plan.targets().get(number) else {
        return Ok(None);
    };
    let classes = target.task.classes.len();
    let by_class = match plan.class_query(number) {
        Some(query) => match ask_classes(turn, &query.text, classes + 1, protocol).await {
            Ok(values) => Some((query.filters, values)),
            // An expression may fail for a class that no row is of.
            Err(LinkError::Refused(error)) if !is_interruption(error.code) => None,
            Err(error) => return Err(error),
        },
        None => None,
    };
    let (blocks, metric) = match by_class {
        Some((filters, values)) => {
            let is_true = |cell: &Option<String>| cell.as_deref().is_some_and(|c| c != "0");
            let passes: Vec<bool> = values.iter().map(|v| v.iter().all(is_true)).collect();
            let distinctions = Distinctions::from_signatures(values);
            let blocks = Blocks::new(&distinctions, classes, false);
            let passing = |class: usize| passes.get(class + 1).copied().unwrap_or(false);
            match filters {
                true => (blocks.passing(passing), Metric::F1),
                false => (blocks, Metric::Accuracy),
            }
        }
        None => (Blocks::every_class(classes, false), Metric::Accuracy),
    };
    Ok(Some(maker.predictor(Asked {
        task: &target.task,
        model: target.model.as_ref(),
        blocks,
        metric,
        scored: target.scored.clone(),
        rows,
    })?))
}

/// Which outcomes a query over classes tells apart.
async fn ask_classes(
    turn: &mut Turn<'_>,
    query: &Fragment,
    outcomes: usize,
    protocol: &Protocol,
) -> Result<Vec<Vec<Option<String>>>, LinkError> {
    let protocol = match query.parameters.is_empty() {
        true => Protocol::Text,
        false => protocol.clone(),
    };
    let answer = turn.store.ask(query, &protocol).await?;
    let mut signatures = Vec::with_capacity(outcomes);
    for row in 0..answer.rows.len() {
        let columns = 0..answer.columns.len();
        let cells = columns.map(|column| answer.text(row, column));
        signatures.push(cells.collect::<Result<Vec<_>, _>>()?);
    }
    if signatures.len() != outcomes {
        return Err(SqlError::other("the store did not answer for every class").into());
    }
    Ok(signatures)
}

/// Finds tables and conditions that the store accepts, and the input's description.
async fn probe(
    turn: &mut Turn<'_>,
    plan: &Materialise<'_, '_>,
    number: usize,
) -> Result<(Shape, Vec<ColumnDefinition>), LinkError> {
    let mut refused = None;
    for source in 0..plan.source_count(number) {
        let mut shape = Shape {
            source,
            ..Shape::default()
        };
        let store = &mut turn.store;
        if let Some(input) = fit(store, plan, number, &mut shape, &mut refused).await? {
            return Ok((shape, input));
        }
    }
    let reason = refused.map(|text| format!(" ({text})")).unwrap_or_default();
    Err(SqlError::unsupported(format_args!(
        "a prediction of {} here: its values cannot be found before the statement runs{reason}",
        plan.input_text(number)
    ))
    .into())
}

/// Gives a shape all conditions that the store accepts with its tables. `None`: it accepts none, nor
/// the tables alone.
async fn fit(
    store: &mut StoreLink<'_>,
    plan: &Materialise<'_, '_>,
    number: usize,
    shape: &mut Shape,
    refused: &mut Option<String>,
) -> Result<Option<Vec<ColumnDefinition>>, LinkError> {
    let all: Vec<usize> = (0..plan.condition_count(number, shape.source)).collect();
    shape.conditions = all.clone();
    let described_whole = described(store, plan, number, shape, refused).await?;
    if described_whole.is_some() || all.is_empty() {
        return Ok(described_whole);
    }
    shape.conditions.clear();
    if described(store, plan, number, shape, refused)
        .await?
        .is_none()
    {
        return Ok(None);
    }
    // Conditions on columns of other tables are left out.
    let mut possible = Vec::new();
    for condition in all {
        shape.conditions = vec![condition];
        if described(store, plan, number, shape, refused)
            .await?
            .is_some()
        {
            possible.push(condition);
        }
    }
    shape.conditions = possible;
    described(store, plan, number, shape, refused).await
}

async fn described(
    store: &mut StoreLink<'_>,
    plan: &Materialise<'_, '_>,
    number: usize,
    shape: &Shape,
    refused: &mut Option<String>,
) -> Result<Option<Vec<ColumnDefinition>>, LinkError> {
    match store.describe(&plan.probe(number, shape).sql).await {
        Ok(columns) => Ok(Some(columns)),
        // A statement that is ended says nothing of the shape.
        Err(LinkError::Refused(error)) if !is_interruption(error.code) => {
            refused.get_or_insert_with(|| String::from_utf8_lossy(&error.message).into_owned());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The shapes of all harvests at a breadth, and the members of those of which they are known.
pub async fn widened(
    store: &mut StoreLink<'_>,
    ready: &ReadyPlan<'_, '_, '_>,
    breadth: Breadth,
) -> Result<(Vec<Shape>, Vec<Option<Members>>), LinkError> {
    let (mut shapes, mut all_members) = (Vec::new(), Vec::new());
    for number in 0..ready.harvests.len() {
        let members = member_shape(store, ready, number).await?;
        let shape = match (&members, ready.harvests.get(number)) {
            (Some(_), Some(own)) if breadth == Breadth::Members => own.shape.clone(),
            (Some(members), _) => members.clone(),
            (None, _) => unjoined(store, ready, number, breadth).await?,
        };
        shapes.push(shape);
        let locking = ready.plan.reads_current_rows();
        all_members.push(members.map(|shape| Members { shape, locking }));
    }
    Ok((shapes, all_members))
}

/// The same where the store cannot be asked for members.
pub async fn widened_without_members(
    store: &mut StoreLink<'_>,
    ready: &ReadyPlan<'_, '_, '_>,
    breadth: Breadth,
) -> Result<Vec<Shape>, LinkError> {
    let mut shapes = Vec::new();
    for number in 0..ready.harvests.len() {
        shapes.push(unjoined(store, ready, number, breadth).await?);
    }
    Ok(shapes)
}

/// By which tables and conditions the members of a harvest are found, if that can be told.
async fn member_shape(
    store: &mut StoreLink<'_>,
    ready: &ReadyPlan<'_, '_, '_>,
    number: usize,
) -> Result<Option<Shape>, LinkError> {
    let Some(own) = ready.harvests.get(number).map(|h| &h.shape) else {
        return Ok(None);
    };
    let mut shape = match ready.plan.member_rows(number, own.source) {
        MemberRows::Unknown => return Ok(None),
        MemberRows::OfBlock => return Ok(Some(ready.plan.native_shape(number, own))),
        MemberRows::OfTable { conditions } => {
            let Some(mut shape) = of_one_table(store, ready, number).await? else {
                return Ok(None);
            };
            if !conditions {
                shape.conditions.clear();
            }
            shape
        }
    };
    shape = ready.plan.native_shape(number, &shape);
    Ok(Some(shape))
}

/// The shape of the input's own table, with the conditions that it takes; `None`: no single table has it.
async fn of_one_table(
    store: &mut StoreLink<'_>,
    ready: &ReadyPlan<'_, '_, '_>,
    number: usize,
) -> Result<Option<Shape>, LinkError> {
    let own = ready.harvests.get(number).map(|h| h.shape.clone());
    let own = own.unwrap_or_default();
    for factor in 0..ready.plan.factor_count(number, own.source) {
        let mut shape = Shape {
            factor: Some(factor),
            ..own.clone()
        };
        let fits = fit(store, ready.plan, number, &mut shape, &mut None).await?;
        if fits.is_some() {
            return Ok(Some(shape));
        }
    }
    Ok(None)
}

/// The shape by which rows are found that the store asks about before it joins tables, or before it applies
/// any condition.
async fn unjoined(
    store: &mut StoreLink<'_>,
    ready: &ReadyPlan<'_, '_, '_>,
    number: usize,
    breadth: Breadth,
) -> Result<Shape, LinkError> {
    let own = ready.harvests.get(number).map(|h| h.shape.clone());
    let shape = of_one_table(store, ready, number).await?;
    let mut wide = shape.or(own).unwrap_or_default();
    if breadth == Breadth::Everything {
        wide.conditions.clear();
        wide.stripped = true;
    }
    Ok(wide)
}

/// How much a harvest looks at, and which keys may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breadth {
    /// The rows that reach the call; no key may be missing.
    Block,
    /// The same, where its members are known: keys of other rows may be missing. Else the rows of the input's own table
    /// that pass the conditions on it.
    Members,
    /// All members, whatever other predictions say of them; else all rows of the input's own table.
    Everything,
}

impl Breadth {
    /// The next; `None` after the last.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Block => Some(Self::Members),
            Self::Members => Some(Self::Everything),
            Self::Everything => None,
        }
    }
}

impl<'p> ReadyPlan<'p, '_, '_> {
    /// The store's estimate of the rows that a target's harvests read, where plans depend on it.
    async fn rows_to_predict(
        &self,
        turn: &mut Turn<'_>,
        maker: &PredictorMaker<'_>,
        target: usize,
    ) -> Result<Estimate<u64>, LinkError> {
        let of = self.plan.targets().get(target);
        match of.is_some_and(|of| maker.counts_rows(&of.task)) {
            true => self.estimated_inputs(turn, target).await,
            false => Ok(Estimate::Absent),
        }
    }

    /// The store's estimate of the rows that a target's harvests read.
    pub async fn estimated_inputs(
        &self,
        turn: &mut Turn<'_>,
        target: usize,
    ) -> Result<Estimate<u64>, LinkError> {
        let mut rows = 0.0;
        for (number, harvest) in self.plan.harvests().iter().enumerate() {
            let ready = self
                .harvests
                .get(number)
                .filter(|_| harvest.target == target);
            let Some(ready) = ready else {
                continue;
            };
            let query = self.plan.probe(number, &ready.shape);
            match estimated_rows(turn, &query, &self.protocol).await? {
                Some(estimate) => rows += estimate,
                None => return Ok(Estimate::Absent),
            }
        }
        Ok(Estimate::Inexact(rows.ceil() as u64))
    }

    /// The form of a harvest's keys, and the longest in bytes. A parameter's type is known only when it
    /// is bound.
    fn form(
        &self,
        settings: &SessionSettings,
        number: usize,
        described: &[ColumnDefinition],
    ) -> Result<(KeyForm, usize), SqlError> {
        // Described in the character set of results; in UTF-8 a character has up to four bytes.
        let growth = if settings.results_utf8 { 1 } else { 4 };
        let utf8_bytes = |c: &ColumnDefinition| u64::from(c.length).saturating_mul(growth);
        let columns = self.plan.input_columns(number);
        if !columns.is_empty() {
            let text_bytes: Vec<u64> = described.iter().map(utf8_bytes).collect();
            let bytes = ColumnsKey::bytes_max(columns, &text_bytes);
            return Ok(match usize::try_from(bytes) {
                Ok(bytes) if bytes <= TEXT_KEY_BYTES_MAX => (KeyForm::Columns, bytes),
                _ => (KeyForm::LongColumns, HASH_BYTES),
            });
        }
        if let Some(parameter) = self.plan.input_parameter(number) {
            let bytes = match &self.protocol {
                Protocol::Binary(parameters) => parameters.holds_nul(parameter),
                Protocol::Text => false,
            };
            let form = if bytes {
                KeyForm::Bytes
            } else {
                KeyForm::LongText
            };
            return Ok((form, HASH_BYTES));
        }
        let [image] = described else {
            return Err(SqlError::other("the store did not describe an input"));
        };
        if InputKind::of_image(image, self.plan.input_text(number))? == InputKind::Bytes {
            return Ok((KeyForm::Bytes, HASH_BYTES));
        }
        Ok(match usize::try_from(utf8_bytes(image)) {
            Ok(bytes) if (1..=TEXT_KEY_BYTES_MAX).contains(&bytes) => (KeyForm::Text, bytes),
            _ => (KeyForm::LongText, HASH_BYTES),
        })
    }

    fn add(
        &mut self,
        number: usize,
        shape: Shape,
        columns: ColumnsKey,
        (form, key_bytes): (KeyForm, usize),
    ) {
        let target = self.plan.harvests().get(number).map_or(0, |h| h.target);
        let same = |r: &(usize, KeyForm, usize)| r.0 == target && r.1 == form;
        let relation = self.relations.iter().position(same).unwrap_or_else(|| {
            self.relations.push((target, form, key_bytes));
            self.relations.len() - 1
        });
        if let Some(known) = self.relations.get_mut(relation) {
            known.2 = known.2.max(key_bytes);
        }
        self.harvests.push(ReadyHarvest {
            shape,
            form,
            columns,
            relation,
            input_bytes_max: None,
        });
    }

    /// Whether there is a limit on what models may look at.
    pub fn is_limited(&self) -> bool {
        self.work.inferences_max().is_some()
    }

    /// The relations, empty. `wanted` is the kind that is forced.
    pub fn relations(&self, wanted: Option<Forced>) -> Vec<Relation<'p>> {
        let run = self.plan.run(&self.marked_lookups());
        let copies = run.sql.matches(RELATION_MARK).count().max(1);
        let relations = self.relations.iter();
        relations
            .filter_map(|(target, form, key_bytes)| {
                let of = self.plan.targets().get(*target)?;
                Some(Relation::new(of, (*form, *key_bytes), copies, wanted))
            })
            .collect()
    }

    /// Lookups in relations that are but a mark.
    pub fn marked_lookups(&self) -> Vec<Lookup> {
        let lookup = |h: &ReadyHarvest| Lookup {
            form: h.form,
            relation: RELATION_MARK.to_owned(),
            columns: h.columns.clone(),
            shape: h.shape.clone(),
            members: None,
        };
        self.harvests.iter().map(lookup).collect()
    }

    /// What is to be warned of before any input is seen.
    pub fn forewarned(&self, mut diagnostics: Diagnostics) -> Diagnostics {
        for (kind, message) in self.predictors.iter().flat_map(Predictor::warnings) {
            diagnostics.warn(kind, || message);
        }
        diagnostics
    }
}

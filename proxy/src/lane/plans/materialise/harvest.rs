//! Pass 1: asks the store for the inputs of each harvest, and has them predicted.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use bytes::Bytes;
use predictsql_catalog::Column;
use predictsql_executor::PredictError;
use predictsql_executor::pump::{Feed, Pump, Room};
use predictsql_optimizer::materialise::{HarvestPass, KeyForm, Members, Shape};
use predictsql_optimizer::plan::InputKind;
use predictsql_optimizer::schedule::Schedule;
use tokio_util::sync::CancellationToken;

use crate::error::SqlError;
use crate::lane::context::LaneContext;
use crate::lane::plans::materialise::finish::is_missing_key;
use crate::lane::plans::materialise::lookups::lookups;
use crate::lane::plans::materialise::relation::Relation;
use crate::lane::plans::ready::{Materialisation, Ready};
use crate::lane::plans::stream::{
    CutRow, KeyedInputs, RowInput, StringValue, answer_inputs, read_inputs,
};
use crate::lane::plans::unreadable::Unreadable;
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::session::temporary_tables::TableNames;
use crate::lane::store::error::LinkError;
use crate::lane::store::filling::spool_all;
use crate::lane::store::link::{Protocol, StoreLink, rows_of};
use crate::lane::store::rows::{Codec, RowCodec};
use crate::lane::store::spool::{Rows, Spool};
use crate::live::{Phase, Statement};
use crate::predict::{Answer, Forecast, admit};
use crate::wire::Malformed;

/// Inputs that are looked up together before any model runs.
const FORECAST_INPUTS: usize = 512;

/// Runs the harvests of one statement.
pub struct Harvester<'h, 'p, 's, 'a> {
    pub context: &'h LaneContext,
    pub plan: &'h Materialisation<'p, 's, 'a>,
    pub running: &'h Statement,
    pub cancel: &'h CancellationToken,
    pub diagnostics: Diagnostics,
    /// Of each harvest; of none in the beginning.
    pub members: Vec<Option<Members>>,
    /// Whether harvests are left out of which nothing seems to be read.
    pub spares_unread: bool,
}

impl Harvester<'_, '_, '_, '_> {
    /// Runs all harvests in order, and puts the answers into the relations. False: one of them
    /// looked up a key that an earlier one had not found, and those after it were not run.
    pub async fn harvest(
        &mut self,
        store: &mut StoreLink<'_>,
        relations: &mut [Relation<'_>],
        names: &mut TableNames<'_>,
        shapes: &[Shape],
        pass: HarvestPass,
    ) -> Result<bool, LinkError> {
        let mut ahead = self.forecast(store, relations, shapes, pass).await?;
        for (number, shape) in shapes.iter().enumerate() {
            if self.is_spared(number) {
                continue;
            }
            let read = ahead.get_mut(number).and_then(Option::take);
            let harvested = self
                .harvest_one(store, relations, names, (number, shape), pass, read)
                .await;
            match harvested {
                Ok(()) => {}
                Err(LinkError::Refused(error)) if is_missing_key(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Whether any harvest is left out.
    pub fn spares_any(&self) -> bool {
        (0..self.plan.passes().harvests().len()).any(|number| self.is_spared(number))
    }

    fn is_spared(&self, number: usize) -> bool {
        self.spares_unread && self.plan.passes().is_unread(number)
    }

    /// Under a limit: runs the harvests that need no answers of others, and refuses the statement
    /// if it needs more inferences than it may.
    async fn forecast(
        &mut self,
        store: &mut StoreLink<'_>,
        relations: &[Relation<'_>],
        shapes: &[Shape],
        pass: HarvestPass,
    ) -> Result<Vec<Option<Harvested>>, LinkError> {
        if !self.plan.ready.is_limited() {
            return Ok(Vec::new());
        }
        let mut ahead = Vec::new();
        let mut forecasts = Forecasts::new(self.plan.ready);
        for (number, shape) in shapes.iter().enumerate() {
            let independent = !self.plan.rerun.looks_up(&self.plan.relates, number, shape);
            let harvested = match independent && !self.is_spared(number) {
                true => self.read(store, relations, (number, shape), pass).await?,
                false => None,
            };
            if let Some(harvested) = &harvested {
                self.forecast_one(harvested, relations, &mut forecasts)
                    .await?;
            }
            ahead.push(harvested);
        }
        forecasts.admit(self.plan.ready)?;
        Ok(ahead)
    }

    /// Adds what one harvest has found.
    async fn forecast_one(
        &self,
        harvested: &Harvested,
        relations: &[Relation<'_>],
        forecasts: &mut Forecasts,
    ) -> Result<(), LinkError> {
        let (Some(relation), Some(predictor), Some(forecast)) = (
            relations.get(harvested.relation),
            self.plan.ready.predictors.get(harvested.target),
            forecasts.0.get_mut(harvested.target),
        ) else {
            return Ok(());
        };
        let image_bytes_max = self.context.executor.image_bytes_max();
        let mut ahead = harvested.inputs(self.plan, relation.known(), image_bytes_max);
        ahead.looked = Some(0);
        while let Some((rest, piece)) = ahead.next(Room::for_inputs(FORECAST_INPUTS)).await? {
            ahead = rest;
            let (inputs, _room) = read_inputs(piece.inputs, harvested.spool.account()).await?;
            predictor.forecast(inputs, forecast, self.cancel).await?;
        }
        Ok(())
    }

    /// Reads what a harvest finds.
    async fn read(
        &self,
        store: &mut StoreLink<'_>,
        relations: &[Relation<'_>],
        (number, shape): (usize, &Shape),
        pass: HarvestPass,
    ) -> Result<Option<Harvested>, LinkError> {
        let plan = self.plan;
        let Some(&relate) = plan.relates.get(number) else {
            return Ok(None);
        };
        let Some(relation) = relations.get(relate.relation) else {
            return Ok(None);
        };
        let pass = HarvestPass {
            new_only: relation.is_table() && relation.keys() > 0,
            input_bytes_max: relate.input_bytes_max,
            ..pass
        };
        let lookups = lookups(plan, relations, &self.members);
        let query = plan.passes().harvest(number, shape, &lookups, pass);
        let protocol = match query.parameters.is_empty() {
            true => Protocol::Text,
            false => plan.ready.protocol.clone(),
        };
        let running = self.running;
        running.enter(Phase::Reading);
        running.inputs_known.store(false, Relaxed);
        let (read_before, begin) = (running.rows_read.load(Relaxed), Instant::now());
        let (columns, id) = rows_of(store.run_bounded(&query, &protocol).await?)?;
        running.note_store(begin);
        let codec = match protocol {
            Protocol::Text => RowCodec::new(Codec::Text, &columns),
            Protocol::Binary(_) => RowCodec::new(Codec::Binary, &columns),
        };
        let spool = Spool::new(self.context.spool.clone());
        spool_all(store, &spool, running, id).await?;
        let read = running.rows_read.load(Relaxed).saturating_sub(read_before);
        running.inputs.fetch_add(read, Relaxed);
        Ok(Some(Harvested {
            spool,
            codec,
            number,
            target: relate.prediction,
            kind: relate.input(),
            form: relation.form(),
            relation: relate.relation,
        }))
    }

    async fn harvest_one(
        &mut self,
        store: &mut StoreLink<'_>,
        relations: &mut [Relation<'_>],
        names: &mut TableNames<'_>,
        (number, shape): (usize, &Shape),
        pass: HarvestPass,
        ahead: Option<Harvested>,
    ) -> Result<(), LinkError> {
        let is_ahead = ahead.is_some();
        let harvested = match ahead {
            Some(harvested) => Some(harvested),
            None => self.read(store, relations, (number, shape), pass).await?,
        };
        let Some(harvested) = harvested else {
            return Ok(());
        };
        if self.plan.ready.is_limited() && !is_ahead {
            let mut forecasts = Forecasts::new(self.plan.ready);
            self.forecast_one(&harvested, relations, &mut forecasts)
                .await?;
            forecasts.admit(self.plan.ready)?;
        }
        let Some(relation) = relations.get_mut(harvested.relation) else {
            return Ok(());
        };
        // What is found while this harvest is predicted is new to it: its keys come once.
        let known = relation.take_known();
        let predicted = self
            .predict(store, relation, names, &harvested, &known)
            .await;
        relation.know(known);
        predicted?;
        if relation.is_due(true) {
            self.running.enter(Phase::Relating);
            relation.settle(store, names).await?;
        }
        Ok(())
    }

    /// Predicts what is spooled but for keys that are known, and adds the answers.
    async fn predict(
        &mut self,
        store: &mut StoreLink<'_>,
        relation: &mut Relation<'_>,
        names: &mut TableNames<'_>,
        harvested: &Harvested,
        known: &HashSet<Vec<u8>>,
    ) -> Result<(), LinkError> {
        let (executor, plan) = (&self.context.executor, self.plan);
        let (running, cancel) = (self.running, self.cancel);
        let asked = plan.ready.plan.predictions.get(harvested.target);
        let chunk_inputs = asked.map_or(1, |t| executor.chunk_inputs_of(&t.task.input));
        let schedule = Schedule::new(chunk_inputs, executor.threads(), None);
        let Some(predictor) = plan.ready.predictors.get(harvested.target) else {
            return Ok(());
        };
        running.enter(Phase::Predicting);
        running.inputs_known.store(true, Relaxed);
        let mut inputs = harvested.inputs(plan, known, executor.image_bytes_max());
        inputs.passed_over = Some(&running.predicted);
        let (spool, account) = (&harvested.spool, harvested.spool.account());
        let answer = |piece: KeyedInputs<Bytes>| async move {
            let inputs = piece.inputs.clone();
            let answers = answer_inputs(predictor, inputs, account, cancel).await?;
            Ok((piece, answers))
        };
        let may_take = || spool.may_take();
        let mut pump = Pump::new(schedule, inputs, may_take, answer, &running.predicted);
        while let Some((piece, answers)) = pump.next().await? {
            for ((key, input), answer) in piece.keys.iter().zip(&piece.inputs).zip(answers) {
                self.add(relation, key, input, &answer)?;
            }
            if relation.is_due(false) {
                running.enter(Phase::Relating);
                relation.settle(store, names).await?;
                running.enter(Phase::Predicting);
            }
        }
        Ok(())
    }

    fn add(
        &mut self,
        relation: &mut Relation<'_>,
        key: &[u8],
        input: &RowInput,
        answer: &Answer,
    ) -> Result<(), LinkError> {
        if let Some(reason) = answer.unreadable() {
            let unreadable = Unreadable::prediction(self.plan.ready.fail_on_error);
            let name = || input.short_name();
            unreadable.note(self.running, &mut self.diagnostics, name, reason)?;
        }
        relation.add(key, answer)?;
        Ok(())
    }
}

/// What a harvest has found.
struct Harvested {
    spool: Spool,
    codec: RowCodec,
    number: usize,
    kind: InputKind,
    form: KeyForm,
    target: usize,
    relation: usize,
}

impl Harvested {
    /// Its inputs but for the keys `known`; an image has at most `image_bytes_max` bytes.
    fn inputs<'p>(
        &'p self,
        plan: &'p Materialisation<'_, '_, '_>,
        known: &'p HashSet<Vec<u8>>,
        image_bytes_max: u64,
    ) -> HarvestedInputs<'p> {
        HarvestedInputs {
            harvested: self,
            columns: plan.passes().input_columns(self.number),
            known,
            image_bytes_max,
            looked: None,
            block: None,
            passed_over: None,
            seen: HashSet::new(),
        }
    }
}

/// What models would have to look at, one a target.
struct Forecasts(Vec<Forecast>);

impl Forecasts {
    fn new(ready: &Ready<'_, '_>) -> Self {
        let each = ready.predictors.iter().map(|_| Forecast::default());
        Self(each.collect())
    }

    /// Refuses more than may be.
    fn admit(&self, ready: &Ready<'_, '_>) -> Result<(), PredictError> {
        admit(&ready.work, ready.predictors.iter().zip(&self.0))
    }
}

/// Takes inputs off a spool, or looks at them.
struct HarvestedInputs<'p> {
    harvested: &'p Harvested,
    /// Of the task.
    columns: &'p [Column],
    known: &'p HashSet<Vec<u8>>,
    image_bytes_max: u64,
    /// Blocks that were looked at and left there.
    looked: Option<usize>,
    block: Option<Rows>,
    /// Counts rows that held no input to predict.
    passed_over: Option<&'p AtomicU64>,
    /// Hashes that came before in this harvest, whose rows the store does not make distinct.
    seen: HashSet<Bytes>,
}

impl Feed for HarvestedInputs<'_> {
    type Piece = KeyedInputs<Bytes>;
    type Error = LinkError;

    async fn next(mut self, mut room: Room) -> Result<Option<(Self, Self::Piece)>, LinkError> {
        let mut piece = KeyedInputs::default();
        while !room.is_full() {
            let Some(block) = &mut self.block else {
                self.block = self.next_block().await?;
                if self.block.is_none() {
                    break;
                }
                continue;
            };
            let Some(row) = block.next()? else {
                self.block = None;
                continue;
            };
            let row = CutRow::cut(row, &self.harvested.codec).await?;
            let Some((key, input)) = self.new_input(&row)? else {
                if let Some(passed_over) = self.passed_over {
                    passed_over.fetch_add(1, Relaxed);
                }
                continue;
            };
            match input.far_bytes() {
                0 => room.take(row.held_bytes()),
                _ => room.take_long(),
            }
            piece.inputs.push(input);
            piece.keys.push(key);
        }
        Ok((!piece.keys.is_empty()).then_some((self, piece)))
    }
}

impl HarvestedInputs<'_> {
    async fn next_block(&mut self) -> Result<Option<Rows>, SqlError> {
        let spool = &self.harvested.spool;
        match &mut self.looked {
            None => spool.read().await,
            Some(looked) => {
                *looked += 1;
                spool.look(*looked - 1).await
            }
        }
    }

    /// A row's key and input; `None` where it is NULL, which has no prediction, or known.
    fn new_input(&mut self, row: &CutRow) -> Result<Option<(Bytes, RowInput)>, Malformed> {
        let harvested = self.harvested;
        let Some(key) = key(row)? else {
            return Ok(None);
        };
        let form = harvested.form;
        if self.known.contains(&key[..]) || (!form.is_distinct() && !self.is_new(&key)) {
            return Ok(None);
        }
        let value = match form.says_input() {
            true => StringValue::Here(key.clone()),
            false => row.string(1)?.unwrap_or(StringValue::Here(Bytes::new())),
        };
        let (kind, bytes_max) = (&harvested.kind, self.image_bytes_max);
        let input = RowInput::of(kind, self.columns, Some(value), bytes_max)?;
        Ok(Some((key, input)))
    }

    /// A copy of the key is kept, not the row that it came in.
    fn is_new(&mut self, key: &Bytes) -> bool {
        !self.seen.contains(key) && self.seen.insert(Bytes::copy_from_slice(key))
    }
}

/// A row's key, which is short.
fn key(row: &CutRow) -> Result<Option<Bytes>, Malformed> {
    match row.string(0)? {
        None => Ok(None),
        Some(StringValue::Here(key)) => Ok(Some(key)),
        Some(StringValue::Far(_)) => Err(Malformed("a key of an input is too long")),
    }
}

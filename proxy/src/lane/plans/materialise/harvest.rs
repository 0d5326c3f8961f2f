//! Pass 1: asks the store for the inputs of each harvest, and has them predicted.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use predictsql_catalog::Column;
use predictsql_executor::PredictError;
use predictsql_optimizer::materialise::{HarvestPass, Members, Shape};
use predictsql_optimizer::plan::InputKind;
use predictsql_optimizer::schedule::Schedule;
use tokio_util::sync::CancellationToken;

use crate::error::{ErrorKind, SqlError};
use crate::lane::context::LaneContext;
use crate::lane::plans::materialise::finish::is_missing_key;
use crate::lane::plans::materialise::lookups::lookups;
use crate::lane::plans::materialise::relation::Relation;
use crate::lane::plans::ready::{Materialisation, Ready};
use crate::lane::plans::stream::{CutRow, RowInput, StringValue, answer_inputs};
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

/// A piece of inputs ends when its rows have so many bytes.
const PIECE_BYTES: usize = 512 * 1024;

/// Runs the harvests of one statement.
pub struct Harvester<'h, 'p, 's, 'a> {
    pub context: &'h LaneContext,
    pub plan: &'h Materialisation<'p, 's, 'a>,
    pub running: &'h Statement,
    pub cancel: &'h CancellationToken,
    pub diagnostics: Diagnostics,
    /// Of each harvest; of none in the beginning.
    pub members: Vec<Option<Members>>,
}

/// Inputs with their keys, and what became of them.
struct Piece {
    keys: Vec<Bytes>,
    inputs: Vec<RowInput>,
    /// Of its rows, in memory.
    bytes: usize,
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
            let harvested = match independent {
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
        let mut pieces = harvested.pieces(self.plan, image_bytes_max);
        pieces.looked = Some(0);
        while let Some(piece) = pieces.next(FORECAST_INPUTS, relation).await? {
            let far: u64 = piece.inputs.iter().map(RowInput::far_bytes).sum();
            let _room = harvested.spool.account().long_input(far).await;
            let mut inputs = Vec::with_capacity(piece.inputs.len());
            for input in piece.inputs {
                inputs.push(input.read().await?);
            }
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
        let image_bytes_max = self.context.executor.image_bytes_max();
        let mut pieces = harvested.pieces(self.plan, image_bytes_max);
        self.predict(store, relation, names, harvested.target, &mut pieces)
            .await?;
        if relation.is_due(true) {
            self.running.enter(Phase::Relating);
            relation.settle(store, names).await?;
        }
        Ok(())
    }

    /// Predicts what is spooled, several pieces at a time, and adds the answers.
    async fn predict(
        &mut self,
        store: &mut StoreLink<'_>,
        relation: &mut Relation<'_>,
        names: &mut TableNames<'_>,
        target: usize,
        pieces: &mut Pieces<'_>,
    ) -> Result<(), LinkError> {
        let executor = &self.context.executor;
        let account = Arc::clone(pieces.spool.account());
        let asked = self.plan.ready.plan.predictions.get(target);
        let chunk_inputs = asked.map_or(1, |t| executor.chunk_inputs_of(&t.task.input));
        let schedule = Schedule::new(chunk_inputs, executor.threads(), None);
        let Some(predictor) = self.plan.ready.predictors.get(target) else {
            return Ok(());
        };
        self.running.enter(Phase::Predicting);
        self.running.inputs_known.store(true, Relaxed);
        let mut under_way = FuturesOrdered::new();
        let mut more = true;
        loop {
            while more && has_room(under_way.len(), &schedule, pieces.spool) {
                let next = pieces.next(schedule.chunk_rows, relation).await?;
                let passed_over = std::mem::take(&mut pieces.passed_over);
                self.running.predicted.fetch_add(passed_over, Relaxed);
                let Some(piece) = next else {
                    more = false;
                    break;
                };
                let (cancel, account) = (self.cancel, &account);
                under_way.push_back(async move {
                    let inputs = piece.inputs.clone();
                    let answers = answer_inputs(predictor, inputs, account, cancel).await;
                    (piece, answers)
                });
            }
            let Some((piece, answers)) = under_way.next().await else {
                return Ok(());
            };
            for ((key, input), answer) in piece.keys.iter().zip(&piece.inputs).zip(answers?) {
                self.add(relation, key, input, &answer)?;
            }
            let done = piece.keys.len() as u64;
            self.running.predicted.fetch_add(done, Relaxed);
            if relation.is_due(false) {
                self.running.enter(Phase::Relating);
                relation.settle(store, names).await?;
                self.running.enter(Phase::Predicting);
            }
        }
    }

    fn add(
        &mut self,
        relation: &mut Relation<'_>,
        key: &[u8],
        input: &RowInput,
        answer: &Answer,
    ) -> Result<(), LinkError> {
        if let Some(reason) = answer.unreadable() {
            self.warn(input, reason)?;
        }
        relation.add(key, answer)?;
        Ok(())
    }

    fn warn(&mut self, input: &RowInput, reason: &str) -> Result<(), LinkError> {
        self.running.images_unreadable.fetch_add(1, Relaxed);
        let message = || format!("Image {} {reason}", input.short_name());
        if self.plan.ready.fail_on_error {
            return Err(SqlError::new(ErrorKind::UnreadableInput, message()).into());
        }
        self.diagnostics.warn(ErrorKind::UnreadableInput, || {
            format!("{}: its prediction is NULL", message())
        });
        Ok(())
    }
}

/// What a harvest has found.
struct Harvested {
    spool: Spool,
    codec: RowCodec,
    number: usize,
    kind: InputKind,
    target: usize,
    relation: usize,
}

impl Harvested {
    /// Its inputs, of which an image has at most `image_bytes_max` bytes.
    fn pieces<'p>(
        &'p self,
        plan: &'p Materialisation<'_, '_, '_>,
        image_bytes_max: u64,
    ) -> Pieces<'p> {
        Pieces {
            spool: &self.spool,
            codec: &self.codec,
            kind: self.kind.clone(),
            columns: plan.passes().input_columns(self.number),
            image_bytes_max,
            looked: None,
            block: None,
            passed_over: 0,
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
struct Pieces<'p> {
    spool: &'p Spool,
    codec: &'p RowCodec,
    kind: InputKind,
    /// Of the task.
    columns: &'p [Column],
    image_bytes_max: u64,
    /// Blocks that were looked at and left there.
    looked: Option<usize>,
    block: Option<Rows>,
    /// Rows that held no input to predict.
    passed_over: u64,
    /// Hashes that came before in this harvest, whose rows the store does not make distinct.
    seen: HashSet<Bytes>,
}

impl Pieces<'_> {
    /// Up to `inputs` inputs that the relation does not know; `None` at the end.
    /// One that lies on disk ends a piece.
    async fn next(
        &mut self,
        inputs: usize,
        relation: &Relation<'_>,
    ) -> Result<Option<Piece>, LinkError> {
        let mut piece = Piece {
            keys: Vec::with_capacity(inputs),
            inputs: Vec::with_capacity(inputs),
            bytes: 0,
        };
        while piece.keys.len() < inputs && piece.bytes < PIECE_BYTES {
            let Some(block) = &mut self.block else {
                self.block = match &mut self.looked {
                    None => self.spool.read().await?,
                    Some(looked) => {
                        *looked += 1;
                        self.spool.look(*looked - 1).await?
                    }
                };
                if self.block.is_none() {
                    break;
                }
                continue;
            };
            let Some(row) = block.next()? else {
                self.block = None;
                continue;
            };
            let row = CutRow::cut(row, self.codec).await?;
            let Some(key) = key(&row)? else {
                self.passed_over += 1;
                continue; // NULL has no prediction
            };
            let form = relation.form();
            if relation.knows(&key) || (!form.is_distinct() && !self.is_new(&key)) {
                self.passed_over += 1;
                continue;
            }
            let value = match form.says_input() {
                true => StringValue::Here(key.clone()),
                false => row.string(1)?.unwrap_or(StringValue::Here(Bytes::new())),
            };
            let bytes_max = self.image_bytes_max;
            let input = RowInput::of(&self.kind, self.columns, Some(value), bytes_max)?;
            piece.bytes += match input.far_bytes() {
                0 => row.held_bytes(),
                _ => PIECE_BYTES,
            };
            piece.inputs.push(input);
            piece.keys.push(key);
        }
        Ok((!piece.keys.is_empty()).then_some(piece))
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

/// Whether another piece may be worked on beside so many: at least one is.
fn has_room(under_way: usize, schedule: &Schedule, spool: &Spool) -> bool {
    under_way == 0 || under_way < schedule.chunks_in_flight && spool.may_take()
}

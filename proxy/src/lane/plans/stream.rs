//! Runs a stream plan: rows of the store go through a spool to the executor and on to the client,
//! in order, with predicted cells put in and rows that fail a prediction dropped.
//!
//! Three futures of one task: the *filler* reads the store as fast as it sends, whatever the
//! model's speed; the *drainer* predicts and writes; the *watcher* notices that the client has
//! gone. The store is always read to the end of its answer, so that the session stays usable.

mod cut_row;
mod long_cells;
mod pieces;
mod row_filter;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use predictsql_executor::Input;
use predictsql_executor::pump::Pump;
use predictsql_optimizer::plan::{InputKind, Predict};
use predictsql_optimizer::schedule::Schedule;
use tokio::io::WriteHalf;
use tokio_util::sync::CancellationToken;

use crate::error::SqlError;
use crate::lane::context::LaneContext;
use crate::lane::plans::answered::{Answered, Audience};
use crate::lane::plans::ready::{Pipeline, Ready};
use crate::lane::plans::unreadable::Unreadable;
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::store::error::LinkError;
use crate::lane::store::filling::fill;
use crate::lane::store::link::{Protocol, ResultEnd, StoreLink, rows_of};
use crate::lane::store::questions::is_binary;
use crate::lane::store::result::write_head;
use crate::lane::store::rows::{CellLayout, RowCodec};
use crate::lane::store::spool::Spool;
use crate::lane::turn::Turn;
use crate::lane::turn::check_not_interrupted;
use crate::live::{Phase, Statement};
use crate::predict::{Answer, Forecast, Predictor, admit};
use crate::relay::SessionEnd;
use crate::wire::{ColumnDefinition, PacketWriter, StatusFlags, Stream, encode_result_end};
pub use cut_row::{CellBytes, CutRow, RowInput, StringValue};
use long_cells::UNSENT_BYTES_MAX;
pub use long_cells::copy_row;
pub use pieces::{KeyedInputs, answer_inputs, read_inputs};
use pieces::{SpooledRows, predict};
use row_filter::{PendingRow, RowFilter};

/// Runs the statement and writes its whole answer, where somebody is to get it.
pub async fn run(
    turn: &mut Turn<'_>,
    context: &Arc<LaneContext>,
    pipeline: &Pipeline<'_, '_, '_>,
    running: &Statement,
    audience: Audience,
) -> Result<Answered, LinkError> {
    let ready = pipeline.ready;
    running.enter(Phase::Streaming);
    let begin = Instant::now();
    let protocol = ready.protocol.clone();
    let pushdown = &pipeline.scan.pushdown.text;
    let (columns, id) = rows_of(turn.store.run_answering(pushdown, &protocol).await?)?;
    running.note_store(begin);
    let codec = protocol.codec();
    write_columns(turn, pipeline, &columns, id, audience).await?;
    let inputs = (
        input_kinds(pipeline, &columns),
        context.executor.image_bytes_max(),
    );
    let row_filter = RowFilter::new(pipeline, codec, inputs);
    let spool = Spool::new(context.spool.clone());
    let cancel = running.cancel.child_token();
    let diagnostics = Diagnostics::keeping(turn.store.warnings_kept);
    let mut drainer = Drainer {
        context,
        pipeline,
        row_filter: &row_filter,
        codec: RowCodec::new(codec, &columns),
        spool: &spool,
        cancel: &cancel,
        running,
        audience,
        diagnostics: ready.forewarned(diagnostics),
        skipped: 0,
        sent: 0,
    };
    let drained = {
        let (guard, mut legs) = turn.guarded();
        let work = async {
            let drain = async {
                let drained = drainer.run(legs.out, &mut legs.client).await;
                spool.close();
                cancel.cancel();
                drained
            };
            let ((), drained) = tokio::join!(fill_counted(legs.store, &spool, running), drain);
            drained
        };
        guard.while_client_stays(work).await
    };
    cancel.cancel();
    let drained = Drained {
        outcome: drained,
        diagnostics: drainer.diagnostics,
        sent: drainer.sent,
        skipped: drainer.skipped,
    };
    if let Err(LinkError::End(end)) = drained.outcome {
        return Err(LinkError::End(end));
    }
    // A refusal of the store in mid-result comes before what the lane has to say.
    let end = spool
        .take_end()
        .unwrap_or(Err(LinkError::End(SessionEnd::StoreClosed)));
    let end = turn.store.finish(id, end).await?;
    conclude(turn, pipeline, running, audience, drained, end).await
}

/// Reads the store's answer to its end into the spool, and notes how many rows it has.
async fn fill_counted(store: &mut StoreLink<'_>, spool: &Spool, running: &Statement) {
    fill(store, spool, running).await;
    let inputs = running.rows_read.load(Relaxed);
    running.inputs.store(inputs, Relaxed);
    running.inputs_known.store(true, Relaxed);
}

/// What became of a statement's rows.
struct Drained {
    outcome: Result<(), LinkError>,
    diagnostics: Diagnostics,
    sent: u64,
    skipped: u64,
}

/// Writes the columns of the answer, where somebody is to get it. Rows of other columns than those
/// that were described are read to their end.
async fn write_columns(
    turn: &mut Turn<'_>,
    pipeline: &Pipeline<'_, '_, '_>,
    columns: &[ColumnDefinition],
    id: Option<u32>,
    audience: Audience,
) -> Result<(), LinkError> {
    let shape = match visible_columns(pipeline, columns) {
        Ok(shape) => shape,
        Err(error) => {
            let drained = turn.store.drain().await;
            turn.store.finish(id, drained).await?;
            return Err(error.into());
        }
    };
    let shape = turn.as_described(shape);
    if audience == Audience::Client {
        write_head(
            &mut turn.out,
            turn.capabilities,
            &shape,
            turn.status.flags(),
        );
    }
    Ok(())
}

/// Ends the answer: adds the store's warnings and writes the last packet,
/// where somebody is to get it.
async fn conclude(
    turn: &mut Turn<'_>,
    pipeline: &Pipeline<'_, '_, '_>,
    running: &Statement,
    audience: Audience,
    drained: Drained,
    end: ResultEnd,
) -> Result<Answered, LinkError> {
    let Drained {
        outcome,
        mut diagnostics,
        sent,
        skipped,
    } = drained;
    outcome?;
    check_not_interrupted(turn.record, running, &turn.store.bounds).await?;
    let own = diagnostics.count() > 0;
    if end.warnings > 0 && (own || pipeline.filter.drops) {
        diagnostics
            .add_from_store(&mut turn.store, u64::from(end.warnings))
            .await?;
    }
    let warnings = diagnostics.count().max(end.warnings);
    let state = end.status
        & !(StatusFlags::SERVER_MORE_RESULTS_EXISTS | StatusFlags::SERVER_STATUS_LAST_ROW_SENT);
    turn.status.set(state);
    if audience == Audience::Client {
        turn.out.write(&encode_result_end(
            turn.capabilities,
            turn.end_status(state),
            warnings,
        ));
    }
    Ok(Answered {
        rows: Some(sent),
        warnings,
        diagnostics: (diagnostics.count() > 0).then_some(diagnostics),
        // Rows that OFFSET skips are found, too.
        found_rows: pipeline.filter.drops.then_some(skipped + sent),
        row_count: None,
        affected: None,
    })
}

/// The columns that the client is told: those of the running statement, and for predicted ones
/// the described.
fn visible_columns(
    pipeline: &Pipeline<'_, '_, '_>,
    running: &[ColumnDefinition],
) -> Result<Vec<ColumnDefinition>, SqlError> {
    let described = &pipeline.ready.described;
    if running.len() != described.len() + pipeline.scan.pushdown.hidden {
        return Err(SqlError::other(
            "the table changed between describing and running the statement; try again",
        ));
    }
    check_row_layouts(pipeline, running)?;
    let columns = running
        .iter()
        .zip(described)
        .zip(&pipeline.project.cell_of_column);
    Ok(columns
        .map(|((running, described), cell)| {
            if cell.is_some() { described } else { running }.clone()
        })
        .collect())
}

/// In binary rows a cell that comes in hidden columns, one a class, must be laid out as the
/// described column says.
fn check_row_layouts(
    pipeline: &Pipeline<'_, '_, '_>,
    running: &[ColumnDefinition],
) -> Result<(), SqlError> {
    if matches!(pipeline.ready.protocol, Protocol::Text) {
        return Ok(());
    }
    let layout = |c: &ColumnDefinition| CellLayout::of(c.column_type);
    let pushed = &pipeline.scan.pushdown.cells;
    for (column, cell) in pipeline.project.cell_of_column.iter().enumerate() {
        let first = cell.and_then(|cell| pushed.get(cell).copied().flatten());
        let hidden = first.and_then(|first| running.get(pipeline.visible() + first));
        if let (Some(hidden), Some(described)) = (hidden, pipeline.ready.described.get(column))
            && layout(hidden) != layout(described)
        {
            return Err(SqlError::unsupported(
                "this expression over columns and a prediction in the binary protocol",
            ));
        }
    }
    Ok(())
}

/// What the input of each prediction is, by the running statement's own columns where nothing else
/// is known.
fn input_kinds(pipeline: &Pipeline<'_, '_, '_>, columns: &[ColumnDefinition]) -> Vec<InputKind> {
    let hidden = columns.get(pipeline.visible()..).unwrap_or_default();
    let running = |predict: &&Predict| {
        let column = hidden.get(predict.column?)?;
        Some(InputKind::of_string(is_binary(column)))
    };
    let kind = |predict: &&Predict| match &predict.input {
        InputKind::Bound => running(predict).unwrap_or(InputKind::Bound),
        known => known.clone(),
    };
    pipeline.predicts.iter().map(kind).collect()
}

struct Drainer<'d, 's, 'a> {
    context: &'d LaneContext,
    pipeline: &'d Pipeline<'d, 's, 'a>,
    row_filter: &'d RowFilter<'d, 's, 'a>,
    codec: RowCodec,
    spool: &'d Spool,
    cancel: &'d CancellationToken,
    running: &'d Statement,
    audience: Audience,
    diagnostics: Diagnostics,
    skipped: u64,
    sent: u64,
}

impl<'d> Drainer<'d, '_, '_> {
    /// Predicts and writes rows until there are no more or LIMIT is reached.
    async fn run(
        &mut self,
        out: &mut PacketWriter,
        client: &mut WriteHalf<&mut Stream>,
    ) -> Result<(), LinkError> {
        let project = self.pipeline.project;
        let (executor, wanted) = (
            &self.context.executor,
            project.rows_max.saturating_add(project.offset),
        );
        let limited = (self.pipeline.filter.drops && wanted != u64::MAX).then_some(wanted);
        let predictions = self.pipeline.ready.plan.predictions.iter();
        let chunk_inputs = predictions.map(|p| executor.chunk_inputs_of(&p.task.input));
        let chunk_inputs = chunk_inputs.min().unwrap_or(1);
        let schedule = Schedule::new(chunk_inputs, executor.threads(), limited);
        let order = self.row_filter.order();
        if limited.is_none() {
            self.forecast(&order).await?;
        }
        let (codec, cancel) = (self.codec.clone(), self.cancel);
        let (spool, running) = (self.spool, self.running);
        let judged = (self.pipeline.ready, self.row_filter, &order[..]);
        let rows = SpooledRows::new(spool, &codec);
        let predicted = |piece| predict(judged, piece, spool.account(), cancel);
        let may_take = || spool.may_take();
        let mut pump = Pump::new(schedule, rows, may_take, predicted, &running.predicted);
        while let Some(piece) = pump.next().await? {
            let is_enough = self.send(piece, out, client).await?;
            flush(out, client).await?;
            if is_enough {
                return Ok(());
            }
        }
        flush(out, client).await
    }

    /// Under a limit on what models may look at: waits for the rows, and refuses the statement if
    /// it needs more. What is predicted only for rows that pass another prediction is not
    /// foreseen.
    async fn forecast(&self, order: &[usize]) -> Result<(), LinkError> {
        let ready: &Ready<'_, '_> = self.pipeline.ready;
        let asked = |p: &usize| Some((*p, ready.predictors.get(*p)?));
        let foreseen = match self.pipeline.filter.deciding.is_empty() {
            true => order.len(),
            false => 1,
        };
        let asked: Vec<(usize, &Predictor)> =
            order.iter().take(foreseen).filter_map(asked).collect();
        let Some(inferences_max) = ready.work.inferences_max() else {
            return Ok(());
        };
        let models_each: u64 = asked.iter().map(|(_, p)| p.models_each()).sum();
        let (mut number, mut inferences) = (0, 0);
        while let Some(mut block) = self.spool.look(number).await? {
            while block.next()?.is_some() {
                inferences += models_each;
            }
            number += 1;
        }
        if inferences <= inferences_max {
            return Ok(());
        }
        let mut forecasts: Vec<Forecast> = asked.iter().map(|_| Forecast::default()).collect();
        for number in 0..number {
            let Some(mut block) = self.spool.look(number).await? else {
                break;
            };
            let mut inputs: Vec<Vec<Input>> = vec![Vec::new(); asked.len()];
            // Of a long row, which is a block of its own.
            let mut room = None;
            while let Some(row) = block.next()? {
                let mut row = PendingRow::new(row, &self.codec).await?;
                self.row_filter.begin(&mut row)?;
                let mut of_row = Vec::new();
                for (place, (prediction, _)) in asked.iter().enumerate() {
                    let input = self.row_filter.input(&row, *prediction)?;
                    of_row.extend(input.map(|input| (place, input)));
                }
                let far = of_row.iter().map(|(_, input)| input.far_bytes()).sum();
                if far > 0 {
                    room = Some(self.spool.account().long_input(far).await);
                }
                for (place, input) in of_row {
                    let input = input.read().await?;
                    inputs
                        .get_mut(place)
                        .into_iter()
                        .for_each(|i| i.push(input.clone()));
                }
            }
            for (((_, predictor), inputs), forecast) in asked.iter().zip(inputs).zip(&mut forecasts)
            {
                predictor.forecast(inputs, forecast, self.cancel).await?;
            }
            drop(room);
        }
        let predictors = asked.iter().map(|(_, predictor)| *predictor);
        Ok(admit(&ready.work, predictors.zip(&forecasts))?)
    }

    /// Writes the rows of a piece that pass; true once LIMIT is reached.
    async fn send(
        &mut self,
        piece: Vec<PendingRow>,
        out: &mut PacketWriter,
        client: &mut WriteHalf<&mut Stream>,
    ) -> Result<bool, LinkError> {
        for row in &piece {
            if out.buffered_bytes() > UNSENT_BYTES_MAX {
                flush(out, client).await?;
            }
            if self.sent >= self.pipeline.project.rows_max {
                return Ok(true); // what comes after is nobody's business, its warnings included
            }
            self.warn(row)?;
            if row.passes != Some(true) {
                continue;
            }
            if self.skipped < self.pipeline.project.offset {
                self.skipped += 1;
                continue;
            }
            self.sent += 1;
            if self.audience == Audience::Client {
                self.write(row, out, client).await?;
                self.running.rows_sent.store(self.sent, Relaxed);
            }
        }
        Ok(self.sent >= self.pipeline.project.rows_max)
    }

    async fn write(
        &self,
        row: &PendingRow,
        out: &mut PacketWriter,
        client: &mut WriteHalf<&mut Stream>,
    ) -> Result<(), LinkError> {
        let cells = self.pipeline.project.cell_of_column.iter().enumerate();
        let cells: Vec<Option<CellBytes<'_>>> = cells
            .map(|(column, cell)| match cell {
                Some(cell) => self.row_filter.cell(row, *cell),
                None => row.row.encoded(column),
            })
            .collect();
        long_cells::write_row(self.codec.codec(), &cells, out, client).await
    }

    fn warn(&mut self, row: &PendingRow) -> Result<(), LinkError> {
        let unreadable = Unreadable::prediction(self.pipeline.ready.fail_on_error);
        for (prediction, answer) in row.answers.iter().enumerate() {
            let Some(reason) = answer.as_ref().and_then(Answer::unreadable) else {
                continue;
            };
            let name = || self.row_filter.input_name(row, prediction);
            unreadable.note(self.running, &mut self.diagnostics, name, reason)?;
        }
        Ok(())
    }
}

async fn flush(
    out: &mut PacketWriter,
    client: &mut WriteHalf<&mut Stream>,
) -> Result<(), LinkError> {
    out.flush(client)
        .await
        .map_err(|e| LinkError::End(SessionEnd::client(e)))
}

//! The work of an EVALUATE: rows off the store, models loaded and timed, and each row answered by
//! all of them, decoded once.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use predictsql_catalog::{CostCurve, Model};
use predictsql_executor::evaluation::{Measured, RowKey, Rows, RowsMax, Sample, features};
use predictsql_executor::{Input, LoadedModel, ModelError};
use predictsql_optimizer::schedule::Schedule;
use tokio_util::sync::CancellationToken;

use crate::error::{ErrorKind, SqlError};
use crate::lane::context::LaneContext;
use crate::lane::plans::inputs::short_name;
use crate::lane::session::diagnostics::Diagnostics;
use crate::lane::statements::evaluate::request::Request;
use crate::lane::statements::evaluate::rows::{LabelledRows, fetch};
use crate::lane::store::error::LinkError;
use crate::lane::store::filling::spool_all;
use crate::lane::store::link::{Protocol, StoreLink, rows_of};
use crate::lane::store::spool::Spool;
use crate::live::{Phase, Statement};
use crate::predict::interrupted;

/// Inputs a run at which models are timed, as far as they take them.
const BATCHES: [usize; 9] = [1, 2, 4, 8, 16, 32, 64, 128, 256];

/// What came of it.
pub struct Outcomes {
    /// The rows with their answers.
    pub rows: Rows,
    /// The models, in the order of the answers.
    pub measured: Vec<Measured>,
    /// What was wrong with rows.
    pub diagnostics: Diagnostics,
}

/// One evaluation.
pub struct Run<'r> {
    context: &'r LaneContext,
    request: &'r Request,
    running: &'r Statement,
    cancel: &'r CancellationToken,
    diagnostics: Diagnostics,
    without_label: u64,
    without_input: u64,
}

/// Rows on their way through the executor.
#[derive(Default)]
struct Piece {
    keys: Vec<RowKey>,
    inputs: Vec<Input>,
}

impl<'r> Run<'r> {
    pub fn new(
        context: &'r LaneContext,
        request: &'r Request,
        running: &'r Statement,
        cancel: &'r CancellationToken,
    ) -> Self {
        Self {
            context,
            request,
            running,
            cancel,
            diagnostics: Diagnostics::default(),
            without_label: 0,
            without_input: 0,
        }
    }

    /// Does it. The store is idle again when it returns an error of the session's own.
    pub async fn work(mut self, store: &mut StoreLink<'_>) -> Result<Outcomes, LinkError> {
        let image_bytes_max = self.context.executor.image_bytes_max();
        let query = fetch(&self.request.query, &self.request.form, image_bytes_max);
        let head = store.run_bounded(&query, &Protocol::Text).await?;
        let (columns, id) = rows_of(head)?;
        let spool = Spool::new(self.context.spool.clone());
        self.running.enter(Phase::Reading);
        spool_all(store, &spool, self.running, id).await?;
        let inputs = self.running.rows_read.load(Relaxed);
        self.running.inputs.store(inputs, Relaxed);
        let mut models = Vec::new();
        let mut measured = Vec::new();
        for model in &self.request.models {
            let (loaded, cost) = self.load(model).await?;
            models.push(loaded);
            measured.push(Measured::new(model, &self.request.task, cost));
        }
        let form = (&self.request.form, image_bytes_max);
        let rows = LabelledRows::new(&spool, &columns, form);
        let rows = self.answer(rows, &models).await?;
        if rows.is_empty() {
            return Err(SqlError::wrong_value(
                "EVALUATE found no row with an input that can be read and a label",
            )
            .into());
        }
        Ok(Outcomes {
            rows,
            measured,
            diagnostics: self.diagnostics,
        })
    }

    /// Loads a model and measures what it costs.
    async fn load(&self, model: &Arc<Model>) -> Result<(LoadedModel, CostCurve), LinkError> {
        let executor = &self.context.executor;
        let work = async {
            let loaded = executor.load(model).await?;
            let seconds_by_batch = executor.measure(&loaded, &BATCHES).await?;
            Ok((loaded, seconds_by_batch))
        };
        let done = tokio::select! {
            biased;
            () = self.cancel.cancelled() => return Err(interrupted().into()),
            done = work => done,
        };
        let (loaded, seconds_by_batch) =
            done.map_err(|error: ModelError| SqlError::from(&error))?;
        let cost = CostCurve {
            device: executor.device(),
            seconds_by_batch,
            load_seconds: loaded.load_seconds(),
            memory_bytes: loaded.memory_bytes(),
        };
        Ok((loaded, cost))
    }

    /// Has all rows answered, several pieces at a time.
    async fn answer(
        &mut self,
        mut rows: LabelledRows<'_>,
        models: &[LoadedModel],
    ) -> Result<Rows, LinkError> {
        // All of its pieces are one caller's, for the executor.
        let spent = &self.running.counters.spent;
        let executor = self.context.executor.on_account(spent);
        let inputs = models.iter().map(LoadedModel::chunk_inputs).min();
        let schedule = Schedule::new(inputs.unwrap_or(1), executor.threads(), None);
        let mut sample = Sample::new(RowsMax::default());
        self.running.enter(Phase::Predicting);
        self.running.inputs_known.store(true, Relaxed);
        let mut under_way = FuturesOrdered::new();
        let mut more = true;
        loop {
            while more && under_way.len() < schedule.chunks_in_flight {
                let piece = self
                    .piece(&mut rows, &mut sample, schedule.chunk_rows)
                    .await?;
                more = piece.keys.len() == schedule.chunk_rows;
                if !piece.keys.is_empty() {
                    let (executor, cancel) = (&executor, self.cancel);
                    under_way.push_back(async move {
                        let inputs = piece.inputs.clone();
                        let features = features(executor, models, inputs, cancel).await;
                        (piece, features)
                    });
                }
            }
            let Some((piece, answers)) = under_way.next().await else {
                break;
            };
            let answers = answers?;
            let done = piece.keys.len() as u64;
            self.running.predicted.fetch_add(done, Relaxed);
            for ((key, input), answers) in piece.keys.iter().zip(&piece.inputs).zip(answers) {
                match answers {
                    Ok(answers) => {
                        let images = answers.len() as u64;
                        self.running.counters.images.fetch_add(images, Relaxed);
                        sample.answer(*key, answers);
                    }
                    Err(reason) => self.warn_of_unreadable(input, &reason)?,
                }
            }
        }
        self.warn_of_rows(&sample);
        Ok(sample.finish())
    }

    /// Up to `inputs` rows that are to be answered; fewer at the end only.
    async fn piece(
        &mut self,
        rows: &mut LabelledRows<'_>,
        sample: &mut Sample,
        inputs: usize,
    ) -> Result<Piece, LinkError> {
        let mut piece = Piece::default();
        while piece.keys.len() < inputs {
            let Some((input, label)) = rows.next().await? else {
                break;
            };
            let Some(key) = RowKey::of(&input) else {
                self.without_input += 1;
                continue;
            };
            let Some(label) = label else {
                self.without_label += 1;
                continue;
            };
            if sample.take(key, self.truth(&label)) {
                piece.keys.push(key);
                piece.inputs.push(input);
            }
        }
        Ok(piece)
    }

    /// The outcome that a label stands for: 0 where the task has no such class.
    fn truth(&self, label: &[u8]) -> u16 {
        let class = std::str::from_utf8(label).ok();
        let class = class.and_then(|label| self.request.task.class_index(label));
        class.and_then(|c| u16::try_from(c + 1).ok()).unwrap_or(0)
    }

    fn warn_of_unreadable(&mut self, input: &Input, reason: &str) -> Result<(), LinkError> {
        self.running.images_unreadable.fetch_add(1, Relaxed);
        let message = || format!("Image {} {reason}", short_name(input));
        if self.request.fail_on_error {
            return Err(SqlError::new(ErrorKind::UnreadableInput, message()).into());
        }
        self.diagnostics.warn(ErrorKind::UnreadableInput, || {
            format!("{}: it is left out", message())
        });
        Ok(())
    }

    fn warn_of_rows(&mut self, sample: &Sample) {
        for (rows, what) in [
            (self.without_label, "without a label are left out"),
            (self.without_input, "without an input are left out"),
            (
                sample.contradictory(),
                "have an input that came with another label before: the class that comes first counts",
            ),
        ] {
            if rows > 0 {
                self.diagnostics
                    .warn(ErrorKind::UnreadableInput, || format!("{rows} rows {what}"));
            }
        }
    }
}

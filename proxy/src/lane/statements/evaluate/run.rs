//! The work of an EVALUATE: rows off the store, models loaded and timed, and each row answered by
//! all of them, decoded once.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use predictsql_catalog::{CostCurve, Model, Task};
use predictsql_executor::evaluation::{Measured, RowKey, Rows, RowsMax, Sample, features};
use predictsql_executor::pump::{Feed, Pump, Room};
use predictsql_executor::{LoadedModel, ModelError};
use predictsql_optimizer::schedule::Schedule;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::{ErrorKind, SqlError};
use crate::lane::context::LaneContext;
use crate::lane::plans::stream::{KeyedInputs, RowInput, read_inputs};
use crate::lane::plans::unreadable::Unreadable;
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

    /// Has all rows answered.
    async fn answer(
        &mut self,
        rows: LabelledRows<'_>,
        models: &[LoadedModel],
    ) -> Result<Rows, LinkError> {
        let (running, cancel) = (self.running, self.cancel);
        // All of its pieces are one caller's, for the executor.
        let executor = self.context.executor.on_account(&running.counters.spent);
        let executor = &executor;
        let inputs = models.iter().map(LoadedModel::chunk_inputs).min();
        let schedule = Schedule::new(inputs.unwrap_or(1), executor.threads(), None);
        let sampling = Mutex::new(Sampling::default());
        running.enter(Phase::Predicting);
        running.inputs_known.store(true, Relaxed);
        let spool = rows.spool();
        let account = spool.account();
        let rows = SampledRows {
            rows,
            task: &self.request.task,
            sampling: &sampling,
        };
        let answer = |piece: KeyedInputs<RowKey>| async move {
            let (inputs, _room) = read_inputs(piece.inputs.clone(), account).await?;
            let features = features(executor, models, inputs, cancel).await?;
            Ok((piece, features))
        };
        let may_take = || spool.may_take();
        let mut pump = Pump::new(schedule, rows, may_take, answer, &running.predicted);
        let unreadable = Unreadable {
            fails: self.request.fail_on_error,
            instead: "it is left out",
        };
        while let Some((piece, answers)) = pump.next().await? {
            for ((key, input), answers) in piece.keys.iter().zip(&piece.inputs).zip(answers) {
                match answers {
                    Ok(answers) => {
                        let images = answers.len() as u64;
                        running.counters.images.fetch_add(images, Relaxed);
                        lock(&sampling).sample.answer(*key, answers);
                    }
                    Err(reason) => {
                        let name = || input.short_name();
                        unreadable.note(running, &mut self.diagnostics, name, &reason)?;
                    }
                }
            }
        }
        drop(pump);
        let sampling = sampling
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        self.warn_of_rows(&sampling);
        Ok(sampling.sample.finish())
    }

    fn warn_of_rows(&mut self, sampling: &Sampling) {
        for (rows, what) in [
            (sampling.without_label, "without a label are left out"),
            (sampling.without_input, "without an input are left out"),
            (
                sampling.sample.contradictory(),
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

/// What became of the rows so far.
struct Sampling {
    sample: Sample,
    without_label: u64,
    without_input: u64,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            sample: Sample::new(RowsMax::default()),
            without_label: 0,
            without_input: 0,
        }
    }
}

/// Held for a moment only: while rows are taken, others are answered.
fn lock(sampling: &Mutex<Sampling>) -> MutexGuard<'_, Sampling> {
    sampling.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes rows into the sample.
struct SampledRows<'r> {
    rows: LabelledRows<'r>,
    task: &'r Task,
    sampling: &'r Mutex<Sampling>,
}

impl Feed for SampledRows<'_> {
    type Piece = KeyedInputs<RowKey>;
    type Error = LinkError;

    async fn next(mut self, mut room: Room) -> Result<Option<(Self, Self::Piece)>, LinkError> {
        let mut piece = KeyedInputs::default();
        while !room.is_full()
            && let Some(row) = self.rows.next().await?
        {
            let key = self.key(&row.input).await?;
            let Some(key) = key.filter(|key| self.take(*key, row.label.as_deref())) else {
                continue;
            };
            match row.is_long {
                true => room.take_long(),
                false => room.take(row.held_bytes),
            }
            piece.keys.push(key);
            piece.inputs.push(row.input);
        }
        Ok((!piece.keys.is_empty()).then_some((self, piece)))
    }
}

impl SampledRows<'_> {
    /// What a row is known by; `None` without an input.
    async fn key(&self, input: &RowInput) -> Result<Option<RowKey>, LinkError> {
        let key = match input {
            RowInput::Here(input) => RowKey::of(input),
            RowInput::Far(_) => self.key_of_far(input.clone()).await?,
        };
        if key.is_none() {
            lock(self.sampling).without_input += 1;
        }
        Ok(key)
    }

    /// The same of an input on disk. A task of its own holds the room for it: this feed is not
    /// polled while answers are taken.
    async fn key_of_far(&self, input: RowInput) -> Result<Option<RowKey>, LinkError> {
        let account = Arc::clone(self.rows.spool().account());
        let task = tokio::spawn(async move {
            let (inputs, _room) = read_inputs(vec![input], &account).await?;
            Ok(inputs.first().and_then(RowKey::of))
        });
        let key = AbortOnDropHandle::new(task).await;
        key.unwrap_or_else(|_| Err(SqlError::other("internal error in EVALUATE").into()))
    }

    /// Whether a row is to be answered.
    fn take(&self, key: RowKey, label: Option<&[u8]>) -> bool {
        let mut sampling = lock(self.sampling);
        let Some(label) = label else {
            sampling.without_label += 1;
            return false;
        };
        sampling.sample.take(key, self.truth(label))
    }

    /// The outcome that a label stands for: 0 where the task has no such class.
    fn truth(&self, label: &[u8]) -> u16 {
        let class = std::str::from_utf8(label).ok();
        let class = class.and_then(|label| self.task.class_index(label));
        class.and_then(|c| u16::try_from(c + 1).ok()).unwrap_or(0)
    }
}

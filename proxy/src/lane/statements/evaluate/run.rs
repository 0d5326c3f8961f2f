//! The work of an EVALUATE: rows off the store, models loaded and timed, and each row answered by
//! all of them, decoded once.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use predictsql_catalog::{CostCurve, Model, Part};
use predictsql_executor::evaluation::{
    Foreign, Labels, Measured, RowKey, Rows, RowsMax, Sample, features,
};
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
use crate::lane::statements::evaluate::truth::{Truth, Truths};
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
    /// What became of the rows of the query.
    pub summary: Summary,
    /// What was wrong with rows.
    pub diagnostics: Diagnostics,
}

/// What became of the rows of the query, in numbers of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Used rows whose label is no class of the task.
    pub foreign: u64,
    /// Rows that are left out, by the reason.
    pub left_out: Vec<(&'static str, u64)>,
    /// Used rows of each part, in their order.
    pub parts: Vec<usize>,
}

/// Most labels that a warning of labels shows.
const FOREIGN_SHOWN_MAX: usize = 10;
/// Most characters of a label in a warning: those of the longest class.
const LABEL_CHARS_MAX: usize = 255;

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
        let form = (&self.request.form.input, image_bytes_max);
        let rows = LabelledRows::new(&spool, &columns, form);
        let (rows, summary) = self.answer(rows, &models, store).await?;
        if rows.is_empty() {
            return Err(SqlError::wrong_value(
                "EVALUATE found no row with an input that can be read and a label",
            )
            .into());
        }
        Ok(Outcomes {
            rows,
            measured,
            summary,
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
        store: &mut StoreLink<'_>,
    ) -> Result<(Rows, Summary), LinkError> {
        let (running, cancel) = (self.running, self.cancel);
        // All of its pieces are one caller's, for the executor.
        let executor = self.context.executor.of_task(&self.request.task);
        let executor = executor.on_account(&running.counters.spent);
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
            truths: Truths::new(&self.request.task),
            store,
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
                        lock(&sampling).unreadable += 1;
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
        let read = self.running.rows_read.load(Relaxed);
        Ok(sampling.finish(read))
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
        if sampling.foreign.rows() > 0 && !self.request.keep_foreign {
            let labels = Labels::new(&self.request.task.classes);
            let text = foreign_text(&sampling.foreign, &labels, &self.request.task.name);
            self.diagnostics.warn(ErrorKind::Other, || text);
        }
    }
}

/// Which labels are no class.
fn foreign_text(foreign: &Foreign, labels: &Labels, task: &str) -> String {
    let shown = foreign.most_frequent(FOREIGN_SHOWN_MAX);
    let more = match foreign.labels().saturating_sub(shown.len()) {
        0 => "",
        _ => ", and others",
    };
    let shown = shown.into_iter().map(|(label, rows)| {
        let nearest = labels.nearest(label).unwrap_or_default();
        format!("{} ({rows} rows, nearest class '{nearest}')", quoted(label))
    });
    format!(
        "{} rows have a label that is no class of task '{task}', and count as something foreign: {}{more}. \
         OPTIONS (foreign = 'keep') if they are meant",
        foreign.rows(),
        shown.collect::<Vec<_>>().join(", ")
    )
}

/// A label in quotes, without control characters.
fn quoted(label: &str) -> String {
    let mut shown: String = label
        .chars()
        .take(LABEL_CHARS_MAX)
        .flat_map(|c| match c.is_control() {
            true => c.escape_default().collect(),
            false => vec![c],
        })
        .collect();
    if label.chars().nth(LABEL_CHARS_MAX).is_some() {
        shown.push_str("...");
    }
    format!("'{shown}'")
}

/// What became of the rows so far.
struct Sampling {
    sample: Sample,
    without_label: u64,
    without_input: u64,
    unreadable: u64,
    foreign: Foreign,
}

impl Sampling {
    /// The rows that are used, and what became of all that were `read`.
    fn finish(self, read: u64) -> (Rows, Summary) {
        let repeated = self.sample.repeated();
        let rows = self.sample.finish();
        let truths = Part::ALL.into_iter().flat_map(|part| rows.truths(part));
        let foreign = truths.filter(|truth| *truth == 0).count() as u64;
        let mut left_out = vec![
            ("without a label", self.without_label),
            ("without an input", self.without_input),
            ("unreadable", self.unreadable),
            ("repeated", repeated),
        ];
        let known: u64 = left_out.iter().map(|(_, rows)| rows).sum();
        let used = rows.len() as u64;
        left_out.push(("too many", read.saturating_sub(used + known)));
        left_out.retain(|(_, rows)| *rows > 0);
        let summary = Summary {
            foreign,
            left_out,
            parts: Part::ALL.map(|part| rows.of(part).len()).to_vec(),
        };
        (rows, summary)
    }
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            sample: Sample::new(RowsMax::default()),
            without_label: 0,
            without_input: 0,
            unreadable: 0,
            foreign: Foreign::default(),
        }
    }
}

/// Held for a moment only: while rows are taken, others are answered.
fn lock(sampling: &Mutex<Sampling>) -> MutexGuard<'_, Sampling> {
    sampling.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes rows into the sample. The store, which has sent all rows, is asked about labels.
struct SampledRows<'r, 'l> {
    rows: LabelledRows<'r>,
    truths: Truths,
    store: &'r mut StoreLink<'l>,
    sampling: &'r Mutex<Sampling>,
}

impl Feed for SampledRows<'_, '_> {
    type Piece = KeyedInputs<RowKey>;
    type Error = LinkError;

    async fn next(mut self, mut room: Room) -> Result<Option<(Self, Self::Piece)>, LinkError> {
        let mut piece = KeyedInputs::default();
        while !room.is_full()
            && let Some(row) = self.rows.next().await?
        {
            let Some(key) = self.key(&row.input).await? else {
                continue;
            };
            if !self.take(key, row.label.as_deref()).await? {
                continue;
            }
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

impl SampledRows<'_, '_> {
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
    async fn take(&mut self, key: RowKey, label: Option<&[u8]>) -> Result<bool, LinkError> {
        let Some(label) = label else {
            lock(self.sampling).without_label += 1;
            return Ok(false);
        };
        let truth = self.truths.of(label, self.store).await?;
        let mut sampling = lock(self.sampling);
        let outcome = match truth {
            Truth::Class(outcome) => outcome,
            Truth::Foreign(label) => {
                sampling.foreign.note(&label);
                0
            }
        };
        Ok(sampling.sample.take(key, outcome))
    }
}

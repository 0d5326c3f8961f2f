//! The inference stage: runs batches and sends the outcomes to the callers.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::run::Run;
use crate::interrupt::Interrupt;
use crate::model::{Batch, ColumnsSpec, Compiled, Feed, Lease};
use crate::picture::InputSpec;
use crate::pieces::{Piece, SharedRun, TensorPool};
use crate::spent::Stage;
use crate::{ColumnValue, ModelError, Outcome, PredictError};

/// Executes runs of the same sessions and sends the outcomes to each of their callers; adds the
/// inputs that the model processed to `inferred` first. After `piece_max`, returns the rest of a
/// run that has more than one batch.
pub(super) fn infer(
    mut runs: Vec<Run>,
    (tensors, inferred): (&Arc<TensorPool>, &AtomicU64),
    (piece_max, clock): (Duration, Clock),
) -> Vec<Run> {
    runs.retain(|run| !run.piece.reply.is_abandoned());
    let Some(first) = runs.first() else {
        return Vec::new();
    };
    let compiled = first.compiled.clone();
    let begin = clock.now_ns();
    let shared = SharedRun::of(runs.iter().map(|run| &run.piece.reply));
    let batches = Batches {
        compiled: &compiled,
        runs: &runs,
        interrupt: &shared.interrupt,
        begin: Instant::now(),
        piece_max,
    };
    // State after a panic is not reused: the session is dropped with its lease.
    let outcomes = catch_unwind(AssertUnwindSafe(|| match compiled.feed() {
        Feed::Image(spec) => batches.images(spec, tensors),
        Feed::Columns(spec) => batches.rows(spec),
    }))
    .unwrap_or_else(|_panic| Err(Stop::Failed("internal error in inference".to_string())));
    match outcomes {
        Ok(outcomes) => {
            let looked_at = |outcome: &&Outcome| !matches!(outcome, Outcome::Unreadable(_));
            let count = outcomes.iter().filter(looked_at).count();
            inferred.fetch_add(count as u64, Ordering::Relaxed);
            share_out(&runs, clock.now_ns().saturating_sub(begin));
            answer(runs, outcomes)
        }
        Err(Stop::Abandoned) => Vec::new(),
        Err(Stop::Failed(reason)) => {
            for run in runs {
                let model = run.piece.model.name.clone();
                let reason = reason.clone();
                run.piece
                    .reply
                    .send(Err(PredictError::Model { model, reason }));
            }
            Vec::new()
        }
    }
}

/// Divides the duration of a batch among its callers by number of inputs.
fn share_out(runs: &[Run], ns: u64) {
    let all: usize = runs.iter().map(|run| run.piece.left()).sum();
    for run in runs {
        let share = run.piece.left() as f64 / all.max(1) as f64;
        run.piece
            .reply
            .spent(Stage::Inferring, (ns as f64 * share) as u64);
    }
}

/// Why inference ended early.
enum Stop {
    Abandoned,
    Failed(String),
}

/// Runs that use the same sessions.
struct Batches<'b> {
    compiled: &'b Compiled,
    runs: &'b [Run],
    interrupt: &'b Interrupt,
    begin: Instant,
    piece_max: Duration,
}

impl Batches<'_> {
    /// Outcomes of the images of all runs, in order, until the time limit.
    fn images(&self, spec: &InputSpec, tensors: &Arc<TensorPool>) -> Result<Vec<Outcome>, Stop> {
        let image_len = spec.image_len().max(1);
        let numbers = |range: Range<usize>| {
            range.start.saturating_mul(image_len)..range.end.saturating_mul(image_len)
        };
        if let [Run { piece, .. }] = self.runs
            && piece.places.is_none()
        {
            let images = piece.images(spec);
            return self.outcomes(piece.left(), |lease, range| {
                let range = piece.done + range.start..piece.done + range.end;
                let batch = images.get(numbers(range)).unwrap_or_default();
                self.run(lease, Batch::Images(batch))
            });
        }
        let of_piece = |piece| Piece::places_left(piece).map(move |place| (piece, place));
        let pieces = self.runs.iter().map(|run| &run.piece);
        let places: Vec<(&Piece, usize)> = pieces.flat_map(of_piece).collect();
        let mut tensor = tensors.take();
        self.outcomes(places.len(), |lease, range| {
            tensor.clear();
            tensor.reserve(range.len().saturating_mul(image_len));
            for (piece, place) in places.get(range).unwrap_or_default() {
                let image = piece
                    .images(spec)
                    .get(numbers(*place..place.saturating_add(1)));
                tensor.extend_from_slice(image.unwrap_or_default());
            }
            self.run(lease, Batch::Images(&tensor))
        })
    }

    /// Outcomes of the rows of all runs, in order, until the time limit; the model is not run on
    /// rows that it does not accept.
    fn rows(&self, spec: &ColumnsSpec) -> Result<Vec<Outcome>, Stop> {
        let rows = self.runs.iter().flat_map(|run| run.piece.column_rows());
        let rows: Vec<&[ColumnValue]> = rows.collect();
        self.outcomes(rows.len(), |lease, range| {
            let mut taken: Vec<&[ColumnValue]> = Vec::new();
            let mut outcomes = Vec::with_capacity(range.len());
            for row in rows.get(range).unwrap_or_default() {
                match spec.check(row) {
                    Ok(()) => {
                        taken.push(row);
                        outcomes.push(None);
                    }
                    Err(reason) => outcomes.push(Some(Outcome::Unreadable(reason))),
                }
            }
            let answers = match taken.is_empty() {
                true => Vec::new(),
                false => self.run(lease, Batch::Rows(&taken))?,
            };
            let mut answers = answers.into_iter();
            let outcomes = outcomes.into_iter();
            Ok(outcomes
                .map_while(|o| o.or_else(|| answers.next()))
                .collect())
        })
    }

    /// Runs a batch.
    fn run(&self, lease: &mut Lease<'_>, batch: Batch<'_>) -> Result<Vec<Outcome>, ModelError> {
        let reader = &self.compiled.sessions.contract().reader;
        lease.run(batch, self.interrupt, |numbers| reader.outcomes(numbers))
    }

    fn batch_inputs(&self) -> usize {
        let batch_max = self.compiled.sessions.batch_inputs_max();
        self.compiled.batch_inputs.min(batch_max).max(1)
    }

    /// Calls `run` for batch after batch of `inputs`, until the time limit.
    fn outcomes(
        &self,
        inputs: usize,
        mut run: impl FnMut(&mut Lease<'_>, Range<usize>) -> Result<Vec<Outcome>, ModelError>,
    ) -> Result<Vec<Outcome>, Stop> {
        let failed = |error: ModelError| match self.interrupt.is_set() {
            true => Stop::Abandoned,
            false => Stop::Failed(error.to_string()),
        };
        let batch = self.batch_inputs();
        let mut outcomes = Vec::with_capacity(inputs);
        let mut lease = None;
        while outcomes.len() < inputs {
            if self.runs.iter().all(|run| run.piece.reply.is_abandoned()) {
                return Err(Stop::Abandoned);
            }
            if !outcomes.is_empty() && self.begin.elapsed() >= self.piece_max {
                break;
            }
            let lease = match &mut lease {
                Some(lease) => lease,
                none => {
                    let sessions = &self.compiled.sessions;
                    none.insert(sessions.lease(self.interrupt).map_err(failed)?)
                }
            };
            let range = outcomes.len()..outcomes.len().saturating_add(batch).min(inputs);
            let wanted = range.len();
            let read = run(lease, range).map_err(failed)?;
            if read.len() != wanted {
                return Err(Stop::Failed("it gave too few rows".to_string()));
            }
            outcomes.extend(read);
        }
        Ok(outcomes)
    }
}

/// Sends the outcomes of completed runs to their callers, and returns the other runs.
fn answer(runs: Vec<Run>, inferred: Vec<Outcome>) -> Vec<Run> {
    let mut inferred = inferred.into_iter();
    let mut rest = Vec::new();
    for mut run in runs {
        run.piece.fill(&mut inferred);
        if run.piece.left() > 0 {
            rest.push(run);
            continue;
        }
        run.piece.answer();
    }
    rest
}

//! The inference stage: runs batches and answers the callers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::chunk::{Answered, Run};
use super::reply::SharedRun;
use super::tensor::TensorPool;
use super::thread_cpu_ns;
use crate::columns::ColumnsSpec;
use crate::interrupt::Interrupt;
use crate::model::{Batch, Compiled, Feed};
use crate::picture::InputSpec;
use crate::spent::Stage;
use crate::{ColumnValue, Outcome, PredictError};

/// Makes runs of the same sessions and answers each of their callers; adds the inputs that the model
/// looked at to `inferred` before it answers.
pub(super) fn infer(mut runs: Vec<Run>, tensors: &Arc<TensorPool>, inferred: &AtomicU64) {
    runs.retain(|run| !run.reply.is_abandoned());
    let Some(first) = runs.first() else {
        return;
    };
    let compiled = first.model.compiled().clone();
    let begin = thread_cpu_ns();
    let shared = SharedRun::of(runs.iter().map(|run| &run.reply));
    let batches = Batches {
        compiled: &compiled,
        runs: &runs,
        interrupt: &shared.interrupt,
    };
    // What a panic leaves behind is not used again: the session is dropped with its lease.
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
            share_out(&runs, thread_cpu_ns().saturating_sub(begin));
            answer(runs, outcomes);
        }
        Err(Stop::Abandoned) => {}
        Err(Stop::Failed(reason)) => {
            for run in runs {
                let model = run.model.model().name.clone();
                let reason = reason.clone();
                run.reply.send(Err(PredictError::Model { model, reason }));
            }
        }
    }
}

/// Tells each caller its share of what their runs took together, by the inputs.
fn share_out(runs: &[Run], ns: u64) {
    let all: usize = runs.iter().map(|run| run.rows.len()).sum();
    for run in runs {
        let share = run.rows.len() as f64 / all.max(1) as f64;
        run.reply
            .spent(Stage::Inferring, (ns as f64 * share) as u64);
    }
}

/// Why inference ended early.
enum Stop {
    Abandoned,
    Failed(String),
}

/// Runs that go through the same sessions.
struct Batches<'b> {
    compiled: &'b Compiled,
    runs: &'b [Run],
    interrupt: &'b Interrupt,
}

impl Batches<'_> {
    /// Outcomes of all images of all runs, in order.
    fn images(&self, spec: &InputSpec, tensors: &Arc<TensorPool>) -> Result<Vec<Outcome>, Stop> {
        if let [run @ Run { places: None, .. }] = self.runs {
            return self.tensor(spec, run.images(spec));
        }
        let mut tensor = tensors.take();
        for run in self.runs {
            gather(run, spec, &mut tensor);
        }
        self.tensor(spec, &tensor)
    }

    fn tensor(&self, spec: &InputSpec, tensor: &[f32]) -> Result<Vec<Outcome>, Stop> {
        let image_len = spec.image_len().max(1);
        let batch = self.batch_inputs().saturating_mul(image_len);
        let batches = tensor.chunks(batch).map(Batch::Images);
        self.outcomes(batches, tensor.len() / image_len)
    }

    /// Outcomes of all rows of all runs, in order; rows that the model cannot take are left out.
    fn rows(&self, spec: &ColumnsSpec) -> Result<Vec<Outcome>, Stop> {
        let mut outcomes = Vec::new();
        let mut rows: Vec<&[ColumnValue]> = Vec::new();
        for row in self.runs.iter().flat_map(Run::column_rows) {
            match spec.check(row) {
                Ok(()) => {
                    rows.push(row);
                    outcomes.push(None);
                }
                Err(reason) => outcomes.push(Some(Outcome::Unreadable(reason))),
            }
        }
        let batches = rows.chunks(self.batch_inputs()).map(Batch::Rows);
        let mut answers = self.outcomes(batches, rows.len())?.into_iter();
        let filled = outcomes
            .into_iter()
            .map(|outcome| outcome.or_else(|| answers.next()));
        let filled: Option<Vec<_>> = filled.collect();
        filled.ok_or_else(|| Stop::Failed("it gave too few rows".to_string()))
    }

    fn batch_inputs(&self) -> usize {
        let batch_max = self.compiled.sessions.batch_inputs_max();
        self.compiled.batch_inputs.min(batch_max).max(1)
    }

    fn outcomes<'i>(
        &self,
        batches: impl Iterator<Item = Batch<'i>>,
        inputs: usize,
    ) -> Result<Vec<Outcome>, Stop> {
        let failed = |error: crate::ModelError| match self.interrupt.is_set() {
            true => Stop::Abandoned,
            false => Stop::Failed(error.to_string()),
        };
        let sessions = &self.compiled.sessions;
        let reader = &sessions.contract().reader;
        let mut outcomes = Vec::with_capacity(inputs);
        let mut lease = None;
        for batch in batches {
            if self.runs.iter().all(|run| run.reply.is_abandoned()) {
                return Err(Stop::Abandoned);
            }
            let lease = match &mut lease {
                Some(lease) => lease,
                none => none.insert(sessions.lease(self.interrupt).map_err(failed)?),
            };
            let read = lease.run(batch, self.interrupt, |numbers| reader.outcomes(numbers));
            let read = read.map_err(failed)?.ok_or_else(|| {
                Stop::Failed("its output is not finite (NaN or infinity)".to_string())
            })?;
            outcomes.extend(read);
        }
        Ok(outcomes)
    }
}

/// Appends the images of a run to a tensor.
fn gather(run: &Run, spec: &InputSpec, tensor: &mut Vec<f32>) {
    let numbers = run.images(spec);
    let Some(places) = &run.places else {
        tensor.extend_from_slice(numbers);
        return;
    };
    let image_len = spec.image_len();
    tensor.reserve(places.len().saturating_mul(image_len));
    for place in places {
        let begin = place.saturating_mul(image_len);
        if let Some(image) = numbers.get(begin..begin.saturating_add(image_len)) {
            tensor.extend_from_slice(image);
        }
    }
}

fn answer(runs: Vec<Run>, inferred: Vec<Outcome>) {
    let mut inferred = inferred.into_iter();
    for run in runs {
        let Run {
            reply,
            model,
            chunk,
            mut outcomes,
            rows,
            ids,
            ..
        } = run;
        // Its memory and its permit are free before the caller goes on.
        drop(chunk);
        let filled = rows
            .iter()
            .all(|row| match (outcomes.get_mut(*row), inferred.next()) {
                (Some(place), Some(outcome)) => {
                    *place = outcome;
                    true
                }
                _ => false,
            });
        reply.send(if filled {
            Ok(Answered { outcomes, ids })
        } else {
            let model = model.model().name.clone();
            let reason = "it gave too few rows".to_string();
            Err(PredictError::Model { model, reason })
        });
    }
}

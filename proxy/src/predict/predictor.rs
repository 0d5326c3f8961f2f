//! One prediction of one statement: from inputs to answers.

use std::sync::Arc;

use predictsql_catalog::{Task, TaskInput};
use predictsql_executor::{Executor, Input, LoadedModel};
use predictsql_optimizer::planner::{Decision, Voter};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::piece::Piece;
use super::places::Places;
use super::{Answer, CacheMode, OutputCache, Planned, Work, failure, interrupted};
use crate::error::SqlError;

/// Answers a prediction as its decision says.
#[derive(Debug)]
pub struct Predictor {
    shared: Arc<Shared>,
}

/// What the pieces under way share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) executor: Executor,
    pub(super) cache: OutputCache,
    pub(super) task: Arc<Task>,
    pub(super) planned: Arc<Planned>,
    /// One a voter of the decision, in the order of the stages.
    pub(super) models: Vec<Model>,
    /// Classes whose scores answers hold, ascending.
    pub(super) scored: Vec<usize>,
    pub(super) work: Arc<Work>,
}

/// What runs a voter.
#[derive(Debug)]
pub(super) struct Model {
    /// Identity of its outputs.
    pub(super) output: [u8; 16],
    /// Loaded when first needed.
    loaded: OnceCell<LoadedModel>,
}

impl Predictor {
    /// A predictor of `task` whose answers hold the scores of the classes `scored` (positions among the
    /// task's classes, ascending). Loads nothing yet.
    pub fn new(
        executor: &Executor,
        cache: &OutputCache,
        task: &Arc<Task>,
        planned: Arc<Planned>,
        scored: Vec<usize>,
        work: &Arc<Work>,
    ) -> Self {
        let model = |voter: &Voter| Model {
            output: voter.model.output_id(),
            loaded: OnceCell::new(),
        };
        let shared = Shared {
            executor: executor.clone(),
            cache: cache.clone(),
            task: Arc::clone(task),
            models: planned.plan.decision.voters().map(model).collect(),
            planned,
            scored,
            work: Arc::clone(work),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What it answers by.
    pub fn planned(&self) -> &Planned {
        &self.shared.planned
    }

    /// The score of a class (its position among the task's classes) in an answer of this predictor.
    pub fn score(&self, answer: &Answer, class: usize) -> Option<f64> {
        answer.score(self.shared.scored.binary_search(&class).ok()?)
    }

    /// What to warn of before any input is seen: scored classes that no model run covers.
    pub fn uncovered_classes(&self) -> impl Iterator<Item = String> + '_ {
        let shared = &self.shared;
        let voters = || shared.decision().voters();
        let uncovered = move |class: &&usize| voters().all(|v| v.label_of_class(**class).is_none());
        shared.scored.iter().filter(uncovered).map(|class| {
            let name = shared.task.classes.get(*class).map_or("", String::as_str);
            let model = shared.decision().voters().next();
            let model = model.map_or("", |voter| voter.model.name.as_str());
            format!("Model '{model}' does not cover class '{name}': its score is NULL")
        })
    }

    /// One answer an input, in order. Cancelling stops the work within one batch.
    ///
    /// # Errors
    /// A model that cannot be loaded or that fails; 1317 where it was cancelled.
    pub async fn answer(
        &self,
        inputs: Vec<Input>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Answer>, SqlError> {
        if inputs.iter().all(|input| matches!(input, Input::Null)) {
            return Ok(vec![Answer::Null; inputs.len()]);
        }
        if let [_] = &self.shared.models[..] {
            return self.shared.answer(inputs, cancel).await;
        }
        // What is prepared for several models is held until the last has run: a client that reads
        // slowly must not hold it up.
        let (shared, cancel) = (Arc::clone(&self.shared), cancel.clone());
        let task = tokio::spawn(async move { shared.answer(inputs, &cancel).await });
        let answered = AbortOnDropHandle::new(task).await;
        answered.unwrap_or_else(|_| Err(SqlError::other("internal error in predicting")))
    }
}

impl Shared {
    pub(super) fn decision(&self) -> &Decision {
        &self.planned.plan.decision
    }

    async fn answer(
        &self,
        inputs: Vec<Input>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Answer>, SqlError> {
        let ids = match self.looks_up() {
            true => Some(self.executor.identify(&inputs, cancel).await),
            false => None,
        };
        let ids = ids.transpose().map_err(failure)?;
        let mut places = Places::default();
        match ids {
            Some(ids) => {
                let identified = inputs.into_iter().zip(ids);
                identified.for_each(|(input, id)| places.add(input, id));
            }
            None => inputs.into_iter().for_each(|input| places.add(input, None)),
        }
        let mut piece = Piece::new(self, places.take_contents(), cancel);
        let answers = piece.answer().await?;
        self.work.hit(places.repeated() + piece.hits());
        Ok(places.answers(&answers))
    }

    /// Whether outputs may be kept: looking one up costs more than a model over columns.
    pub(super) fn looks_up(&self) -> bool {
        let image = matches!(self.task.input, TaskInput::Image);
        image && self.cache.is_on() && self.work.mode() != CacheMode::Off
    }

    /// Whether new outputs are kept.
    pub(super) fn keeps(&self) -> bool {
        self.looks_up() && self.work.mode() == CacheMode::On
    }

    /// The model of a voter.
    pub(super) async fn model(
        &self,
        voter: usize,
        cancel: &CancellationToken,
    ) -> Result<&LoadedModel, SqlError> {
        let unknown = || SqlError::other("a voter without a model");
        let place = self.models.get(voter).ok_or_else(unknown)?;
        let asked = self.decision().voters().nth(voter).ok_or_else(unknown)?;
        let load = async {
            let loaded = self.executor.load(&asked.model).await;
            loaded.map_err(|error| SqlError::from(&error))
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(interrupted()),
            model = place.loaded.get_or_try_init(|| load) => model,
        }
    }
}

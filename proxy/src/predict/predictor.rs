//! One prediction of one statement: from inputs to answers.

use std::sync::Arc;

use predictsql_catalog::{Task, TaskInput};
use predictsql_executor::{Executor, Input, LoadedModel, Outcome, Scores};
use predictsql_optimizer::decision::Decision;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::places::Places;
use super::{Answer, CacheMode, OutputCache, SCORE_PARTS, Work, failure, interrupted};
use crate::error::SqlError;

/// Answers a prediction as its decision says.
#[derive(Debug)]
pub struct Predictor {
    executor: Executor,
    cache: OutputCache,
    task: Arc<Task>,
    decision: Decision,
    /// Identity of the model's outputs.
    output: [u8; 16],
    /// Classes whose scores answers hold, ascending.
    scored: Vec<usize>,
    /// Loaded when first needed.
    model: OnceCell<LoadedModel>,
    work: Arc<Work>,
}

impl Predictor {
    /// A predictor of `task` whose answers hold the scores of the classes `scored` (positions among the
    /// task's classes, ascending). Loads nothing yet.
    pub fn new(
        executor: &Executor,
        cache: &OutputCache,
        task: &Arc<Task>,
        decision: Decision,
        scored: Vec<usize>,
        work: &Arc<Work>,
    ) -> Self {
        Self {
            executor: executor.clone(),
            cache: cache.clone(),
            task: Arc::clone(task),
            output: decision.model.output_id(),
            decision,
            scored,
            model: OnceCell::new(),
            work: Arc::clone(work),
        }
    }

    /// What it answers by.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The score of a class (its position among the task's classes) in an answer of this predictor.
    pub fn score(&self, answer: &Answer, class: usize) -> Option<f64> {
        answer.score(self.scored.binary_search(&class).ok()?)
    }

    /// What to warn of before any input is seen: scored classes that no model run covers.
    pub fn uncovered_classes(&self) -> impl Iterator<Item = String> + '_ {
        let uncovered = |class: &&usize| self.decision.label_of_class(**class).is_none();
        self.scored.iter().filter(uncovered).map(|class| {
            let name = self.task.classes.get(*class).map_or("", String::as_str);
            let model = &self.decision.model.name;
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
        if !self.looks_up() {
            return self.infer(inputs, cancel).await;
        }
        let ids = self.executor.identify(&inputs, cancel).await;
        let ids = ids.map_err(failure)?;
        let labels = self.decision.model.options.labels.len();
        let found = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(interrupted()),
            found = self.cache.find(self.output, labels, &ids) => found,
        };
        let mut places = Places::default();
        for ((input, id), found) in inputs.into_iter().zip(ids).zip(found) {
            let known = found.map(|scores| self.class_of(&scores));
            places.add(input, id, known);
        }
        self.work.missed(places.missing);
        let answers = self.infer(std::mem::take(&mut places.run), cancel).await?;
        self.work.hit(places.hits());
        Ok(places.answers(&answers))
    }

    /// Whether outputs may be kept: looking one up costs more than a model over columns.
    fn looks_up(&self) -> bool {
        let image = matches!(self.task.input, TaskInput::Image);
        image && self.cache.is_on() && self.work.mode() != CacheMode::Off
    }

    /// Runs the model.
    async fn infer(
        &self,
        inputs: Vec<Input>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Answer>, SqlError> {
        if inputs.is_empty() {
            return Ok(Vec::new());
        }
        let model = self.model(cancel).await?;
        let outcomes = if self.looks_up() && self.work.mode() == CacheMode::On {
            let predicted = self
                .executor
                .predict_identified(model, inputs, cancel)
                .await;
            let (outcomes, ids) = predicted.map_err(failure)?;
            let said = ids.into_iter().zip(&outcomes);
            let scores = said.filter_map(|(id, outcome)| match outcome {
                Outcome::Scores(scores) => Some((id, scores)),
                _ => None,
            });
            self.cache.keep(self.output, scores);
            outcomes
        } else {
            let predicted = self.executor.predict(model, inputs, cancel).await;
            predicted.map_err(failure)?
        };
        let seen = |o: &&Outcome| matches!(o, Outcome::Scores(_) | Outcome::Value(_));
        self.work.inferred(outcomes.iter().filter(seen).count());
        Ok(outcomes.into_iter().map(|o| self.answer_of(o)).collect())
    }

    async fn model(&self, cancel: &CancellationToken) -> Result<&LoadedModel, SqlError> {
        let load = async {
            let loaded = self.executor.load(&self.decision.model).await;
            loaded.map_err(|error| SqlError::from(&error))
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(interrupted()),
            model = self.model.get_or_try_init(|| load) => model,
        }
    }

    fn answer_of(&self, outcome: Outcome) -> Answer {
        match outcome {
            Outcome::Null | Outcome::Value(_) => Answer::Null,
            Outcome::Unreadable(reason) => Answer::Unreadable(reason),
            Outcome::Scores(scores) => self.class_of(&scores),
        }
    }

    fn class_of(&self, scores: &Scores) -> Answer {
        let code = self.decision.codes.get(scores.best()).copied();
        let score = |class: &usize| {
            let label = self.decision.label_of_class(*class)?;
            let score = f64::from(*scores.probabilities().get(label)?);
            Some((score * SCORE_PARTS).round() / SCORE_PARTS)
        };
        Answer::Class {
            code: code.unwrap_or(0),
            scores: self.scored.iter().map(score).collect(),
        }
    }
}

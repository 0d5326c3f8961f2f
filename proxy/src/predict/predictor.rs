//! One prediction of one statement: from inputs to answers.

use std::sync::Arc;

use predictsql_catalog::{Task, TaskInput};
use predictsql_executor::{Executor, Input, InputId, LoadedModel, Scores};
use predictsql_optimizer::planner::{Decided, Decision, Voter};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::piece::Piece;
use super::places::{Places, UnderWay};
use super::{Answer, CacheMode, Forecast, OutputCache, Tally, Work, failure, interrupted};
use crate::error::{ErrorKind, SqlError};

/// As of inputs that cannot be read: a NULL in their place.
const CLASS_NOT_COVERED: ErrorKind = ErrorKind::UnreadableInput;
/// As of constraints that cannot be kept.
const LIMIT_NOT_PLANNED: ErrorKind = ErrorKind::Constraint;

/// Answers a prediction as its decision says.
#[derive(Debug, Clone)]
pub struct Predictor {
    shared: Arc<Shared>,
}

/// What the pieces under way share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) executor: Executor,
    pub(super) cache: OutputCache,
    pub(super) task: Arc<Task>,
    pub(super) planned: Arc<Decided>,
    /// One a voter of the decision, in the order of the stages.
    pub(super) models: Vec<Model>,
    /// Classes whose scores answers hold, ascending.
    pub(super) scored: Vec<usize>,
    pub(super) work: Arc<Work>,
    pub(super) tally: Tally,
    /// What pieces of the statement are having predicted.
    under_way: UnderWay,
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
        planned: Arc<Decided>,
        scored: Vec<usize>,
        work: &Arc<Work>,
    ) -> Self {
        let model = |voter: &Voter| Model {
            output: voter.model.output_id(),
            loaded: OnceCell::new(),
        };
        let tally = Tally::new(&planned.plan.decision, work.spent());
        let account = Arc::clone(&tally.prepared);
        let shared = Shared {
            tally,
            executor: executor.on_account(&account),
            cache: cache.clone(),
            task: Arc::clone(task),
            models: planned.plan.decision.voters().map(model).collect(),
            planned,
            scored,
            work: Arc::clone(work),
            under_way: UnderWay::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// What it answers by.
    pub fn planned(&self) -> &Decided {
        &self.shared.planned
    }

    /// What it has done so far.
    pub fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    /// What it does with kept outputs; `None`: inputs of this kind are not looked up.
    pub fn cache_mode(&self) -> Option<CacheMode> {
        let looks_up = matches!(self.shared.task.input, TaskInput::Image);
        let on = looks_up && self.shared.cache.is_on();
        on.then(|| self.shared.work.mode())
    }

    /// Share of the outputs that were found kept, of all that were looked up of the first stage's models since the
    /// start, by whatever statement; of the model whose share is least. `None`: not all were looked up.
    pub fn hit_rate_so_far(&self) -> Option<f64> {
        let shared = &self.shared;
        let models = shared.models.get(shared.first_voters())?;
        let rates = models.iter().map(|m| shared.cache.hit_rate(m.output));
        let rates: Option<Vec<f64>> = rates.collect();
        rates?.into_iter().reduce(f64::min)
    }

    /// The score of a class (its position among the task's classes) in an answer of this predictor.
    pub fn score(&self, answer: &Answer, class: usize) -> Option<f64> {
        answer.score(self.shared.scored.binary_search(&class).ok()?)
    }

    /// What to warn of before any input is seen.
    pub fn warnings(&self) -> impl Iterator<Item = (ErrorKind, String)> + '_ {
        let limits = self.planned().unplanned_limits();
        let limits = limits.map(|text| (LIMIT_NOT_PLANNED, text));
        let uncovered = self.uncovered_classes();
        let unshown = self.planned().unshown(&self.shared.task);
        let unshown = unshown.map(|text| (LIMIT_NOT_PLANNED, text));
        limits
            .into_iter()
            .chain(unshown)
            .chain(uncovered.map(|text| (CLASS_NOT_COVERED, text)))
    }

    /// Scored classes that no model run covers.
    fn uncovered_classes(&self) -> impl Iterator<Item = String> + '_ {
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

    /// Adds to `forecast` what models would have to look at, were these inputs to be answered. Runs none.
    ///
    /// # Errors
    /// 1317 where it was cancelled.
    pub async fn forecast(
        &self,
        inputs: Vec<Input>,
        forecast: &mut Forecast,
        cancel: &CancellationToken,
    ) -> Result<(), SqlError> {
        let shared = &self.shared;
        if !matches!(shared.task.input, TaskInput::Image) {
            let given = inputs.iter().filter(|input| !matches!(input, Input::Null));
            let given = given.count();
            shared.first_voters().for_each(|v| forecast.add(v, given));
            return Ok(());
        }
        // What cannot be identified cannot be read either.
        let ids = shared.executor.identify(&inputs, cancel).await;
        let ids = ids.map_err(failure)?;
        if !shared.looks_up() {
            let readable = ids.iter().flatten().count();
            shared
                .first_voters()
                .for_each(|v| forecast.add(v, readable));
            return Ok(());
        }
        for voter in shared.first_voters() {
            let found = shared.find(voter, &ids).await;
            for (id, found) in ids.iter().zip(found) {
                match (id, found, shared.keeps()) {
                    (Some(id), None, true) => forecast.add_content(voter, *id),
                    (Some(_), None, false) => forecast.add(voter, 1),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// How many models look at every input.
    pub fn models_each(&self) -> u64 {
        self.shared.first_voters().len() as u64
    }

    /// Seconds that those inputs take on all threads, where the models were measured.
    pub fn seconds(&self, forecast: &Forecast) -> Option<f64> {
        let voters = self.shared.decision().voters();
        let seconds = voters.zip(forecast.by_voter()).map(|(voter, inputs)| {
            match (voter.model.seconds_per_image, *inputs) {
                (_, 0) => Some(0.0),
                (each, inputs) => Some(each? * inputs as f64),
            }
        });
        let threads = self.shared.executor.threads().max(1);
        Some(seconds.sum::<Option<f64>>()? / threads as f64)
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
                identified.for_each(|(input, id)| places.add(&self.under_way, input, id));
            }
            None => {
                let unidentified = inputs.into_iter();
                unidentified.for_each(|input| places.add(&self.under_way, input, None));
            }
        }
        let mut piece = Piece::new(self, places.take_contents(), cancel);
        let answers = piece.answer().await?;
        let repeated = places.repeated();
        self.work.hit(repeated + piece.hits());
        let answers = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(interrupted()),
            // Others fail with the statement.
            answers = places.answers(&self.under_way, &answers) => answers.ok_or_else(interrupted)?,
        };
        self.tally.answered(&answers, repeated);
        Ok(answers)
    }

    /// Numbers of the voters that look at every input.
    fn first_voters(&self) -> std::ops::Range<usize> {
        let first = self.decision().stages.first();
        0..first.map_or(0, |stage| stage.voters.len())
    }

    /// The kept outputs of a voter's model.
    async fn find(&self, voter: usize, ids: &[Option<InputId>]) -> Vec<Option<Scores>> {
        let (Some(model), Some(asked)) =
            (self.models.get(voter), self.decision().voters().nth(voter))
        else {
            return vec![None; ids.len()];
        };
        let labels = asked.model.options.labels.len();
        self.cache.find(model.output, labels, ids).await
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

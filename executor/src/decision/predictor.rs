//! One prediction of one caller: from inputs to answers.

use std::sync::Arc;

use predictsql_catalog::{Task, TaskInput};
use predictsql_optimizer::planner::Decided;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::answer::Answer;
use super::distinct::{DistinctInputs, UnderWay};
use super::forecast::Forecast;
use super::shared::{Model, Shared};
use super::stages::StagedRun;
use super::tally::Tally;
use super::work::Work;
use crate::error::PredictError;
use crate::executor::Executor;
use crate::input::Input;
use crate::kept::{CacheMode, OutputCache};

/// A limit on what a prediction shows that its caller is to be warned of before any input is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PredictorWarning {
    /// Figures and promises of the plan leave something out; a sentence.
    LimitNotPlanned(String),
    /// A class whose score is asked for, and that no model run covers: its score is unknown.
    ClassNotCovered {
        /// Name of the first model.
        model: String,
        /// Name of the class.
        class: String,
    },
}

/// Answers a prediction as its decision says.
#[derive(Debug, Clone)]
pub struct Predictor {
    shared: Arc<Shared>,
}

impl Predictor {
    /// A predictor of `task` whose answers hold the scores of the classes `scored` (positions
    /// among the task's classes, ascending). Loads nothing yet.
    pub fn new(
        executor: &Executor,
        cache: &OutputCache,
        task: &Arc<Task>,
        planned: Arc<Decided>,
        scored: Vec<usize>,
        work: &Arc<Work>,
    ) -> Self {
        let tally = Tally::new(&planned.plan.decision, work.spent());
        let account = Arc::clone(&tally.prepared);
        let shared = Shared {
            tally,
            executor: executor.on_account(&account),
            cache: cache.clone(),
            task: Arc::clone(task),
            models: planned.plan.decision.voters().map(Model::of).collect(),
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

    /// Share of the outputs that were found kept, of all that were looked up of the first stage's
    /// models since the start, by whatever statement; of the model whose share is least.
    /// `None`: not all were looked up.
    pub fn hit_rate_so_far(&self) -> Option<f64> {
        let shared = &self.shared;
        let models = shared.models.get(shared.first_voters())?;
        let rates = models.iter().map(|m| shared.cache.hit_rate(m.output));
        let rates: Option<Vec<f64>> = rates.collect();
        rates?.into_iter().reduce(f64::min)
    }

    /// The score of a class (its position among the task's classes) in an answer of this
    /// predictor.
    pub fn score(&self, answer: &Answer, class: usize) -> Option<f64> {
        answer.score(self.shared.scored.binary_search(&class).ok()?)
    }

    /// What to warn of before any input is seen.
    pub fn warnings(&self) -> impl Iterator<Item = PredictorWarning> + '_ {
        let limits = self.planned().unplanned_limits();
        let unshown = self.planned().unshown(&self.shared.task);
        limits
            .into_iter()
            .chain(unshown)
            .map(PredictorWarning::LimitNotPlanned)
            .chain(self.uncovered_classes())
    }

    /// Scored classes that no model run covers.
    fn uncovered_classes(&self) -> impl Iterator<Item = PredictorWarning> + '_ {
        let shared = &self.shared;
        let voters = || shared.decision().voters();
        let uncovered = move |class: &&usize| voters().all(|v| v.label_of_class(**class).is_none());
        shared.scored.iter().filter(uncovered).map(|class| {
            let class = shared.task.classes.get(*class).cloned();
            let model = shared.decision().voters().next();
            PredictorWarning::ClassNotCovered {
                model: model.map_or_else(String::new, |voter| voter.model.name.clone()),
                class: class.unwrap_or_default(),
            }
        })
    }

    /// Adds to `forecast` what models would have to look at,
    /// were these inputs to be answered. Runs none.
    ///
    /// # Errors
    /// [`PredictError::Cancelled`] and [`PredictError::Stopped`].
    pub async fn forecast(
        &self,
        inputs: Vec<Input>,
        forecast: &mut Forecast,
        cancel: &CancellationToken,
    ) -> Result<(), PredictError> {
        let shared = &self.shared;
        if !matches!(shared.task.input, TaskInput::Image) {
            let given = inputs.iter().filter(|input| !matches!(input, Input::Null));
            let given = given.count();
            shared.first_voters().for_each(|v| forecast.add(v, given));
            return Ok(());
        }
        // What cannot be identified cannot be read either.
        let ids = shared.executor.identify(&inputs, cancel).await;
        let ids = ids?;
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
    /// A model that cannot be loaded or that fails, a limit of inferences that is exceeded, or
    /// [`PredictError::Cancelled`].
    pub async fn answer(
        &self,
        inputs: Vec<Input>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Answer>, PredictError> {
        if inputs.iter().all(|input| matches!(input, Input::Null)) {
            return Ok(vec![Answer::Null; inputs.len()]);
        }
        if let [_] = &self.shared.models[..] {
            return answer(&self.shared, inputs, cancel).await;
        }
        // What is prepared for several models is held until the last has run: a client that reads
        // slowly must not hold it up.
        let (shared, cancel) = (Arc::clone(&self.shared), cancel.clone());
        let task = tokio::spawn(async move { answer(&shared, inputs, &cancel).await });
        let answered = AbortOnDropHandle::new(task).await;
        answered.unwrap_or(Err(PredictError::Internal {
            reason: "internal error in predicting",
        }))
    }
}

/// One answer an input, in order.
async fn answer(
    shared: &Shared,
    inputs: Vec<Input>,
    cancel: &CancellationToken,
) -> Result<Vec<Answer>, PredictError> {
    let ids = match shared.looks_up() {
        true => Some(shared.executor.identify(&inputs, cancel).await),
        false => None,
    };
    let ids = ids.transpose()?;
    let mut places = DistinctInputs::default();
    match ids {
        Some(ids) => {
            let identified = inputs.into_iter().zip(ids);
            identified.for_each(|(input, id)| places.add(&shared.under_way, input, id));
        }
        None => {
            let unidentified = inputs.into_iter();
            unidentified.for_each(|input| places.add(&shared.under_way, input, None));
        }
    }
    let mut run = StagedRun::new(shared, places.take_contents(), cancel);
    let answers = run.answer().await?;
    let repeated = places.repeated();
    shared.work.hit(repeated + run.hits());
    let answers = tokio::select! {
        biased;
        () = cancel.cancelled() => return Err(PredictError::Cancelled),
        // Where another piece fails, the whole work does.
        answers = places.answers(&shared.under_way, &answers) => answers.ok_or(PredictError::Cancelled)?,
    };
    shared.tally.answered(&answers, repeated);
    Ok(answers)
}

/// Refuses work whose predictors would have models look at more than it may.
///
/// # Errors
/// See [`Work::admit`].
pub fn admit<'p>(
    work: &Work,
    forecasts: impl Iterator<Item = (&'p Predictor, &'p Forecast)>,
) -> Result<(), PredictError> {
    let (mut inputs, mut seconds) = (0, Some(0.0));
    for (predictor, forecast) in forecasts {
        inputs += forecast.inputs();
        let of_this = predictor.seconds(forecast);
        seconds = seconds.zip(of_this).map(|(sum, more)| sum + more);
    }
    work.admit(inputs, seconds)
}

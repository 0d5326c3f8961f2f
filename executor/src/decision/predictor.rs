//! One prediction of one caller: from inputs to answers.

use std::sync::Arc;

use predictsql_catalog::{Task, TaskInput};
use predictsql_optimizer::planner::{Decided, Voter};
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

/// A warning for the caller that is known before any input is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PredictorWarning {
    /// A requirement that the plan's estimates and guarantees do not cover; a sentence.
    LimitNotPlanned(String),
    /// A class whose score is requested but that no executed model covers: its score is unknown.
    ClassNotCovered {
        /// Name of the first model.
        model: String,
        /// Name of the class.
        class: String,
    },
    /// A class whose score is requested but that the models which answer some inputs do not cover:
    /// its score is unknown for these inputs.
    ClassNotAlwaysCovered {
        /// Name of the class.
        class: String,
    },
}

/// Answers a prediction according to its decision.
#[derive(Debug, Clone)]
pub struct Predictor {
    shared: Arc<Shared>,
}

impl Predictor {
    /// A predictor of `task` whose answers include the scores of the classes `scored` (indices
    /// into the task's classes, ascending). Does not load models yet.
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
            executor: executor.of_task(task).on_account(&account),
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

    /// The decision that is executed.
    pub fn planned(&self) -> &Decided {
        &self.shared.planned
    }

    /// Counts so far.
    pub fn tally(&self) -> &Tally {
        &self.shared.tally
    }

    /// Mode of kept outputs; `None`: inputs of this kind are not looked up.
    pub fn cache_mode(&self) -> Option<CacheMode> {
        let looks_up = matches!(self.shared.task.input, TaskInput::Image);
        let on = looks_up && self.shared.cache.is_on();
        on.then(|| self.shared.work.mode())
    }

    /// Hit rate of kept outputs of the first stage's models since the start, over all statements:
    /// the lowest rate among the models. `None`: at least one model had no lookups.
    pub fn hit_rate_so_far(&self) -> Option<f64> {
        let shared = &self.shared;
        let models = shared.models.get(shared.first_voters())?;
        let rates = models.iter().map(|m| shared.cache.hit_rate(m.output));
        let rates: Option<Vec<f64>> = rates.collect();
        rates?.into_iter().reduce(f64::min)
    }

    /// Whether kept outputs are looked up.
    pub fn looks_up(&self) -> bool {
        self.shared.looks_up()
    }

    /// Whether new outputs are kept.
    pub fn keeps(&self) -> bool {
        self.shared.keeps()
    }

    /// Output ids of the voters' models, in the order of the stages.
    pub fn outputs(&self) -> impl Iterator<Item = [u8; 16]> + '_ {
        self.shared.models.iter().map(|model| model.output)
    }

    /// Elapsed seconds in which each voter's model was loaded, in the order of the stages; `None`
    /// for a model that this prediction has not needed.
    pub fn load_seconds(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.shared.models.iter().map(Model::load_seconds)
    }

    /// Score of a class (index into the task's classes) in an answer of this predictor.
    pub fn score(&self, answer: &Answer, class: usize) -> Option<f64> {
        answer.score(self.shared.scored.binary_search(&class).ok()?)
    }

    /// Warnings that are known before any input is read.
    pub fn warnings(&self) -> impl Iterator<Item = PredictorWarning> + '_ {
        let limits = self.planned().unplanned_limits();
        let unshown = self.planned().unshown(&self.shared.task);
        limits
            .into_iter()
            .chain(unshown)
            .map(PredictorWarning::LimitNotPlanned)
            .chain(self.uncovered_classes())
    }

    /// Scored classes that no executed model covers, or not each model that may answer alone.
    fn uncovered_classes(&self) -> impl Iterator<Item = PredictorWarning> + '_ {
        let (shared, decision) = (&self.shared, self.shared.decision());
        shared.scored.iter().filter_map(move |class| {
            let name = shared.task.classes.get(*class).cloned().unwrap_or_default();
            let knows = |v: &Voter| v.label_of_class(*class).is_some();
            match decision.voters().any(knows) {
                true if decision.always_knows(*class) => None,
                true => Some(PredictorWarning::ClassNotAlwaysCovered { class: name }),
                false => {
                    let model = decision.voters().next();
                    Some(PredictorWarning::ClassNotCovered {
                        model: model.map_or_else(String::new, |voter| voter.model.name.clone()),
                        class: name,
                    })
                }
            }
        })
    }

    /// Adds to `forecast` the inferences that these inputs would need. Does not run any.
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
        // An input without identity cannot be read either.
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

    /// Number of models that process every input.
    pub fn models_each(&self) -> u64 {
        self.shared.first_voters().len() as u64
    }

    /// Estimated seconds for those inputs on all threads, if the models were measured.
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

    /// Returns one answer per input, in order. Cancellation takes effect within one batch.
    ///
    /// # Errors
    /// A model that cannot be loaded or that fails, an exceeded limit of inferences, or
    /// [`PredictError::Cancelled`].
    pub async fn answer(
        &self,
        inputs: Vec<Input>,
        cancel: &CancellationToken,
    ) -> Result<Vec<Answer>, PredictError> {
        if inputs.iter().all(|input| matches!(input, Input::Null)) {
            return Ok(vec![Answer::Null; inputs.len()]);
        }
        // A task of its own: what it holds (permits granted to it, models that load, tensors
        // prepared for several models) is given back also while this future is not polled, since
        // its caller waits for a client that does not read.
        let (shared, cancel) = (Arc::clone(&self.shared), cancel.clone());
        let task = tokio::spawn(async move { answer(&shared, inputs, &cancel).await });
        let answered = AbortOnDropHandle::new(task).await;
        answered.unwrap_or(Err(PredictError::Internal {
            reason: "internal error in predicting",
        }))
    }
}

/// Returns one answer per input, in order.
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
        // If another piece fails, the whole work fails.
        answers = places.answers(&shared.under_way, &answers) => answers.ok_or(PredictError::Cancelled)?,
    };
    shared.tally.answered(&answers, repeated);
    Ok(answers)
}

/// Rejects work whose predictors would exceed the limit of inferences.
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

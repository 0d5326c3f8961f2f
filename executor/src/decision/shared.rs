//! State shared by the concurrent pieces of one prediction: its decision, models and counts.

use std::sync::Arc;

use predictsql_catalog::{Task, TaskInput};
use predictsql_optimizer::planner::{Decided, Decision, Voter};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::distinct::UnderWay;
use super::tally::Tally;
use super::work::Work;
use crate::backend::LoadedModel;
use crate::error::PredictError;
use crate::executor::Executor;
use crate::identity::InputId;
use crate::input::Scores;
use crate::kept::{CacheMode, OutputCache};

/// State shared by the concurrent pieces.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) executor: Executor,
    pub(super) cache: OutputCache,
    pub(super) task: Arc<Task>,
    pub(super) planned: Arc<Decided>,
    /// One per voter of the decision, in the order of the stages.
    pub(super) models: Vec<Model>,
    /// Classes whose scores the answers include, ascending.
    pub(super) scored: Vec<usize>,
    pub(super) work: Arc<Work>,
    pub(super) tally: Tally,
    /// Contents whose prediction is in progress.
    pub(super) under_way: UnderWay,
}

/// A voter's model.
#[derive(Debug)]
pub(super) struct Model {
    /// Output id of the model.
    pub(super) output: [u8; 16],
    /// Loaded on first use.
    loaded: OnceCell<LoadedModel>,
}

impl Model {
    /// A model that is not loaded yet.
    pub(super) fn of(voter: &Voter) -> Self {
        Self {
            output: voter.model.output_id(),
            loaded: OnceCell::new(),
        }
    }

    /// Elapsed seconds of its load; `None` if it was not needed.
    pub(super) fn load_seconds(&self) -> Option<f64> {
        self.loaded.get().map(LoadedModel::load_seconds)
    }
}

impl Shared {
    pub(super) fn decision(&self) -> &Decision {
        &self.planned.plan.decision
    }

    /// Indices of the voters that process every input.
    pub(super) fn first_voters(&self) -> std::ops::Range<usize> {
        let first = self.decision().stages.first();
        0..first.map_or(0, |stage| stage.voters.len())
    }

    /// Looks up the kept outputs of a voter's model.
    pub(super) async fn find(&self, voter: usize, ids: &[Option<InputId>]) -> Vec<Option<Scores>> {
        let (Some(model), Some(asked)) =
            (self.models.get(voter), self.decision().voters().nth(voter))
        else {
            return vec![None; ids.len()];
        };
        let codec = asked.model.options.output_codec();
        let (found, asked_of_store) = self.cache.find(model.output, codec, ids).await;
        self.tally.asked_of_store(voter, asked_of_store);
        found
    }

    /// Whether outputs may be kept. Not for column inputs: a lookup costs more than the model.
    pub(super) fn looks_up(&self) -> bool {
        let image = matches!(self.task.input, TaskInput::Image);
        image && self.cache.is_on() && self.work.mode() != CacheMode::Off
    }

    /// Whether new outputs are kept.
    pub(super) fn keeps(&self) -> bool {
        self.looks_up() && self.work.mode() == CacheMode::On
    }

    /// The model of a voter, loaded if needed.
    pub(super) async fn model(
        &self,
        voter: usize,
        cancel: &CancellationToken,
    ) -> Result<&LoadedModel, PredictError> {
        let unknown = || PredictError::Internal {
            reason: "a voter without a model",
        };
        let place = self.models.get(voter).ok_or_else(unknown)?;
        let asked = self.decision().voters().nth(voter).ok_or_else(unknown)?;
        let load = async { Ok(self.executor.load(&asked.model).await?) };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(PredictError::Cancelled),
            model = place.loaded.get_or_try_init(|| load) => model,
        }
    }
}

//! Decides the predictions of one statement by what it, its session and their tasks demand.

use std::sync::Arc;

use predictsql_catalog::{Snapshot, Task};
use predictsql_optimizer::Refusal;
use predictsql_optimizer::planner::{Demands, WrongDemand};
use predictsql_optimizer::statement::PredictStatement;

use crate::error::SqlError;
use crate::lane::LaneContext;
use crate::lane::session::settings::{SessionSettings, wrong_demand};
use crate::predict::{Asked, Predictor, Work};

/// Decides predictions of one statement, and makes what answers them.
pub struct PredictorMaker<'c> {
    /// Runs models, and keeps what they say.
    pub context: &'c LaneContext,
    /// The catalog that the statement was read against.
    pub catalog: &'c Snapshot,
    /// What the statement has had predicted.
    pub work: Arc<Work>,
    /// What the statement and its session ask of plans.
    pub demands: Demands,
}

impl PredictorMaker<'_> {
    /// Decides a prediction, and makes what answers it.
    pub fn predictor(&self, asked: Asked<'_>) -> Result<Predictor, Refusal> {
        let context = self.context;
        let planned = context.planner.plan(&asked, &self.demands, self.catalog)?;
        Ok(Predictor::new(
            &context.executor,
            &context.cache,
            asked.task,
            planned,
            asked.scored,
            &self.work,
        ))
    }

    /// Whether plans depend on how many inputs there are.
    pub fn counts_rows(&self, task: &Task) -> bool {
        let demands = self.demands.clone().or(Demands::of_task(task));
        demands.max_seconds.is_some() || demands.max_cost.is_some()
    }
}

/// What a statement's hints and its session ask of plans.
///
/// # Errors
/// A hint's setting has a value that it cannot have.
pub fn demands(
    statement: &PredictStatement<'_>,
    settings: &SessionSettings,
) -> Result<Demands, SqlError> {
    let mut hinted = Demands::default();
    for (name, value) in statement.hints() {
        match hinted.set(&name, &value) {
            // A hint is advice: one of another version is left alone.
            Ok(()) | Err(WrongDemand(None)) => {}
            Err(wrong) => return Err(wrong_demand(&format!("ML({name})"), wrong)),
        }
    }
    Ok(hinted.or(settings.demands.clone()))
}

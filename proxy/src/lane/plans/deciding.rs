//! Decides the predictions of one statement by what it, its session and their tasks demand.

use std::sync::Arc;

use predictsql_catalog::Snapshot;
use predictsql_optimizer::Refusal;
use predictsql_optimizer::plan::Prediction;
use predictsql_optimizer::planner::{Decide, Decided, Demands, PredictionRequest, WrongDemand};
use predictsql_optimizer::statement::PredictStatement;

use crate::error::SqlError;
use crate::lane::context::LaneContext;
use crate::lane::session::settings::{SessionSettings, wrong_demand};
use crate::predict::{Predictor, Work};

/// Decides predictions of one statement, and makes what answers them.
pub struct PredictionPlanner<'c> {
    /// Runs models, and keeps what they say.
    pub context: &'c LaneContext,
    /// The catalog that the statement was read against.
    pub catalog: &'c Snapshot,
    /// What the statement has had predicted.
    pub work: Arc<Work>,
    /// What the statement and its session ask of plans.
    pub demands: Demands,
}

impl PredictionPlanner<'_> {
    /// What answers a prediction.
    pub fn predictor(&self, prediction: &Prediction) -> Predictor {
        Predictor::new(
            &self.context.executor,
            &self.context.cache,
            &prediction.task,
            Arc::clone(&prediction.decided),
            prediction.scored.clone(),
            &self.work,
        )
    }
}

impl Decide for PredictionPlanner<'_> {
    fn decide(&self, request: &PredictionRequest<'_>) -> Result<Arc<Decided>, Refusal> {
        let planner = &self.context.planner;
        planner.plan(request, &self.demands, self.catalog)
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

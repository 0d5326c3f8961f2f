//! Chooses the models for one statement's predictions, under the constraints of the statement, its
//! session and the tasks.

use std::sync::Arc;

use predictsql_catalog::Snapshot;
use predictsql_optimizer::Refusal;
use predictsql_optimizer::plan::Prediction;
use predictsql_optimizer::planner::{Decide, Decided, Demands, PredictionRequest, WrongDemand};
use predictsql_optimizer::statement::PredictStatement;

use crate::error::SqlError;
use crate::lane::context::LaneContext;
use crate::lane::session::settings::{SessionSettings, wrong_demand};
use crate::predict::{Predictor, UsedDecisions, Work};

/// Chooses the models for one statement's predictions, and creates the predictors.
pub struct PredictionPlanner<'c> {
    /// Runs models and caches their outputs.
    pub context: &'c LaneContext,
    /// The catalog snapshot that the statement was resolved in.
    pub catalog: &'c Snapshot,
    /// Counters and limits of the statement's inference work.
    pub work: Arc<Work>,
    /// Constraints of the statement and its session on plans.
    pub demands: Demands,
    /// The decisions that the statement's transaction has used, if it is in one.
    pub used: Option<Arc<UsedDecisions>>,
}

impl PredictionPlanner<'_> {
    /// The predictor for a prediction.
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
        planner.plan(request, &self.demands, self.catalog, self.used.as_deref())
    }
}

/// The constraints on plans from a statement's hints and its session; hints take precedence.
///
/// # Errors
/// Fails if a hint has an invalid value.
pub fn demands(
    statement: &PredictStatement<'_>,
    settings: &SessionSettings,
) -> Result<Demands, SqlError> {
    let mut hinted = Demands::default();
    for (name, value) in statement.hints() {
        match hinted.set(&name, &value) {
            // Hints are advice: an unknown hint, from another version, is ignored.
            Ok(()) | Err(WrongDemand(None)) => {}
            Err(wrong) => return Err(wrong_demand(&format!("ML({name})"), wrong)),
        }
    }
    Ok(hinted.or(settings.demands.clone()))
}

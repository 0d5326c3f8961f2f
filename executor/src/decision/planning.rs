//! Plans predictions with the optimizer and caches the decisions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use moka::sync::Cache;
use predictsql_catalog::{Answers, Snapshot};
use predictsql_optimizer::Refusal;
use predictsql_optimizer::planner::{
    CostModel, Decided, Deciding, DecisionKey, Demands, PredictionRequest,
};

use super::used::UsedDecisions;

/// Maximum number of cached decisions.
const DECISIONS_MAX: u64 = 4096;

/// Plans predictions of all sessions.
#[derive(Debug)]
pub struct Planner {
    costs: CostModel,
    decided: Cache<DecisionKey, Result<Arc<Decided>, Refusal>>,
    /// The newest catalog epoch that a decision was requested for.
    epoch: AtomicU64,
}

impl Planner {
    /// A planner with this cost model.
    pub fn new(costs: CostModel) -> Self {
        Self {
            costs,
            decided: Cache::new(DECISIONS_MAX),
            epoch: AtomicU64::new(0),
        }
    }

    /// The cost model.
    pub fn costs(&self) -> &CostModel {
        &self.costs
    }

    /// Plans a prediction with the requirements of the statement, its session and the task, in
    /// this order of precedence. Decisions for the same catalog are cached; a transaction keeps
    /// the decisions of tasks that it has `used`.
    ///
    /// # Errors
    /// No model can answer, or a constraint cannot be satisfied.
    pub fn plan(
        &self,
        request: &PredictionRequest<'_>,
        demands: &Demands,
        catalog: &Snapshot,
        used: Option<&UsedDecisions>,
    ) -> Result<Arc<Decided>, Refusal> {
        let deciding = Deciding::new(request, demands, catalog)?;
        let epoch = catalog.epoch();
        // Decisions of older epochs are no longer requested, and would keep their models in
        // memory.
        if self.epoch.fetch_max(epoch, Ordering::Relaxed) < epoch {
            self.decided.invalidate_all();
        }
        let decide = || {
            self.decided.get_with(deciding.key(&self.costs), || {
                let begin = Instant::now();
                let mut decided = deciding.decide(&self.costs)?;
                decided.seconds = begin.elapsed().as_secs_f64();
                Ok(Arc::new(decided))
            })
        };
        let decided = match (deciding.answers(), used) {
            (Answers::Stable, Some(used)) => used.of(request.task, decide)?,
            (Answers::Stable, None) | (Answers::PerStatement, _) => decide()?,
        };
        deciding.answered_by(decided, &self.costs)
    }
}

//! Decides predictions by the optimizer's planner, and remembers what was decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use moka::sync::Cache;
use predictsql_catalog::Snapshot;
use predictsql_optimizer::Refusal;
use predictsql_optimizer::planner::{
    CostModel, Decided, Deciding, DecisionKey, Demands, PredictionRequest,
};

/// Decisions that are remembered.
const DECISIONS_MAX: u64 = 4096;

/// Plans predictions for all sessions.
#[derive(Debug)]
pub struct Planner {
    costs: CostModel,
    decided: Cache<DecisionKey, Result<Arc<Decided>, Refusal>>,
    /// The newest epoch that a decision was asked for with.
    epoch: AtomicU64,
}

impl Planner {
    /// A planner that counts with these costs.
    pub fn new(costs: CostModel) -> Self {
        Self {
            costs,
            decided: Cache::new(DECISIONS_MAX),
            epoch: AtomicU64::new(0),
        }
    }

    /// What it counts with.
    pub fn costs(&self) -> &CostModel {
        &self.costs
    }

    /// Decides a prediction as the statement, its session and the task demand, in this order. What
    /// was decided before with this catalog is not searched again.
    ///
    /// # Errors
    /// No model answers, or a constraint cannot be kept.
    pub fn plan(
        &self,
        request: &PredictionRequest<'_>,
        demands: &Demands,
        catalog: &Snapshot,
    ) -> Result<Arc<Decided>, Refusal> {
        let deciding = Deciding::new(request, demands, catalog)?;
        let epoch = catalog.epoch();
        // What was decided at an older epoch is asked for no more,
        // and holds the models of its time.
        if self.epoch.fetch_max(epoch, Ordering::Relaxed) < epoch {
            self.decided.invalidate_all();
        }
        self.decided.get_with(deciding.key(&self.costs), || {
            let begin = Instant::now();
            let plan = deciding.decide(&self.costs)?;
            Ok(Arc::new(Decided {
                plan,
                seconds: begin.elapsed().as_secs_f64(),
                limits: deciding.limits(),
            }))
        })
    }
}

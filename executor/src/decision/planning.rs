//! Decides predictions by the optimizer's planner, and remembers what was decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use moka::sync::Cache;
use predictsql_catalog::{Model, Snapshot, Task};
use predictsql_optimizer::Refusal;
use predictsql_optimizer::planner::{
    Blocks, CostModel, DecisionKey, Demands, Estimate, Metric, Plan, Prior, Query, decide,
    replays_default,
};

/// Decisions that are remembered.
const DECISIONS_MAX: u64 = 4096;

/// Plans predictions for all sessions.
#[derive(Debug)]
pub struct Planner {
    costs: CostModel,
    decided: Cache<DecisionKey, Result<Arc<Planned>, Refusal>>,
    /// The newest epoch that a decision was asked for with.
    epoch: AtomicU64,
}

/// A plan, and what it took to find it.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Seconds of the search.
    pub seconds: f64,
    /// The limits on seconds and money that it was asked to keep.
    pub limits: String,
}

impl Planned {
    /// What to say of limits that had no part in the plan.
    pub fn unplanned_limits(&self) -> Option<String> {
        let why = self.plan.unplanned?;
        Some(format!("{} could not be planned for: {why}", self.limits))
    }

    /// What to say of classes that the prior gives a share, and no labelled row can stand for.
    pub fn unshown(&self, task: &Task) -> Option<String> {
        let names = class_names(task, &self.plan.unshown);
        (!names.is_empty()).then(|| {
            format!(
                "the prior gives a share to {names}, of which there are no labelled rows, or too few: figures and \
                 promises leave this out"
            )
        })
    }
}

/// How often inputs show a task's classes, where that is declared and not as the labelled rows do.
fn prior(demands: &Demands, task: &Task, catalog: &Snapshot) -> Result<Option<Prior>, Refusal> {
    if let Some(unknown) = demands.tasks().find(|name| catalog.task(name).is_none()) {
        return Err(Refusal::prior(format_args!(
            "there is no task '{}'",
            unknown.escape_debug()
        )));
    }
    let shares = demands.shares(&task.name);
    let statistics = catalog.statistics(&task.name).map(|s| &**s);
    let prior = shares.map(|shares| Prior::declared(shares, task, statistics));
    Ok(prior.transpose()?.flatten())
}

/// Classes in quotes, the first few of many.
pub fn class_names(task: &Task, classes: &[usize]) -> String {
    const SHOWN: usize = 5;
    let name = |class: &usize| Some(format!("'{}'", task.classes.get(*class)?));
    let mut names: Vec<String> = classes.iter().take(SHOWN).filter_map(name).collect();
    if classes.len() > SHOWN {
        names.push(format!("{} more", classes.len() - SHOWN));
    }
    names.join(", ")
}

/// One prediction of a statement.
#[derive(Debug, Clone)]
pub struct Asked<'q> {
    /// The task.
    pub task: &'q Arc<Task>,
    /// The model, where the statement names one.
    pub model: Option<&'q Arc<Model>>,
    /// What the statement tells apart.
    pub blocks: Blocks,
    /// What its answers are judged by.
    pub metric: Metric,
    /// Classes whose scores are asked for (positions among the task's classes, ascending).
    pub scored: Vec<usize>,
    /// Inputs, as far as they are known; they count under a limit on time or money only.
    pub rows: Estimate<u64>,
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

    /// Decides a prediction as the statement, its session and the task demand, in this order. What was
    /// decided before with this catalog is not searched again.
    ///
    /// # Errors
    /// No model answers, or a constraint cannot be kept.
    pub fn plan(
        &self,
        asked: &Asked<'_>,
        demands: &Demands,
        catalog: &Snapshot,
    ) -> Result<Arc<Planned>, Refusal> {
        let demands = demands.clone().or(Demands::of_task(asked.task));
        // A model that is named answers whatever the inputs show.
        let prior = match asked.model {
            None => prior(&demands, asked.task, catalog)?,
            Some(_) => None,
        };
        let query = Query {
            task: asked.task,
            named: asked.model,
            blocks: &asked.blocks,
            metric: asked.metric,
            prior: prior.as_ref(),
            rows: asked.rows,
            scores_needed: !asked.scored.is_empty(),
        };
        let constraints = demands.constraints(asked.task);
        let strategy = demands.strategy.unwrap_or_default();
        let epoch = catalog.epoch();
        // What was decided at an older epoch is asked for no more, and holds the models of its time.
        if self.epoch.fetch_max(epoch, Ordering::Relaxed) < epoch {
            self.decided.invalidate_all();
        }
        let key = DecisionKey::new(&query, &constraints, strategy, &self.costs, epoch);
        self.decided.get_with(key, || {
            let begin = Instant::now();
            let models: Vec<_> = catalog.models_of(&asked.task.name).cloned().collect();
            let plan = decide(
                &query,
                &constraints,
                strategy,
                &models,
                catalog.statistics(&asked.task.name).map(|s| &**s),
                &self.costs,
                replays_default(models.len()),
            );
            plan.map(|plan| {
                let seconds = begin.elapsed().as_secs_f64();
                Arc::new(Planned {
                    plan,
                    seconds,
                    limits: constraints.limits(),
                })
            })
        })
    }
}

//! Prepares a prediction of a statement for planning: combines the demands of the statement, its
//! session and the task.

use std::sync::Arc;

use predictsql_catalog::{Model, Snapshot, Task};

use super::blocks::Blocks;
use super::decide::{decide, replays_default};
use super::demands::Demands;
use super::plan::Plan;
use super::query::{Constraints, CostModel, DecisionKey, Estimate, Metric, Prior, Query, Strategy};
use crate::refusal::Refusal;

/// A prediction of a statement.
#[derive(Debug, Clone)]
pub struct PredictionRequest<'q> {
    /// The task.
    pub task: &'q Arc<Task>,
    /// The model, where the statement names one.
    pub model: Option<&'q Arc<Model>>,
    /// The outcomes that the statement distinguishes.
    pub blocks: Blocks,
    /// The metric for its answers.
    pub metric: Metric,
    /// Classes whose scores are requested (positions among the task's classes, ascending).
    pub scored: Vec<usize>,
    /// Number of inputs, if known; used only under a limit on time or money.
    pub rows: Estimate<u64>,
}

/// A plan, and the cost of planning.
#[derive(Debug)]
pub struct Decided {
    /// The plan.
    pub plan: Plan,
    /// Planning time in seconds.
    pub seconds: f64,
    /// The requested limits on seconds and money, as text.
    pub limits: String,
}

/// Plans the predictions of a statement, by search or from a cache.
pub trait Decide {
    /// The plan of a prediction.
    ///
    /// # Errors
    /// No model can answer, or a constraint cannot be kept.
    fn decide(&self, request: &PredictionRequest<'_>) -> Result<Arc<Decided>, Refusal>;
}

/// Everything that the plan of a prediction depends on.
#[derive(Debug)]
pub struct Deciding<'q> {
    request: &'q PredictionRequest<'q>,
    catalog: &'q Snapshot,
    prior: Option<Prior>,
    constraints: Constraints,
    strategy: Strategy,
}

impl<'q> Deciding<'q> {
    /// A prediction under the demands of its statement and session; those of its task are
    /// defaults.
    ///
    /// # Errors
    /// A declared prior does not fit the task.
    pub fn new(
        request: &'q PredictionRequest<'q>,
        demands: &Demands,
        catalog: &'q Snapshot,
    ) -> Result<Self, Refusal> {
        let demands = demands.clone().or(Demands::of_task(request.task));
        // A named model answers regardless of the prior.
        let prior = match request.model {
            None => prior(&demands, request.task, catalog)?,
            Some(_) => None,
        };
        Ok(Self {
            constraints: demands.constraints(request.task),
            strategy: demands.strategy.unwrap_or_default(),
            request,
            catalog,
            prior,
        })
    }

    fn query(&self) -> Query<'_> {
        Query {
            task: self.request.task,
            named: self.request.model,
            blocks: &self.request.blocks,
            metric: self.request.metric,
            prior: self.prior.as_ref(),
            rows: self.request.rows,
            scores_needed: !self.request.scored.is_empty(),
        }
    }

    /// Cache key: equal keys mean equal decisions.
    pub fn key(&self, costs: &CostModel) -> DecisionKey {
        let (query, epoch) = (self.query(), self.catalog.epoch());
        DecisionKey::new(&query, &self.constraints, self.strategy, costs, epoch)
    }

    /// Searches for the plan.
    ///
    /// # Errors
    /// No model can answer, or a constraint cannot be kept.
    pub fn decide(&self, costs: &CostModel) -> Result<Plan, Refusal> {
        let name = &self.request.task.name;
        let models: Vec<_> = self.catalog.models_of(name).cloned().collect();
        decide(
            &self.query(),
            &self.constraints,
            self.strategy,
            &models,
            self.catalog.statistics(name).map(|s| &**s),
            costs,
            replays_default(models.len()),
        )
    }

    /// The limits on seconds and money, as text.
    pub fn limits(&self) -> String {
        self.constraints.limits()
    }
}

/// The declared shares of a task's classes, where they differ from those of the labelled rows.
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

impl Decided {
    /// The warning about limits that the plan does not consider.
    pub fn unplanned_limits(&self) -> Option<String> {
        let why = self.plan.unplanned?;
        Some(format!("{} could not be planned for: {why}", self.limits))
    }

    /// The warning about classes that have a share in the prior but too few labelled rows.
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

/// Class names in quotes; long lists are cut.
pub fn class_names(task: &Task, classes: &[usize]) -> String {
    const SHOWN: usize = 5;
    let name = |class: &usize| Some(format!("'{}'", task.classes.get(*class)?));
    let mut names: Vec<String> = classes.iter().take(SHOWN).filter_map(name).collect();
    if classes.len() > SHOWN {
        names.push(format!("{} more", classes.len() - SHOWN));
    }
    names.join(", ")
}

//! From a prediction of a statement to its plan, by what the statement,
//! its session and the task demand.

use std::sync::Arc;

use predictsql_catalog::{Model, Snapshot, Task};

use super::blocks::Blocks;
use super::decide::{decide, replays_default};
use super::demands::Demands;
use super::plan::Plan;
use super::query::{Constraints, CostModel, DecisionKey, Estimate, Metric, Prior, Query, Strategy};
use crate::refusal::Refusal;

/// One prediction of a statement.
#[derive(Debug, Clone)]
pub struct PredictionRequest<'q> {
    /// The task.
    pub task: &'q Arc<Task>,
    /// The model, where the statement names one.
    pub model: Option<&'q Arc<Model>>,
    /// Which outcomes the statement distinguishes.
    pub blocks: Blocks,
    /// By which its answers are judged.
    pub metric: Metric,
    /// Classes whose scores are asked for (positions among the task's classes, ascending).
    pub scored: Vec<usize>,
    /// Inputs, as far as they are known; they count under a limit on time or money only.
    pub rows: Estimate<u64>,
}

/// A plan, and what it took to find it.
#[derive(Debug)]
pub struct Decided {
    /// The plan.
    pub plan: Plan,
    /// Seconds of the search.
    pub seconds: f64,
    /// The limits on seconds and money that it was asked to keep.
    pub limits: String,
}

/// Decides the predictions of one statement: by a search, or by the memory of one.
pub trait Decide {
    /// The plan of a prediction.
    ///
    /// # Errors
    /// No model answers, or a constraint cannot be kept.
    fn decide(&self, request: &PredictionRequest<'_>) -> Result<Arc<Decided>, Refusal>;
}

/// All that the decision of a prediction depends on.
#[derive(Debug)]
pub struct Deciding<'q> {
    request: &'q PredictionRequest<'q>,
    catalog: &'q Snapshot,
    prior: Option<Prior>,
    constraints: Constraints,
    strategy: Strategy,
}

impl<'q> Deciding<'q> {
    /// A prediction under the demands of its statement and session,
    /// and after them those of its task.
    ///
    /// # Errors
    /// A declared prior does not fit the task.
    pub fn new(
        request: &'q PredictionRequest<'q>,
        demands: &Demands,
        catalog: &'q Snapshot,
    ) -> Result<Self, Refusal> {
        let demands = demands.clone().or(Demands::of_task(request.task));
        // A model that is named answers whatever the inputs show.
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

    /// The same for equal decisions.
    pub fn key(&self, costs: &CostModel) -> DecisionKey {
        let (query, epoch) = (self.query(), self.catalog.epoch());
        DecisionKey::new(&query, &self.constraints, self.strategy, costs, epoch)
    }

    /// Searches the plan.
    ///
    /// # Errors
    /// No model answers, or a constraint cannot be kept.
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

    /// The limits on seconds and money, in words.
    pub fn limits(&self) -> String {
        self.constraints.limits()
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

impl Decided {
    /// The warning about limits that had no part in the plan.
    pub fn unplanned_limits(&self) -> Option<String> {
        let why = self.plan.unplanned?;
        Some(format!("{} could not be planned for: {why}", self.limits))
    }

    /// The warning about classes that the prior gives a share, and no labelled row can stand for.
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

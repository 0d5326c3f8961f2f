//! Prepares a prediction of a statement for planning: combines the demands of the statement, its
//! session and the task, and says whose decision answers it.
//!
//! A statement that asks for nothing is answered by the task's own decision, found over all
//! classes and independent of the statement: the prediction of an input is one value. The
//! statement's distinctions only save work ([`Deciding::answered_by`]).

use std::sync::Arc;

use predictsql_catalog::{Answers, Model, Snapshot, Task};

use super::blocks::Blocks;
use super::decide::{decide, replays_default};
use super::demands::Demands;
use super::limits;
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
    /// Whether this is the task's own decision or one for the statement.
    pub answers: Answers,
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
    /// All constraints, also those that do not shape the task's own decision.
    constraints: Constraints,
    strategy: Strategy,
    answers: Answers,
    /// The outcomes that the decision distinguishes.
    blocks: Blocks,
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
        let task = request.task;
        let asks = request.model.is_some() || demands.ask_of(task);
        let answers = match task.constraints.answers {
            Answers::Stable if !asks => Answers::Stable,
            Answers::Stable | Answers::PerStatement => Answers::PerStatement,
        };
        let demands = demands.clone().or(Demands::of_task(task));
        // A named model answers regardless of the prior.
        let prior = match request.model {
            None => prior(&demands, task, catalog)?,
            Some(_) => None,
        };
        Ok(Self {
            constraints: demands.constraints(task),
            strategy: demands.strategy.unwrap_or_default(),
            blocks: match answers {
                Answers::Stable => Blocks::every_class(task.classes.len(), false),
                Answers::PerStatement => request.blocks.clone(),
            },
            answers,
            request,
            catalog,
            prior,
        })
    }

    /// Whether the task's own decision answers, or one for the statement.
    pub fn answers(&self) -> Answers {
        self.answers
    }

    fn query(&self) -> Query<'_> {
        let of_statement = self.answers == Answers::PerStatement;
        Query {
            task: self.request.task,
            named: self.request.model,
            blocks: &self.blocks,
            metric: match self.answers {
                Answers::Stable => Metric::Accuracy,
                Answers::PerStatement => self.request.metric,
            },
            prior: self.prior.as_ref(),
            rows: match self.answers {
                Answers::Stable => Estimate::Absent,
                Answers::PerStatement => self.request.rows,
            },
            scores_needed: of_statement && !self.request.scored.is_empty(),
        }
    }

    /// The constraints that shape the decision. Limits on seconds and money are about a statement
    /// and its number of inputs: they do not shape the task's own decision.
    fn shaping(&self) -> Constraints {
        match self.answers {
            Answers::PerStatement => self.constraints,
            Answers::Stable => Constraints {
                max_seconds: None,
                max_cost: None,
                ..self.constraints
            },
        }
    }

    /// Cache key: equal keys mean equal decisions.
    pub fn key(&self, costs: &CostModel) -> DecisionKey {
        let (query, epoch) = (self.query(), self.catalog.epoch());
        DecisionKey::new(&query, &self.shaping(), self.strategy, costs, epoch)
    }

    /// Searches for the decision: the task's own, or that of the statement. The statement is
    /// answered by what [`Deciding::answered_by`] makes of it.
    ///
    /// # Errors
    /// No model can answer, or a constraint cannot be kept.
    pub fn decide(&self, costs: &CostModel) -> Result<Decided, Refusal> {
        let name = &self.request.task.name;
        let models: Vec<_> = self.catalog.models_of(name).cloned().collect();
        let plan = decide(
            &self.query(),
            &self.shaping(),
            self.strategy,
            &models,
            self.catalog.statistics(name).map(|s| &**s),
            costs,
            replays_default(models.len()),
        )?;
        Ok(Decided {
            plan,
            seconds: 0.0,
            limits: self.constraints.limits(),
            answers: self.answers,
        })
    }

    /// The plan of the statement by a decision with this key. The task's own decision gives the
    /// same answers to all statements; here it skips the work that cannot change what this
    /// statement distinguishes, and the task's limits on seconds and money are checked.
    ///
    /// # Errors
    /// The task's own decision exceeds the task's limits for this number of inputs.
    pub fn answered_by(
        &self,
        decided: Arc<Decided>,
        costs: &CostModel,
    ) -> Result<Arc<Decided>, Refusal> {
        let (request, constraints) = (self.request, &self.constraints);
        let narrows = request.scored.is_empty() && request.blocks != self.blocks;
        if self.answers == Answers::PerStatement || !(narrows || constraints.is_limited()) {
            return Ok(decided);
        }
        limits::check(constraints, costs)?;
        let query = Query {
            rows: request.rows,
            ..self.query()
        };
        let mut plan = decided.plan.clone();
        let seconds = plan.seconds_per_input().value();
        if let Some(seconds) = seconds
            && seconds > limits::seconds_max(&query, constraints, costs)
        {
            let own = format_args!("the task's own plan");
            let mut refusal = limits::too_dear(&query, constraints, costs, own, seconds);
            refusal.message.push_str(
                "; a statement that sets @ml_max_seconds or @ml_max_cost gets a plan within it",
            );
            return Err(refusal);
        }
        plan.unplanned = limits::unplanned(&query, constraints, seconds);
        if narrows {
            plan.decision = plan.decision.narrowed(&request.blocks);
            for classes in [&mut plan.uncovered, &mut plan.unmeasured] {
                classes.retain(|class| request.blocks.needs(*class));
            }
        }
        Ok(Arc::new(Decided {
            plan,
            limits: constraints.limits(),
            ..*decided
        }))
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

//! The plan of a model that was named, or chosen without measurements.

use std::sync::Arc;

use predictsql_catalog::Model;

use super::cost::Costs;
use super::decision::Decision;
use super::declared::{class_outcomes, outcomes};
use super::limits;
use super::plan::{Basis, Plan, Reason, Rejected, StageEstimate};
use super::query::{Constraints, CostModel, Estimate, Query, Strategy};
use crate::Refusal;

/// The plan of a single model, using none of its measured votes.
///
/// # Errors
/// Its cost exceeds the limits.
pub(super) fn unmeasured(
    query: &Query<'_>,
    constraints: &Constraints,
    strategy: Strategy,
    (model, basis): (&Arc<Model>, Basis),
    all: &[&Arc<Model>],
    cost_model: &CostModel,
    why_not: impl Fn(&Model) -> Reason,
) -> Result<Plan, Refusal> {
    let outcomes = outcomes(&class_outcomes(query.task), model);
    let uncovered = query.blocks.needed().filter(|class| {
        !outcomes
            .iter()
            .any(|outcome| usize::from(*outcome) == class + 1)
    });
    let costs = Costs::new(&[(Arc::clone(model), None)], cost_model);
    let (seconds, inference_seconds) = costs.stage(&[], &[0]);
    let each = seconds.value();
    if let Some(each) = each.filter(|s| *s > limits::seconds_max(query, constraints, cost_model)) {
        let plan = format_args!("model '{}'", model.name);
        return Err(limits::too_dear(query, constraints, cost_model, plan, each));
    }
    Ok(Plan {
        unplanned: limits::unplanned(query, constraints, each),
        uncovered: uncovered.collect(),
        basis,
        strategy,
        metric: query.metric,
        accuracy: Estimate::Absent,
        searched: Estimate::Absent,
        guarantee: None,
        population: String::new(),
        prior: None,
        unshown: Vec::new(),
        stages: vec![StageEstimate {
            share: 1.0,
            share_between: (1.0, 1.0),
            seconds,
            inference_seconds,
        }],
        gap: None,
        replays: 0,
        unmeasured: query.blocks.needed().collect(),
        rejected: all
            .iter()
            .filter(|m| m.id != model.id)
            .map(|m| Rejected {
                model: Arc::clone(m),
                reason: why_not(m),
            })
            .collect(),
        decision: Decision::single(Arc::clone(model), outcomes, query.blocks.clone()),
    })
}

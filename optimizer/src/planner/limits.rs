//! Limits on seconds and money: the seconds they allow per input, and when they cannot be applied.

use std::fmt;

use predictsql_catalog::Device;

use super::query::{Constraints, CostModel, Query, rows_that_count};
use crate::Refusal;

/// Why a plan ignores a limit on seconds or money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unplanned {
    /// The number of inputs is unknown.
    Rows,
    /// The seconds of the chosen model are unknown.
    Seconds,
}

impl fmt::Display for Unplanned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => write!(f, "the store does not estimate the rows"),
            Self::Seconds => write!(f, "what the model takes was not measured"),
        }
    }
}

impl Constraints {
    /// The limits on seconds and money, as text; empty if there are none.
    pub fn limits(&self) -> String {
        let mut limits = Vec::new();
        limits.extend(self.max_seconds.map(|s| format!("max_seconds = {s}")));
        limits.extend(self.max_cost.map(|c| format!("max_cost = {c}")));
        limits.join(" and ")
    }

    pub(super) fn is_limited(&self) -> bool {
        self.max_seconds.is_some() || self.max_cost.is_some()
    }
}

/// Refuses a limit on money if the device has no price.
pub(super) fn check(constraints: &Constraints, costs: &CostModel) -> Result<(), Refusal> {
    match (constraints.max_cost, costs.price_per_device_second) {
        (Some(cost), None) => Err(Refusal::constraint(format_args!(
            "max_cost = {cost} cannot be kept: the device has no price; price_per_device_hour in the proxy's settings gives \
             it one, max_seconds needs none"
        ))),
        _ => Ok(()),
    }
}

/// The seconds of work per input that the limits allow; infinite if no limit can be applied.
pub(super) fn seconds_max(query: &Query<'_>, constraints: &Constraints, costs: &CostModel) -> f64 {
    let Some(rows) = rows_that_count(query, constraints) else {
        return f64::INFINITY;
    };
    let by_time = constraints.max_seconds.map(|s| s * parallel(costs));
    let affordable = |(cost, price): (f64, f64)| (price > 0.0).then(|| cost / price);
    let by_cost = constraints.max_cost.zip(costs.price_per_device_second);
    let least = [by_time, by_cost.and_then(affordable)];
    least.into_iter().flatten().fold(f64::INFINITY, f64::min) / rows as f64
}

/// Why limits cannot be checked for a plan with these seconds of work per input; `None` if they
/// can, or none is set.
pub(super) fn unplanned(
    query: &Query<'_>,
    constraints: &Constraints,
    seconds: Option<f64>,
) -> Option<Unplanned> {
    match (query.rows.value(), seconds) {
        _ if !constraints.is_limited() => None,
        (None, _) => Some(Unplanned::Rows),
        (_, None) => Some(Unplanned::Seconds),
        _ => None,
    }
}

/// The refusal if nothing is within the limits: the cost of `plan`, in seconds of work per input.
pub(super) fn too_dear(
    query: &Query<'_>,
    constraints: &Constraints,
    costs: &CostModel,
    plan: fmt::Arguments<'_>,
    seconds: f64,
) -> Refusal {
    let kept = match constraints.min_accuracy {
        Some(least) => format!(" with min_accuracy = {least}"),
        None => String::new(),
    };
    let rows = rows_that_count(query, constraints).unwrap_or(1);
    let work = seconds * rows as f64;
    let mut takes = format!("{} s", short(work / parallel(costs)));
    if constraints.max_cost.is_some()
        && let Some(price) = costs.price_per_device_second
    {
        takes.push_str(&format!(" and costs {}", short(work * price)));
    }
    Refusal::constraint(format_args!(
        "{} cannot be kept{kept}: {plan} takes {takes} for the {rows} inputs that there may be",
        constraints.limits()
    ))
}

/// Number of threads that share the work of an input.
fn parallel(costs: &CostModel) -> f64 {
    match costs.device {
        Device::Cpu => f64::from(costs.threads.max(1)),
        Device::Accelerator(_) => 1.0,
    }
}

/// A number with two or three significant digits.
fn short(value: f64) -> String {
    match value {
        v if v >= 10.0 => format!("{v:.0}"),
        v if v >= 0.1 => format!("{v:.2}"),
        v => format!("{v:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RefusalKind;
    use crate::fixture::task;
    use crate::planner::{Blocks, Estimate, Metric};

    #[test]
    fn limits_count_by_rows_threads_and_price() {
        let task = task("t", &["a", "b"]);
        let blocks = Blocks::every_class(2, false);
        let query = |rows| Query {
            task: &task,
            named: None,
            blocks: &blocks,
            metric: Metric::Accuracy,
            prior: None,
            rows,
            scores_needed: false,
        };
        let asked = |max_seconds, max_cost| Constraints {
            max_seconds,
            max_cost,
            ..Constraints::none(&task)
        };
        let costs = CostModel {
            threads: 4,
            price_per_device_second: Some(0.5),
            ..CostModel::default()
        };
        let known = query(Estimate::Inexact(900));
        let max = |asked| seconds_max(&known, &asked, &costs);
        assert_eq!(max(asked(Some(2.0), None)), 8.0 / 1024.0);
        assert_eq!(max(asked(Some(2.0), Some(1.0))), 2.0 / 1024.0);
        assert_eq!(max(asked(None, None)), f64::INFINITY);

        let limited = asked(Some(2.0), None);
        let unknown = query(Estimate::Absent);
        let why = |query: &Query<'_>, seconds| unplanned(query, &limited, seconds);
        assert_eq!(why(&unknown, Some(0.1)), Some(Unplanned::Rows));
        assert_eq!(why(&known, None), Some(Unplanned::Seconds));
        assert_eq!(why(&known, Some(0.1)), None);
        assert_eq!(unplanned(&unknown, &asked(None, None), None), None);
    }

    #[test]
    fn money_needs_a_price() {
        let task = task("t", &["a"]);
        let asked = Constraints {
            max_cost: Some(0.1),
            ..Constraints::none(&task)
        };
        let refused = check(&asked, &CostModel::default()).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Constraint);
        assert!(refused.message.contains("price_per_device_hour"));
        let free = CostModel {
            price_per_device_second: Some(0.0),
            ..CostModel::default()
        };
        assert_eq!(check(&asked, &free), Ok(()));
    }
}

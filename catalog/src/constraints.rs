//! What a task asks of every statement's plan unless the statement says otherwise.

use serde::{Deserialize, Serialize};

use crate::shares::ClassShares;

/// Default of the task option `accuracy_slack_points`.
pub const ACCURACY_SLACK_POINTS_DEFAULT: f64 = 1.0;

/// What plans of a task must keep.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskConstraints {
    /// Least accuracy (F1 for statements that only filter), 0..=1.
    pub min_accuracy: Option<f64>,
    /// Most seconds of a statement, greater than 0.
    pub max_seconds: Option<f64>,
    /// Most money of a statement, at least 0.
    pub max_cost: Option<f64>,
    /// How often inputs show classes; some class is named. `None`: as often as labelled rows do.
    pub prior: Option<ClassShares>,
}

impl TaskConstraints {
    /// Those numbers that are set, by the names of their options.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let all = [
            ("min_accuracy", self.min_accuracy),
            ("max_seconds", self.max_seconds),
            ("max_cost", self.max_cost),
        ];
        all.into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
    }
}

//! A task's default constraints on the plans of statements.

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr};

use crate::shares::ClassShares;

/// Default of the task option `accuracy_slack_points`.
pub const ACCURACY_SLACK_POINTS_DEFAULT: f64 = 1.0;

/// Which decision answers statements that ask for nothing: task option `answers`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    EnumString,
    IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", ascii_case_insensitive)]
pub enum Answers {
    /// The task's own decision, the same for all statements of a catalog epoch: a prediction of an
    /// input is one value.
    #[default]
    Stable,
    /// A decision by statement, for the classes that the statement distinguishes: cheaper, but
    /// statements may disagree about an input.
    PerStatement,
}

impl Answers {
    /// The name in statements.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// Constraints on plans for a task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskConstraints {
    /// Minimum accuracy (F1 for statements that only filter), 0..=1.
    pub min_accuracy: Option<f64>,
    /// Maximum seconds of a statement, greater than 0.
    pub max_seconds: Option<f64>,
    /// Maximum cost of a statement in money, at least 0.
    pub max_cost: Option<f64>,
    /// Expected shares of the classes among inputs; names at least one class. `None`: the shares
    /// among the labelled rows.
    pub prior: Option<ClassShares>,
    /// Which decision answers statements without constraints of their own.
    pub answers: Answers,
}

impl TaskConstraints {
    /// The numeric constraints that are set, with the names of their options.
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

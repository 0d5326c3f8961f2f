//! What a task asks of every statement's plan unless the statement says otherwise, and the options of
//! `CREATE TASK` and `ALTER TASK ... SET` that say so.

use serde::{Deserialize, Serialize};

use crate::options::{check_keys, value_error};
use crate::{OptionError, OptionValue, Task};

/// Default of the task option `accuracy_slack_points`.
pub const ACCURACY_SLACK_POINTS_DEFAULT: f64 = 1.0;

const KEYS: [&str; 4] = [
    "accuracy_slack_points",
    "min_accuracy",
    "max_seconds",
    "max_cost",
];

/// What plans of a task must keep.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskConstraints {
    /// Least accuracy (F1 for statements that only filter), 0..=1.
    pub min_accuracy: Option<f64>,
    /// Most seconds of a statement, greater than 0.
    pub max_seconds: Option<f64>,
    /// Most money of a statement, at least 0.
    pub max_cost: Option<f64>,
}

impl TaskConstraints {
    /// Those that are set, by the names of their options.
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

impl Task {
    /// Applies options; `NULL` and `DEFAULT` take one back.
    pub fn set(&mut self, options: &[(String, OptionValue)]) -> Result<(), OptionError> {
        check_keys(options, &KEYS)?;
        for (key, value) in options {
            let constraints = &mut self.constraints;
            match key.to_ascii_lowercase().as_str() {
                "accuracy_slack_points" => {
                    let points = number(KEYS[0], value, "a number of points between 0 and 100")?;
                    self.accuracy_slack_points = points.unwrap_or(ACCURACY_SLACK_POINTS_DEFAULT);
                }
                "min_accuracy" => {
                    constraints.min_accuracy = number(KEYS[1], value, "a number between 0 and 1")?;
                }
                "max_seconds" => {
                    constraints.max_seconds = number(KEYS[2], value, "a number greater than 0")?;
                }
                _ => constraints.max_cost = number(KEYS[3], value, "a number of at least 0")?,
            }
        }
        Ok(())
    }
}

/// A number that is within the option's bounds; `None` for its default.
fn number(
    key: &'static str,
    value: &OptionValue,
    expected: &str,
) -> Result<Option<f64>, OptionError> {
    if let OptionValue::Word(word) = value
        && ["NULL", "DEFAULT"]
            .iter()
            .any(|w| w.eq_ignore_ascii_case(word))
    {
        return Ok(None);
    }
    let within = |number: &f64| match key {
        "accuracy_slack_points" => (0.0..=100.0).contains(number),
        "min_accuracy" => (0.0..=1.0).contains(number),
        "max_seconds" => *number > 0.0,
        _ => *number >= 0.0,
    };
    match value.number().filter(within) {
        Some(number) => Ok(Some(number)),
        None => Err(value_error(key, format!("{expected} is expected"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{TaskInput, TaskKind};

    #[test]
    fn options_are_set_within_their_bounds_and_taken_back() {
        let mut task = Task {
            name: "t".to_owned(),
            kind: TaskKind::Classification,
            input: TaskInput::Image,
            classes: vec!["a".to_owned()],
            accuracy_slack_points: ACCURACY_SLACK_POINTS_DEFAULT,
            constraints: TaskConstraints::default(),
            version: 1,
        };
        let mut set = |key: &str, value: OptionValue| {
            task.set(&[(key.to_owned(), value)])?;
            Ok::<_, OptionError>((task.accuracy_slack_points, task.constraints))
        };
        let word = |text: &str| OptionValue::Word(text.to_owned());
        set("accuracy_slack_points", OptionValue::Number(100.0)).unwrap();
        set("Min_Accuracy", OptionValue::Text("0.9".to_owned())).unwrap();
        let (slack, constraints) = set("max_seconds", OptionValue::Number(0.5)).unwrap();
        let named: Vec<_> = constraints.named().collect();
        assert_eq!(
            (slack, named),
            (100.0, vec![("min_accuracy", 0.9), ("max_seconds", 0.5)])
        );
        for (key, value) in [
            ("accuracy_slack_points", -0.1),
            ("accuracy_slack_points", 100.1),
            ("min_accuracy", 90.0),
            ("max_seconds", 0.0),
            ("max_cost", -1.0),
            ("max_cost", f64::NAN),
            ("size", 1.0),
        ] {
            assert!(
                set(key, OptionValue::Number(value)).is_err(),
                "{key} = {value}"
            );
        }
        assert!(set("min_accuracy", word("high")).is_err());
        set("accuracy_slack_points", word("DEFAULT")).unwrap();
        set("min_accuracy", word("null")).unwrap();
        let (slack, constraints) = set("max_seconds", word("default")).unwrap();
        assert_eq!((slack, constraints), (1.0, TaskConstraints::default()));
    }
}

//! What a statement, its session and its task ask of a plan.

use predictsql_catalog::{Task, TaskConstraints};

use super::query::{Constraints, Strategy};

/// What is asked of a plan by name: in a hint, a session's variables, or a task's defaults.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Demands {
    /// Least F1 or accuracy, 0..=1.
    pub min_accuracy: Option<f64>,
    /// Most seconds.
    pub max_seconds: Option<f64>,
    /// Most money.
    pub max_cost: Option<f64>,
    /// How models are chosen.
    pub strategy: Option<Strategy>,
}

/// What a setting must be; `None`: no setting has that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongDemand(pub Option<&'static str>);

/// Names of the settings.
pub const DEMANDS: [&str; 4] = ["min_accuracy", "max_seconds", "max_cost", "strategy"];

impl Demands {
    /// Takes a setting from its text.
    ///
    /// # Errors
    /// There is no such setting, or it cannot have that value.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), WrongDemand> {
        let number = || value.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        let wrong = |what| WrongDemand(Some(what));
        match name {
            "min_accuracy" => {
                let share = number().filter(|v| (0.0..=1.0).contains(v));
                self.min_accuracy = Some(share.ok_or(wrong("a number from 0 to 1"))?);
            }
            "max_seconds" => {
                let seconds = number().filter(|v| *v > 0.0);
                self.max_seconds = Some(seconds.ok_or(wrong("a number greater than 0"))?);
            }
            "max_cost" => {
                let cost = number().filter(|v| *v >= 0.0);
                self.max_cost = Some(cost.ok_or(wrong("a number of 0 or more"))?);
            }
            "strategy" => {
                let strategy = Strategy::parse(value);
                self.strategy = Some(strategy.ok_or(wrong(
                    "optimal, greedy, best_per_class, most_accurate, cheapest, best_single, random or all",
                ))?);
            }
            _ => return Err(WrongDemand(None)),
        }
        Ok(())
    }

    /// These, and where they ask nothing, those of `weaker`.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            min_accuracy: self.min_accuracy.or(weaker.min_accuracy),
            max_seconds: self.max_seconds.or(weaker.max_seconds),
            max_cost: self.max_cost.or(weaker.max_cost),
            strategy: self.strategy.or(weaker.strategy),
        }
    }

    /// What a task asks of every plan for it.
    pub fn of_task(task: &Task) -> Self {
        let TaskConstraints {
            min_accuracy,
            max_seconds,
            max_cost,
        } = task.constraints;
        Self {
            min_accuracy,
            max_seconds,
            max_cost,
            strategy: None,
        }
    }

    /// As constraints of a plan for a task.
    pub fn constraints(&self, task: &Task) -> Constraints {
        Constraints {
            min_accuracy: self.min_accuracy,
            max_seconds: self.max_seconds,
            max_cost: self.max_cost,
            slack_points: task.accuracy_slack_points,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_have_ranges() {
        let mut demands = Demands::default();
        for (name, value) in [
            ("min_accuracy", "0.9"),
            ("max_seconds", " 2e1 "),
            ("max_cost", "0"),
            ("strategy", "Greedy"),
        ] {
            assert_eq!(demands.set(name, value), Ok(()), "{name}");
        }
        assert_eq!(demands.min_accuracy, Some(0.9));
        assert_eq!(demands.strategy, Some(Strategy::Greedy));
        for (name, value) in [
            ("min_accuracy", "1.1"),
            ("min_accuracy", "NaN"),
            ("min_accuracy", "high"),
            ("max_seconds", "0"),
            ("max_cost", "-1"),
            ("strategy", "fast"),
        ] {
            assert!(matches!(
                demands.set(name, value),
                Err(WrongDemand(Some(_)))
            ));
        }
        assert_eq!(demands.set("colour", "1"), Err(WrongDemand(None)));
    }

    #[test]
    fn the_closer_setting_wins() {
        let of = |min_accuracy| Demands {
            min_accuracy,
            ..Demands::default()
        };
        assert_eq!(of(Some(0.9)).or(of(Some(0.8))), of(Some(0.9)));
        assert_eq!(of(None).or(of(Some(0.8))), of(Some(0.8)));
    }
}

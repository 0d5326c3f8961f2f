//! Demands on a plan by a statement, its session and its task.

use std::borrow::Cow;
use std::sync::Arc;

use predictsql_catalog::{ClassShares, DeclaredShares, Task, TaskConstraints};

use super::query::{Constraints, Strategy};

/// Named settings for a plan: from a hint, session variables, or a task's defaults.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Demands {
    /// Minimum F1 or accuracy, 0..=1.
    pub min_accuracy: Option<f64>,
    /// Maximum seconds.
    pub max_seconds: Option<f64>,
    /// Maximum cost in money.
    pub max_cost: Option<f64>,
    /// Strategy for choosing models.
    pub strategy: Option<Strategy>,
    /// Declared class shares of the inputs, most specific declaration first.
    priors: Vec<Arc<DeclaredShares>>,
}

/// The expected value of a setting; `None`: there is no setting of that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongDemand(pub Option<Cow<'static, str>>);

/// Names of the settings.
pub const DEMANDS: [&str; 5] = [
    "min_accuracy",
    "max_seconds",
    "max_cost",
    "strategy",
    "prior",
];

impl Demands {
    /// Sets a setting from its text.
    ///
    /// # Errors
    /// There is no such setting, or the value is invalid.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), WrongDemand> {
        let number = || value.trim().parse::<f64>().ok().filter(|v| v.is_finite());
        let wrong = |what| WrongDemand(Some(Cow::Borrowed(what)));
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
            // An empty text clears the declaration.
            "prior" if value.trim().is_empty() => self.priors.clear(),
            "prior" => {
                let declared = DeclaredShares::parse(value).map_err(|error| {
                    let expected = r#"a JSON object of classes and their shares, as {"cat": 0.3}"#;
                    WrongDemand(Some(Cow::Owned(format!("{expected}; {error}"))))
                })?;
                self.priors = vec![Arc::new(declared)];
            }
            _ => return Err(WrongDemand(None)),
        }
        Ok(())
    }

    /// The declared class shares for a task: the most specific declaration that mentions it.
    pub fn shares(&self, task: &str) -> Option<&ClassShares> {
        self.priors.iter().find_map(|declared| declared.of(task))
    }

    /// Whether these demands ask for something that shapes plans of the task.
    pub fn ask_of(&self, task: &Task) -> bool {
        let Self {
            min_accuracy,
            max_seconds,
            max_cost,
            strategy,
            priors: _,
        } = self;
        let numbers = [min_accuracy, max_seconds, max_cost];
        numbers.into_iter().any(Option::is_some)
            || strategy.is_some()
            || self.shares(&task.name).is_some()
    }

    /// The tasks mentioned in priors.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        self.priors.iter().flat_map(|declared| declared.tasks())
    }

    /// Fills unset settings from `weaker`.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            min_accuracy: self.min_accuracy.or(weaker.min_accuracy),
            max_seconds: self.max_seconds.or(weaker.max_seconds),
            max_cost: self.max_cost.or(weaker.max_cost),
            strategy: self.strategy.or(weaker.strategy),
            priors: [self.priors, weaker.priors].concat(),
        }
    }

    /// The default demands of a task.
    pub fn of_task(task: &Task) -> Self {
        let TaskConstraints {
            min_accuracy,
            max_seconds,
            max_cost,
            prior,
            answers: _,
        } = &task.constraints;
        let prior = prior.iter().cloned().map(DeclaredShares::OfAny);
        Self {
            min_accuracy: *min_accuracy,
            max_seconds: *max_seconds,
            max_cost: *max_cost,
            strategy: None,
            priors: prior.map(Arc::new).collect(),
        }
    }

    /// The demands as constraints of a plan for a task.
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

    fn prior(text: &str) -> Demands {
        let mut demands = Demands::default();
        demands.set("prior", text).expect("a prior");
        demands
    }

    #[test]
    fn the_closest_prior_that_speaks_of_a_task_is_its_prior() {
        let mut pets = crate::fixture::task("pets", &["cat"]);
        pets.constraints.prior = ClassShares::parse(r#"{"cat": 0.3}"#).ok();
        let of_task = || Demands::of_task(&pets);
        let cat = |demands: &Demands| demands.shares("pets").map(|shares| shares.of("cat"));
        let hint = || prior(r#"{"apparel": {"Bag": 1}}"#);
        for (demands, expected) in [
            (of_task(), Some(Some(0.3))),
            (prior(r#"{"cat": 0.2}"#).or(of_task()), Some(Some(0.2))),
            (prior("{}").or(of_task()), Some(None)),
            (prior("").or(of_task()), Some(Some(0.3))),
            (hint().or(of_task()), Some(Some(0.3))),
            (
                hint().or(prior(r#"{"cat": 0.1}"#)).or(of_task()),
                Some(Some(0.1)),
            ),
            (Demands::default(), None),
        ] {
            assert_eq!(cat(&demands), expected);
        }
        assert_eq!(hint().tasks().collect::<Vec<_>>(), ["apparel"]);
        let wrong = Demands::default()
            .set("prior", "Bag=1")
            .expect_err("no JSON");
        let says = wrong.0.expect("a setting");
        assert!(says.starts_with("a JSON object of classes"), "{says}");
    }
}

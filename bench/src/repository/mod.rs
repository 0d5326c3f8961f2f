//! Repositories of models described by numbers, for planning without pictures: published ones from
//! a file, and ones of the published shape in any size.

mod dice;
mod draw;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use thiserror::Error;

pub use dice::Dice;
pub use draw::{Drawn, Errors, Rows};

/// A repository: what each model costs, what it knows, and how well.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Repository {
    /// Where the numbers are from.
    pub source: String,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// The models.
    pub models: Vec<Described>,
}

/// A model, described by numbers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Described {
    /// Its name.
    pub name: String,
    /// Milliseconds of inference for one input.
    pub latency_ms: f64,
    /// For each class that it knows the share of its inputs that it answers right, 0..=1.
    pub covers: BTreeMap<String, f64>,
}

/// Why a repository cannot be used.
#[derive(Debug, Error)]
pub enum RepositoryError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// Why not.
        error: std::io::Error,
    },
    /// The file is not what is expected.
    #[error("{path}: {error}")]
    Format {
        /// The file.
        path: String,
        /// Why not.
        error: serde_json::Error,
    },
    /// A number or name makes no sense.
    #[error("{0}")]
    Content(String),
}

/// Most classes: votes have 16 bits for them.
const CLASSES_MAX: usize = 60_000;

/// Least and greatest share of the classes that a model of the published shape knows.
const COVERAGE: (f64, f64) = (1.0 / 80.0, 54.0 / 80.0);
/// Milliseconds.
const LATENCY: (f64, f64) = (1.0, 48.0);
/// Accuracy on a class, and its mean.
const ACCURACY: (f64, f64, f64) = (0.804, 0.998, 0.898);

impl Repository {
    /// Reads a JSON file.
    ///
    /// # Errors
    /// The file is missing or wrong.
    pub fn read(path: &Path) -> Result<Self, RepositoryError> {
        let named = || path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| RepositoryError::Read {
            path: named(),
            error,
        })?;
        let read: Self = serde_json::from_str(&text).map_err(|error| RepositoryError::Format {
            path: named(),
            error,
        })?;
        read.check()?;
        Ok(read)
    }

    fn check(&self) -> Result<(), RepositoryError> {
        let wrong = |what: String| Err(RepositoryError::Content(what));
        if self.classes.is_empty() || self.models.is_empty() {
            return wrong("a repository has classes and models".to_owned());
        }
        if let Some(class) = twice(self.classes.iter()) {
            return wrong(format!("class {class} stands twice in classes"));
        }
        if let Some(model) = twice(self.models.iter().map(|m| &m.name)) {
            return wrong(format!("there are two models {model}"));
        }
        if self.classes.len() > CLASSES_MAX {
            return wrong(format!("more than {CLASSES_MAX} classes"));
        }
        for model in &self.models {
            let name = &model.name;
            if !(model.latency_ms.is_finite() && model.latency_ms > 0.0) {
                return wrong(format!("model {name}: latency_ms must be greater than 0"));
            }
            for (class, accuracy) in &model.covers {
                if !self.classes.contains(class) {
                    return wrong(format!("model {name}: class {class} is not in classes"));
                }
                if !(0.0..=1.0).contains(accuracy) {
                    return wrong(format!("model {name}: accuracy of {class} is not in 0..=1"));
                }
            }
        }
        Ok(())
    }

    /// A repository of the shape that was published with 80 classes and 125 models: models that
    /// know 1 to 54 of the 80 classes (27.7 in the mean) with accuracies from 0.804 to 0.998
    /// (0.898 in the mean) at 1 to 48 ms (23.5 in the mean).
    /// In other sizes models know as large a share of the classes.
    pub fn published_shape(models: usize, classes: usize, seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0x5A9E);
        let names: Vec<String> = (0..classes).map(|c| format!("c{c}")).collect();
        let mut between = |low: f64, high: f64| low + (high - low) * dice.uniform();
        let plans: Vec<(f64, f64)> = (0..models)
            .map(|_| {
                (
                    between(COVERAGE.0, COVERAGE.1),
                    between(LATENCY.0, LATENCY.1),
                )
            })
            .collect();
        let described = |(number, (share, latency_ms)): (usize, (f64, f64))| {
            let count = ((share * classes as f64).round() as usize).clamp(1, classes);
            let known = dice.some(&names.iter().collect::<Vec<_>>(), count);
            let covers = known
                .into_iter()
                .map(|name| (name.clone(), accuracy(&mut dice)));
            Described {
                name: format!("m{number:03}"),
                latency_ms,
                covers: covers.collect(),
            }
        };
        Self {
            source: format!("published shape, {models} models, {classes} classes, seed {seed}"),
            models: plans.into_iter().enumerate().map(described).collect(),
            classes: names,
        }
    }

    /// The repository in which at most `able` models know each class: the rest forget it.
    #[must_use]
    pub fn with_choice(&self, able: usize, seed: u64) -> Self {
        let mut dice = Dice::new(seed, 0xC401);
        let mut forgetful = self.clone();
        for class in &self.classes {
            let knowing: Vec<usize> = (0..self.models.len())
                .filter(|m| {
                    self.models
                        .get(*m)
                        .is_some_and(|m| m.covers.contains_key(class))
                })
                .collect();
            let kept = dice.some(&knowing, able);
            for m in knowing.into_iter().filter(|m| !kept.contains(m)) {
                forgetful.models.get_mut(m).into_iter().for_each(|m| {
                    m.covers.remove(class);
                });
            }
        }
        forgetful.models.retain(|m| !m.covers.is_empty());
        forgetful
    }

    /// Positions of classes that no model knows.
    pub fn uncovered(&self) -> Vec<usize> {
        let is_known = |class: &String| self.models.iter().any(|m| m.covers.contains_key(class));
        let classes = self.classes.iter().enumerate();
        classes
            .filter(|(_, class)| !is_known(class))
            .map(|(place, _)| place)
            .collect()
    }
}

/// A name that comes again.
fn twice<'n>(mut names: impl Iterator<Item = &'n String>) -> Option<&'n String> {
    let mut seen = BTreeSet::new();
    names.find(|name| !seen.insert(*name))
}

/// An accuracy between the least and the greatest published, with the published mean: the power of
/// a uniform number whose mean is where the published one lies.
fn accuracy(dice: &mut Dice) -> f64 {
    let (low, high, mean) = ACCURACY;
    let power = (high - low) / (mean - low) - 1.0;
    low + (high - low) * dice.uniform().powf(power)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_published_shape_has_the_published_figures() {
        let repository = Repository::published_shape(2_000, 80, 1);
        repository.check().unwrap();
        let covers = repository.models.iter().map(|m| m.covers.len());
        assert_eq!(
            (covers.clone().min(), covers.clone().max()),
            (Some(1), Some(54))
        );
        let mean = |sum: f64, count: usize| sum / count as f64;
        let covered = mean(covers.clone().sum::<usize>() as f64, 2_000);
        assert!((covered - 27.7).abs() < 1.0, "{covered}");
        let latency = mean(repository.models.iter().map(|m| m.latency_ms).sum(), 2_000);
        assert!((latency - 24.5).abs() < 1.5, "{latency}");
        let accuracies: Vec<f64> = repository
            .models
            .iter()
            .flat_map(|m| m.covers.values().copied())
            .collect();
        let accuracy = mean(accuracies.iter().sum(), accuracies.len());
        assert!((accuracy - 0.898).abs() < 0.005, "{accuracy}");
    }

    #[test]
    fn choice_can_be_scarce() {
        let repository = Repository::published_shape(60, 20, 2);
        let scarce = repository.with_choice(2, 3);
        for class in &scarce.classes {
            let able = scarce
                .models
                .iter()
                .filter(|m| m.covers.contains_key(class))
                .count();
            assert!(able <= 2, "{class} {able}");
        }
        assert!(scarce.models.iter().all(|m| !m.covers.is_empty()));
        assert_eq!(scarce.uncovered(), repository.uncovered());
        assert_eq!(repository.with_choice(0, 3).uncovered().len(), 20);
    }

    #[test]
    fn published_repositories_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("zoo.json");
        let write = |text: &str| std::fs::write(&file, text).unwrap();
        write(
            r#"{"source": "s", "classes": ["a", "b"], "models":
               [{"name": "m", "latency_ms": 21.0, "covers": {"a": 0.93}}]}"#,
        );
        let read = Repository::read(&file).unwrap();
        assert_eq!(
            (read.models[0].covers["a"], read.uncovered()),
            (0.93, vec![1])
        );
        let wrong = |classes: &str, models: &str| {
            write(&format!(
                r#"{{"source": "s", "classes": {classes}, "models": {models}}}"#
            ));
            Repository::read(&file).unwrap_err().to_string()
        };
        let model = |rest: &str| format!(r#"[{{"name": "m", {rest}}}]"#);
        for (models, expected) in [
            (
                model(r#""latency_ms": 1, "covers": {"x": 0.9}"#),
                "model m: class x is not in classes",
            ),
            (
                model(r#""latency_ms": 1, "covers": {"a": 1.5}"#),
                "model m: accuracy of a is not in 0..=1",
            ),
            (
                model(r#""latency_ms": -1, "covers": {}"#),
                "model m: latency_ms must be greater than 0",
            ),
            ("[]".to_owned(), "a repository has classes and models"),
        ] {
            assert_eq!(wrong(r#"["a"]"#, &models), expected);
        }
        let fine = model(r#""latency_ms": 1, "covers": {}"#);
        assert_eq!(
            wrong(r#"["a", "b", "a"]"#, &fine),
            "class a stands twice in classes"
        );
        let broken = wrong(r#"["a"]"#, &model(r#""latency_ms": NaN, "covers": {}"#));
        assert!(
            broken.contains("zoo.json: expected value at line 1"),
            "{broken}"
        );
    }
}

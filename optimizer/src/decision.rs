//! The decision: all of a plan that can change an answer.
//!
//! It depends on the statement and the published catalog alone, never on load, time or cache.
//! How the decided models are run is the [`crate::schedule`]'s.

use std::collections::HashMap;
use std::sync::Arc;

use predictsql_catalog::{Model, Snapshot, Task};

use crate::refusal::Refusal;

/// How the answers of a decision's models become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// One model answers: its label of the highest score.
    Single,
}

/// Why a model was chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reason {
    /// The statement names it.
    Named,
    /// It covers every class and has the best declared accuracy (0..=1).
    BestDeclared(f64),
    /// It covers every class, none declares an accuracy, and it was created last.
    CreatedLast,
}

/// Which model answers a prediction, and by which rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// The model.
    pub model: Arc<Model>,
    /// The rule.
    pub rule: Rule,
    /// Why this model.
    pub reason: Reason,
    /// For each label of the model (its output's columns): the position of the class among the
    /// task's classes plus one, or 0 for "none of my classes".
    pub codes: Vec<usize>,
}

impl Decision {
    /// The label column that holds the score of a class (position among the task's classes);
    /// `None` where the model does not cover it.
    pub fn label_of_class(&self, class: usize) -> Option<usize> {
        self.codes.iter().position(|code| *code == class + 1)
    }
}

/// Decides who answers a prediction: the model that the statement names, else, while no
/// accuracy has been measured, the full-coverage model with the best declared accuracy, else
/// the one created last.
pub fn decide(
    task: &Task,
    named: Option<&Arc<Model>>,
    catalog: &Snapshot,
) -> Result<Decision, Refusal> {
    if let Some(model) = named {
        return Ok(decision(task, model, Reason::Named));
    }
    let models: Vec<&Arc<Model>> = catalog.models_of(&task.name).collect();
    let (model, reason) = declared(task, &models)?;
    Ok(decision(task, model, reason))
}

/// The default rule where nothing was measured. `models` are the task's, in order of creation.
pub(crate) fn declared<'m>(
    task: &Task,
    models: &[&'m Arc<Model>],
) -> Result<(&'m Arc<Model>, Reason), Refusal> {
    let covers_all = |m: &&&Arc<Model>| task.classes.iter().all(|c| m.covers.contains(c));
    let full: Vec<&Arc<Model>> = models.iter().filter(covers_all).copied().collect();
    let best = full
        .iter()
        .filter_map(|m| Some((m.options.accuracy?, *m)))
        .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.id.cmp(&b.1.id)));
    match (best, full.last()) {
        (Some((accuracy, model)), _) => Ok((model, Reason::BestDeclared(accuracy))),
        (None, Some(model)) => Ok((model, Reason::CreatedLast)),
        (None, None) => Err(no_model(task, models)),
    }
}

fn decision(task: &Task, model: &Arc<Model>, reason: Reason) -> Decision {
    Decision {
        model: Arc::clone(model),
        rule: Rule::Single,
        reason,
        codes: outcomes(&class_outcomes(task), model)
            .into_iter()
            .map(usize::from)
            .collect(),
    }
}

/// The outcome of each class of a task, by name: its position plus one.
pub(crate) fn class_outcomes(task: &Task) -> HashMap<&str, u16> {
    (1..)
        .zip(&task.classes)
        .map(|(o, c)| (c.as_str(), o))
        .collect()
}

/// The outcome of each of a model's labels: that of the class, or 0 for "none of my classes".
pub(crate) fn outcomes(classes: &HashMap<&str, u16>, model: &Model) -> Vec<u16> {
    let outcome = |label: &String| classes.get(label.as_str()).copied().unwrap_or(0);
    model.options.labels.iter().map(outcome).collect()
}

fn no_model(task: &Task, models: &[&Arc<Model>]) -> Refusal {
    let names: Vec<&str> = models.iter().map(|m| m.name.as_str()).take(10).collect();
    if names.is_empty() {
        return Refusal::no_model(format_args!(
            "task '{}' has no model; create one with CREATE MODEL ... FOR TASK {}",
            task.name, task.name
        ));
    }
    Refusal::no_model(format_args!(
        "no single model covers all classes of task '{}'; name one of its models instead: {}",
        task.name,
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{model, task};

    #[test]
    fn best_declared_accuracy_wins_then_the_last() {
        let t = task("t", &["a", "b"]);
        let pick = |models: Vec<Model>| {
            let catalog = Snapshot::new(1, vec![t.clone()], models);
            decide(&t, None, &catalog).map(|d| d.model.name.clone())
        };
        let all = ["a", "b"];
        assert_eq!(
            pick(vec![
                model(1, "x", &all, Some(0.9)),
                model(2, "y", &all, Some(0.8))
            ])
            .as_deref(),
            Ok("x")
        );
        assert_eq!(
            pick(vec![model(1, "x", &all, None), model(2, "y", &all, None)]).as_deref(),
            Ok("y")
        );
        assert_eq!(
            pick(vec![
                model(1, "x", &all, Some(0.1)),
                model(2, "y", &all, None)
            ])
            .as_deref(),
            Ok("x")
        );
        assert_eq!(
            pick(vec![
                model(1, "x", &["a"], Some(0.99)),
                model(2, "y", &all, Some(0.5))
            ])
            .as_deref(),
            Ok("y")
        );
        let refused = pick(vec![model(1, "x", &["a"], None)]).expect_err("covers too little");
        assert!(
            refused
                .message
                .contains("name one of its models instead: x"),
            "{refused}"
        );
    }

    #[test]
    fn codes_map_labels_to_classes() {
        let t = task("t", &["a", "b", "c"]);
        let mut m = model(1, "x", &["c", "a"], None);
        m.options.labels.push("other".to_owned());
        let d = decide(&t, Some(&Arc::new(m)), &Snapshot::default()).expect("named");
        assert_eq!(d.codes, [3, 1, 0]);
        assert_eq!((d.label_of_class(0), d.label_of_class(1)), (Some(1), None));
    }
}

//! The default rule: chooses the model of a task without measurements.

use std::collections::HashMap;
use std::sync::Arc;

use predictsql_catalog::{Model, Task};

use crate::refusal::Refusal;

/// Why a model was chosen without measurements.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Declared {
    /// It covers every class and declares the best accuracy (0..=1).
    Best(f64),
    /// It covers every class, none declares an accuracy, and it was created last.
    CreatedLast,
}

/// Refuses a task without any model.
///
/// # Errors
/// [`RefusalKind::NoModel`](crate::RefusalKind::NoModel): the task has no model.
pub fn check_has_model<'m>(
    task: &Task,
    mut models: impl Iterator<Item = &'m Arc<Model>>,
) -> Result<(), Refusal> {
    models.next().map(|_| ()).ok_or_else(|| no_model(task, &[]))
}

/// The full-coverage model with the best declared accuracy, or the one created last. `models` are
/// the task's, in creation order.
pub(crate) fn declared<'m>(
    task: &Task,
    models: &[&'m Arc<Model>],
) -> Result<(&'m Arc<Model>, Declared), Refusal> {
    let covers_all = |m: &&&Arc<Model>| task.classes.iter().all(|c| m.covers.contains(c));
    let full: Vec<&Arc<Model>> = models.iter().filter(covers_all).copied().collect();
    let best = full
        .iter()
        .filter_map(|m| Some((m.options.accuracy?, *m)))
        .max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.id.cmp(&b.1.id)));
    match (best, full.last()) {
        (Some((accuracy, model)), _) => Ok((model, Declared::Best(accuracy))),
        (None, Some(model)) => Ok((model, Declared::CreatedLast)),
        (None, None) => Err(no_model(task, models)),
    }
}

/// The outcome of each class of a task, by name: its position plus one.
pub(crate) fn class_outcomes(task: &Task) -> HashMap<&str, u16> {
    (1..)
        .zip(&task.classes)
        .map(|(o, c)| (c.as_str(), o))
        .collect()
}

/// The outcome of each label of a model: its class's outcome, or 0 for "none of my classes".
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
            let models: Vec<_> = models.into_iter().map(Arc::new).collect();
            declared(&t, &models.iter().collect::<Vec<_>>()).map(|(m, _)| m.name.clone())
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
        assert!(check_has_model(&t, [].into_iter()).is_err());
        assert!(
            refused
                .message
                .contains("name one of its models instead: x"),
            "{refused}"
        );
    }

    #[test]
    fn labels_are_outcomes_of_the_task() {
        let t = task("t", &["a", "b", "c"]);
        let mut m = model(1, "x", &["c", "a"], None);
        m.options.labels.push("other".to_owned());
        assert_eq!(outcomes(&class_outcomes(&t), &m), [3, 1, 0]);
    }
}

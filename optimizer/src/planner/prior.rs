//! Declared priors: converts class shares by name to outcome weights.

use predictsql_catalog::{AnswerShape, ClassShares, Task, TaskStatistics};

use super::query::Prior;
use super::thinning::counts;
use crate::Refusal;

impl Prior {
    /// From declared shares. The remainder goes to the unnamed outcomes (including "none of the
    /// classes") in proportion to the labelled rows; if these show none of them, the named ones
    /// get everything. `None`: there are no measurements to weight, or the shares equal those of
    /// the labelled rows.
    ///
    /// # Errors
    /// A class is not the task's, or no labelled row shows a class with a share.
    pub fn declared(
        shares: &ClassShares,
        task: &Task,
        statistics: Option<&TaskStatistics>,
    ) -> Result<Option<Self>, Refusal> {
        if let Some(class) = shares.unknown_class(&task.classes) {
            return Err(Refusal::prior(unknown(task, class)));
        }
        let Some(statistics) = statistics.filter(|s| s.task_version == task.version) else {
            return Ok(None);
        };
        let seen = [&statistics.plan, &statistics.cert].map(|part| counts(part));
        let rows = |outcome: usize| -> f64 {
            let of = |part: &Vec<u32>| f64::from(part.get(outcome).copied().unwrap_or(0));
            seen.iter().map(of).sum()
        };
        let named = |outcome: usize| {
            let class = task.classes.get(outcome.checked_sub(1)?)?;
            shares.of(class)
        };
        let outcomes = 0..=task.classes.len();
        let left = 1.0 - shares.iter().map(|(_, share)| share).sum::<f64>();
        let unnamed = outcomes.clone().filter(|o| named(*o).is_none());
        let unnamed: f64 = unnamed.map(rows).sum();
        let weight = |o: usize| match named(o) {
            Some(share) => share,
            None if unnamed > 0.0 => left.max(0.0) * rows(o) / unnamed,
            None => 0.0,
        };
        let weights: Vec<f64> = outcomes.clone().map(weight).collect();
        let own: Vec<f64> = outcomes.map(rows).collect();
        if own.iter().sum::<f64>() <= 0.0 {
            return Ok(None);
        }
        let is_shown = |(weight, rows): (&f64, &f64)| *weight > 0.0 && *rows > 0.0;
        if !weights.iter().zip(&own).any(is_shown) {
            return Err(Refusal::prior(format_args!(
                "no labelled row of task '{}' shows a class that has a share; EVALUATE TASK {} measures",
                task.name, task.name
            )));
        }
        let prior = Self::new(&weights);
        Ok(prior.filter(|prior| Some(prior) != Self::new(&own).as_ref()))
    }
}

fn unknown(task: &Task, class: &str) -> String {
    const SHOWN: usize = 60;
    let class: String = class.chars().take(SHOWN).collect();
    let of_one = format!(
        r#"{{"{}": {{...}}}} declares shares for one task of several"#,
        task.name
    );
    match task.answer_shape() {
        AnswerShape::Value => format!("{}; {of_one}", task.without_classes()),
        AnswerShape::Label => format!(
            "'{}' is no class of task '{}'; {of_one}",
            class.escape_debug(),
            task.name
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RefusalKind;
    use crate::fixture::task;

    fn shares(text: &str) -> ClassShares {
        ClassShares::parse(text).expect("shares")
    }

    /// Labelled rows: 1 of no class, 2 of `a`, 4 of `b`, 1 of `c`, none of `d`.
    fn statistics() -> TaskStatistics {
        TaskStatistics {
            task: "t".to_owned(),
            task_version: 1,
            epoch: 1,
            population: String::new(),
            plan: [0, 1, 2, 2].into(),
            cert: [3, 1, 2, 2].into(),
            models: Vec::new(),
        }
    }

    fn declared(text: &str) -> Result<Option<Prior>, Refusal> {
        let task = task("t", &["a", "b", "c", "d"]);
        Prior::declared(&shares(text), &task, Some(&statistics()))
    }

    #[test]
    fn what_is_not_named_shares_the_rest_as_labelled_rows_do() {
        let weights = |text| declared(text).expect("meant").expect("weights");
        assert_eq!(
            Some(weights(r#"{"a": 0.4, "d": 0.0}"#)),
            Prior::new(&[0.1, 0.4, 0.4, 0.1, 0.0])
        );
        assert_eq!(
            Some(weights(r#"{"a": 0.5, "d": 0.5}"#)),
            Prior::new(&[0.0, 1.0, 0.0, 0.0, 1.0])
        );
        // No other outcome can take the remainder, so the named ones get everything.
        let task = task("t", &["a", "b", "c"]);
        let mut statistics = statistics();
        statistics.plan = [1, 2, 2, 3].into();
        let all = shares(r#"{"a": 0.1, "b": 0.1, "c": 0.2}"#);
        let prior = Prior::declared(&all, &task, Some(&statistics)).expect("meant");
        assert_eq!(prior, Prior::new(&[0.0, 1.0, 1.0, 2.0]));
    }

    #[test]
    fn the_rows_own_shares_are_no_prior() {
        for own in [
            "{}",
            r#"{"a": 0.25}"#,
            r#"{"a": 0.25, "b": 0.5, "c": 0.125}"#,
        ] {
            assert_eq!(declared(own), Ok(None), "{own}");
        }
        let task = task("t", &["a", "b", "c", "d"]);
        let shares = shares(r#"{"a": 0.9}"#);
        assert_eq!(Prior::declared(&shares, &task, None), Ok(None));
        let mut other = statistics();
        other.task_version = 2;
        assert_eq!(Prior::declared(&shares, &task, Some(&other)), Ok(None));
    }

    #[test]
    fn what_no_row_can_stand_for_is_refused() {
        for (text, says) in [
            (r#"{"x": 0.1}"#, "'x' is no class of task 't'"),
            (r#"{"d": 1}"#, "no labelled row of task 't' shows a class"),
        ] {
            let refused = declared(text).expect_err(text);
            assert_eq!(refused.kind, RefusalKind::Prior);
            assert!(refused.message.contains(says), "{}", refused.message);
        }
    }
}

//! The options of `CREATE TASK` and `ALTER TASK ... SET`.

use super::classes::unknown_class;
use crate::answer_shape::AnswerShape;
use crate::constraints::{ACCURACY_SLACK_POINTS_DEFAULT, Answers};
use crate::option_value::{OptionError, OptionValue, check_keys, value_error};
use crate::shares::ClassShares;
use crate::task::Task;

const KEYS: [&str; 6] = [
    "accuracy_slack_points",
    "min_accuracy",
    "max_seconds",
    "max_cost",
    "prior",
    "answers",
];

impl Task {
    /// Applies options; `NULL` and `DEFAULT` reset an option.
    pub fn set(&mut self, options: &[(String, OptionValue)]) -> Result<(), OptionError> {
        check_keys(options, &KEYS)?;
        for (key, value) in options {
            if key.eq_ignore_ascii_case(KEYS[4]) {
                self.constraints.prior = self.prior(value)?;
                continue;
            }
            if key.eq_ignore_ascii_case(KEYS[5]) {
                self.constraints.answers = answers(value)?;
                continue;
            }
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

    /// Shares of classes of this task; `None` for those of the labelled rows.
    fn prior(&self, value: &OptionValue) -> Result<Option<ClassShares>, OptionError> {
        let key = KEYS[4];
        if is_default(value) {
            return Ok(None);
        }
        let OptionValue::Text(text) = value else {
            let expected = r#"a JSON object in quotes is expected, such as '{"cat": 0.3}'"#;
            return Err(value_error(key, expected));
        };
        if text.trim().is_empty() {
            return Ok(None);
        }
        let shares = ClassShares::parse(text).map_err(|e| value_error(key, e.to_string()))?;
        let Some(class) = shares.unknown_class(&self.classes) else {
            return Ok(Some(shares).filter(|shares| !shares.is_empty()));
        };
        Err(match self.answer_shape() {
            AnswerShape::Label => unknown_class(self, class, "option 'prior'"),
            AnswerShape::Value => value_error(key, self.without_classes()),
        })
    }
}

/// Whether an option is reset.
fn is_default(value: &OptionValue) -> bool {
    let is = |word: &String| {
        ["NULL", "DEFAULT"]
            .iter()
            .any(|w| w.eq_ignore_ascii_case(word))
    };
    matches!(value, OptionValue::Word(word) if is(word))
}

/// Which decision answers statements that ask for nothing.
fn answers(value: &OptionValue) -> Result<Answers, OptionError> {
    if is_default(value) {
        return Ok(Answers::default());
    }
    let named = value.text().and_then(|name| name.parse().ok());
    named.ok_or_else(|| value_error(KEYS[5], "'stable' or 'per_statement' is expected"))
}

/// A number within the option's bounds; `None` for its default.
fn number(
    key: &'static str,
    value: &OptionValue,
    expected: &str,
) -> Result<Option<f64>, OptionError> {
    if is_default(value) {
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
    use crate::constraints::TaskConstraints;
    use crate::task::{TaskInput, TaskKind};

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
            Ok::<_, OptionError>((task.accuracy_slack_points, task.constraints.clone()))
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

    #[test]
    fn answers_are_stable_or_per_statement() {
        let mut task = Task {
            name: "t".to_owned(),
            kind: TaskKind::Classification,
            input: TaskInput::Image,
            classes: vec!["a".to_owned()],
            accuracy_slack_points: ACCURACY_SLACK_POINTS_DEFAULT,
            constraints: TaskConstraints::default(),
            version: 1,
        };
        let mut set = |value: OptionValue| {
            task.set(&[("Answers".to_owned(), value)])?;
            Ok::<_, OptionError>(task.constraints.answers)
        };
        let text = |text: &str| OptionValue::Text(text.to_owned());
        assert_eq!(set(text("PER_STATEMENT")).unwrap(), Answers::PerStatement);
        let error = set(text("varying")).unwrap_err().to_string();
        assert!(error.contains("'stable' or 'per_statement'"), "{error}");
        let default = OptionValue::Word("DEFAULT".to_owned());
        assert_eq!(set(default).unwrap(), Answers::Stable);
    }

    #[test]
    fn a_prior_names_classes_of_the_task() {
        let mut task = Task {
            name: "t".to_owned(),
            kind: TaskKind::Classification,
            input: TaskInput::Image,
            classes: vec!["it's".to_owned(), "b".to_owned()],
            accuracy_slack_points: ACCURACY_SLACK_POINTS_DEFAULT,
            constraints: TaskConstraints::default(),
            version: 1,
        };
        let text = |text: &str| OptionValue::Text(text.to_owned());
        let mut set = |value: OptionValue| {
            task.set(&[("Prior".to_owned(), value)])?;
            Ok::<_, OptionError>(task.constraints.prior.clone())
        };
        let given = set(text(r#"{"it's": 0.3}"#)).unwrap().unwrap();
        assert_eq!((given.of("it's"), given.of("b")), (Some(0.3), None));
        for (value, says) in [
            (text(r#"{"c": 0.3}"#), "Unknown class 'c' in option 'prior'"),
            (text(r#"{"b": 2}"#), "'b' has 2"),
            (text("b=1"), "not a JSON object"),
            (OptionValue::Number(0.3), "a JSON object in quotes"),
        ] {
            let error = set(value).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        for none in [OptionValue::Word("null".to_owned()), text(" "), text("{}")] {
            set(text(r#"{"b": 1}"#)).unwrap().unwrap();
            assert_eq!(set(none).unwrap(), None);
        }
        task.classes.clear();
        task.kind = TaskKind::Regression;
        let error = task.set(&[("prior".to_owned(), text(r#"{"b": 1}"#))]);
        assert!(error.unwrap_err().to_string().contains("is a regression"));
    }
}

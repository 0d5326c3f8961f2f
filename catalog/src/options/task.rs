//! The options of `CREATE TASK` and `ALTER TASK ... SET`.

use super::classes::unknown_class;
use crate::answer_shape::AnswerShape;
use crate::constraints::{ACCURACY_SLACK_POINTS_DEFAULT, Answers};
use crate::option_value::{OptionError, OptionValue, check_keys, value_error};
use crate::shares::ClassShares;
use crate::task::{Task, TaskInput};

const KEYS: [&str; 7] = [
    "accuracy_slack_points",
    "min_accuracy",
    "max_seconds",
    "max_cost",
    "prior",
    "answers",
    "image_roots",
];

const IMAGE_ROOTS_EXPECTED: &str =
    "paths and URIs in quotes are expected, such as ('s3://bucket/tenant/', '/srv/tenant')";

/// Maximum image roots of one task.
const IMAGE_ROOTS_MAX: usize = 64;

/// Maximum length of an image root, in bytes.
const IMAGE_ROOT_BYTES_MAX: usize = 4096;

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
            if key.eq_ignore_ascii_case(KEYS[6]) {
                self.image_roots = self.roots(value)?;
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

    /// Image roots of this task; none for those of the proxy.
    fn roots(&self, value: &OptionValue) -> Result<Vec<String>, OptionError> {
        let key = KEYS[6];
        if is_default(value) {
            return Ok(Vec::new());
        }
        if self.input != TaskInput::Image {
            let reason = format!("task '{}' has no images: NULL is expected", self.name);
            return Err(value_error(key, reason));
        }
        let given = value.elements();
        if given.is_empty() || given.len() > IMAGE_ROOTS_MAX {
            let reason = format!("1 to {IMAGE_ROOTS_MAX} paths and URIs are expected, or NULL");
            return Err(value_error(key, reason));
        }
        let roots = given.iter().map(|root| {
            let OptionValue::Text(root) = root else {
                return Err(value_error(key, IMAGE_ROOTS_EXPECTED));
            };
            let fits = (1..=IMAGE_ROOT_BYTES_MAX).contains(&root.len());
            if !fits || root.chars().any(char::is_control) {
                let reason = format!(
                    "a root has 1 to {IMAGE_ROOT_BYTES_MAX} bytes and no control characters"
                );
                return Err(value_error(key, reason));
            }
            Ok(root.clone())
        });
        roots.collect()
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
    use crate::task::{Column, ColumnKind, TaskKind};

    fn task() -> Task {
        Task {
            name: "t".to_owned(),
            kind: TaskKind::Classification,
            input: TaskInput::Image,
            classes: vec!["a".to_owned()],
            accuracy_slack_points: ACCURACY_SLACK_POINTS_DEFAULT,
            constraints: TaskConstraints::default(),
            image_roots: Vec::new(),
            version: 1,
        }
    }

    #[test]
    fn options_are_set_within_their_bounds_and_taken_back() {
        let mut task = task();
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
        let mut task = task();
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
            image_roots: Vec::new(),
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

    #[test]
    fn image_roots_are_a_list_of_texts_for_a_task_over_images() {
        let mut task = task();
        let text = |text: &str| OptionValue::Text(text.to_owned());
        let list = |roots: &[&str]| OptionValue::List(roots.iter().map(|r| text(r)).collect());
        let set = |task: &mut Task, value: OptionValue| {
            task.set(&[("Image_Roots".to_owned(), value)])?;
            Ok::<_, OptionError>(task.image_roots.clone())
        };
        let two = ["s3://b/it's/", "/srv/a"];
        assert_eq!(set(&mut task, list(&two)).unwrap(), two);
        assert_eq!(set(&mut task, text("/srv/b")).unwrap(), ["/srv/b"]);
        let long = "/".repeat(IMAGE_ROOT_BYTES_MAX + 1);
        for (value, says) in [
            (list(&[]), "1 to 64 paths"),
            (list(&["/a"; IMAGE_ROOTS_MAX + 1]), "1 to 64 paths"),
            (OptionValue::Number(1.0), "in quotes"),
            (OptionValue::Word("srv".to_owned()), "in quotes"),
            (list(&["/a", ""]), "1 to 4096 bytes"),
            (text(&long), "1 to 4096 bytes"),
            (text("/a\nb"), "control characters"),
        ] {
            let error = set(&mut task, value).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert_eq!(task.image_roots, ["/srv/b"]);
        }
        for word in ["NULL", "default"] {
            set(&mut task, text("/srv/b")).unwrap();
            let word = OptionValue::Word(word.to_owned());
            assert!(set(&mut task, word).unwrap().is_empty());
        }
        task.input = TaskInput::Columns(vec![Column {
            name: "x".to_owned(),
            kind: ColumnKind::Double,
        }]);
        let error = set(&mut task, text("/srv/b")).unwrap_err().to_string();
        assert!(error.contains("has no images"), "{error}");
        assert!(set(&mut task, OptionValue::Word("NULL".to_owned())).is_ok());
    }
}

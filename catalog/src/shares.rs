//! Declared shares of a task's classes among inputs: JSON such as `{"Sneaker": 0.3, "Bag": 0.05}`.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// Maximum sum of the shares: each may have been rounded.
const SUM_MAX: f64 = 1.001;

/// Maximum length of a class name in messages.
const NAME_CHARS_SHOWN: usize = 60;

/// Shares of classes among inputs, by name: each from 0 to 1, together at most 1. Unnamed classes
/// share the rest in proportion to the labelled rows; without any named class the shares are those
/// of the labelled rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClassShares(BTreeMap<String, f64>);

/// Why a text or shares are invalid, as a clause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WrongShares(String);

impl ClassShares {
    /// Parses a JSON object with a number for each named class.
    ///
    /// # Errors
    /// Not such an object, a class is named twice, or shares are out of range.
    pub fn parse(text: &str) -> Result<Self, WrongShares> {
        let pairs: Pairs<f64> = serde_json::from_str(text).map_err(|error| {
            WrongShares(format!("this is not a JSON object of numbers: {error}"))
        })?;
        Self::new(pairs.0)
    }

    /// Shares of the given classes.
    ///
    /// # Errors
    /// A class is named twice, or shares are out of range.
    pub fn new(pairs: impl IntoIterator<Item = (String, f64)>) -> Result<Self, WrongShares> {
        let wrong = |text: String| Err(WrongShares(text));
        let mut shares: BTreeMap<String, f64> = BTreeMap::new();
        for (class, share) in pairs {
            if !(0.0..=1.0).contains(&share) {
                return wrong(format!(
                    "{} has {share}, which is not from 0 to 1",
                    shown(&class)
                ));
            }
            if shares.contains_key(&class) {
                return wrong(format!("{} is named twice", shown(&class)));
            }
            shares.insert(class, share);
        }
        let sum: f64 = shares.values().sum();
        if sum > SUM_MAX {
            return wrong(format!("the shares sum to {sum:.4}, more than 1"));
        }
        Ok(Self(shares))
    }

    /// Classes and their shares, ordered by class.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(class, share)| (class.as_str(), *share))
    }

    /// The share of a class, if it is named.
    pub fn of(&self, class: &str) -> Option<f64> {
        self.0.get(class).copied()
    }

    /// Whether no class is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A named class that is not among `classes`.
    pub fn unknown_class(&self, classes: &[String]) -> Option<&str> {
        let mut named = self.0.keys().map(String::as_str);
        named.find(|class| !classes.iter().any(|known| known == class))
    }
}

/// In the format of [`ClassShares::parse`].
impl fmt::Display for ClassShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).unwrap_or_default())
    }
}

/// Shares declared by a session or a statement: for all tasks, or by task.
#[derive(Debug, Clone, PartialEq)]
pub enum DeclaredShares {
    /// `{"Sneaker": 0.3}`
    OfAny(ClassShares),
    /// `{"apparel": {"Sneaker": 0.3}}`, by lower-case task name.
    ByTask(BTreeMap<String, ClassShares>),
}

impl DeclaredShares {
    /// Parses a JSON object in one of these forms.
    ///
    /// # Errors
    /// Not such an object, a class or task is named twice, or shares are out of range.
    pub fn parse(text: &str) -> Result<Self, WrongShares> {
        let pairs: Pairs<Value> = serde_json::from_str(text).map_err(|error| {
            WrongShares(format!("this is not a JSON object of numbers: {error}"))
        })?;
        let (mut shares, mut tasks) = (Vec::new(), BTreeMap::new());
        for (name, value) in pairs.0 {
            match value {
                Value::Share(share) => shares.push((name, share)),
                Value::Task(of_task) => {
                    let of_task = ClassShares::new(of_task.0)?;
                    if tasks.insert(name.to_ascii_lowercase(), of_task).is_some() {
                        return Err(WrongShares(format!("task {} is named twice", shown(&name))));
                    }
                }
            }
        }
        match (shares.is_empty(), tasks.is_empty()) {
            (_, true) => Ok(Self::OfAny(ClassShares::new(shares)?)),
            (true, false) => Ok(Self::ByTask(tasks)),
            (false, false) => Err(WrongShares(
                "it has shares of classes beside tasks".to_owned(),
            )),
        }
    }

    /// The shares for a task, if any are declared.
    pub fn of(&self, task: &str) -> Option<&ClassShares> {
        match self {
            Self::OfAny(shares) => Some(shares),
            Self::ByTask(tasks) => tasks.get(task),
        }
    }

    /// The named tasks.
    pub fn tasks(&self) -> impl Iterator<Item = &str> {
        let tasks = match self {
            Self::OfAny(_) => None,
            Self::ByTask(tasks) => Some(tasks),
        };
        tasks.into_iter().flat_map(|t| t.keys().map(String::as_str))
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a share is a number")]
enum Value {
    Share(f64),
    Task(Pairs<f64>),
}

fn shown(class: &str) -> String {
    let mut start: String = class.chars().take(NAME_CHARS_SHOWN).collect();
    if start.len() < class.len() {
        start.push_str("...");
    }
    format!("'{}'", start.escape_debug())
}

/// A JSON object as a list, in which a name may occur twice.
struct Pairs<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsWritten<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for AsWritten<V> {
            type Value = Pairs<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(AsWritten(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn any_label_is_read_as_it_is_written() {
        let odd = r#"a "b", {c}: 'd' \ e*/ é"#;
        let shares = ClassShares::new([(odd.to_owned(), 0.25), ("x".to_owned(), 0.0)]).unwrap();
        assert_eq!(ClassShares::parse(&shares.to_string()).unwrap(), shares);
        assert_eq!((shares.of(odd), shares.of("y")), (Some(0.25), None));
        assert!(ClassShares::parse(" {} ").unwrap().is_empty());
        // Rounded shares may sum to a little more than 1.
        assert!(ClassShares::parse(r#"{"a": 0.3334, "b": 0.3334, "c": 0.3334}"#).is_ok());
    }

    #[test]
    fn several_tasks_have_shares_of_their_own() {
        let declared = DeclaredShares::parse(r#"{"Apparel": {"Bag": 1}, "pets": {}}"#).unwrap();
        let of = |task: &str| declared.of(task).map(|shares| shares.of("Bag"));
        assert_eq!(
            (of("apparel"), of("pets"), of("x")),
            (Some(Some(1.0)), Some(None), None)
        );
        assert_eq!(declared.tasks().collect::<Vec<_>>(), ["apparel", "pets"]);
        let any = DeclaredShares::parse(r#"{"Bag": 1}"#).unwrap();
        assert!(any.of("x").is_some() && any.tasks().next().is_none());
        for (text, says) in [
            (
                r#"{"a": {"b": 1}, "c": 0.1}"#,
                "shares of classes beside tasks",
            ),
            (r#"{"a": {"b": 1}, "A": {}}"#, "task 'A' is named twice"),
            (r#"{"a": {"b": 0.1, "b": 0.1}}"#, "'b' is named twice"),
            (r#"{"a": {"b": {}}}"#, "a share is a number"),
            (r#"{"a": "0.5"}"#, "a share is a number"),
        ] {
            let error = DeclaredShares::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_told() {
        for (text, says) in [
            ("", "not a JSON object"),
            ("5", "not a JSON object"),
            ("[0.5]", "not a JSON object"),
            (r#"{"a": "0.5"}"#, "not a JSON object"),
            (r#"{"a": NaN}"#, "not a JSON object"),
            (r#"{"a": 1e999}"#, "not a JSON object"),
            (r#"{"a": 0.5} x"#, "not a JSON object"),
            (r#"{"a": -0.1}"#, "'a' has -0.1, which is not from 0 to 1"),
            (r#"{"a": 1.5}"#, "'a' has 1.5"),
            (r#"{"a": 0.1, "a": 0.2}"#, "'a' is named twice"),
            (r#"{"a": 0.6, "b": 0.5}"#, "sum to 1.1000, more than 1"),
        ] {
            let error = ClassShares::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(ClassShares::new([("a".to_owned(), f64::NAN)]).is_err());
    }
}

//! Which class a label means: labels of tables are written by people and by spreadsheets.
//!
//! In this order: the class itself; without spaces and line ends around it; composed as the class
//! is (Unicode NFC); the same number or truth value. What none of these finds is left to the
//! store, which compares by its collation.

use std::collections::HashMap;

use icu_normalizer::ComposingNormalizerBorrowed;

/// Maximum number of different labels that are no class and are counted apart.
const FOREIGN_MAX: usize = 10_000;

/// The classes of a task, as labels mean them.
#[derive(Debug)]
pub struct Labels {
    /// By name.
    exact: HashMap<String, u16>,
    /// By name in NFC; `None` where several classes have it.
    composed: HashMap<String, Option<u16>>,
    /// By value.
    numbers: HashMap<Decimal, Option<u16>>,
    /// In their order.
    classes: Vec<String>,
}

/// A number, exactly: digits without zeros around them, and the place of the last one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// What a label means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// An outcome: class index plus one.
    Class(u16),
    /// No class by its text alone, which is given trimmed and composed.
    Text(String),
}

impl Labels {
    /// The classes of a task, in their order.
    pub fn new(classes: &[String]) -> Self {
        let mut labels = Self {
            exact: HashMap::new(),
            composed: HashMap::new(),
            numbers: HashMap::new(),
            classes: classes.to_vec(),
        };
        for (outcome, class) in (1_u16..).zip(classes) {
            labels.exact.entry(class.clone()).or_insert(outcome);
            add(&mut labels.composed, nfc(class), outcome);
        }
        for (outcome, class) in (1_u16..).zip(classes) {
            if let Some(number) = Decimal::of(class) {
                add(&mut labels.numbers, number, outcome);
            }
        }
        // Truth values, unless numbers are classes besides.
        if labels.numbers.is_empty() {
            for (outcome, class) in (1_u16..).zip(classes) {
                if let Some(number) = truth_value(class).and_then(Decimal::of) {
                    add(&mut labels.numbers, number, outcome);
                }
            }
        }
        labels
    }

    /// What a label means.
    pub fn meaning(&self, label: &str) -> Meaning {
        if let Some(&outcome) = self.exact.get(label) {
            return Meaning::Class(outcome);
        }
        let trimmed = trimmed(label);
        if let Some(&outcome) = self.exact.get(trimmed) {
            return Meaning::Class(outcome);
        }
        let text = nfc(trimmed);
        let number = || Decimal::of(truth_value(&text).unwrap_or(&text));
        let found = self.composed.get(&text).copied();
        let found = found.or_else(|| self.numbers.get(&number()?).copied());
        match found.flatten() {
            Some(outcome) => Meaning::Class(outcome),
            None => Meaning::Text(text),
        }
    }

    /// The class that takes the fewest changes of characters, without regard to case; the first
    /// of several.
    pub fn nearest(&self, label: &str) -> Option<&str> {
        let label: Vec<char> = label.to_lowercase().chars().collect();
        let distance = |class: &&String| distance(&label, &class.to_lowercase());
        self.classes.iter().min_by_key(distance).map(String::as_str)
    }
}

fn add<K: std::hash::Hash + Eq>(map: &mut HashMap<K, Option<u16>>, key: K, outcome: u16) {
    map.entry(key)
        .and_modify(|known| *known = None)
        .or_insert(Some(outcome));
}

/// Without white space, byte order marks and NULs around it.
fn trimmed(label: &str) -> &str {
    label.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\0'))
}

fn nfc(text: &str) -> String {
    ComposingNormalizerBorrowed::new_nfc()
        .normalize(text)
        .into_owned()
}

fn truth_value(text: &str) -> Option<&'static str> {
    let values = [("true", "1"), ("false", "0")];
    let mut values = values.into_iter();
    let found = values.find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, number)| number)
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?.into()),
            None => (unsigned, 0_i64),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = all.trim_start_matches('0');
        let significant = digits.trim_end_matches('0');
        let zeros = i64::try_from(digits.len() - significant.len()).ok()?;
        let places = i64::try_from(fraction.len()).ok()?;
        Some(Self {
            negative: text.starts_with('-') && !significant.is_empty(),
            digits: significant.to_owned(),
            exponent: match significant.is_empty() {
                true => 0,
                false => exponent.checked_sub(places)?.checked_add(zeros)?,
            },
        })
    }
}

/// Levenshtein's distance.
fn distance(from: &[char], to: &str) -> usize {
    let mut row: Vec<usize> = (0..=from.len()).collect();
    for (before, wanted) in (1..).zip(to.chars()) {
        let mut diagonal = before - 1;
        let mut left = before;
        for (place, c) in row.iter_mut().skip(1).zip(from) {
            let change = diagonal + usize::from(*c != wanted);
            diagonal = *place;
            *place = change.min(*place + 1).min(left + 1);
            left = *place;
        }
        if let Some(first) = row.first_mut() {
            *first = before;
        }
    }
    row.last().copied().unwrap_or(0)
}

/// Labels that are no class, with their rows.
#[derive(Debug, Default)]
pub struct Foreign {
    counts: HashMap<String, u64>,
    rows: u64,
}

impl Foreign {
    /// Counts a row.
    pub fn note(&mut self, label: &str) {
        self.rows += 1;
        if let Some(count) = self.counts.get_mut(label) {
            *count += 1;
        } else if self.counts.len() < FOREIGN_MAX {
            self.counts.insert(label.to_owned(), 1);
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Number of different labels, as far as they are counted apart.
    pub fn labels(&self) -> usize {
        self.counts.len()
    }

    /// The `most` labels with the most rows, most frequent first.
    pub fn most_frequent(&self, most: usize) -> Vec<(&str, u64)> {
        let mut counts: Vec<(&str, u64)> = self
            .counts
            .iter()
            .map(|(label, count)| (label.as_str(), *count))
            .collect();
        counts.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
        counts.truncate(most);
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(classes: &[&str]) -> Labels {
        let classes: Vec<String> = classes.iter().map(|class| (*class).to_owned()).collect();
        Labels::new(&classes)
    }

    #[test]
    fn spaces_composition_and_values_do_not_make_another_class() {
        for (classes, label, outcome) in [
            (&["red", "green"][..], " red\r\n", 1),
            (&["red", "green"], "\u{feff}green\u{a0}", 2),
            (&["caf\u{e9}", "th\u{e9}"], "cafe\u{301}", 1),
            (&["cafe\u{301}", "x"], "caf\u{e9}", 1),
            (&["0", "1"], "1.0", 2),
            (&["0", "1"], "01", 2),
            (&["0", "1"], "-0", 1),
            (&["0", "10"], "1e1", 2),
            (&["0.50", "1"], ".5", 1),
            (&["0", "1"], "TRUE", 2),
            (&["false", "true"], "1", 2),
            (&["False", "True"], "0.0", 1),
            // The class itself comes first.
            (&["1", "01", "1.0"], "1.0", 3),
            (&["red", "red "], "red ", 2),
        ] {
            assert_eq!(
                labels(classes).meaning(label),
                Meaning::Class(outcome),
                "{label}"
            );
        }
        for (classes, label, text) in [
            (&["red", "green"][..], " Red ", "Red"),
            (&["1", "01"], "1.0", "1.0"),
            (&["1", "2"], "1.5", "1.5"),
            (&["1", "2"], "", ""),
            (&["1", "2"], ".", "."),
            (
                &["1", "2"],
                "1e99999999999999999999",
                "1e99999999999999999999",
            ),
            (&["true", "1"], "yes", "yes"),
        ] {
            let meaning = Meaning::Text(text.to_owned());
            assert_eq!(labels(classes).meaning(label), meaning, "{label}");
        }
    }

    #[test]
    fn the_nearest_class_takes_the_fewest_changes() {
        let labels = labels(&["red", "green", "blue"]);
        for (label, nearest) in [
            ("gren", "green"),
            ("BLEU", "blue"),
            ("rd", "red"),
            ("", "red"),
        ] {
            assert_eq!(labels.nearest(label), Some(nearest), "{label}");
        }
        let chars: Vec<char> = "kitten".chars().collect();
        assert_eq!(distance(&chars, "sitting"), 3);
    }

    #[test]
    fn foreign_labels_are_counted_most_frequent_first() {
        let mut foreign = Foreign::default();
        for label in ["b", "a", "c", "c"] {
            foreign.note(label);
        }
        assert_eq!(foreign.most_frequent(2), [("c", 2), ("a", 1)]);
        assert_eq!((foreign.rows(), foreign.labels()), (4, 3));
    }

    proptest! {
        #[test]
        fn a_class_means_itself_whatever_is_around_it(
            classes in prop::collection::hash_set("[a-zA-Z0-9é.]{1,6}", 2..6),
            around in "[ \r\n\t]{0,3}",
        ) {
            let classes: Vec<String> = classes.into_iter().collect();
            let labels = Labels::new(&classes);
            for (outcome, class) in (1..).zip(&classes) {
                let label = format!("{around}{class}{around}");
                prop_assert_eq!(labels.meaning(&label), Meaning::Class(outcome));
            }
        }

        #[test]
        fn numbers_are_equal_as_their_values_are(a in -2000_i32..2000, zeros in 0..3_usize) {
            let labels = labels(&[&a.to_string(), "none"]);
            let sign = if a < 0 { "-" } else { "" };
            let zeros = "0".repeat(zeros);
            let label = format!("{sign}{zeros}{}.{zeros}", a.unsigned_abs());
            prop_assert_eq!(labels.meaning(&label), Meaning::Class(1));
        }
    }
}

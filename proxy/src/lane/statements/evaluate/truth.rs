//! The outcomes that labels stand for: by their text, else by the store's comparison with the
//! classes, whose collation the proxy does not know.

use std::collections::HashMap;

use predictsql_catalog::Task;
use predictsql_executor::evaluation::{Labels, Meaning};
use predictsql_optimizer::quote_string;

use crate::lane::store::error::LinkError;
use crate::lane::store::link::StoreLink;

/// Maximum number of different labels that the store is asked about, or twice the number of
/// classes if that is more; further ones are no class.
const QUESTIONS_MAX: usize = 1000;
/// Maximum length of a label that the store is asked about, in characters: that of a class.
const LABEL_CHARS_MAX: usize = 255;

/// What labels stand for.
pub struct Truths {
    labels: Labels,
    /// The classes as arguments of FIELD, in their order and in the opposite one.
    classes: [String; 2],
    count: usize,
    /// Outcomes of labels that the store was asked about.
    known: HashMap<String, u16>,
}

/// The outcome of a label.
pub enum Truth {
    /// Class index plus one.
    Class(u16),
    /// No class of the task; the label without what surrounds it.
    Foreign(String),
}

impl Truths {
    /// Of the labels of a task.
    pub fn new(task: &Task) -> Self {
        let quoted: Vec<String> = task
            .classes
            .iter()
            .map(|class| quote_string(class))
            .collect();
        let backwards: Vec<&str> = quoted.iter().rev().map(String::as_str).collect();
        Self {
            labels: Labels::new(&task.classes),
            classes: [quoted.join(","), backwards.join(",")],
            count: quoted.len(),
            known: HashMap::new(),
        }
    }

    /// The outcome that a label stands for.
    pub async fn of(
        &mut self,
        label: &[u8],
        store: &mut StoreLink<'_>,
    ) -> Result<Truth, LinkError> {
        let label = String::from_utf8_lossy(label);
        let text = match self.labels.meaning(&label) {
            Meaning::Class(outcome) => return Ok(Truth::Class(outcome)),
            Meaning::Text(text) => text,
        };
        let outcome = match self.known.get(&text) {
            Some(&outcome) => outcome,
            None => self.ask(&text, store).await?,
        };
        Ok(match outcome {
            0 => Truth::Foreign(text),
            outcome => Truth::Class(outcome),
        })
    }

    /// Asks the store which class equals a label; 0 for none, and for several.
    async fn ask(&mut self, text: &str, store: &mut StoreLink<'_>) -> Result<u16, LinkError> {
        let is_long = text.chars().nth(LABEL_CHARS_MAX).is_some();
        if text.is_empty() || is_long || self.known.len() >= QUESTIONS_MAX.max(2 * self.count) {
            return Ok(0);
        }
        let answer = store.ask_text(&self.question(text)).await?;
        let place = |column| -> Result<usize, LinkError> {
            let place = answer.text(0, column)?.and_then(|place| place.parse().ok());
            Ok(place.unwrap_or(0))
        };
        let outcome = self.outcome(place(0)?, place(1)?);
        self.known.insert(text.to_owned(), outcome);
        Ok(outcome)
    }

    fn question(&self, text: &str) -> String {
        let [forwards, backwards] = &self.classes;
        let label = quote_string(text);
        format!("SELECT FIELD({label},{forwards}), FIELD({label},{backwards})")
    }

    /// The class that is the first one from both ends; places are counted from 1.
    fn outcome(&self, from_first: usize, from_last: usize) -> u16 {
        let only = from_first > 0 && from_first + from_last == self.count + 1;
        u16::try_from(from_first).ok().filter(|_| only).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn truths(count: usize) -> Truths {
        Truths {
            labels: Labels::new(&[]),
            classes: ["'a','b'".to_owned(), "'b','a'".to_owned()],
            count,
            known: HashMap::new(),
        }
    }

    #[test]
    fn a_class_counts_that_is_the_only_one() {
        let truths = truths(3);
        for (from_first, from_last, outcome) in [(1, 3, 1), (3, 1, 3), (0, 0, 0), (1, 1, 0)] {
            assert_eq!(truths.outcome(from_first, from_last), outcome);
        }
        assert_eq!(
            truths.question("A"),
            "SELECT FIELD(_utf8mb4'A','a','b'), FIELD(_utf8mb4'A','b','a')"
        );
    }
}

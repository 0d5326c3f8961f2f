//! Which statements E2 asks, and how right their answers are.
//!
//! Chosen before any was run: filters for 1, 2, 3, 5 and 8 classes (F1 of what they return), and
//! labels of 2, 5 and all 10 classes, the others being NULL (accuracy).
//! Which classes is drawn by a seed.

use std::collections::{HashMap, HashSet};

use predictsql_proxy::demo::dataset::CLASSES;

use crate::repository::Dice;

const FILTERED: [usize; 5] = [1, 2, 3, 5, 8];
const LABELLED: [usize; 2] = [2, 5];

/// What each product's photo shows, by id.
pub type Truth = HashMap<u64, &'static str>;

/// The answer to a question: ids, with labels where it returns any.
pub type Answer = Vec<(u64, Option<String>)>;

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Classes that it asks for.
    pub classes: Vec<&'static str>,
    /// Whether it returns labels of all rows; else it filters.
    pub returns_labels: bool,
}

/// `draws` of each kind and number of classes, and the labels of all classes once.
pub fn draw(draws: usize, seed: u64) -> Vec<Question> {
    let mut dice = Dice::new(seed, 0xE2);
    let filters = FILTERED.map(|size| (size, false));
    let labels = LABELLED.map(|size| (size, true));
    let mut questions = Vec::new();
    for (size, returns_labels) in filters.into_iter().chain(labels) {
        for _ in 0..draws {
            questions.push(Question {
                classes: dice.some(&CLASSES, size),
                returns_labels,
            });
        }
    }
    questions.push(Question {
        classes: CLASSES.to_vec(),
        returns_labels: true,
    });
    questions
}

impl Question {
    /// Over the demo's products.
    pub fn sql(&self) -> String {
        let call = "ml.predict('apparel', photo)";
        if !self.returns_labels {
            let quoted: Vec<String> = self.classes.iter().map(|c| format!("'{c}'")).collect();
            let list = quoted.join(", ");
            return format!("SELECT id FROM products WHERE {call} IN ({list})");
        }
        if self.classes.len() == CLASSES.len() {
            return format!("SELECT id, {call} AS kind FROM products");
        }
        let when = |class: &&str| format!(" WHEN '{class}' THEN '{class}'");
        let cases: String = self.classes.iter().map(when).collect();
        format!("SELECT id, CASE {call}{cases} END AS kind FROM products")
    }

    /// Its classes, and what is asked of them.
    pub fn name(&self) -> String {
        let classes = match self.classes.len() {
            all if all == CLASSES.len() => "all classes".to_owned(),
            _ => self.classes.join(", "),
        };
        match self.returns_labels {
            true => format!("labels: {classes}"),
            false => classes,
        }
    }

    /// What the answer to this question is where each row's class is known or guessed.
    pub fn answer_of<'a>(&self, labels: impl Iterator<Item = (u64, Option<&'a str>)>) -> Answer {
        let asked = |label: Option<&'a str>| label.filter(|l| self.classes.contains(l));
        let rows = labels.map(|(id, label)| (id, asked(label).map(str::to_owned)));
        rows.filter(|(_, label)| self.returns_labels || label.is_some())
            .collect()
    }

    /// F1 of the rows returned, or accuracy of the labels, 0..=1.
    pub fn score(&self, answer: &Answer, truth: &Truth) -> f64 {
        let right = self.answer_of(truth.iter().map(|(id, class)| (*id, Some(*class))));
        if self.returns_labels {
            let right: HashMap<u64, Option<String>> = right.into_iter().collect();
            let same = |(id, label): &&(u64, Option<String>)| right.get(id) == Some(label);
            return answer.iter().filter(same).count() as f64 / right.len().max(1) as f64;
        }
        let wanted: HashSet<u64> = right.iter().map(|(id, _)| *id).collect();
        let found = answer.iter().filter(|(id, _)| wanted.contains(id)).count();
        2.0 * found as f64 / (wanted.len() + answer.len()).max(1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_judged_by_f1_and_labels_by_accuracy() {
        let truth: Truth = [(1, "Bag"), (2, "Coat"), (3, "Bag"), (4, "Dress")].into();
        let mut question = Question {
            classes: vec!["Bag"],
            returns_labels: false,
        };
        assert_eq!(question.score(&vec![(1, None), (2, None)], &truth), 0.5);
        question.returns_labels = true;
        let said = [Some("Bag"), None, None, Some("Coat")];
        let answer = question.answer_of((1..).zip(said));
        assert_eq!(
            question.score(&answer, &truth),
            0.75,
            "the coat is not asked for"
        );
    }

    #[test]
    fn a_seed_draws_the_same_questions() {
        let questions = draw(2, 1);
        assert_eq!(questions, draw(2, 1));
        assert_eq!(questions.len(), 15);
        assert!(questions.iter().all(|q| q.sql().contains("ml.predict")));
    }
}

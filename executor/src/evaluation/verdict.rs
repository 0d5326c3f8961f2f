//! What the figures of an evaluated model say about its labels: worse than guessing, or permuted.

use std::collections::BTreeMap;

use predictsql_catalog::EvaluatedModel;

/// Fewest rows of a verdict, and fewest of a class that is part of a permutation.
const ROWS_MIN: u64 = 20;
const CLASS_ROWS_MIN: u64 = 5;

/// What is wrong with a model, by the labelled rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is right less often than always answering the most frequent outcome would be.
    WorseThanGuessing {
        /// Rows of classes that it covers, and those among them that it answers correctly.
        rows: u64,
        /// Of these.
        correct: u64,
        /// The most frequent outcome among the rows (class index plus one), and its rows.
        most_frequent: (u16, u64),
    },
    /// Most rows of some classes are answered another one, each another: (truth, answer).
    Permuted(Vec<(u16, u16)>),
}

/// Judges a model by the rows whose classes (index plus one) it covers.
pub fn verdicts(model: &EvaluatedModel, covered: &[u16]) -> Vec<Verdict> {
    let tallies = || model.tallies.iter().map(|(_, tally)| tally);
    let own: u64 = tallies().map(|tally| u64::from(tally.own)).sum();
    let correct: u64 = tallies().map(|tally| u64::from(tally.own_correct)).sum();
    let mut by_truth: BTreeMap<u16, BTreeMap<u16, u64>> = BTreeMap::new();
    let confusion = model.confusion.iter();
    for confused in confusion.filter(|confused| covered.contains(&confused.truth)) {
        let answers = by_truth.entry(confused.truth).or_default();
        *answers.entry(confused.answer).or_default() += u64::from(confused.rows);
    }
    let mut verdicts = Vec::new();
    if own < ROWS_MIN {
        return verdicts;
    }
    let rows_of = |(&truth, answers): (&u16, &BTreeMap<u16, u64>)| (truth, answers.values().sum());
    let most_frequent = by_truth
        .iter()
        .map(rows_of)
        .max_by_key(|&(_, rows): &(u16, u64)| rows);
    // With one class there is nothing to guess.
    if let Some(most_frequent) = most_frequent.filter(|_| by_truth.len() > 1)
        && correct < most_frequent.1
    {
        verdicts.push(Verdict::WorseThanGuessing {
            rows: own,
            correct,
            most_frequent,
        });
    }
    if let Some(moved) = permutation(&by_truth) {
        verdicts.push(Verdict::Permuted(moved));
    }
    verdicts
}

/// Classes of which more than half of the rows are answered one other class, if the majority
/// answers of all classes differ from each other.
fn permutation(by_truth: &BTreeMap<u16, BTreeMap<u16, u64>>) -> Option<Vec<(u16, u16)>> {
    let mut majorities: BTreeMap<u16, u16> = BTreeMap::new();
    for (&truth, answers) in by_truth {
        let rows: u64 = answers.values().sum();
        let (&answer, &count) = answers.iter().max_by_key(|&(_, count)| *count)?;
        if answer != 0 && rows >= CLASS_ROWS_MIN && count * 2 > rows {
            // Two classes that are answered alike are confused, not permuted.
            if majorities.values().any(|&taken| taken == answer) {
                return None;
            }
            majorities.insert(truth, answer);
        }
    }
    let moved = majorities.iter().filter(|(truth, answer)| truth != answer);
    let moved: Vec<(u16, u16)> = moved.map(|(&truth, &answer)| (truth, answer)).collect();
    (!moved.is_empty()).then_some(moved)
}

#[cfg(test)]
mod tests {
    use predictsql_catalog::{
        Calibration, Confused, EvaluatedModel, ModelStatistics, Part, PartTally,
    };

    use super::*;

    /// A model by its (truth, answer, rows).
    fn judged(confusion: &[(u16, u16, u32)]) -> Vec<Verdict> {
        let mut tally = PartTally::default();
        let mut confused = Vec::new();
        for &(truth, answer, rows) in confusion {
            let own = u32::from(truth != 0);
            tally.own += rows * own;
            tally.own_correct += rows * own * u32::from(truth == answer);
            tally.all += rows;
            confused.push(Confused {
                part: Part::Plan,
                truth,
                answer,
                rows,
            });
        }
        let model = EvaluatedModel {
            name: "m".to_owned(),
            version: "1".to_owned(),
            statistics: ModelStatistics {
                model: 1,
                calibration: Calibration {
                    bias: 0.0,
                    score_weight: 1.0,
                    margin_weight: 0.0,
                    offsets: Vec::new(),
                    cap: 1.0,
                },
                plan: Vec::new(),
                cert: Vec::new(),
                costs: Vec::new(),
            },
            tallies: vec![(Part::Plan, tally)],
            confusion: confused,
        };
        verdicts(&model, &[1, 2, 3])
    }

    #[test]
    fn good_and_mediocre_models_are_not_accused() {
        assert_eq!(judged(&[(1, 1, 40), (1, 2, 10), (2, 2, 30)]), []);
        // Few rows say nothing.
        assert_eq!(judged(&[(1, 2, 5), (2, 1, 5)]), []);
        // One class in the rows.
        assert_eq!(judged(&[(1, 1, 40), (1, 2, 10)]), []);
        // Shirts that are taken for pullovers are no permutation.
        assert_eq!(judged(&[(1, 2, 30), (1, 1, 5), (2, 2, 40), (3, 3, 50)]), []);
        // Foreign labels are not its own.
        assert_eq!(judged(&[(0, 1, 500), (1, 1, 20), (2, 2, 20)]), []);
    }

    #[test]
    fn swapped_and_rotated_classes_are_told() {
        let swapped = judged(&[(1, 2, 30), (2, 1, 28), (2, 2, 2), (3, 3, 90)]);
        assert_eq!(swapped, [Verdict::Permuted(vec![(1, 2), (2, 1)])]);
        let rotated = judged(&[(1, 2, 30), (2, 3, 30), (3, 1, 30), (1, 1, 3)]);
        let worse = Verdict::WorseThanGuessing {
            rows: 93,
            correct: 3,
            most_frequent: (1, 33),
        };
        let permuted = Verdict::Permuted(vec![(1, 2), (2, 3), (3, 1)]);
        assert_eq!(rotated, [worse, permuted]);
    }

    #[test]
    fn less_than_the_most_frequent_class_is_worse_than_guessing() {
        let told = judged(&[(1, 1, 20), (1, 2, 40), (2, 2, 30), (2, 1, 10)]);
        assert_eq!(
            told,
            [Verdict::WorseThanGuessing {
                rows: 100,
                correct: 50,
                most_frequent: (1, 60),
            }]
        );
    }
}

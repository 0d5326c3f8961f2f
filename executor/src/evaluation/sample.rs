//! The labelled rows of an evaluation, in three parts.
//!
//! A row's part and its position in it depend only on a hash of its input: the same row always has
//! the same use, regardless of the other rows, and a full part keeps the same rows for any order
//! of arrival.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use predictsql_catalog::Part;
use sha2::{Digest, Sha256};

use crate::input::{ColumnValue, Input};

/// Maximum number of rows of each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsMax {
    /// For fitting calibrations.
    pub cal: usize,
    /// For searching plans.
    pub plan: usize,
    /// For certifying plans.
    pub cert: usize,
}

impl Default for RowsMax {
    fn default() -> Self {
        Self {
            cal: 8192,
            plan: 16_384,
            cert: 32_768,
        }
    }
}

impl RowsMax {
    fn of(self, part: Part) -> usize {
        match part {
            Part::Cal => self.cal,
            Part::Plan => self.plan,
            Part::Cert => self.cert,
        }
    }
}

/// Of ten rows three are for calibration, three for the search, and four for certifying.
const CAL_TENTHS: u64 = 3;
const PLAN_TENTHS: u64 = 3;

/// Key of a row: a hash of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey([u8; 16]);

impl RowKey {
    /// The key of an input; `None` for NULL.
    pub fn of(input: &Input) -> Option<Self> {
        let mut hash = Sha256::new();
        match input {
            Input::Null => return None,
            Input::Location(location) => {
                hash.update(b"location");
                hash.update(location);
            }
            Input::Image(bytes) => {
                hash.update(b"image");
                hash.update(bytes);
            }
            Input::TooLarge { bytes, .. } => {
                hash.update(b"too large");
                hash.update(bytes.to_le_bytes());
            }
            Input::Columns(columns) => {
                hash.update(b"columns");
                for column in columns.iter() {
                    update_column(&mut hash, column)?;
                }
            }
        }
        let digest = hash.finalize();
        digest.first_chunk().copied().map(Self)
    }

    /// The part of the row. It depends on other bytes of the key than those that mostly determine
    /// the order of rows.
    pub fn part(self) -> Part {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        match u64::from_le_bytes([a, b, c, d, e, f, g, h]) % 10 {
            tenth if tenth < CAL_TENTHS => Part::Cal,
            tenth if tenth < CAL_TENTHS + PLAN_TENTHS => Part::Plan,
            _ => Part::Cert,
        }
    }
}

fn update_column(hash: &mut Sha256, column: &ColumnValue) -> Option<()> {
    match column {
        ColumnValue::Null => return None,
        ColumnValue::Number(number) => {
            hash.update(b"n");
            hash.update(number.to_bits().to_le_bytes());
        }
        ColumnValue::Text(text) => {
            hash.update(b"t");
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        }
    }
    Some(())
}

/// The data of one model's answer for one row that calibration needs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Feature {
    /// Index of the greatest probability among the model's labels.
    pub label: u16,
    /// Its log-odds.
    pub log_odds: f32,
    /// Log-ratio of the two greatest probabilities.
    pub margin: f32,
}

/// A row with the models' answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// True outcome: class index plus one; 0 for none of the task's classes.
    pub truth: u16,
    /// One per model.
    pub answers: Box<[Feature]>,
}

/// A row in the sample: without answers until they arrive, and permanently for an input that
/// cannot be read.
#[derive(Debug)]
struct Taken {
    truth: u16,
    answers: Option<Box<[Feature]>>,
}

/// The rows collected so far.
#[derive(Debug)]
pub struct Sample {
    parts: [BTreeMap<RowKey, Taken>; 3],
    rows_max: RowsMax,
    contradictory: u64,
    repeated: u64,
}

impl Sample {
    /// An empty sample.
    pub fn new(rows_max: RowsMax) -> Self {
        Self {
            parts: Default::default(),
            rows_max,
            contradictory: 0,
            repeated: 0,
        }
    }

    fn part(&mut self, key: RowKey) -> &mut BTreeMap<RowKey, Taken> {
        let [cal, plan, cert] = &mut self.parts;
        match key.part() {
            Part::Cal => cal,
            Part::Plan => plan,
            Part::Cert => cert,
        }
    }

    /// Adds a row; returns whether its input must be predicted. A repeated input counts once; if
    /// its labels differ, the class that is first in the task is used.
    pub fn take(&mut self, key: RowKey, truth: u16) -> bool {
        let most = self.rows_max.of(key.part());
        let rows = self.part(key);
        let full = rows.len() >= most;
        if full && rows.last_key_value().is_none_or(|(last, _)| *last < key) {
            return false;
        }
        match rows.entry(key) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                let differs = known.truth != truth;
                known.truth = known.truth.min(truth);
                self.contradictory += u64::from(differs);
                self.repeated += 1;
                return false;
            }
            Entry::Vacant(place) => {
                place.insert(Taken {
                    truth,
                    answers: None,
                });
            }
        }
        if full {
            rows.pop_last();
        }
        true
    }

    /// Stores the models' answers for a row that was added; ignored if the row has been displaced
    /// since.
    pub fn answer(&mut self, key: RowKey, answers: Box<[Feature]>) {
        if let Some(row) = self.part(key).get_mut(&key) {
            row.answers = Some(answers);
        }
    }

    /// Number of rows whose input was added before with another label.
    pub fn contradictory(&self) -> u64 {
        self.contradictory
    }

    /// Number of rows whose input was added before.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The rows with answers.
    pub fn finish(self) -> Rows {
        let mut id = Sha256::new();
        let parts = self.parts.map(|rows| {
            let answered = rows.into_iter().filter_map(|(key, row)| {
                let answers = row.answers?;
                id.update(key.0);
                id.update(row.truth.to_le_bytes());
                let truth = row.truth;
                Some(Labelled { truth, answers })
            });
            answered.collect()
        });
        let digest = id.finalize();
        Rows {
            parts,
            id: digest.first_chunk().copied().unwrap_or_default(),
        }
    }
}

/// All rows of an evaluation; the rows of a part are ordered by key.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    parts: [Vec<Labelled>; 3],
    /// Identical for the same inputs with the same labels.
    pub id: [u8; 16],
}

impl Rows {
    /// The rows of a part.
    pub fn of(&self, part: Part) -> &[Labelled] {
        let [cal, plan, cert] = &self.parts;
        match part {
            Part::Cal => cal,
            Part::Plan => plan,
            Part::Cert => cert,
        }
    }

    /// True outcomes of the rows of a part.
    pub fn truths(&self, part: Part) -> Vec<u16> {
        self.of(part).iter().map(|row| row.truth).collect()
    }

    /// Number of rows of all parts.
    pub fn len(&self) -> usize {
        self.parts.iter().map(Vec::len).sum()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn key(n: usize) -> RowKey {
        let location = Bytes::from(format!("photos/{n}.png"));
        RowKey::of(&Input::Location(location)).unwrap()
    }

    fn feature(n: usize) -> Box<[Feature]> {
        Box::new([Feature {
            label: 0,
            log_odds: n as f32,
            margin: 0.0,
        }])
    }

    const SMALL: RowsMax = RowsMax {
        cal: 9,
        plan: 5,
        cert: 12,
    };

    fn rows(order: &[usize], rows_max: RowsMax) -> Rows {
        let mut sample = Sample::new(rows_max);
        for &n in order {
            if sample.take(key(n), (n % 3) as u16) {
                sample.answer(key(n), feature(n));
            }
        }
        sample.finish()
    }

    #[test]
    fn parts_are_disjoint_and_of_the_promised_sizes() {
        let order: Vec<usize> = (0..4000).collect();
        let rows = rows(&order, RowsMax::default());
        let sizes = Part::ALL.map(|part| rows.of(part).len());
        assert_eq!((sizes.iter().sum::<usize>(), rows.len()), (4000, 4000));
        for (size, expected) in sizes.into_iter().zip([1200_usize, 1200, 1600]) {
            assert!(size.abs_diff(expected) < 120, "{sizes:?}");
        }
    }

    #[test]
    fn what_an_input_is_does_not_follow_from_its_bytes_alone() {
        let bytes = Bytes::from_static(b"a");
        let columns = |values: Vec<ColumnValue>| RowKey::of(&Input::Columns(values.into()));
        let text = |text: &'static str| ColumnValue::Text(Bytes::from_static(text.as_bytes()));
        let keys = [
            RowKey::of(&Input::Location(bytes.clone())),
            RowKey::of(&Input::Image(bytes)),
            columns(vec![text("a")]),
            columns(vec![text("a"), text("")]),
            columns(vec![text(""), text("a")]),
            columns(vec![ColumnValue::Number(1.0)]),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert!(key.is_some() && !keys[..i].contains(key), "{i}");
        }
        assert_eq!(RowKey::of(&Input::Null), None);
        assert_eq!(columns(vec![text("a"), ColumnValue::Null]), None);
    }

    #[test]
    fn an_input_counts_once_and_unreadable_ones_do_not() {
        let mut sample = Sample::new(RowsMax::default());
        assert!(sample.take(key(1), 2));
        sample.answer(key(1), feature(1));
        assert!(!sample.take(key(1), 2) && !sample.take(key(1), 1));
        assert!(sample.take(key(2), 1)); // never answered
        assert_eq!((sample.contradictory(), sample.repeated()), (1, 2));
        let rows = sample.finish();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows.truths(key(1).part()), [1]);
    }

    #[test]
    fn the_population_is_that_of_inputs_and_labels() {
        let of = |truth| {
            let mut sample = Sample::new(RowsMax::default());
            sample.take(key(1), truth);
            sample.answer(key(1), feature(1));
            sample.finish().id
        };
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }

    proptest! {
        #[test]
        fn a_full_part_holds_the_same_rows_in_whatever_order_they_come(
            order in Just((0..200_usize).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let sorted: Vec<usize> = (0..200).collect();
            let shuffled = rows(&order, SMALL);
            prop_assert_eq!(&shuffled, &rows(&sorted, SMALL));
            prop_assert_eq!(shuffled.of(Part::Plan).len(), SMALL.plan);
            // Additional rows move no row to another part.
            for part in Part::ALL {
                let all = rows(&sorted, RowsMax::default());
                prop_assert!(shuffled.of(part).iter().all(|row| all.of(part).contains(row)));
            }
        }
    }
}

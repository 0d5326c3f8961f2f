//! Computes calibrations, votes, accuracy and confusion from models' answers for labelled rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use predictsql_catalog::{
    Calibration, Confused, CostCurve, EvaluatedModel, Model, ModelStatistics, Part, PartTally,
    Task, Vote,
};
use predictsql_optimizer::planner::calibrate::{self, Answer};

use super::sample::{Feature, Labelled, Rows};

/// A model whose answers are in the rows.
#[derive(Debug, Clone)]
pub struct Measured {
    /// The model.
    pub model: Arc<Model>,
    /// The outcome of each of its labels: class index plus one; 0 for "none of my classes".
    pub outcomes: Vec<u16>,
    /// Its measured costs on this device.
    pub cost: CostCurve,
}

impl Measured {
    /// A model of `task` and its cost.
    pub fn new(model: &Arc<Model>, task: &Task, cost: CostCurve) -> Self {
        let outcome = |label: &String| {
            let class = task.class_index(label)?;
            u16::try_from(class + 1).ok()
        };
        let labels = model.options.labels.iter();
        Self {
            model: Arc::clone(model),
            outcomes: labels.map(|l| outcome(l).unwrap_or(0)).collect(),
            cost,
        }
    }

    /// Whether the model covers the class of a true outcome.
    fn knows(&self, truth: u16) -> bool {
        truth != 0 && self.outcomes.contains(&truth)
    }

    /// The outcome with the greatest probability.
    fn answer(&self, feature: &Feature) -> u16 {
        let outcome = self.outcomes.get(usize::from(feature.label));
        outcome.copied().unwrap_or(0)
    }
}

/// Evaluates the models, whose answers in the rows are in that order. Fitting many rows takes
/// long: do not call this on a thread that others wait for.
pub fn evaluate(task: &Task, models: &[Measured], rows: &Rows) -> Vec<EvaluatedModel> {
    let models = models.iter().enumerate();
    models
        .map(|(index, model)| evaluate_one(task, model, index, rows))
        .collect()
}

fn evaluate_one(task: &Task, model: &Measured, index: usize, rows: &Rows) -> EvaluatedModel {
    let of = |part| answers(rows, part, index);
    let answer = |(row, feature): (&Labelled, &Feature)| Answer {
        label: usize::from(feature.label),
        log_odds: feature.log_odds,
        margin: feature.margin,
        truth: row.truth,
    };
    let fitted_on: Vec<Answer> = of(Part::Cal).map(answer).collect();
    let calibration = calibrate::fit(task.classes.len(), &model.outcomes, &fitted_on);
    let votes = |part| -> Vec<Vote> {
        let vote = |(_, f): (&Labelled, &Feature)| vote(&calibration, model, f);
        of(part).map(vote).collect()
    };
    let (plan, cert) = (votes(Part::Plan), votes(Part::Cert));
    let tally = |part| (part, tally(model, of(part)));
    EvaluatedModel {
        name: model.model.name.clone(),
        version: model.model.version.clone(),
        statistics: ModelStatistics {
            model: model.model.id,
            calibration,
            plan,
            cert,
            costs: vec![model.cost.clone()],
        },
        tallies: Part::ALL.map(tally).to_vec(),
        confusion: Part::ALL
            .into_iter()
            .flat_map(|part| confusion(model, part, of(part)))
            .collect(),
    }
}

/// The rows of a part with one model's answers.
fn answers(rows: &Rows, part: Part, index: usize) -> impl Iterator<Item = (&Labelled, &Feature)> {
    let rows = rows.of(part).iter();
    rows.filter_map(move |row| Some((row, row.answers.get(index)?)))
}

fn vote(calibration: &Calibration, model: &Measured, feature: &Feature) -> Vote {
    let label = usize::from(feature.label);
    let outcome = model.answer(feature);
    calibration.vote_of(label, feature.log_odds, feature.margin, outcome)
}

fn tally<'r>(
    model: &Measured,
    answers: impl Iterator<Item = (&'r Labelled, &'r Feature)>,
) -> PartTally {
    let mut tally = PartTally::default();
    for (row, feature) in answers {
        let answer = model.answer(feature);
        let own = model.knows(row.truth);
        let correct = answer == if own { row.truth } else { 0 };
        tally.all += 1;
        tally.all_correct += u32::from(correct);
        tally.own += u32::from(own);
        tally.own_correct += u32::from(own && correct);
    }
    tally
}

fn confusion<'r>(
    model: &Measured,
    part: Part,
    answers: impl Iterator<Item = (&'r Labelled, &'r Feature)>,
) -> Vec<Confused> {
    let mut counts: BTreeMap<(u16, u16), u32> = BTreeMap::new();
    for (row, feature) in answers {
        *counts
            .entry((row.truth, model.answer(feature)))
            .or_default() += 1;
    }
    let confused = |((truth, answer), rows)| Confused {
        part,
        truth,
        answer,
        rows,
    };
    counts.into_iter().map(confused).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use predictsql_catalog::Device;

    fn feature(label: u16) -> Feature {
        Feature {
            label,
            log_odds: 2.0,
            margin: 1.0,
        }
    }

    /// Covers the second and third of three classes, and has `other`.
    fn model() -> Measured {
        let options = serde_json::json!({
            "layout": "NCHW", "height": 1, "width": 1, "channels": 1,
            "normalisation": {"mean": [0.0], "std": [1.0]},
            "labels": ["c", "b", "rest"], "other": "rest", "output": "logits", "accuracy": null,
        });
        let model = Model {
            id: 7,
            name: "m".to_owned(),
            version: "1".to_owned(),
            task: "t".to_owned(),
            uri: String::new(),
            sha256: String::new(),
            bytes: 0,
            covers: vec!["b".to_owned(), "c".to_owned()],
            options: serde_json::from_value(options).unwrap(),
            seconds_per_image: None,
        };
        let cost = CostCurve {
            device: Device::Cpu,
            seconds_by_batch: vec![(1, 0.5)],
            load_seconds: 1.0,
            memory_bytes: 1,
        };
        let outcomes = vec![3, 2, 0];
        Measured {
            model: Arc::new(model),
            outcomes,
            cost,
        }
    }

    #[test]
    fn none_of_mine_is_right_for_what_a_model_does_not_know() {
        let row = |truth: u16, label: u16| {
            let answers = Box::new([feature(label)]);
            (Labelled { truth, answers }, feature(label))
        };
        // (truth, label): correct on its own classes, wrong, "other" for its own, correct and
        // wrong on foreign ones.
        let rows = [
            row(3, 0),
            row(2, 0),
            row(2, 2),
            row(1, 2),
            row(0, 2),
            row(1, 1),
        ];
        let rows = || rows.iter().map(|(row, feature)| (row, feature));
        let expected = PartTally {
            own: 3,
            own_correct: 1,
            all: 6,
            all_correct: 3,
        };
        assert_eq!(tally(&model(), rows()), expected);
        let confused: Vec<(u16, u16, u32)> = confusion(&model(), Part::Plan, rows())
            .into_iter()
            .map(|c| (c.truth, c.answer, c.rows))
            .collect();
        let expected = [
            (0, 0, 1),
            (1, 0, 1),
            (1, 2, 1),
            (2, 0, 1),
            (2, 3, 1),
            (3, 3, 1),
        ];
        assert_eq!(confused, expected);
    }
}

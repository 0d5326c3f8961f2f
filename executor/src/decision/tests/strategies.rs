//! Plans over measured models give the same answers as these models do, for every strategy.

use std::sync::Arc;

use predictsql_catalog::{Calibration, CostCurve, Device, Model, Part, Task, TaskStatistics};
use predictsql_optimizer::planner::{
    Blocks, Constraints, CostModel, Estimate, Metric, Query, Strategy, decide, replays_default,
};
use tokio_util::sync::CancellationToken;

use super::pictures::{CLASSES, pictures};
use super::{executor, inputs, model, naive, planned, task};
use crate::evaluation::{Feature, Measured, RowKey, RowsMax, Sample, evaluate};
use crate::{Executor, Input, Outcome};

/// Number of labelled pictures, and the first of them; the queried pictures are others.
const LABELLED: usize = 400;
const LABELLED_FROM: usize = 1000;

/// Models with the labels of their outputs and microseconds per image.
const MODELS: [(&str, &[&str], f64); 5] = [
    ("apparel_nano", &CLASSES, 90.0),
    ("apparel_medium", &CLASSES, 700.0),
    (
        "footwear_other",
        &["Sandal", "Sneaker", "Ankle boot", "other"],
        60.0,
    ),
    ("boot_sneaker_nano", &["Sneaker", "Ankle boot"], 30.0),
    ("bag_tiny_other", &["Trouser", "Bag", "other"], 20.0),
];

fn labelled() -> Vec<(Input, u16)> {
    let pictures = pictures().skip(LABELLED_FROM).take(LABELLED);
    let row = |(picture, label): (Vec<u8>, usize)| {
        let outcome = u16::try_from(label + 1).unwrap();
        (Input::Image(picture.into()), outcome)
    };
    pictures.map(row).collect()
}

/// Measures the models, as EVALUATE does.
async fn statistics(executor: &Executor, task: &Task, models: &[Arc<Model>]) -> TaskStatistics {
    let rows = labelled();
    let inputs: Vec<Input> = rows.iter().map(|(input, _)| input.clone()).collect();
    let cancel = CancellationToken::new();
    let mut features: Vec<Vec<Feature>> = vec![Vec::new(); rows.len()];
    let mut measured = Vec::new();
    for (model, (_, _, micros)) in models.iter().zip(MODELS) {
        let loaded = executor.load(model).await.unwrap();
        let outcomes = executor.predict(&loaded, inputs.clone(), &cancel).await;
        for (features, outcome) in features.iter_mut().zip(outcomes.unwrap()) {
            let Outcome::Scores(scores) = outcome else {
                panic!("{outcome:?}");
            };
            let (label, log_odds, margin) = Calibration::features(scores.probabilities()).unwrap();
            let label = u16::try_from(label).unwrap();
            features.push(Feature {
                label,
                log_odds,
                margin,
            });
        }
        let cost = CostCurve {
            device: Device::Cpu,
            seconds_by_batch: vec![(32, 32.0 * micros * 1e-6)],
            load_seconds: 0.01,
            memory_bytes: 1 << 20,
        };
        measured.push(Measured::new(model, task, cost));
    }
    let mut sample = Sample::new(RowsMax::default());
    for ((input, truth), features) in rows.iter().zip(features) {
        let key = RowKey::of(input).unwrap();
        if sample.take(key, *truth) {
            sample.answer(key, features.into_boxed_slice());
        }
    }
    let rows = sample.finish();
    let evaluated = evaluate(task, &measured, &rows).into_iter();
    TaskStatistics {
        task: task.name.clone(),
        task_version: task.version,
        epoch: 1,
        population: "pictures".to_owned(),
        plan: rows.truths(Part::Plan).into(),
        cert: rows.truths(Part::Cert).into(),
        models: evaluated.map(|e| Arc::new(e.statistics)).collect(),
    }
}

#[tokio::test]
async fn what_any_strategy_decides_answers_as_its_models_do() {
    let (executor, task) = (executor(), Arc::new(task()));
    let mut models = Vec::new();
    for (number, (name, labels, micros)) in MODELS.into_iter().enumerate() {
        let mut model = (*model(&executor, number as u64 + 1, name, labels).await).clone();
        model.seconds_per_image = Some(micros * 1e-6);
        models.push(Arc::new(model));
    }
    let statistics = statistics(&executor, &task, &models).await;
    let inputs = inputs();
    let (mut several, mut staged) = (0, 0);
    for needed in [
        &[7, 9][..],
        &[5, 7, 8],
        &[8],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    ] {
        let (blocks, metric) = match needed.len() {
            10 => (Blocks::every_class(10, false), Metric::Accuracy),
            _ => (Blocks::any_of(needed, 10, false), Metric::F1),
        };
        for strategy in [
            Strategy::Optimal,
            Strategy::Greedy,
            Strategy::BestPerClass,
            Strategy::MostAccurate,
            Strategy::All,
        ] {
            let query = Query {
                task: &task,
                named: None,
                blocks: &blocks,
                metric,
                prior: None,
                rows: Estimate::Absent,
                scores_needed: false,
            };
            let plan = decide(
                &query,
                &Constraints::none(&task),
                strategy,
                &models,
                Some(&statistics),
                &CostModel::default(),
                replays_default(models.len()),
            );
            let plan = plan.unwrap();
            let decision = plan.decision.clone();
            several += usize::from(decision.voters().count() > 1);
            staged += usize::from(decision.stages.len() > 1);
            let (answers, _) = planned(&executor, &task, plan, &inputs).await;
            let expected = naive(&executor, &decision, &inputs).await;
            assert_eq!(answers, expected, "{needed:?} by {}", strategy.name());
        }
    }
    assert!(several >= 4 && staged >= 1, "{several} {staged}");
}

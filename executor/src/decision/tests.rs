//! A decision executed in stages gives the same answers as running each of its models on every
//! input.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod pictures;
mod strategies;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use predictsql_catalog::{
    Answers, Calibration, ImageOptions, Layout, Model, ModelInput, ModelOptions, Normalisation,
    Output, Task, TaskConstraints, TaskInput, TaskKind, Vote,
};
use predictsql_optimizer::planner::{
    Blocks, Constraints, CostModel, Decided, Decision, Estimate, Metric, Plan, Query, Settled,
    Stage, Strategy, Voter, decide,
};
use tokio_util::sync::CancellationToken;

use super::{Answer, Counters, Predictor, Work};
use crate::kept::{CacheMode, OutputCache};
use crate::{Executor, ExecutorConfig, Input, Outcome};
use pictures::CLASSES;

const IMAGES: usize = 150;

fn executor() -> Executor {
    executor_with(ExecutorConfig::default())
}

fn executor_with(config: ExecutorConfig) -> Executor {
    let library = std::env::var_os("PREDICTSQL_ORT_LIB").map(PathBuf::from);
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut found = found.map(|folder| folder.join(".cache/onnxruntime/libonnxruntime.so"));
    Executor::new(ExecutorConfig {
        ort_library: library.or_else(|| found.find(|path| path.is_file())),
        model_roots: vec![
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../bench/zoo/models")
                .into(),
        ],
        threads: 2,
        ..config
    })
    .unwrap()
}

fn task() -> Task {
    Task {
        name: "apparel".to_owned(),
        kind: TaskKind::Classification,
        input: TaskInput::Image,
        classes: CLASSES.map(str::to_owned).to_vec(),
        accuracy_slack_points: 1.0,
        constraints: TaskConstraints::default(),
        image_roots: Vec::new(),
        version: 1,
    }
}

async fn model(executor: &Executor, id: u64, name: &str, labels: &[&str]) -> Arc<Model> {
    let labels: Vec<String> = labels.iter().map(|l| (*l).to_owned()).collect();
    let covers: Vec<String> = labels.iter().filter(|l| *l != "other").cloned().collect();
    let options = ModelOptions {
        input: ModelInput::Image(ImageOptions {
            layout: Layout::Nchw,
            height: 28,
            width: 28,
            channels: 1,
            normalisation: Normalisation {
                mean: vec![0.286],
                std: vec![0.353],
            },
            preprocessing: Default::default(),
        }),
        other: labels
            .contains(&"other".to_owned())
            .then(|| "other".to_owned()),
        labels,
        output: Output::Logits,
        output_name: None,
        accuracy: None,
    };
    let uri = format!("{name}.onnx");
    let file = executor.inspect(&uri, &options).await.unwrap();
    Arc::new(Model {
        id,
        name: name.to_owned(),
        version: "1".to_owned(),
        task: "apparel".to_owned(),
        uri,
        sha256: file.sha256,
        bytes: file.bytes,
        covers,
        options,
        seconds_per_image: None,
    })
}

fn voter(task: &Task, model: &Arc<Model>, bias: f32) -> Voter {
    let outcome = |label: &String| task.class_index(label).map_or(0, |i| i as u16 + 1);
    Voter {
        model: Arc::clone(model),
        outcomes: model.options.labels.iter().map(outcome).collect(),
        calibration: Some(Calibration {
            bias,
            score_weight: 0.6,
            margin_weight: 0.2,
            offsets: vec![0.0; model.options.labels.len()],
            cap: 1.0,
        }),
        none_is_other: false,
    }
}

/// NULL, bytes that are not an image, and pictures, the first of them twice.
fn inputs() -> Vec<Input> {
    let pictures = pictures::pictures().take(IMAGES);
    let image = |(picture, _): (Vec<u8>, usize)| Input::Image(Bytes::from(picture));
    let mut inputs: Vec<Input> = pictures.map(image).collect();
    let first = inputs[0].clone();
    inputs.insert(7, Input::Null);
    inputs.insert(20, Input::Image(Bytes::from_static(b"no image\0")));
    inputs.insert(40, first);
    inputs
}

/// Answers from running every model on each input.
async fn naive(executor: &Executor, decision: &Decision, inputs: &[Input]) -> Vec<Answer> {
    let cancel = CancellationToken::new();
    let mut said = Vec::new();
    for voter in decision.voters() {
        let model = executor.load(&voter.model).await.unwrap();
        let outcomes = executor.predict(&model, inputs.to_vec(), &cancel).await;
        said.push((voter.model.id, outcomes.unwrap()));
    }
    let answer = |row: usize| match &said[0].1[row] {
        Outcome::Null => Answer::Null,
        Outcome::Unreadable(reason) => Answer::Unreadable(reason.clone()),
        _ => {
            let vote = |voter: &Voter| -> Vote {
                let (_, outcomes) = said.iter().find(|(id, _)| *id == voter.model.id).unwrap();
                match &outcomes[row] {
                    Outcome::Scores(scores) => voter.vote(scores.probabilities()),
                    other => panic!("{other:?}"),
                }
            };
            Answer::Class {
                code: usize::from(decision.answer(vote)),
                scores: Box::default(),
            }
        }
    };
    (0..inputs.len()).map(answer).collect()
}

/// A predictor with a plan, which keeps nothing.
fn predictor(executor: &Executor, task: &Arc<Task>, plan: Plan) -> Predictor {
    let counters = Arc::new(Counters::default());
    let work = Arc::new(Work::new(counters, CacheMode::Off, None));
    let planned = Arc::new(Decided {
        plan,
        seconds: 0.0,
        limits: String::new(),
        answers: Answers::PerStatement,
    });
    let cache = OutputCache::none();
    Predictor::new(executor, &cache, task, planned, Vec::new(), &work)
}

/// A plan of one model.
fn some_plan(task: &Task, model: &Arc<Model>, blocks: &Blocks) -> Plan {
    let query = Query {
        task,
        named: Some(model),
        blocks,
        metric: Metric::F1,
        prior: None,
        rows: Estimate::Absent,
        scores_needed: false,
    };
    let (none, costs) = (Constraints::none(task), CostModel::default());
    decide(&query, &none, Strategy::Optimal, &[], None, &costs, 0).unwrap()
}

/// Answers of a predictor with a plan, and the number of inputs processed by each stage.
async fn planned(
    executor: &Executor,
    task: &Arc<Task>,
    plan: Plan,
    inputs: &[Input],
) -> (Vec<Answer>, Vec<u64>) {
    let predictor = predictor(executor, task, plan);
    let cancel = CancellationToken::new();
    let answers = predictor.answer(inputs.to_vec(), &cancel).await;
    (answers.unwrap(), predictor.tally().stages())
}

#[tokio::test]
async fn stages_answer_as_all_models_asked_about_all_inputs() {
    let (executor, task) = (executor(), Arc::new(task()));
    let nano = model(&executor, 1, "apparel_nano", &CLASSES).await;
    let shoes = ["Sandal", "Sneaker", "Ankle boot", "other"];
    let footwear = model(&executor, 2, "footwear_other", &shoes).await;
    let boots = model(
        &executor,
        3,
        "boot_sneaker_nano",
        &["Sneaker", "Ankle boot"],
    )
    .await;
    let needed = Blocks::any_of(&[7, 9], CLASSES.len(), false);
    let all = Blocks::every_class(CLASSES.len(), false);
    let stage = |voters: &[(&Arc<Model>, f32)], pass_below| Stage {
        voters: voters
            .iter()
            .map(|(m, bias)| voter(&task, m, *bias))
            .collect(),
        pass_below,
        replaces: false,
    };
    let decisions = [
        (vec![stage(&[(&nano, 0.0)], None)], 0, all.clone()),
        (
            vec![stage(&[(&boots, -1.0), (&footwear, 1.0)], None)],
            40_000,
            needed.clone(),
        ),
        (
            vec![
                stage(&[(&boots, -2.0)], Some(62_000)),
                stage(&[(&nano, 0.0)], None),
            ],
            30_000,
            needed,
        ),
        (
            vec![
                stage(&[(&nano, 0.0)], Some(60_000)),
                stage(&[(&footwear, 2.0)], None),
            ],
            0,
            all.clone(),
        ),
        (
            vec![
                stage(&[(&boots, 2.0)], Some(60_000)),
                Stage {
                    replaces: true,
                    ..stage(&[(&nano, -2.0)], None)
                },
            ],
            0,
            all,
        ),
    ];
    let inputs = inputs();
    for (number, (stages, floor, blocks)) in decisions.into_iter().enumerate() {
        let mut plan = some_plan(&task, &nano, &blocks);
        let decision = Decision {
            stages,
            floor,
            blocks: blocks.clone(),
            settled: Settled::default(),
        };
        plan.decision = decision.clone();
        let (answers, looked_at) = planned(&executor, &task, plan, &inputs).await;
        let expected = naive(&executor, &decision, &inputs).await;
        assert_eq!(answers, expected, "decision {number}");
        let codes: std::collections::BTreeSet<usize> = expected.iter().map(Answer::code).collect();
        assert!(
            codes.len() > 2,
            "decision {number} tells nothing apart: {codes:?}"
        );
        assert!(
            looked_at.len() == decision.stages.len() && looked_at.is_sorted_by(|a, b| a > b),
            "decision {number}: {looked_at:?}"
        );
    }
}

/// A statement whose client does not read polls its pieces no more.
#[tokio::test]
async fn pieces_that_are_not_polled_hold_up_nobody() {
    let executor = executor_with(ExecutorConfig {
        queue_chunks_max: 1,
        ..ExecutorConfig::default()
    });
    let task = Arc::new(task());
    let nano = model(&executor, 1, "apparel_nano", &CLASSES).await;
    let blocks = Blocks::every_class(CLASSES.len(), false);
    let plan = some_plan(&task, &nano, &blocks);
    let (idle, other) = (
        predictor(&executor, &task, plan.clone()),
        predictor(&executor, &task, plan),
    );
    let cancel = CancellationToken::new();
    // Each piece waits for a place at once.
    let _loaded = executor.load(&nano).await.unwrap();
    let full = inputs();
    let mut left: Vec<_> = (0..4)
        .map(|_| Box::pin(idle.answer(full.clone(), &cancel)))
        .collect();
    for piece in &mut left {
        assert!(futures_util::poll!(piece).is_pending());
    }
    let answered = other.answer(full.clone(), &cancel);
    let patience = std::time::Duration::from_secs(60);
    let answered = tokio::time::timeout(patience, answered).await;
    assert_eq!(answered.expect("is answered").unwrap().len(), full.len());
    drop(left);
}

//! What EVALUATE publishes: read back with the snapshot, replaced as a whole, gone with its model.

mod cached;

use std::sync::Arc;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use predictsql_catalog::store::{
    NewEvaluation, NewTask, Population, SchemaName, StoreError, create_model, create_task,
    drop_model, drop_task, epoch, publish_evaluation,
};
use predictsql_catalog::{
    Calibration, Confused, CostCurve, Device, EvaluatedModel, ModelStatistics, Part, PartTally,
    TaskStatistics, Vote,
};

use super::cutter::{Cut, cut_at};
use super::fixture::{Store, connect, value};
use super::{COMMANDS_MAX, model, set_up, snapshot, task};

/// Task `animals` with models `m1` and `m2`.
struct Zoo {
    conn: Conn,
    schema: SchemaName,
    task: NewTask,
    models: [u64; 2],
}

async fn zoo(schema: &str) -> Zoo {
    let (mut conn, schema) = set_up(schema).await;
    let task = task("animals");
    create_task(&mut conn, &schema, &task).await.unwrap();
    let mut models = [0; 2];
    for (id, name) in models.iter_mut().zip(["m1", "m2"]) {
        let new = model(name, "1", &task);
        *id = create_model(&mut conn, &schema, &new).await.unwrap();
    }
    Zoo {
        conn,
        schema,
        task,
        models,
    }
}

/// An evaluation of models by name and id.
fn evaluation(
    task: &NewTask,
    models: &[(String, u64)],
    whole_task: bool,
    score: u16,
) -> NewEvaluation {
    let evaluated = |(name, id): &(String, u64)| EvaluatedModel {
        name: name.clone(),
        version: "1".to_owned(),
        statistics: ModelStatistics {
            model: *id,
            calibration: Calibration {
                bias: 0.25,
                score_weight: 1.0,
                margin_weight: -0.125,
                offsets: vec![0.0, 1e-7, -3.0],
                cap: 0.9,
            },
            plan: vec![Vote::new(score, 1), Vote::new(7, 0)],
            cert: vec![Vote::new(9, 3)],
            costs: vec![CostCurve {
                device: Device::Cpu,
                seconds_by_batch: vec![(1, 0.01), (8, 0.04)],
                load_seconds: 0.5,
                memory_bytes: 1 << 20,
            }],
        },
        tallies: Part::ALL.map(|part| (part, tally())).to_vec(),
        confusion: vec![
            confused(Part::Cal, 1, 3),
            confused(Part::Plan, 0, 0),
            confused(Part::Plan, 2, 2),
        ],
    };
    NewEvaluation {
        task: task.task.clone(),
        whole_task,
        population: Population {
            id: [1; 16],
            query: "SELECT photo, 'it''s' FROM t".to_owned(),
            cal_rows: 4,
            plan: vec![1, 0],
            cert: vec![3],
        },
        models: models.iter().map(evaluated).collect(),
        created_by: "me@here".to_owned(),
    }
}

impl Zoo {
    /// An evaluation of those of the two models, with scores of its own.
    fn evaluation(&self, of: &[usize], whole_task: bool, score: u16) -> NewEvaluation {
        let named = |index: &usize| (format!("m{}", index + 1), self.models[*index]);
        let models: Vec<_> = of.iter().map(named).collect();
        evaluation(&self.task, &models, whole_task, score)
    }

    async fn publish(&mut self, new: &NewEvaluation) -> Result<bool, StoreError> {
        let published = publish_evaluation(&mut self.conn, &self.schema, new).await?;
        let now = epoch(&mut self.conn, &self.schema).await?;
        assert_eq!(published.epoch, now);
        Ok(published.planned_with)
    }

    async fn statistics(&mut self) -> Option<Arc<TaskStatistics>> {
        let seen = snapshot(&mut self.conn, &self.schema).await.unwrap();
        seen.statistics("ANIMALS").cloned()
    }

    async fn count(&mut self, table: &str) -> u64 {
        let sql = format!("SELECT COUNT(*) FROM `{}`.{table}", self.schema);
        value(&mut self.conn, &sql).await.unwrap().parse().unwrap()
    }
}

fn tally() -> PartTally {
    PartTally {
        own: 8,
        own_correct: 6,
        all: 10,
        all_correct: 7,
    }
}

fn confused(part: Part, truth: u16, answer: u16) -> Confused {
    Confused {
        part,
        truth,
        answer,
        rows: 5,
    }
}

#[tokio::test]
async fn what_is_published_is_read_with_the_snapshot_and_by_anyone_as_tables() {
    let mut zoo = zoo("ev_roundtrip").await;
    assert_eq!(zoo.statistics().await, None);
    let new = zoo.evaluation(&[0, 1], true, 500);
    let before = epoch(&mut zoo.conn, &zoo.schema).await.unwrap();
    assert!(zoo.publish(&new).await.unwrap());
    let read = zoo.statistics().await.unwrap();
    assert_eq!((read.task.as_str(), read.task_version), ("animals", 1));
    assert_eq!(read.epoch, before + 1);
    assert_eq!((&read.plan[..], &read.cert[..]), (&[1, 0][..], &[3][..]));
    let said = "7 rows of (SELECT photo, 'it''s' FROM t), 20";
    assert!(read.population.starts_with(said), "{}", read.population);
    assert_eq!(read.models.len(), 2);
    for (index, id) in zoo.models.into_iter().enumerate() {
        assert_eq!(**read.model(id).unwrap(), new.models[index].statistics);
    }

    type Figures = (String, u32, u32, f64, u32, f64, f64, f64);
    let stats: Vec<Figures> = zoo
        .conn
        .query(
            "SELECT s.part, inputs, correct, s.accuracy, inputs_all, accuracy_all, \
             s.seconds_per_image, load_seconds FROM ev_roundtrip.model_stats s \
             JOIN ev_roundtrip.models m ON m.id = s.model_id \
             WHERE m.name = 'm2' AND device = 'cpu' ORDER BY s.part",
        )
        .await
        .unwrap();
    let row = |part: &str, n: u32| {
        let part = part.to_owned();
        (part, 8 * n, 6 * n, 0.75, 10 * n, 0.7, 0.005, 0.5)
    };
    let expected = [row("all", 3), row("cal", 1), row("plan", 1), row("cert", 1)];
    assert_eq!(stats, expected);
    let confusion: Vec<(String, Option<String>, Option<String>, u32)> = zoo
        .conn
        .query(
            "SELECT part, truth, answer, inputs FROM ev_roundtrip.confusion \
             WHERE model = 'm1' ORDER BY part, truth_outcome",
        )
        .await
        .unwrap();
    let class = |class: &str| Some(class.to_owned());
    assert_eq!(
        confusion,
        [
            ("cal".to_owned(), class("cat"), class("\\owl"), 5),
            ("plan".to_owned(), None, None, 5),
            ("plan".to_owned(), class("dög's"), class("dög's"), 5),
        ]
    );
}

#[tokio::test]
async fn a_task_evaluated_again_is_replaced_and_a_model_on_the_same_rows_joins() {
    let mut zoo = zoo("ev_again").await;
    // The first that is evaluated makes the rows that plans are made on.
    let first = zoo.evaluation(&[0], false, 100);
    assert!(zoo.publish(&first).await.unwrap());
    let second = zoo.evaluation(&[1], false, 200);
    assert!(zoo.publish(&second).await.unwrap());
    let read = zoo.statistics().await.unwrap();
    let score = |read: &TaskStatistics, id| read.model(id).unwrap().plan[0].score();
    assert_eq!(score(&read, zoo.models[0]), 100);
    assert_eq!(score(&read, zoo.models[1]), 200);
    assert_eq!(zoo.count("evaluations").await, 1);

    // On other rows: kept for people, not planned with.
    let mut other = zoo.evaluation(&[1], false, 300);
    other.population.id = [2; 16];
    other.population.plan = vec![2];
    other.models[0].statistics.plan = vec![Vote::new(300, 2)];
    assert!(!zoo.publish(&other).await.unwrap());
    let later = zoo.statistics().await.unwrap();
    assert!(later.model(zoo.models[1]).is_none());
    assert_eq!(score(&later, zoo.models[0]), 100);
    assert_eq!(zoo.count("evaluations").await, 2);
    assert_eq!(zoo.count("votes").await, 2);

    // The whole task on those rows: what was before is gone.
    let mut whole = zoo.evaluation(&[0, 1], true, 400);
    whole.population.id = [2; 16];
    assert!(zoo.publish(&whole).await.unwrap());
    let whole = zoo.statistics().await.unwrap();
    assert!(whole.epoch > later.epoch);
    assert_eq!(score(&whole, zoo.models[0]), 400);
    assert_eq!(score(&whole, zoo.models[1]), 400);
    assert_eq!(zoo.count("evaluations").await, 1);
    assert_eq!(zoo.count("model_stats").await, 8);
    assert_eq!(zoo.count("confusion").await, 6);
}

#[tokio::test]
async fn a_dropped_model_or_task_takes_its_statistics_along() {
    let mut zoo = zoo("ev_drop").await;
    let new = zoo.evaluation(&[0, 1], true, 1);
    zoo.publish(&new).await.unwrap();
    drop_model(&mut zoo.conn, &zoo.schema, "m1", None)
        .await
        .unwrap();
    assert_eq!(zoo.count("votes").await, 1);
    assert_eq!(zoo.count("model_stats").await, 4);
    assert_eq!(zoo.count("confusion").await, 3);
    assert_eq!(zoo.statistics().await.unwrap().models.len(), 1);
    // Evaluated while it was dropped: nothing is published.
    let gone = zoo.publish(&new).await.unwrap_err();
    assert!(matches!(gone, StoreError::TaskChanged(_)), "{gone}");
    assert_eq!(zoo.statistics().await.unwrap().models.len(), 1);
    drop_model(&mut zoo.conn, &zoo.schema, "m2", None)
        .await
        .unwrap();
    drop_task(&mut zoo.conn, &zoo.schema, "animals")
        .await
        .unwrap();
    assert_eq!(zoo.count("evaluations").await, 0);
}

#[tokio::test]
async fn statistics_that_are_not_understood_break_nothing_else() {
    let mut zoo = zoo("ev_odd").await;
    let new = zoo.evaluation(&[0, 1], true, 1);
    for damage in [
        "votes SET plan = 'odd'",
        "votes SET cert = ''",
        "votes SET plan = x'0900000009000000'",
        "votes SET calibration = '{}'",
        "votes SET costs = '[1]'",
    ] {
        zoo.publish(&new).await.unwrap();
        let first = zoo.models[0];
        let sql = format!("UPDATE ev_odd.{damage} WHERE model_id = {first}");
        zoo.conn.query_drop(sql).await.unwrap();
        let read = zoo.statistics().await.unwrap();
        let left: Vec<u64> = read.models.iter().map(|m| m.model).collect();
        assert_eq!(left, [zoo.models[1]], "{damage}");
    }
    for damage in [
        "plan_truths = 'x'",
        "cert_truths = x'0900'",
        "task_version = 9",
    ] {
        zoo.publish(&new).await.unwrap();
        let sql = format!("UPDATE ev_odd.evaluations SET {damage}");
        zoo.conn.query_drop(sql).await.unwrap();
        assert_eq!(zoo.statistics().await, None, "{damage}");
    }
    zoo.publish(&new).await.unwrap();
    assert_eq!(zoo.statistics().await.unwrap().models.len(), 2);
}

#[tokio::test]
async fn a_publication_that_dies_at_any_command_leaves_the_old_or_the_new() {
    let mut zoo = zoo("ev_dying").await;
    let dir = tempfile::tempdir().unwrap();
    for cut in [Cut::Before, Cut::After] {
        let mut cuts = 0;
        loop {
            let old = zoo.evaluation(&[0, 1], true, 1);
            zoo.publish(&old).await.unwrap();
            let new = zoo.evaluation(&[0, 1], true, 2);
            let socket = Store::shared().socket();
            let (path, relay) = cut_at(dir.path(), socket, cuts, cut);
            let result = match connect(&path, "root", None).await {
                Ok(mut dying) => publish_evaluation(&mut dying, &zoo.schema, &new).await,
                Err(error) => Err(error.into()),
            };
            if !relay.await.unwrap() {
                result.unwrap();
                break;
            }
            cuts += 1;
            assert!(cuts < COMMANDS_MAX);
            let read = zoo.statistics().await.unwrap();
            let mut scores = read.models.iter().map(|m| m.plan[0].score());
            let (one, two) = (scores.next().unwrap(), scores.next().unwrap());
            assert!(one == two && (1..=2).contains(&one), "{cut:?} at {cuts}");
            assert_eq!(zoo.count("evaluations").await, 1);
        }
        assert!(cuts > 10, "the cuts fell inside the change: {cuts}");
    }
}

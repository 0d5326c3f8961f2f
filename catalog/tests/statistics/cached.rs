//! Statistics that are kept between snapshots: never read twice,
//! and never others than the store's.

use std::sync::Arc;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use predictsql_catalog::store::{
    self, NewEvaluation, SchemaName, StatisticsCache, alter_task, create_model, create_task,
    drop_model, drop_task, publish_evaluation,
};
use predictsql_catalog::{Snapshot, TaskStatistics, Vote};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Zoo, evaluation, zoo};
use crate::{model, set_up, snapshot, task};

/// Rows of an evaluation whose votes stand out in what a store has sent.
const ROWS: usize = 20_000;

/// Bytes that a store may send for a catalog without votes.
const SHORT_BYTES_MAX: u64 = 20_000;

/// A proxy's view of a catalog.
struct Reader {
    conn: Conn,
    schema: SchemaName,
    cache: StatisticsCache,
}

impl Reader {
    async fn new(zoo: &Zoo) -> Self {
        Self {
            conn: super::Store::shared().root().await,
            schema: zoo.schema.clone(),
            cache: StatisticsCache::default(),
        }
    }

    /// The statistics of `animals`, and how many bytes the store sent for the snapshot.
    async fn read(&mut self) -> (Arc<TaskStatistics>, u64) {
        let before = self.sent().await;
        let seen = store::snapshot(&mut self.conn, &self.schema, &self.cache).await;
        let seen = seen.unwrap().statistics("animals").cloned().unwrap();
        (seen, self.sent().await - before)
    }

    async fn sent(&mut self) -> u64 {
        let sql = "SHOW SESSION STATUS LIKE 'Bytes_sent'";
        let row: Option<(String, u64)> = self.conn.query_first(sql).await.unwrap();
        row.unwrap().1
    }
}

/// The evaluation with so many rows that its votes cannot be overlooked.
fn long(mut new: NewEvaluation) -> NewEvaluation {
    new.population.plan = vec![1; ROWS];
    for model in &mut new.models {
        let first = model.statistics.plan[0];
        model.statistics.plan = vec![first; ROWS];
    }
    new
}

/// An entry of the catalog that has nothing to do with what was measured.
async fn unrelated(zoo: &mut Zoo, name: &str) {
    let other = task(name);
    create_task(&mut zoo.conn, &zoo.schema, &other)
        .await
        .unwrap();
}

fn same_truths(one: &TaskStatistics, other: &TaskStatistics) -> bool {
    Arc::ptr_eq(&one.plan, &other.plan) && Arc::ptr_eq(&one.cert, &other.cert)
}

fn same_votes(one: &TaskStatistics, other: &TaskStatistics, model: u64) -> bool {
    Arc::ptr_eq(one.model(model).unwrap(), other.model(model).unwrap())
}

#[tokio::test]
async fn another_change_reads_no_votes_again_and_an_evaluation_is_seen_by_all() {
    let mut zoo = zoo("kept_votes").await;
    let [one, two] = zoo.models;
    let new = long(zoo.evaluation(&[0, 1], true, 100));
    zoo.publish(&new).await.unwrap();
    let (mut here, mut there) = (Reader::new(&zoo).await, Reader::new(&zoo).await);
    let (first, sent) = here.read().await;
    assert!(sent > 10 * ROWS as u64, "all was read: {sent} bytes");
    assert!(there.read().await.1 > 10 * ROWS as u64);
    let held = here.cache.bytes();
    assert!((10 * ROWS as u64..11 * ROWS as u64).contains(&held));

    unrelated(&mut zoo, "plants").await;
    let (second, sent) = here.read().await;
    assert!(sent < SHORT_BYTES_MAX, "{sent} bytes");
    assert!(same_truths(&first, &second));
    assert!(same_votes(&first, &second, one) && same_votes(&first, &second, two));

    // A model on the same rows joins them: whatever hangs on the evaluation's epoch is read again.
    let joined = long(zoo.evaluation(&[1], false, 200));
    zoo.publish(&joined).await.unwrap();
    let score = |read: &TaskStatistics, id| read.model(id).unwrap().plan[0].score();
    for reader in [&mut here, &mut there] {
        let (read, _) = reader.read().await;
        assert_eq!((score(&read, one), score(&read, two)), (100, 200));
        assert_eq!(reader.cache.bytes(), held, "what was replaced is gone");
    }
    let whole = long(zoo.evaluation(&[0, 1], true, 300));
    zoo.publish(&whole).await.unwrap();
    for reader in [&mut here, &mut there] {
        let (read, _) = reader.read().await;
        assert_eq!((score(&read, one), score(&read, two)), (300, 300));
    }

    // One model less: what is left is not read, what went takes no memory.
    let (before, _) = here.read().await;
    drop_model(&mut zoo.conn, &zoo.schema, "m1", None)
        .await
        .unwrap();
    let (after, sent) = here.read().await;
    assert!(sent < SHORT_BYTES_MAX, "{sent} bytes");
    assert!(after.model(one).is_none() && same_votes(&before, &after, two));
    assert!(here.cache.bytes() < held - 4 * ROWS as u64);

    // Its name again is another model.
    let again = model("m1", "1", &zoo.task);
    let again = create_model(&mut zoo.conn, &zoo.schema, &again).await;
    zoo.models[0] = again.unwrap();
    assert!(here.read().await.0.model(zoo.models[0]).is_none());
    let joined = long(zoo.evaluation(&[0], false, 400));
    zoo.publish(&joined).await.unwrap();
    for reader in [&mut here, &mut there] {
        let (read, _) = reader.read().await;
        assert!(read.model(one).is_none());
        assert_eq!((score(&read, zoo.models[0]), score(&read, two)), (400, 300));
    }
}

#[tokio::test]
async fn a_cache_without_room_makes_no_difference() {
    let mut zoo = zoo("kept_none").await;
    let new = long(zoo.evaluation(&[0, 1], true, 100));
    zoo.publish(&new).await.unwrap();
    let mut reader = Reader::new(&zoo).await;
    reader.cache = StatisticsCache::new(1000);
    let (first, _) = reader.read().await;
    unrelated(&mut zoo, "plants").await;
    let (second, sent) = reader.read().await;
    assert_eq!(first, second);
    assert!(sent > 10 * ROWS as u64, "{sent} bytes");
    assert!(reader.cache.bytes() <= 1000);
}

/// The store's clock for what is written through `conn`.
async fn set_clock(conn: &mut Conn, seconds: u64) {
    let sql = format!("SET SESSION timestamp = {seconds}");
    conn.query_drop(sql).await.unwrap();
}

#[tokio::test]
async fn a_catalog_made_anew_under_a_running_proxy_is_not_taken_for_the_old_one() {
    let mut cache = None;
    let mut seen = Vec::new();
    for (score, truth, clock) in [(100, 1, 1_700_000_000), (200, 2, 1_700_000_060)] {
        let mut zoo = zoo("kept_anew").await;
        set_clock(&mut zoo.conn, clock).await;
        let mut new = zoo.evaluation(&[0, 1], true, score);
        new.population.plan[0] = truth;
        zoo.publish(&new).await.unwrap();
        let mut reader = Reader::new(&zoo).await;
        reader.cache = cache.take().unwrap_or_default();
        let (read, _) = reader.read().await;
        assert_eq!(
            read.model(zoo.models[0]),
            Some(&Arc::new(new.models[0].statistics.clone()))
        );
        assert_eq!(read.plan[0], truth);
        seen.push((zoo.models, read.epoch));
        cache = Some(reader.cache);
        for schema in ["kept_anew", "kept_anew_session"] {
            let sql = format!("DROP DATABASE {schema}");
            zoo.conn.query_drop(sql).await.unwrap();
        }
    }
    assert_eq!(seen[0], seen[1], "only the time tells them apart");
}

#[tokio::test]
async fn votes_written_again_after_a_backup_was_restored_are_seen() {
    let mut zoo = zoo("kept_restored").await;
    let first = zoo.evaluation(&[0, 1], true, 100);
    zoo.publish(&first).await.unwrap();
    let mut reader = Reader::new(&zoo).await;
    let mut epochs = Vec::new();
    for (score, clock) in [(200, 1_700_000_000), (300, 1_700_000_060)] {
        set_clock(&mut zoo.conn, clock).await;
        let joined = zoo.evaluation(&[1], false, score);
        zoo.publish(&joined).await.unwrap();
        let (read, _) = reader.read().await;
        let of = read.model(zoo.models[1]).unwrap();
        assert_eq!(of.plan[0], Vote::new(score, 1));
        epochs.push(read.epoch);
        // The epochs of a backup from before.
        for table in ["meta", "evaluations"] {
            let sql = format!("UPDATE kept_restored.{table} SET epoch = epoch - 1");
            zoo.conn.query_drop(sql).await.unwrap();
        }
    }
    assert_eq!(epochs[0], epochs[1]);
}

const TASKS: [&str; 2] = ["animals", "plants"];

/// A change of the catalog; what it needs and is not there is made, or nothing is done.
#[derive(Debug, Clone)]
enum Step {
    /// Models of a task by position, on one of a few populations.
    Evaluate {
        task: usize,
        models: Vec<usize>,
        whole_task: bool,
        population: u8,
        score: u16,
    },
    /// A model of a task goes, or comes.
    Model { task: usize, index: usize },
    /// A task is dropped with its models, and made anew.
    Task { task: usize },
    /// Nothing that was measured changes.
    Alter { task: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let models = proptest::sample::subsequence(vec![0, 1, 2], 1..=3);
    let evaluate = (0..2_usize, models, any::<bool>(), 1..3_u8, any::<u16>());
    let evaluate =
        evaluate.prop_map(
            |(task, models, whole_task, population, score)| Step::Evaluate {
                task,
                models,
                whole_task,
                population,
                score,
            },
        );
    prop_oneof![
        5 => evaluate,
        3 => (0..2_usize, 0..3_usize).prop_map(|(task, index)| Step::Model { task, index }),
        1 => (0..2_usize).prop_map(|task| Step::Task { task }),
        2 => (0..2_usize).prop_map(|task| Step::Alter { task }),
    ]
}

/// Two tasks, each with up to three models.
struct World {
    conn: Conn,
    schema: SchemaName,
    models: [[Option<u64>; 3]; 2],
}

impl World {
    async fn new(schema: &str) -> Self {
        let (mut conn, schema) = set_up(schema).await;
        for name in TASKS {
            create_task(&mut conn, &schema, &task(name)).await.unwrap();
        }
        Self {
            conn,
            schema,
            models: Default::default(),
        }
    }

    async fn take(&mut self, step: &Step) {
        let (conn, schema) = (&mut self.conn, &self.schema);
        match step {
            Step::Evaluate {
                task: of,
                models,
                whole_task,
                population,
                score,
            } => {
                let there = |index: &usize| Some((name(*of, *index), self.models[*of][*index]?));
                let models: Vec<_> = models.iter().filter_map(there).collect();
                if models.is_empty() {
                    return;
                }
                let mut new = evaluation(&task(TASKS[*of]), &models, *whole_task, *score);
                new.population.id = [*population; 16];
                new.population.plan = vec![1; usize::from(*population)];
                for model in &mut new.models {
                    model.statistics.plan.truncate(usize::from(*population));
                }
                publish_evaluation(conn, schema, &new).await.unwrap();
            }
            Step::Model { task: of, index } => {
                let name = name(*of, *index);
                let place = &mut self.models[*of][*index];
                if place.take().is_some() {
                    drop_model(conn, schema, &name, None).await.unwrap();
                } else {
                    let new = model(&name, "1", &task(TASKS[*of]));
                    *place = Some(create_model(conn, schema, &new).await.unwrap());
                }
            }
            Step::Task { task: of } => {
                for (index, place) in self.models[*of].iter_mut().enumerate() {
                    if place.take().is_some() {
                        let name = name(*of, index);
                        drop_model(conn, schema, &name, None).await.unwrap();
                    }
                }
                drop_task(conn, schema, TASKS[*of]).await.unwrap();
                let new = task(TASKS[*of]);
                create_task(conn, schema, &new).await.unwrap();
            }
            Step::Alter { task: of } => {
                let new = task(TASKS[*of]).task;
                alter_task(conn, schema, &new, &new).await.unwrap();
            }
        }
    }

    async fn read(&mut self, cache: &StatisticsCache) -> Snapshot {
        let seen = store::snapshot(&mut self.conn, &self.schema, cache).await;
        seen.unwrap()
    }
}

fn name(task: usize, index: usize) -> String {
    format!("m_{task}_{index}")
}

fn measured(seen: &Snapshot) -> [Option<&TaskStatistics>; 2] {
    TASKS.map(|name| seen.statistics(name).map(|s| &**s))
}

/// Whether `later` shares all with `earlier` that was not published since.
fn is_shared(earlier: &Snapshot, later: &Snapshot) -> bool {
    TASKS.iter().all(|name| {
        let both = (earlier.statistics(name), later.statistics(name));
        let (Some(earlier), Some(later)) = both else {
            return true;
        };
        let models = later.models.iter().map(|m| m.model);
        earlier.epoch != later.epoch
            || same_truths(earlier, later) && { models }.all(|id| same_votes(earlier, later, id))
    })
}

#[test]
fn what_is_read_with_a_warm_cache_is_what_is_read_without() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new("kept_any"));
    let world = std::cell::RefCell::new(world);
    // They live on from case to case: one looks after each change, one now and then,
    // and one has room for little.
    let (always, sometimes) = (StatisticsCache::default(), StatisticsCache::default());
    let little = StatisticsCache::new(1200);
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let steps = proptest::collection::vec((step(), any::<bool>()), 1..12);
    let held = runner.run(&steps, |steps| {
        let world = &mut *world.borrow_mut();
        runtime.block_on(async {
            let mut before = world.read(&always).await;
            for (step, look) in steps {
                world.take(&step).await;
                let cold = snapshot(&mut world.conn, &world.schema).await.unwrap();
                let warm = world.read(&always).await;
                prop_assert_eq!(measured(&warm), measured(&cold));
                prop_assert!(is_shared(&before, &warm), "{:?}", step);
                before = warm;
                if look {
                    for cache in [&sometimes, &little] {
                        let warm = world.read(cache).await;
                        prop_assert_eq!(measured(&warm), measured(&cold));
                    }
                }
            }
            Ok(())
        })
    });
    held.unwrap();
}

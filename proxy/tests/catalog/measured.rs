//! Options that change and statistics that are published: seen by SHOW,
//! and by every proxy of the store.

use std::sync::Arc;

use mysql_async::Row;
use mysql_async::prelude::Queryable;
use predictsql_catalog::store::{NewEvaluation, Population, publish_evaluation};
use predictsql_catalog::{
    Calibration, CostCurve, Device, EvaluatedModel, ModelStatistics, Part, PartTally, Snapshot,
    Vote,
};
use predictsql_proxy::account::{AccountConfig, ServiceAccount, StoreAddress};

use crate::bench::{Bench, MODEL, TASK};
use crate::fixture::Store;

/// An evaluation of the newest version of model `m`.
fn evaluation(catalog: &Snapshot, population: u8) -> NewEvaluation {
    let model = catalog.model("m", None).unwrap();
    let tally = PartTally {
        own: 4,
        own_correct: 3,
        all: 5,
        all_correct: 4,
    };
    NewEvaluation {
        task: (**catalog.task("animals").unwrap()).clone(),
        whole_task: false,
        population: Population {
            id: [population; 16],
            query: "SELECT 1, 2".to_owned(),
            cal_rows: 4,
            plan: vec![1],
            cert: Vec::new(),
        },
        models: vec![EvaluatedModel {
            name: model.name.clone(),
            version: model.version.clone(),
            statistics: ModelStatistics {
                model: model.id,
                calibration: Calibration {
                    bias: 0.0,
                    score_weight: 1.0,
                    margin_weight: 0.0,
                    offsets: vec![0.0; 3],
                    cap: 1.0,
                },
                plan: vec![Vote::new(9, 1)],
                cert: Vec::new(),
                costs: vec![CostCurve {
                    device: Device::Cpu,
                    seconds_by_batch: vec![(4, 0.5)],
                    load_seconds: 2.0,
                    memory_bytes: 77,
                }],
            },
            tallies: vec![(Part::Cal, tally)],
            confusion: Vec::new(),
        }],
        created_by: "me@here".to_owned(),
    }
}

async fn publish(account: &ServiceAccount, new: NewEvaluation) {
    let work =
        move |mut conn, schema| async move { publish_evaluation(&mut conn, &schema, &new).await };
    account.run(work).await.unwrap();
    account.invalidate();
}

/// The account of another proxy, which looks at the store each time.
fn another_proxy(bench: &Bench) -> ServiceAccount {
    let store = StoreAddress::Unix(Store::shared().socket());
    let password = Some(r"it's a \ secret".to_owned());
    let user = format!("svc_{}", bench.schema);
    let mut config = AccountConfig::new(store, user, password);
    config.schema = bench.schema.clone();
    config.catalog_refresh_ms = 0;
    ServiceAccount::start(config).unwrap()
}

#[tokio::test]
async fn every_proxy_of_a_store_moves_on_to_what_one_publishes() {
    let bench = Bench::new("ddl_epochs").await;
    let other = another_proxy(&bench);
    bench.run(TASK).await.unwrap();
    bench.run(MODEL).await.unwrap();
    let before = other.snapshot().await.unwrap();
    assert!(before.statistics("animals").is_none());
    publish(&bench.account, evaluation(&before, 1)).await;
    let after = other.snapshot().await.unwrap();
    let (here, there) = (
        bench.account.snapshot().await.unwrap(),
        after.statistics("animals").unwrap(),
    );
    assert_eq!(here.statistics("animals"), Some(there));
    assert!(after.epoch() > before.epoch());
    // Who still plans with the old epoch goes on with it.
    assert!(before.statistics("animals").is_none());
    other.close().await;
}

#[tokio::test]
async fn snapshots_share_what_was_measured_until_it_is_measured_again() {
    let bench = Bench::new("ddl_shared").await;
    let other = another_proxy(&bench);
    bench.run(TASK).await.unwrap();
    bench.run(MODEL).await.unwrap();
    let seen = bench.account.snapshot().await.unwrap();
    publish(&bench.account, evaluation(&seen, 1)).await;
    let accounts = [&bench.account, &other];
    for account in accounts {
        let before = account.snapshot().await.unwrap();
        let sql = "ALTER MODEL m SET accuracy = 0.5";
        bench.run(sql).await.unwrap();
        let after = account.snapshot().await.unwrap();
        assert_eq!(after.epoch(), before.epoch() + 1);
        let [before, after] = [&before, &after].map(|seen| seen.statistics("animals").unwrap());
        assert!(Arc::ptr_eq(&before.plan, &after.plan));
        assert!(Arc::ptr_eq(&before.models[0], &after.models[0]));
    }

    // Measured again, and then a model anew under the same name.
    let mut again = evaluation(&seen, 1);
    again.models[0].statistics.plan = vec![Vote::new(10, 2)];
    publish(&bench.account, again).await;
    for account in accounts {
        let seen = account.snapshot().await.unwrap();
        let votes = &seen.statistics("animals").unwrap().models[0].plan;
        assert_eq!(votes[..], [Vote::new(10, 2)]);
    }
    bench.run("DROP MODEL m").await.unwrap();
    bench.run(MODEL).await.unwrap();
    for account in accounts {
        let seen = account.snapshot().await.unwrap();
        assert!(seen.statistics("animals").unwrap().models.is_empty());
    }
    let seen = other.snapshot().await.unwrap();
    publish(&bench.account, evaluation(&seen, 1)).await;
    for account in accounts {
        let seen = account.snapshot().await.unwrap();
        let statistics = seen.statistics("animals").unwrap();
        let model = seen.model("m", None).unwrap();
        assert_eq!(
            statistics.model(model.id).unwrap().plan[..],
            [Vote::new(9, 1)]
        );
    }
    other.close().await;
}

#[tokio::test]
async fn show_tells_what_was_measured_and_whether_it_still_counts() {
    let mut bench = Bench::new("ddl_measured").await;
    bench.run(TASK).await.unwrap();
    bench.run(MODEL).await.unwrap();
    let second = MODEL.replace(" COVERS", " VERSION '2' COVERS");
    bench.run(&second).await.unwrap();
    let mut reader = bench.user("reader", &["SELECT ON {schema}.*"]).await;
    let shown = async |bench: &Bench, reader: &mut mysql_async::Conn| {
        let rows: Vec<Row> = bench.show(reader, "SHOW MODELS").await.unwrap();
        let text = |row: &Row, name: &str| row.get::<Option<String>, _>(name).unwrap();
        let told = |row: &Row| {
            let names = [
                "Measured_accuracy",
                "Measured_rows",
                "Memory_bytes",
                "Freshness",
            ];
            names
                .map(|name| text(row, name).unwrap_or_default())
                .join(" ")
        };
        rows.iter().map(told).collect::<Vec<_>>()
    };
    let none = "   never evaluated";
    assert_eq!(shown(&bench, &mut reader).await, [none, none]);
    let catalog = bench.account.snapshot().await.unwrap();
    publish(&bench.account, evaluation(&catalog, 1)).await;
    assert_eq!(
        shown(&bench, &mut reader).await,
        [none, "0.75 5 77 current"]
    );
    let tasks = bench.show(&mut reader, "SHOW TASKS").await.unwrap();
    assert_eq!(tasks[0].get::<u32, _>("Evaluated_rows"), Some(5));
    publish(&bench.account, evaluation(&catalog, 2)).await;
    let apart = "0.75 5 77 on other rows than the task";
    assert_eq!(shown(&bench, &mut reader).await, [none, apart]);
    let good = "SHOW MODELS WHERE Measured_accuracy > 0.7";
    assert_eq!(bench.show(&mut reader, good).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_altered_is_read_shown_and_created_again() {
    let mut bench = Bench::new("ddl_alter").await;
    bench.run(TASK).await.unwrap();
    bench.run(MODEL).await.unwrap();
    let before = bench.account.snapshot().await.unwrap();
    for sql in [
        "ALTER TASK Animals SET min_accuracy = 0.9, max_cost = '2', accuracy_slack_points = 3",
        "ALTER TASK animals SET max_cost = NULL, max_seconds = 1e1",
        r#"ALTER TASK animals SET prior = '{"cat": 0.5}'"#,
        r#"ALTER TASK animals SET prior = '{"cat": 0.125, "d''og": 0.3, "o\\\\wl": 0}'"#,
        "ALTER MODEL m SET accuracy = 0.25",
    ] {
        bench.run(sql).await.unwrap();
    }
    let after = bench.account.snapshot().await.unwrap();
    assert_eq!(after.epoch(), before.epoch() + 5);
    let task = after.task("animals").unwrap();
    let constraints: Vec<_> = task.constraints.named().collect();
    assert_eq!(constraints, [("min_accuracy", 0.9), ("max_seconds", 10.0)]);
    let prior = task.constraints.prior.as_ref().unwrap();
    let shares: Vec<_> = prior.iter().collect();
    assert_eq!(shares, [("cat", 0.125), ("d'og", 0.3), ("o\\wl", 0.0)]);
    assert_eq!((task.accuracy_slack_points, task.version), (3.0, 1));
    let model = after.model("m", None).unwrap();
    assert_eq!(model.options.accuracy, Some(0.25));
    let declared = "SELECT accuracy FROM ddl_alter.models";
    assert_eq!(bench.root.query_first(declared).await.unwrap(), Some(0.25));

    // SHOW CREATE says it all.
    let mut reader = bench.user("reader", &["SELECT ON {schema}.*"]).await;
    let shown = bench.show(&mut reader, "SHOW CREATE TASK animals").await;
    let create: String = shown.unwrap()[0].get("Create Task").unwrap();
    bench
        .run("ALTER MODEL m SET accuracy = NULL")
        .await
        .unwrap();
    let shown = bench.show(&mut reader, "SHOW CREATE MODEL m").await;
    let model: String = shown.unwrap()[0].get("Create Model").unwrap();
    assert!(!model.contains("accuracy"), "{model}");
    bench.run("DROP MODEL m").await.unwrap();
    bench.run("DROP TASK animals").await.unwrap();
    bench.run(&create).await.unwrap();
    let again = bench.account.snapshot().await.unwrap();
    assert_eq!(again.task("animals"), Some(task));
    let take_back = "ALTER TASK animals SET prior = NULL";
    bench.run(take_back).await.unwrap();
    let left = "SELECT COUNT(*) FROM ddl_alter.task_priors";
    assert_eq!(bench.root.query_first(left).await.unwrap(), Some(0));

    for (sql, code, sqlstate, part) in [
        (
            "ALTER TASK nothing SET min_accuracy = 1",
            1305,
            "42000",
            "Task 'nothing'",
        ),
        (
            "ALTER MODEL m VERSION '9' SET accuracy = 1",
            1305,
            "42000",
            "'m@9'",
        ),
        (
            "ALTER TASK animals SET min_accuracy = 90",
            1525,
            "HY000",
            "between 0 and 1",
        ),
        (
            r#"ALTER TASK animals SET prior = '{"cow": 1}'"#,
            1525,
            "HY000",
            "Unknown class 'cow'",
        ),
        (
            "ALTER TASK animals SET size = 1",
            1064,
            "42000",
            "min_accuracy",
        ),
    ] {
        Bench::refused(bench.run(sql).await, code, sqlstate, part);
    }
    bench.run(MODEL).await.unwrap();
    let fixed = bench.run("ALTER MODEL m SET size = 28").await;
    Bench::refused(fixed, 1064, "42000", "accuracy");
}

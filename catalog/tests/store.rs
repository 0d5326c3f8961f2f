//! The catalog against a real MariaDB: bootstrap, changes, and a crash at every step of them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bound;
#[path = "fixture/cutter.rs"]
mod cutter;
mod fixture;
mod kept;
mod older;
mod statistics;

use cutter::{Cut, cut_at};
use fixture::{Store, connect, value};
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use predictsql_catalog::store::{
    self, MIGRATIONS, NewModel, NewTask, SchemaName, StatisticsCache, StoreError, bootstrap,
    bootstrap_script, check, create_model, create_task, drop_model, drop_task, epoch,
};
use predictsql_catalog::{
    ClassShares, Column, ColumnKind, Snapshot, Task, TaskConstraints, TaskInput, TaskKind,
    model_options, task_definition,
};

fn task(name: &str) -> NewTask {
    let task = Task {
        name: name.to_owned(),
        kind: TaskKind::Classification,
        input: TaskInput::Image,
        classes: ["cat", "dög's", "\\owl"]
            .iter()
            .map(|c| c.to_string())
            .collect(),
        accuracy_slack_points: 1.5,
        constraints: TaskConstraints {
            prior: ClassShares::parse(r#"{"dög's": 0.25, "\\owl": 0}"#).ok(),
            ..TaskConstraints::default()
        },
        image_roots: vec!["s3://dög's/\\owl/".to_owned(), "/srv/a".to_owned()],
        version: 1,
    };
    assert!(task.constraints.prior.is_some());
    NewTask {
        definition: task_definition(&task),
        task,
        created_by: "me@here".to_owned(),
    }
}

fn model(name: &str, version: &str, of: &NewTask) -> NewModel {
    let size = (
        "size".to_owned(),
        predictsql_catalog::OptionValue::Number(28.0),
    );
    let (covers, options) = model_options(&of.task, None, &[size]).unwrap();
    NewModel {
        name: name.to_owned(),
        version: version.to_owned(),
        task: of.task.clone(),
        uri: "dir/m's.onnx".to_owned(),
        sha256: "0f".repeat(32),
        bytes: 123,
        covers,
        options,
        seconds_per_image: Some(0.001),
        definition: "CREATE MODEL".to_owned(),
        created_by: "me@here".to_owned(),
    }
}

async fn set_up(schema: &str) -> (Conn, SchemaName) {
    let mut conn = Store::shared().root().await;
    let schema = SchemaName::parse(schema).unwrap();
    bootstrap(&mut conn, &schema).await.unwrap();
    (conn, schema)
}

/// The catalog, read anew.
async fn snapshot(conn: &mut Conn, schema: &SchemaName) -> Result<Snapshot, StoreError> {
    store::snapshot(conn, schema, &StatisticsCache::default()).await
}

async fn stubs(conn: &mut Conn, schema: &SchemaName) -> Vec<String> {
    conn.exec(
        "SELECT routine_name FROM information_schema.routines \
         WHERE routine_schema = ? AND routine_type = 'FUNCTION' ORDER BY 1",
        (schema.as_str(),),
    )
    .await
    .unwrap()
}

/// Everything in the schema that a bootstrap could have touched.
async fn dump(conn: &mut Conn, schema: &SchemaName) -> Vec<String> {
    let mut seen = stubs(conn, schema).await;
    let tables: Vec<String> = conn
        .query(format!("SHOW TABLES FROM `{schema}`"))
        .await
        .unwrap();
    for table in tables {
        let sum = format!("CHECKSUM TABLE `{schema}`.`{table}`");
        let (_, sum): (String, Option<u64>) = conn.query_first(sum).await.unwrap().unwrap();
        seen.push(format!("{table} {sum:?}"));
    }
    seen
}

#[tokio::test]
async fn a_second_bootstrap_changes_nothing_and_keeps_rights_on_stubs() {
    let (mut conn, schema) = set_up("again").await;
    create_task(&mut conn, &schema, &task("animals"))
        .await
        .unwrap();
    conn.query_drop("CREATE USER again_user").await.unwrap();
    conn.query_drop("GRANT EXECUTE ON FUNCTION again.predict TO again_user")
        .await
        .unwrap();
    let before = dump(&mut conn, &schema).await;
    bootstrap(&mut conn, &schema).await.unwrap();
    assert_eq!(dump(&mut conn, &schema).await, before);
    assert_eq!(
        stubs(&mut conn, &schema).await,
        ["animals", "predict", "predict_proba"]
    );
    let grants: Vec<String> = conn.query("SHOW GRANTS FOR again_user").await.unwrap();
    assert!(
        grants
            .iter()
            .any(|grant| grant.contains("`again`.`predict`")),
        "{grants:?}"
    );
    check(&mut conn, &schema).await.unwrap();
}

#[tokio::test]
async fn a_bootstrap_makes_the_functions_that_a_restored_backup_lacks() {
    let (mut conn, schema) = set_up("restored").await;
    create_task(&mut conn, &schema, &task("animals"))
        .await
        .unwrap();
    for function in ["animals", "predict"] {
        conn.query_drop(format!("DROP FUNCTION restored.{function}"))
            .await
            .unwrap();
    }
    let before = epoch(&mut conn, &schema).await.unwrap();
    bootstrap(&mut conn, &schema).await.unwrap();
    assert_eq!(
        stubs(&mut conn, &schema).await,
        ["animals", "predict", "predict_proba"]
    );
    assert_eq!(epoch(&mut conn, &schema).await.unwrap(), before);
}

#[tokio::test]
async fn somebody_elses_database_is_refused_and_not_touched() {
    let mut conn = Store::shared().root().await;
    conn.query_drop("CREATE DATABASE shop; CREATE TABLE shop.schema_migrations (version INT)")
        .await
        .unwrap();
    let schema = SchemaName::parse("shop").unwrap();
    let before = dump(&mut conn, &schema).await;
    let error = bootstrap(&mut conn, &schema).await.unwrap_err();
    assert!(matches!(error, StoreError::Foreign { .. }), "{error}");
    assert!(check(&mut conn, &schema).await.is_err());
    assert_eq!(dump(&mut conn, &schema).await, before);
}

#[tokio::test]
async fn a_newer_catalog_is_refused() {
    let (mut conn, schema) = set_up("newer").await;
    conn.query_drop("INSERT INTO newer.schema_migrations (version, description) VALUES (999, '')")
        .await
        .unwrap();
    let error = bootstrap(&mut conn, &schema).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Newer { found: 999, .. }),
        "{error}"
    );
    assert!(matches!(
        check(&mut conn, &schema).await,
        Err(StoreError::Newer { .. })
    ));
}

#[tokio::test]
async fn a_bootstrap_that_stopped_anywhere_is_finished_by_the_next() {
    let mut conn = Store::shared().root().await;
    let schema = SchemaName::parse("halfway").unwrap();
    let script = bootstrap_script(&schema);
    for done in 0..=script.len() {
        conn.query_drop("DROP DATABASE IF EXISTS halfway")
            .await
            .unwrap();
        for statement in &script[..done] {
            conn.query_drop(statement).await.unwrap();
        }
        bootstrap(&mut conn, &schema).await.unwrap();
        assert_eq!(
            stubs(&mut conn, &schema).await,
            ["predict", "predict_proba"]
        );
        assert_eq!(epoch(&mut conn, &schema).await.unwrap(), 1);
        let applied = value(&mut conn, "SELECT COUNT(*) FROM halfway.schema_migrations").await;
        assert_eq!(applied, Some(MIGRATIONS.len().to_string()));
    }
}

#[tokio::test]
async fn what_is_written_is_read_back_and_each_change_grows_the_epoch() {
    let (mut conn, schema) = set_up("roundtrip").await;
    let new = task("animals");
    create_task(&mut conn, &schema, &new).await.unwrap();
    let first = epoch(&mut conn, &schema).await.unwrap();
    let one = create_model(&mut conn, &schema, &model("m", "1", &new))
        .await
        .unwrap();
    let two = create_model(&mut conn, &schema, &model("m", "2", &new))
        .await
        .unwrap();
    assert!(two > one);
    let seen = snapshot(&mut conn, &schema).await.unwrap();
    assert_eq!(seen.epoch(), first + 2);
    assert_eq!(**seen.task("ANIMALS").unwrap(), new.task);
    let written = model("m", "2", &new);
    let read = seen.model("m", None).unwrap();
    assert_eq!(
        (read.id, &read.version, &read.uri),
        (two, &written.version, &written.uri)
    );
    assert_eq!(
        (&read.covers, &read.options),
        (&written.covers, &written.options)
    );
    assert_eq!(read.seconds_per_image, Some(0.001));

    assert_eq!(
        drop_model(&mut conn, &schema, "m", Some("1"))
            .await
            .unwrap(),
        1
    );
    assert_eq!(drop_model(&mut conn, &schema, "m", None).await.unwrap(), 1);
    drop_task(&mut conn, &schema, "animals").await.unwrap();
    let seen = snapshot(&mut conn, &schema).await.unwrap();
    assert!(seen.epoch() > first + 4);
    assert_eq!((seen.tasks().count(), seen.models().count()), (0, 0));
    assert_eq!(
        stubs(&mut conn, &schema).await,
        ["predict", "predict_proba"]
    );
}

#[tokio::test]
async fn a_regression_over_columns_is_read_as_it_was_written() {
    let (mut conn, schema) = set_up("columns").await;
    let column = |name: &str, kind| Column {
        name: name.to_owned(),
        kind,
    };
    let many = (0..200).map(|n| column(&format!("a_column_of_number_{n}"), ColumnKind::Double));
    let columns = many
        .chain([column("colour", ColumnKind::Varchar)])
        .collect();
    let mut new = task("price");
    new.task.kind = TaskKind::Regression;
    new.task.input = TaskInput::Columns(columns);
    new.task.classes.clear();
    new.task.constraints.prior = None;
    create_task(&mut conn, &schema, &new).await.unwrap();
    let (covers, options) = model_options(&new.task, None, &[]).unwrap();
    let model = NewModel {
        covers,
        options,
        ..model("m", "1", &task("other"))
    };
    let model = NewModel {
        task: new.task.clone(),
        ..model
    };
    create_model(&mut conn, &schema, &model).await.unwrap();
    let seen = snapshot(&mut conn, &schema).await.unwrap();
    assert_eq!(**seen.task("price").unwrap(), new.task);
    let read = seen.model("m", None).unwrap();
    assert_eq!(
        (&read.covers, &read.options),
        (&model.covers, &model.options)
    );

    // A backup without functions was restored: the stub is made anew, with its parameters.
    conn.query_drop("DROP FUNCTION columns.price")
        .await
        .unwrap();
    bootstrap(&mut conn, &schema).await.unwrap();
    let parameters: Vec<String> = conn
        .query(
            "SELECT dtd_identifier FROM information_schema.parameters \
             WHERE specific_schema = 'columns' AND specific_name = 'price' \
             AND ordinal_position IN (0, 1, 201) ORDER BY ordinal_position",
        )
        .await
        .unwrap();
    assert_eq!(parameters, ["double", "double", "longtext"]);
}

#[tokio::test]
async fn tasks_models_and_functions_share_one_namespace() {
    let (mut conn, schema) = set_up("names").await;
    let new = task("animals");
    create_task(&mut conn, &schema, &new).await.unwrap();
    create_task(&mut conn, &schema, &task("plants"))
        .await
        .unwrap();
    create_model(&mut conn, &schema, &model("m", "1", &new))
        .await
        .unwrap();
    let exists = |result: Result<(), StoreError>, is| {
        assert!(
            matches!(result, Err(StoreError::Exists { kind, .. }) if kind == is),
            "{result:?}"
        );
    };
    exists(create_task(&mut conn, &schema, &new).await, "Task");
    exists(create_task(&mut conn, &schema, &task("m")).await, "Model");
    let same = create_model(&mut conn, &schema, &model("m", "1", &new)).await;
    exists(same.map(|_| ()), "Model");
    let as_task = create_model(&mut conn, &schema, &model("animals", "1", &new)).await;
    exists(as_task.map(|_| ()), "Task");
    let of_other = create_model(&mut conn, &schema, &model("m", "2", &task("plants"))).await;
    assert!(
        matches!(of_other, Err(StoreError::OtherTask { .. })),
        "{of_other:?}"
    );

    conn.query_drop("CREATE FUNCTION names.own() RETURNS INT RETURN 1")
        .await
        .unwrap();
    let own = create_task(&mut conn, &schema, &task("own")).await;
    assert!(
        matches!(own, Err(StoreError::ForeignStub { .. })),
        "{own:?}"
    );
    assert_eq!(
        value(&mut conn, "SELECT names.own()").await.as_deref(),
        Some("1")
    );
}

#[tokio::test]
async fn what_is_missing_used_or_changed_is_refused() {
    let (mut conn, schema) = set_up("refusals").await;
    let new = task("animals");
    let missing = create_model(&mut conn, &schema, &model("m", "1", &new)).await;
    assert!(
        matches!(missing, Err(StoreError::Unknown { kind: "Task", .. })),
        "{missing:?}"
    );
    create_task(&mut conn, &schema, &new).await.unwrap();
    let mut changed = new.clone();
    changed.task.classes.reverse();
    let stale = create_model(&mut conn, &schema, &model("m", "1", &changed)).await;
    assert!(
        matches!(stale, Err(StoreError::TaskChanged(_))),
        "{stale:?}"
    );
    create_model(&mut conn, &schema, &model("m", "1", &new))
        .await
        .unwrap();
    let used = drop_task(&mut conn, &schema, "animals").await.unwrap_err();
    assert!(used.to_string().contains("models 'm' answer it"), "{used}");
    let unknown = drop_model(&mut conn, &schema, "m", Some("9"))
        .await
        .unwrap_err();
    assert_eq!(unknown.to_string(), "Model 'm@9' does not exist");
    assert!(drop_task(&mut conn, &schema, "plants").await.is_err());
    assert_eq!(
        snapshot(&mut conn, &schema).await.unwrap().models().count(),
        1
    );
}

#[tokio::test]
async fn stubs_describe_types_and_say_where_to_connect_when_run() {
    let (mut conn, schema) = set_up("stubs").await;
    create_task(&mut conn, &schema, &task("animals"))
        .await
        .unwrap();
    conn.query_drop("CREATE VIEW stubs.v AS SELECT stubs.animals('x') AS a, stubs.predict_proba('t', 'c', 'x') AS p")
        .await
        .unwrap();
    let columns: Vec<(String, String)> = conn
        .query(
            "SELECT column_name, column_type FROM information_schema.columns \
             WHERE table_schema = 'stubs' AND table_name = 'v' ORDER BY 1",
        )
        .await
        .unwrap();
    let types: Vec<&str> = columns.iter().map(|(_, t)| t.as_str()).collect();
    assert_eq!(types, ["varchar(255)", "double"]);
    for call in [
        "animals('x')",
        "predict('t', 'x')",
        "predict_proba('t', 'c', 'x')",
    ] {
        match conn.query_drop(format!("SELECT stubs.{call}")).await {
            Err(mysql_async::Error::Server(error)) => {
                assert_eq!(error.state, "ML001");
                assert!(
                    error.message.contains("connect through its port"),
                    "{error}"
                );
            }
            other => panic!("{other:?}"),
        }
    }
    conn.query_drop("SELECT stubs.animals('x') FROM DUAL WHERE 1 = 0")
        .await
        .unwrap();
}

#[tokio::test]
async fn rows_that_are_not_understood_break_nothing_else() {
    let (mut conn, schema) = set_up("odd").await;
    let new = task("animals");
    create_task(&mut conn, &schema, &new).await.unwrap();
    create_model(&mut conn, &schema, &model("good", "1", &new))
        .await
        .unwrap();
    create_model(&mut conn, &schema, &model("bad", "1", &new))
        .await
        .unwrap();
    conn.query_drop("UPDATE odd.models SET options = '{}' WHERE name = 'bad'")
        .await
        .unwrap();
    let seen = snapshot(&mut conn, &schema).await.unwrap();
    assert!(seen.model("good", None).is_some() && seen.model("bad", None).is_none());
}

#[tokio::test]
async fn reading_what_was_never_set_up_says_so() {
    let mut conn = Store::shared().root().await;
    let schema = SchemaName::parse("nothing_here").unwrap();
    assert!(matches!(
        epoch(&mut conn, &schema).await,
        Err(StoreError::NotSetUp { .. })
    ));
    assert!(matches!(
        snapshot(&mut conn, &schema).await,
        Err(StoreError::NotSetUp { .. })
    ));
    assert!(matches!(
        check(&mut conn, &schema).await,
        Err(StoreError::NotSetUp { .. })
    ));
}

/// Most commands that a change of the catalog may take before these tests call it endless.
const COMMANDS_MAX: usize = 60;

#[tokio::test]
async fn a_create_that_dies_at_any_command_leaves_all_or_nothing() {
    let (mut conn, schema) = set_up("dying_create").await;
    let dir = tempfile::tempdir().unwrap();
    let new = task("animals");
    for cut in [Cut::Before, Cut::After] {
        let mut cuts = 0;
        loop {
            let socket = Store::shared().socket();
            let (path, relay) = cut_at(dir.path(), socket, cuts, cut);
            let result = match connect(&path, "root", None).await {
                Ok(mut dying) => create_task(&mut dying, &schema, &new).await,
                Err(error) => Err(error.into()),
            };
            if !relay.await.unwrap() {
                result.unwrap();
                break;
            }
            cuts += 1;
            assert!(cuts < COMMANDS_MAX);
            let visible = snapshot(&mut conn, &schema)
                .await
                .unwrap()
                .task("animals")
                .is_some();
            // Whoever comes next may create it, or finds it whole.
            match create_task(&mut conn, &schema, &new).await {
                Ok(()) => assert!(!visible),
                Err(StoreError::Exists { .. }) => {}
                Err(error) => panic!("{cut:?} at {cuts}: {error}"),
            }
            let seen = snapshot(&mut conn, &schema).await.unwrap();
            assert_eq!(**seen.task("animals").unwrap(), new.task);
            assert!(
                stubs(&mut conn, &schema)
                    .await
                    .contains(&"animals".to_owned())
            );
            drop_task(&mut conn, &schema, "animals").await.unwrap();
        }
        assert!(cuts > 5, "the cuts fell inside the change: {cuts}");
        drop_task(&mut conn, &schema, "animals").await.unwrap();
    }
}

#[tokio::test]
async fn a_drop_that_dies_at_any_command_is_finished_by_the_next_change() {
    let (mut conn, schema) = set_up("dying_drop").await;
    let dir = tempfile::tempdir().unwrap();
    let new = task("animals");
    for cut in [Cut::Before, Cut::After] {
        let mut cuts = 0;
        loop {
            create_task(&mut conn, &schema, &new).await.unwrap();
            let socket = Store::shared().socket();
            let (path, relay) = cut_at(dir.path(), socket, cuts, cut);
            let result = match connect(&path, "root", None).await {
                Ok(mut dying) => drop_task(&mut dying, &schema, "animals").await,
                Err(error) => Err(error.into()),
            };
            if !relay.await.unwrap() {
                result.unwrap();
                break;
            }
            cuts += 1;
            assert!(cuts < COMMANDS_MAX);
            bootstrap(&mut conn, &schema).await.unwrap();
            let visible = snapshot(&mut conn, &schema)
                .await
                .unwrap()
                .task("animals")
                .is_some();
            let stub = stubs(&mut conn, &schema)
                .await
                .contains(&"animals".to_owned());
            let rows = value(&mut conn, "SELECT COUNT(*) FROM dying_drop.tasks").await;
            assert_eq!((stub, rows), (visible, Some(u8::from(visible).to_string())));
            match drop_task(&mut conn, &schema, "animals").await {
                Ok(()) => assert!(visible),
                Err(StoreError::Unknown { .. }) => assert!(!visible),
                Err(error) => panic!("{cut:?} at {cuts}: {error}"),
            }
        }
        assert!(cuts > 5, "the cuts fell inside the change: {cuts}");
    }
}

#[tokio::test]
async fn a_stub_that_the_store_refuses_leaves_no_task() {
    let (mut conn, schema) = set_up("norights").await;
    for sql in [
        "CREATE USER norights",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON norights.* TO norights",
    ] {
        conn.query_drop(sql).await.unwrap();
    }
    let mut poor = connect(&Store::shared().socket(), "norights", None)
        .await
        .unwrap();
    let error = create_task(&mut poor, &schema, &task("animals"))
        .await
        .unwrap_err();
    assert!(error.server_code().is_some(), "{error}");
    let rows = value(&mut conn, "SELECT COUNT(*) FROM norights.tasks").await;
    assert_eq!(rows.as_deref(), Some("0"));
}

#[tokio::test]
async fn with_a_binary_log_the_error_says_what_to_set() {
    let store = Store::start(&["--log-bin", "--server-id=1"]);
    let mut conn = store.root().await;
    let schema = SchemaName::default();
    bootstrap(&mut conn, &schema).await.unwrap();
    conn.query_drop("CREATE USER service").await.unwrap();
    conn.query_drop("GRANT ALL ON ml.* TO service")
        .await
        .unwrap();
    let mut service = connect(&store.socket(), "service", None).await.unwrap();
    let error = create_task(&mut service, &schema, &task("animals"))
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::BinaryLog), "{error}");
    conn.query_drop("SET GLOBAL log_bin_trust_function_creators = 1")
        .await
        .unwrap();
    create_task(&mut service, &schema, &task("animals"))
        .await
        .unwrap();
}

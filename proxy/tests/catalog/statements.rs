//! Changes of the catalog, and what refuses them.

use std::sync::atomic::Ordering;

use predictsql_executor::ModelError;
use predictsql_proxy::ddl::DdlAnswer;
use predictsql_proxy::error::SqlError;

use crate::bench::{Bench, MODEL, TASK};
use crate::fixture::value;

#[tokio::test]
async fn tasks_and_models_come_and_go_under_exactly_the_grants_of_init() {
    let bench = Bench::new("ddl_life").await;
    bench.account.check().await.unwrap();
    assert_eq!(bench.run(TASK).await.unwrap(), DdlAnswer::default());
    assert_eq!(bench.run(MODEL).await.unwrap(), DdlAnswer::default());
    let second = MODEL.replace(" COVERS", " VERSION '2.0-rc' COVERS");
    bench.run(&second).await.unwrap();
    let catalog = bench.account.snapshot().await.unwrap();
    let model = catalog.model("m", Some("1")).unwrap();
    assert_eq!(model.covers, ["cat", "d'og"]);
    assert_eq!(model.options.labels, ["d'og", "cat", "rest"]);
    assert_eq!((model.bytes, model.seconds_per_image), (10, Some(0.5)));
    assert_eq!(catalog.task("ANIMALS").unwrap().accuracy_slack_points, 2.0);

    Bench::refused(
        bench.run("DROP TASK animals").await,
        1451,
        "23000",
        "models 'm' answer it",
    );
    assert_eq!(bench.run("DROP MODEL m").await.unwrap().affected_rows, 2);
    bench.run("DROP TASK ANIMALS").await.unwrap();
    assert_eq!(bench.account.snapshot().await.unwrap().tasks().count(), 0);
}

#[tokio::test]
async fn what_exists_or_is_missing_is_an_error_or_a_note() {
    let bench = Bench::new("ddl_notes").await;
    bench.run(TASK).await.unwrap();
    bench.run(MODEL).await.unwrap();
    Bench::refused(
        bench.run(TASK).await,
        1304,
        "42000",
        "Task 'animals' already exists",
    );
    Bench::refused(
        bench.run(MODEL).await,
        1304,
        "42000",
        "Model 'm@1' already exists",
    );
    Bench::refused(
        bench.run("DROP TASK x").await,
        1305,
        "42000",
        "Task 'x' does not exist",
    );
    Bench::refused(
        bench.run("DROP MODEL x").await,
        1305,
        "42000",
        "Model 'x' does not exist",
    );
    let note = |answer: Result<DdlAnswer, SqlError>| answer.unwrap().notes[0].code();
    assert_eq!(
        note(bench.run(&TASK.replace("TASK", "TASK IF NOT EXISTS")).await),
        1304
    );
    assert_eq!(
        note(
            bench
                .run(&MODEL.replace("MODEL", "MODEL IF NOT EXISTS"))
                .await
        ),
        1304
    );
    assert_eq!(note(bench.run("DROP TASK IF EXISTS x").await), 1305);
    assert_eq!(
        note(bench.run("DROP MODEL IF EXISTS m VERSION '9'").await),
        1305
    );
    // A name taken by the other kind is never as wished.
    let taken = bench.run("CREATE TASK IF NOT EXISTS m CLASSES ('a')").await;
    Bench::refused(taken, 1304, "42000", "Model 'm' already exists");
}

#[tokio::test]
async fn wrong_statements_are_refused_before_the_file_is_looked_at() {
    let bench = Bench::new("ddl_wrong").await;
    bench.run(TASK).await.unwrap();
    for (sql, code, part) in [
        (
            MODEL.replace("animals", "plants"),
            1305,
            "Task 'plants' does not exist",
        ),
        (
            MODEL.replace("'cat'", "'cow'"),
            1525,
            "Unknown class 'cow' in COVERS: the classes of",
        ),
        (
            MODEL.replace("size", "sise"),
            1064,
            "Unknown option 'sise'; the options are layout",
        ),
        (MODEL.replace("'28x32'", "'0x32'"), 1525, "'size'"),
        (
            MODEL.replace("MODEL M", "MODEL predict"),
            1525,
            "'predict': it is reserved",
        ),
        (
            MODEL.replace(" COVERS", " VERSION 'a@b' COVERS"),
            1525,
            "version 'a@b'",
        ),
        (MODEL.replace("it''s.onnx", ""), 1525, "URI"),
        (
            "CREATE TASK t CLASSES ('a', 'a')".to_owned(),
            1525,
            "class 'a' is named twice",
        ),
        (
            "CREATE TASK `1t` CLASSES ('a')".to_owned(),
            1525,
            "must start with a letter",
        ),
    ] {
        let error = bench.run(&sql).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }
    assert_eq!(bench.inspector.calls.load(Ordering::Relaxed), 0);
    let catalog = bench.account.snapshot().await.unwrap();
    assert_eq!((catalog.tasks().count(), catalog.models().count()), (1, 0));
}

#[tokio::test]
async fn a_model_that_the_executor_refuses_leaves_nothing() {
    let mut bench = Bench::new("ddl_refused").await;
    bench.run(TASK).await.unwrap();
    let before = bench.account.snapshot().await.unwrap().epoch();
    bench.inspector.error = Some(ModelError::NotFound {
        uri: "it's.onnx".to_owned(),
    });
    Bench::refused(bench.run(MODEL).await, 1017, "HY000", "does not exist");
    bench.inspector.error = Some(ModelError::UnsupportedOperator {
        reason: "Foo".to_owned(),
    });
    Bench::refused(bench.run(MODEL).await, 1235, "42000", "operator");
    assert_eq!(bench.account.snapshot().await.unwrap().epoch(), before);
    assert_eq!(
        value(&mut bench.root, "SELECT COUNT(*) FROM ddl_refused.models")
            .await
            .as_deref(),
        Some("0")
    );
}

//! Rights on the user's own session, and SHOW.

use mysql_async::Row;
use mysql_async::prelude::Queryable;
use predictsql_optimizer::ddl::{self, CatalogStatement};
use predictsql_proxy::ddl::{Right, check_show};

use crate::bench::{Bench, MODEL, TASK, show};

fn server_code<T: std::fmt::Debug>(result: mysql_async::Result<T>) -> u16 {
    match result {
        Err(mysql_async::Error::Server(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

fn right(sql: &str) -> Right {
    match ddl::parse(sql).unwrap() {
        CatalogStatement::Change(change) => Right::of_change(&change),
        CatalogStatement::Work(work) => Right::of_work(&work),
        CatalogStatement::Show(show) => panic!("{show:?} is a SELECT, which the store checks"),
    }
}

#[tokio::test]
async fn preparing_the_probe_needs_the_right_and_changes_nothing() {
    let mut bench = Bench::new("ddl_rights").await;
    bench.run(TASK).await.unwrap();
    let statements = [
        TASK,
        MODEL,
        "DROP TASK animals",
        "DROP MODEL m",
        "ALTER TASK animals SET max_cost = 1",
        "ALTER MODEL m SET accuracy = 1",
        "EVALUATE TASK animals ON (SELECT 1, 2)",
    ];
    let mut nobody = bench.user("nobody", &[]).await;
    let mut reader = bench.user("reader", &["SELECT ON {schema}.*"]).await;
    let mut maker = bench.user("maker", &["INSERT ON {schema}.tasks"]).await;
    let mut dropper = bench
        .user("dropper", &["DELETE, SELECT ON {schema}.tasks"])
        .await;
    let mut owner = bench
        .user("owner", &["INSERT, UPDATE, DELETE, SELECT ON {schema}.*"])
        .await;
    for sql in statements {
        let probe = right(sql).probe(&bench.schema);
        assert_eq!(
            server_code(nobody.prep(probe.as_str()).await),
            1142,
            "{probe}"
        );
        assert_eq!(
            server_code(reader.prep(probe.as_str()).await),
            1142,
            "{probe}"
        );
        assert_eq!(
            maker.prep(probe.as_str()).await.is_ok(),
            sql == TASK,
            "{probe}"
        );
        let drops_task = sql == "DROP TASK animals";
        assert_eq!(
            dropper.prep(probe.as_str()).await.is_ok(),
            drops_task,
            "{probe}"
        );
        owner.prep(probe.as_str()).await.unwrap();
    }
    for sql in [
        "SHOW TASKS",
        "SHOW MODELS",
        "SHOW CREATE TASK animals",
        "SHOW CREATE MODEL m",
    ] {
        assert_eq!(
            server_code(bench.show(&mut nobody, sql).await),
            1142,
            "{sql}"
        );
        bench.show(&mut reader, sql).await.unwrap();
    }
    assert_eq!(bench.account.snapshot().await.unwrap().tasks().count(), 1);
}

fn column(row: &Row, name: &str) -> String {
    row.get_opt::<String, _>(name).unwrap().unwrap()
}

#[tokio::test]
async fn shows_are_selects_that_mean_the_same_in_any_session() {
    let mut bench = Bench::new("ddl_show").await;
    bench.run(TASK).await.unwrap();
    bench
        .run("CREATE TASK plants_1 CLASSES ('rose')")
        .await
        .unwrap();
    bench.run(MODEL).await.unwrap();
    bench
        .run(&MODEL.replace(" COVERS", " VERSION '2' COVERS"))
        .await
        .unwrap();
    let mut reader = bench.user("reader", &["SELECT ON {schema}.*"]).await;
    for session in [
        "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,ONLY_FULL_GROUP_BY', NAMES latin1",
        "SET sql_mode = '', NAMES utf8mb4 COLLATE utf8mb4_unicode_ci",
        "SET sql_mode = 'ORACLE', NAMES cp1250",
    ] {
        let session = session.replace(", NAMES", "; SET NAMES");
        reader.query_drop(session).await.unwrap();
        let tasks = bench.show(&mut reader, "SHOW TASKS").await.unwrap();
        assert_eq!(column(&tasks[0], "Task"), "animals");
        assert_eq!(column(&tasks[0], "Classes"), "cat, d'og, o\\wl");
        assert_eq!(column(&tasks[0], "Models"), "2");
        let like = bench
            .show(&mut reader, "SHOW TASKS LIKE 'PLANTS\\_%'")
            .await
            .unwrap();
        assert_eq!(like.len(), 1);
        assert!(
            bench
                .show(&mut reader, "SHOW TASKS LIKE ''")
                .await
                .unwrap()
                .is_empty()
        );
        let sql = "SHOW MODELS FOR TASK Animals WHERE Accuracy > 0.8 OR Version = 'x' -- all";
        let models = bench.show(&mut reader, sql).await.unwrap();
        assert_eq!(models.len(), 2);
        assert_eq!(column(&models[1], "Version"), "2");
        assert_eq!(column(&models[0], "Covers"), r#"["cat","d'og"]"#);
        let none = bench
            .show(&mut reader, "SHOW MODELS FOR TASK plants_1")
            .await
            .unwrap();
        assert!(none.is_empty());
    }
}

#[tokio::test]
async fn show_create_gives_what_creates_it_again() {
    let mut bench = Bench::new("ddl_create").await;
    bench.run(TASK).await.unwrap();
    bench.run(MODEL).await.unwrap();
    let before = bench.account.snapshot().await.unwrap();
    let mut reader = bench.user("reader", &["SELECT ON {schema}.*"]).await;
    let task = bench
        .show(&mut reader, "SHOW CREATE TASK animals")
        .await
        .unwrap();
    let model = bench
        .show(&mut reader, "SHOW CREATE MODEL m VERSION '1'")
        .await
        .unwrap();
    bench.run("DROP MODEL m").await.unwrap();
    bench.run("DROP TASK animals").await.unwrap();
    bench.run(&column(&task[0], "Create Task")).await.unwrap();
    bench.run(&column(&model[0], "Create Model")).await.unwrap();
    let after = bench.account.snapshot().await.unwrap();
    assert_eq!(after.task("animals"), before.task("animals"));
    let (was, is) = (
        before.model("m", None).unwrap(),
        after.model("m", None).unwrap(),
    );
    assert_eq!(
        (&is.covers, &is.options, &is.uri),
        (&was.covers, &was.options, &was.uri)
    );
    for (sql, known) in [
        ("SHOW CREATE TASK Animals", true),
        ("SHOW CREATE TASK x", false),
        ("SHOW CREATE MODEL m VERSION '2'", false),
        ("SHOW MODELS FOR TASK x", false),
        ("SHOW TASKS", true),
    ] {
        let checked = check_show(&show(sql), &after);
        assert_eq!(checked.is_ok(), known, "{sql}");
    }
}

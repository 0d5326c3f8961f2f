//! Catalog statements, the service account and `init` against a real MariaDB.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../catalog/tests/fixture/mod.rs"]
mod fixture;

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use fixture::{Store, connect, value};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use predictsql_catalog::store::{SchemaName, bootstrap};
use predictsql_catalog::{ModelOptions, Snapshot};
use predictsql_executor::{ModelError, ModelFile};
use predictsql_optimizer::ddl;
use predictsql_proxy::account::{AccountConfig, AccountError, ServiceAccount, StoreAddress};
use predictsql_proxy::ddl::{
    DdlAnswer, DdlContext, Inspect, as_select, check_show, rights_probe, run,
};
use predictsql_proxy::error::SqlError;
use predictsql_proxy::init::{ServiceUser, init, init_embedded, script};

/// An executor that finds every file good, or none.
#[derive(Default)]
struct Inspector {
    error: Option<ModelError>,
    calls: AtomicUsize,
}

impl Inspect for Inspector {
    async fn inspect(&self, _: &str, _: &ModelOptions) -> Result<ModelFile, ModelError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        match &self.error {
            Some(error) => Err(error.clone()),
            None => Ok(ModelFile {
                sha256: "ab".repeat(32),
                bytes: 10,
                seconds_per_image: 0.5,
            }),
        }
    }
}

/// A catalog of its own, set up as `init` does, and its service account.
struct Bench {
    root: Conn,
    schema: SchemaName,
    account: ServiceAccount,
    inspector: Inspector,
}

impl Bench {
    async fn new(schema: &str) -> Self {
        let mut root = Store::shared().root().await;
        let schema = SchemaName::parse(schema).unwrap();
        let user = ServiceUser {
            name: format!("svc_{schema}"),
            hosts: vec!["localhost".to_owned()],
            password: r"it's a \ secret".to_owned(),
        };
        let report = init(&mut root, &schema, &user).await.unwrap();
        assert!(report.statements.iter().any(|s| s.starts_with("GRANT ")));
        assert!(report.statements.iter().all(|s| !s.contains("secret")));
        let store = StoreAddress::Unix(Store::shared().socket());
        let mut config = AccountConfig::new(store, user.name, Some(user.password));
        config.schema = schema.clone();
        config.catalog_refresh_ms = u64::MAX;
        let account = ServiceAccount::start(config).unwrap();
        Self {
            root,
            schema,
            account,
            inspector: Inspector::default(),
        }
    }

    async fn run(&self, sql: &str) -> Result<DdlAnswer, SqlError> {
        let statement = ddl::parse(sql).unwrap();
        let context = DdlContext {
            account: &self.account,
            inspector: &self.inspector,
            user: "me@here",
        };
        run(&statement, &context).await
    }

    #[track_caller]
    fn refused(result: Result<DdlAnswer, SqlError>, code: u16, sqlstate: &str, part: &str) {
        let error = result.unwrap_err();
        assert_eq!((error.code, error.sqlstate), (code, sqlstate), "{error}");
        assert!(error.message.contains(part), "{error} lacks {part}");
    }

    /// A connection as a user with those grants, `{schema}` standing for the schema.
    async fn user(&mut self, name: &str, grants: &[&str]) -> Conn {
        let account = format!("'{name}_{}'@'localhost'", self.schema);
        self.root
            .query_drop(format!("CREATE USER {account}"))
            .await
            .unwrap();
        for grant in grants {
            let grant = grant.replace("{schema}", self.schema.as_str());
            self.root
                .query_drop(format!("GRANT {grant} TO {account}"))
                .await
                .unwrap();
        }
        let user = format!("{name}_{}", self.schema);
        connect(&Store::shared().socket(), &user, None)
            .await
            .unwrap()
    }

    async fn show(&self, conn: &mut Conn, sql: &str) -> mysql_async::Result<Vec<Row>> {
        let select = as_select(&ddl::parse(sql).unwrap(), &self.schema).unwrap();
        conn.query(select).await
    }
}

const TASK: &str = "CREATE TASK Animals CLASSES ('cat', 'd''og', 'o\\\\wl') \
                    OPTIONS (accuracy_slack_points = 2)";
const MODEL: &str = "CREATE MODEL M FOR TASK animals FROM 'it''s.onnx' COVERS ('d''og', 'cat') \
                     OPTIONS (size = '28x32', other = 'rest', mean = 0.1, accuracy = 0.9)";

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
    let note = |answer: Result<DdlAnswer, SqlError>| answer.unwrap().notes[0].code;
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
        assert_eq!(error.code, code, "{error}");
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

fn server_code<T: std::fmt::Debug>(result: mysql_async::Result<T>) -> u16 {
    match result {
        Err(mysql_async::Error::Server(error)) => error.code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn preparing_the_probe_needs_the_right_and_changes_nothing() {
    let mut bench = Bench::new("ddl_rights").await;
    bench.run(TASK).await.unwrap();
    let statements = [TASK, MODEL, "DROP TASK animals", "DROP MODEL m"];
    let mut nobody = bench.user("nobody", &[]).await;
    let mut reader = bench.user("reader", &["SELECT ON {schema}.*"]).await;
    let mut maker = bench.user("maker", &["INSERT ON {schema}.tasks"]).await;
    let mut dropper = bench
        .user("dropper", &["DELETE, SELECT ON {schema}.tasks"])
        .await;
    let mut owner = bench
        .user("owner", &["INSERT, DELETE, SELECT ON {schema}.*"])
        .await;
    for sql in statements {
        let probe = rights_probe(&ddl::parse(sql).unwrap(), &bench.schema).unwrap();
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
    assert!(rights_probe(&ddl::parse("SHOW TASKS").unwrap(), &bench.schema).is_none());
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
        let checked = check_show(&ddl::parse(sql).unwrap(), &after);
        assert_eq!(checked.is_ok(), known, "{sql}");
    }
}

#[tokio::test]
async fn the_cached_catalog_is_kept_until_an_own_change_and_looked_at_again_after_it() {
    let mut bench = Bench::new("ddl_cache").await;
    bench.run(TASK).await.unwrap();
    let first = bench.account.snapshot().await.unwrap();
    let again = bench.account.snapshot().await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &again));
    let change = "UPDATE ddl_cache.tasks SET accuracy_slack_points = 7";
    bench.root.query_drop(change).await.unwrap();
    // Without a new epoch nothing is read again, but the look itself is made.
    bench.account.invalidate();
    let slack = |catalog: &Snapshot| catalog.task("animals").unwrap().accuracy_slack_points;
    assert_eq!(slack(&*bench.account.snapshot().await.unwrap()), 2.0);
    bench
        .root
        .query_drop("UPDATE ddl_cache.meta SET epoch = epoch + 1")
        .await
        .unwrap();
    assert_eq!(slack(&*bench.account.snapshot().await.unwrap()), 2.0);
    bench.account.invalidate();
    assert_eq!(slack(&*bench.account.snapshot().await.unwrap()), 7.0);
}

#[tokio::test]
async fn the_account_serves_many_runtimes_and_outlives_each() {
    let bench = Bench::new("ddl_runtimes").await;
    bench.run(TASK).await.unwrap();
    for _ in 0..3 {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let account = bench.account.clone();
                std::thread::spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread()
                        .enable_all()
                        .build()
                        .unwrap();
                    runtime.block_on(async move {
                        account.invalidate();
                        account.snapshot().await.unwrap().tasks().count()
                    })
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), 1);
        }
    }
    bench.account.close().await;
    bench.account.invalidate();
    assert!(matches!(
        bench.account.snapshot().await,
        Err(AccountError::Stopped)
    ));
}

#[tokio::test]
async fn connections_that_the_store_closed_are_replaced() {
    let mut bench = Bench::new("ddl_killed").await;
    bench.run(TASK).await.unwrap();
    for _ in 0..3 {
        bench.account.snapshot().await.unwrap();
        let kill = "KILL USER 'svc_ddl_killed'@'localhost'";
        bench.root.query_drop(kill).await.unwrap();
        // The store closes a killed connection a moment later.
        let left =
            "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'svc_ddl_killed'";
        while value(&mut bench.root, left).await.as_deref() != Some("0") {}
        bench.account.invalidate();
        assert_eq!(bench.account.snapshot().await.unwrap().tasks().count(), 1);
    }
}

#[tokio::test]
async fn the_service_account_can_do_no_more_than_its_work() {
    let mut bench = Bench::new("ddl_least").await;
    bench
        .root
        .query_drop("CREATE DATABASE ddl_secret; CREATE TABLE ddl_secret.t (a INT)")
        .await
        .unwrap();
    for sql in [
        "SELECT * FROM ddl_secret.t",
        "SELECT * FROM mysql.user",
        "CREATE TABLE ddl_least.x (a INT)",
        "DROP TABLE ddl_least.models",
        "DELETE FROM ddl_least.schema_migrations",
        "CREATE USER x",
    ] {
        let result = bench
            .account
            .run(move |mut conn, _| async move { Ok(conn.query_drop(sql).await?) })
            .await;
        let Err(AccountError::Store(error)) = result else {
            panic!("{sql} was allowed")
        };
        assert!(
            matches!(error.server_code(), Some(1044 | 1142 | 1227)),
            "{sql}: {error}"
        );
        let shown = SqlError::from(AccountError::Store(error)).message;
        assert!(
            !shown.contains("ddl_least") && !shown.contains("svc"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn an_account_without_a_catalog_or_login_says_what_to_run() {
    let mut root = Store::shared().root().await;
    root.query_drop(
        "CREATE USER 'bare'@'localhost'; GRANT SELECT ON no_catalog.* TO 'bare'@'localhost'",
    )
    .await
    .unwrap();
    let store = StoreAddress::Unix(Store::shared().socket());
    let mut config = AccountConfig::new(store, "bare", None);
    config.schema = SchemaName::parse("no_catalog").unwrap();
    let account = ServiceAccount::start(config.clone()).unwrap();
    let error = SqlError::from(account.snapshot().await.unwrap_err());
    assert!(error.message.contains("predictsql init"), "{error}");
    assert!(account.check().await.is_err());
    config.password = Some("wrong".to_owned());
    let account = ServiceAccount::start(config).unwrap();
    let error = SqlError::from(account.snapshot().await.unwrap_err());
    assert!(
        error.message.contains("refused the service account"),
        "{error}"
    );
}

#[tokio::test]
async fn init_again_changes_the_password_and_keeps_the_catalog() {
    let mut bench = Bench::new("ddl_again").await;
    bench.run(TASK).await.unwrap();
    let user = ServiceUser {
        name: "svc_ddl_again".to_owned(),
        hosts: vec!["localhost".to_owned()],
        password: "new".to_owned(),
    };
    init(&mut bench.root, &bench.schema, &user).await.unwrap();
    connect(&Store::shared().socket(), "svc_ddl_again", Some("new"))
        .await
        .unwrap();
    bench.account.invalidate();
    // The pool's open connection lives on.
    assert_eq!(bench.account.snapshot().await.unwrap().tasks().count(), 1);
}

#[tokio::test]
async fn an_embedded_store_gets_an_account_each_time_it_starts() {
    let mut root = Store::shared().root().await;
    let schema = SchemaName::parse("ddl_embedded").unwrap();
    let store = StoreAddress::Unix(Store::shared().socket());
    let dir = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let config = init_embedded(&store, None, dir.path(), &schema)
            .await
            .unwrap();
        let account = ServiceAccount::start(config).unwrap();
        account.check().await.unwrap();
        account.snapshot().await.unwrap();
    }
    bootstrap(&mut root, &schema).await.unwrap();
}

#[tokio::test]
async fn the_printed_script_does_what_init_does() {
    let mut root = Store::shared().root().await;
    let user = ServiceUser {
        name: "predictsql_script".to_owned(),
        hosts: vec!["localhost".to_owned()],
        password: String::new(),
    };
    let printed = script(&SchemaName::parse("ddl_script").unwrap(), &user);
    let mut client = Command::new("mariadb")
        .args(["--no-defaults", "--user=root", "--socket"])
        .arg(Store::shared().socket())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let script = printed.replace("<password>", "pw");
    client
        .stdin
        .take()
        .unwrap()
        .write_all(script.as_bytes())
        .unwrap();
    assert!(client.wait().unwrap().success());
    connect(&Store::shared().socket(), "predictsql_script", Some("pw"))
        .await
        .unwrap();

    // The same tables and functions as a bootstrap makes, down to the letter.
    let schema = SchemaName::parse("ddl_boot").unwrap();
    bootstrap(&mut root, &schema).await.unwrap();
    for table in ["schema_migrations", "meta", "tasks", "classes", "models"] {
        let mut made = Vec::new();
        for schema in ["ddl_script", "ddl_boot"] {
            let sql = format!("SHOW CREATE TABLE {schema}.{table}");
            let (_, text): (String, String) = root.query_first(sql).await.unwrap().unwrap();
            made.push(text);
        }
        assert_eq!(made[0], made[1]);
    }
    let made = SchemaName::parse("ddl_script").unwrap();
    bootstrap(&mut root, &made).await.unwrap();
}

//! What each right that `docs/operating.md` tells of allows:
//! an account with exactly that right tries everything.

mod set_up;

use predictsql_tests::apparel::{self, Photos};
use predictsql_tests::{Proxy, Settings, Store, Wire};
use std::sync::OnceLock;

use crate::differential::shop::model;

/// Codes by which a right is denied: to a database, a table, a column, a routine,
/// an operation of the server.
const DENIED: [u16; 5] = [1044, 1142, 1143, 1227, 1370];

/// Schema of the catalog.
const SCHEMA: &str = "gr";

fn proxy() -> &'static Proxy {
    static MADE: OnceLock<Proxy> = OnceLock::new();
    MADE.get_or_init(|| {
        let settings = Settings {
            schema: SCHEMA.to_owned(),
            ..Settings::default()
        };
        let proxy = Proxy::start(Store::shared(), &settings);
        let mut root = proxy.root();
        root.run(&apparel::create_task());
        root.run(&model("apparel_nano").statement());
        root.run("CREATE TASK colours CLASSES ('red', 'blue')");
        root.run("CREATE DATABASE grd");
        root.run("CREATE TABLE grd.products (id INT PRIMARY KEY, photo VARCHAR(100))");
        let photo = Photos::path(1);
        root.run(&format!("INSERT INTO grd.products VALUES (1, '{photo}')"));
        root.run("CREATE VIEW grd.kinds AS SELECT id, photo, gr.apparel(photo) AS kind FROM grd.products");
        root.run("CREATE VIEW grd.plain AS SELECT 'a secret of the view' AS text");
        root.run("SELECT gr.apparel(photo) FROM grd.products");
        proxy
    })
}

/// One thing that somebody may try.
struct Attempt {
    name: String,
    sql: String,
    /// Past the proxy, where the store's own rights show.
    direct: bool,
}

fn attempt(name: impl Into<String>, sql: impl Into<String>, direct: bool) -> Attempt {
    Attempt {
        name: name.into(),
        sql: sql.into(),
        direct,
    }
}

/// All that concerns the catalog and the schemas beside it. Statements that would change something
/// are prepared only, which asks for the same rights.
fn attempts(root: &mut Wire) -> Vec<Attempt> {
    let mut attempts = Vec::new();
    let column = |root: &mut Wire, sql: &str| -> Vec<String> {
        let rows = root.rows(sql).into_iter();
        rows.map(|mut row| row.remove(0).unwrap()).collect()
    };
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'gr'";
    let tables = column(root, tables);
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables {
        let prepare = |sql: &str| format!("PREPARE tried FROM '{sql}'");
        for (verb, sql) in [
            ("read", format!("SELECT * FROM gr.{table} LIMIT 1")),
            (
                "insert",
                prepare(&format!("INSERT INTO gr.{table} VALUES ()")),
            ),
            ("delete", prepare(&format!("DELETE FROM gr.{table}"))),
        ] {
            attempts.push(attempt(format!("{verb} {table}"), sql, true));
        }
        let first = format!(
            "SELECT column_name FROM information_schema.columns \
             WHERE table_schema = 'gr' AND table_name = '{table}' ORDER BY ordinal_position LIMIT 1"
        );
        let first = root.value(&first).unwrap();
        let update = prepare(&format!("UPDATE gr.{table} SET `{first}` = NULL"));
        attempts.push(attempt(format!("update {table}"), update, true));
        for (verb, sql) in [
            ("drop", format!("DROP TABLE gr.{table}")),
            ("alter", format!("ALTER TABLE gr.{table} COMMENT 'mine'")),
        ] {
            attempts.push(attempt(format!("{verb} {table}"), sql, true));
        }
    }
    let functions = "SELECT routine_name FROM information_schema.routines \
                     WHERE routine_schema = 'gr' AND routine_type = 'FUNCTION'";
    for function in column(root, functions) {
        let arguments = match &*function {
            "predict" => "NULL, NULL",
            "predict_proba" => "NULL, NULL, NULL",
            _ => "NULL",
        };
        let sql = format!("PREPARE tried FROM 'SELECT gr.{function}({arguments})'");
        attempts.push(attempt(format!("call {function}"), sql, true));
        let drop = format!("DROP FUNCTION gr.{function}");
        attempts.push(attempt(format!("drop function {function}"), drop, true));
    }
    let procedures = "SELECT CONCAT(routine_schema, '.', routine_name) FROM information_schema.routines \
                      WHERE routine_schema LIKE 'gr\\_%' OR (routine_schema = 'gr' AND routine_type <> 'FUNCTION')";
    let procedures = column(root, procedures);
    assert_eq!(procedures, ["gr_service.view_definitions"]);
    attempts.extend(beside());
    attempts.extend(statements());
    attempts
}

/// In the schemas as a whole.
fn beside() -> Vec<Attempt> {
    let mut attempts = vec![
        attempt(
            "call view_definitions",
            "CALL gr_service.view_definitions()",
            true,
        ),
        attempt(
            "temporary in session",
            "CREATE TEMPORARY TABLE gr_session.mine (a INT)",
            true,
        ),
    ];
    for schema in ["gr", "gr_session", "gr_service"] {
        for (name, sql) in [
            ("table", format!("CREATE TABLE {schema}.mine (a INT)")),
            ("view", format!("CREATE VIEW {schema}.mine AS SELECT 1")),
            (
                "procedure",
                format!("CREATE PROCEDURE {schema}.mine() SELECT 1"),
            ),
            (
                "event",
                format!("CREATE EVENT {schema}.mine ON SCHEDULE EVERY 1 DAY DO SELECT 1"),
            ),
            ("database", format!("DROP DATABASE {schema}")),
        ] {
            attempts.push(attempt(format!("{name} in {schema}"), sql, true));
        }
    }
    for schema in ["gr", "gr_service"] {
        let sql = format!("CREATE TEMPORARY TABLE {schema}.mine (a INT)");
        attempts.push(attempt(format!("temporary in {schema}"), sql, true));
    }
    attempts
}

/// Statements of PredictSQL, through the proxy. Those that change the catalog leave it as it was,
/// if they are let.
fn statements() -> Vec<Attempt> {
    let file = model("apparel_nano").statement();
    let other = file.replace("CREATE MODEL apparel_nano", "CREATE MODEL nano_again");
    let predictions = [
        "gr.apparel(photo)",
        "gr.predict('apparel', photo)",
        "gr.predict('apparel_nano', photo)",
        "gr.predict_proba('apparel', 'Bag', photo)",
    ];
    let mut attempts = Vec::new();
    for call in predictions {
        for (verb, sql) in [
            ("predict", format!("SELECT {call} FROM grd.products")),
            ("predict", format!("SELECT MAX({call}) FROM grd.products")),
            (
                "predict",
                format!("SET @kind = {call}").replace("photo", "'x'"),
            ),
            (
                "predict",
                format!("EXPLAIN SELECT {call} FROM grd.products"),
            ),
            (
                "predict",
                format!("ANALYZE SELECT {call} FROM grd.products"),
            ),
        ] {
            attempts.push(attempt(verb, sql, false));
        }
    }
    for (name, sql) in [
        ("predict", "SELECT kind FROM grd.kinds"),
        (
            "predict colours",
            "EXPLAIN SELECT gr.colours(photo) FROM grd.products",
        ),
        ("CREATE TASK", "CREATE TASK shoes CLASSES ('a', 'b')"),
        ("ALTER TASK", "ALTER TASK colours SET min_accuracy = 0.9"),
        ("DROP TASK", "DROP TASK IF EXISTS shoes"),
        ("CREATE MODEL", &*other),
        ("ALTER MODEL", "ALTER MODEL apparel_nano SET accuracy = 0.9"),
        ("DROP MODEL", "DROP MODEL IF EXISTS nano_again"),
        (
            "EVALUATE",
            "EVALUATE TASK colours ON (SELECT photo, 'red' FROM grd.products)",
        ),
        ("SHOW TASKS", "SHOW TASKS"),
        ("SHOW MODELS", "SHOW MODELS"),
        ("SHOW CREATE TASK", "SHOW CREATE TASK apparel"),
        ("SHOW CREATE TASK", "SHOW CREATE TASK unknown"),
        ("SHOW CREATE MODEL", "SHOW CREATE MODEL apparel_nano"),
        ("SHOW CREATE MODEL", "SHOW CREATE MODEL unknown"),
    ] {
        attempts.push(attempt(name, sql, false));
    }
    attempts
}

/// Creates an account that may read the shop, with these rights and no other.
fn account(name: &str, rights: &[&str]) {
    let mut root = Store::shared().root();
    root.run(&format!("CREATE USER {name}@'127.0.0.1'"));
    root.run(&format!(
        "GRANT SELECT ON grd.products TO {name}@'127.0.0.1'"
    ));
    root.run(&format!("GRANT SELECT ON grd.kinds TO {name}@'127.0.0.1'"));
    for right in rights {
        root.run(&format!("GRANT {right} TO {name}@'127.0.0.1'"));
    }
}

fn login(name: &str) -> Wire {
    Wire::login(proxy().address(), name, "", None).unwrap()
}

/// Tries everything; what is named in `allowed` must not be denied, and all else must be.
#[track_caller]
fn check(name: &str, rights: &[&str], allowed: &[&str]) {
    let proxy = proxy();
    account(name, rights);
    let (mut direct, mut through) = (
        Wire::login(Store::shared().address(), name, "", None).unwrap(),
        Wire::login(proxy.address(), name, "", None).unwrap(),
    );
    // Everybody has these.
    let of_all = ["temporary in session", "call predict", "call predict_proba"];
    let mut tried: Vec<String> = Vec::new();
    for Attempt {
        name,
        sql,
        direct: past,
    } in attempts(&mut Store::shared().root())
    {
        let session = if past { &mut direct } else { &mut through };
        let denied = match session.query(&sql) {
            Ok(_) => None,
            Err(error) => Some(error).filter(|error| DENIED.contains(&error.code)),
        };
        let may = allowed.contains(&&*name) || of_all.contains(&&*name);
        assert_eq!(denied.is_none(), may, "{name}: {sql}: {denied:?}");
        tried.push(name);
    }
    for name in allowed {
        assert!(
            tried.iter().any(|tried| tried == name),
            "{name} was not tried"
        );
    }
}

#[test]
fn without_rights_there_are_temporary_tables_only() {
    check("gr_none", &[], &[]);
}

#[test]
fn execute_on_a_tasks_function_is_the_right_to_that_task() {
    let rights = ["EXECUTE ON FUNCTION gr.apparel"];
    check("gr_task", &rights, &["call apparel", "predict"]);
}

#[test]
fn execute_on_the_schema_is_the_right_to_all_tasks_and_to_no_views_text() {
    let allowed = ["call apparel", "call colours", "predict", "predict colours"];
    check("gr_tasks", &["EXECUTE ON gr.*"], &allowed);
    let mut session = Wire::login(Store::shared().address(), "gr_tasks", "", None).unwrap();
    // Where the procedure stood once.
    assert!([1305, 1370].contains(&session.error("CALL gr.view_definitions()").code));
    let texts =
        "SELECT COUNT(*) FROM information_schema.views WHERE view_definition LIKE '%secret%'";
    assert_eq!(session.value(texts).as_deref(), Some("0"));
    let service =
        "SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = 'gr_service'";
    assert_eq!(session.value(service).as_deref(), Some("0"));
    let mut root = Store::shared().root();
    let all = root.rows("CALL gr_service.view_definitions()");
    assert!(
        all.iter()
            .flatten()
            .flatten()
            .any(|cell| cell.contains("a secret of the view"))
    );
}

#[test]
fn select_on_single_tables_is_the_right_to_show() {
    let rights = [
        "SELECT ON gr.tasks",
        "SELECT ON gr.models",
        "SELECT ON gr.classes",
        "SELECT ON gr.model_stats",
        "SELECT (id, task, task_version, published, cal_rows, plan_rows, cert_rows) ON gr.evaluations",
    ];
    let allowed = [
        "read tasks",
        "read models",
        "read classes",
        "read model_stats",
        "SHOW TASKS",
        "SHOW MODELS",
        "SHOW CREATE TASK",
        "SHOW CREATE MODEL",
    ];
    check("gr_shows", &rights, &allowed);
    let texts = [
        "SELECT population FROM gr.evaluations",
        "SELECT plan_truths FROM gr.evaluations",
    ];
    for sql in texts {
        assert_eq!(login("gr_shows").error(sql).code, 1143, "{sql}");
    }
}

#[test]
fn select_on_the_schema_reads_the_catalog_and_no_image() {
    let mut allowed: Vec<String> = Vec::new();
    let _made = proxy();
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'gr'";
    for row in Store::shared().root().rows(tables) {
        allowed.extend(
            row.into_iter()
                .flatten()
                .map(|table| format!("read {table}")),
        );
    }
    let mut allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
    allowed.extend([
        "SHOW TASKS",
        "SHOW MODELS",
        "SHOW CREATE TASK",
        "SHOW CREATE MODEL",
    ]);
    check("gr_reads", &["SELECT ON gr.*"], &allowed);
    let path = Photos::path(1);
    let seen = format!(
        "SELECT COUNT(*) FROM gr.predictions WHERE scores LIKE '%{path}%' OR input LIKE '%{path}%'"
    );
    assert_eq!(login("gr_reads").value(&seen).as_deref(), Some("0"));
}

#[test]
fn who_keeps_the_catalog_changes_no_predictions() {
    let rights = [
        "SELECT, INSERT, UPDATE, DELETE ON gr.tasks",
        "SELECT, INSERT, UPDATE, DELETE ON gr.models",
        "SELECT ON gr.classes",
        "SELECT ON gr.evaluations",
        "SELECT ON gr.model_stats",
        "SELECT ON gr.confusion",
    ];
    let mut allowed = vec![
        "read classes",
        "read evaluations",
        "read model_stats",
        "read confusion",
    ];
    allowed.extend(["read tasks", "insert tasks", "update tasks", "delete tasks"]);
    allowed.extend([
        "read models",
        "insert models",
        "update models",
        "delete models",
    ]);
    allowed.extend(["CREATE TASK", "ALTER TASK", "DROP TASK", "EVALUATE"]);
    allowed.extend(["CREATE MODEL", "ALTER MODEL", "DROP MODEL"]);
    allowed.extend([
        "SHOW TASKS",
        "SHOW MODELS",
        "SHOW CREATE TASK",
        "SHOW CREATE MODEL",
    ]);
    check("gr_keeps", &rights, &allowed);
}

#[test]
fn a_temporary_table_is_no_right_to_the_catalog() {
    let _made = proxy();
    account("gr_hides", &["CREATE TEMPORARY TABLES ON gr.*"]);
    let mut session = login("gr_hides");
    let changes = [
        ("tasks", "CREATE TASK made_up CLASSES ('a', 'b')"),
        ("tasks", "ALTER TASK colours SET min_accuracy = 0.1"),
        ("tasks", "DROP TASK colours"),
        ("models", "ALTER MODEL apparel_nano SET accuracy = 0.1"),
        ("models", "DROP MODEL apparel_nano"),
        (
            "models",
            "EVALUATE TASK apparel ON (SELECT photo, 'Bag' FROM grd.products)",
        ),
    ];
    for (table, sql) in changes {
        assert_eq!(session.error(sql).code, 1142, "{sql}");
        session.run(&format!(
            "CREATE TEMPORARY TABLE gr.{table} (name VARCHAR(60), definition TEXT)"
        ));
        session.run(&format!("INSERT INTO gr.{table} (name) VALUES ('mine')"));
        let error = session.error(sql);
        assert_eq!(
            (error.code, error.sqlstate.as_str()),
            (1142, "42000"),
            "{sql}"
        );
        assert!(error.message.contains("temporary table"), "{error:?}");
        session.run(&format!("DROP TEMPORARY TABLE gr.{table}"));
    }
    let mut root = proxy().root();
    let left = "SELECT GROUP_CONCAT(name ORDER BY name) FROM gr.tasks WHERE name <> 'shoes'";
    assert_eq!(root.value(left).as_deref(), Some("apparel,colours"));
    let models = "SELECT COUNT(*) FROM gr.models WHERE name = 'apparel_nano'";
    assert_eq!(root.value(models).as_deref(), Some("1"));
}

#[test]
fn views_and_routines_of_others_are_no_right_to_a_task() {
    let _made = proxy();
    let mut root = Store::shared().root();
    root.run(
        "CREATE FUNCTION grd.looks() RETURNS VARCHAR(40) READS SQL DATA SQL SECURITY DEFINER \
         RETURN gr.apparel('photos/00001.png')",
    );
    root.run(
        "CREATE PROCEDURE grd.shows() SQL SECURITY DEFINER SELECT gr.apparel(photo) FROM grd.products",
    );
    account("gr_views", &["EXECUTE ON grd.*", "SHOW VIEW ON grd.*"]);
    let mut session = login("gr_views");
    assert_eq!(session.error("SELECT kind FROM grd.kinds").code, 1370);
    assert_eq!(
        session
            .error("SELECT COUNT(*) FROM grd.kinds GROUP BY kind")
            .code,
        1370
    );
    assert_eq!(session.rows("SELECT id FROM grd.kinds").len(), 1);
    // The stub, whoever's rights it is run with.
    assert_eq!(session.error("SELECT grd.looks()").code, 1644);
    assert_eq!(session.error("CALL grd.shows()").code, 1644);
    root.run("GRANT EXECUTE ON FUNCTION gr.apparel TO gr_views@'127.0.0.1'");
    assert_eq!(
        login("gr_views").rows("SELECT kind FROM grd.kinds").len(),
        1
    );
}

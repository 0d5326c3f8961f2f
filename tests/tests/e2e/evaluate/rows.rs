//! Which rows of its query an EVALUATE uses, in which session, and what it refuses.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Value};
use predictsql_tests::process::checkout;
use predictsql_tests::{Proxy, Settings, Store, Wire, apparel};

use super::{LABELLED, proxy, session};

fn warnings(session: &mut Wire) -> Vec<String> {
    let rows = session.rows("SHOW WARNINGS");
    rows.into_iter()
        .map(|mut row| row.swap_remove(2).unwrap())
        .collect()
}

#[test]
fn rows_without_an_input_or_a_label_are_left_out_and_said_so() {
    let proxy = proxy("ev_rows", &["bag_tiny_other"]);
    let mut session = session(&proxy, "ev_rows");
    session.run("CREATE TABLE odd (photo VARCHAR(99) COLLATE utf8mb4_bin, label VARCHAR(40))");
    session.run(
        "INSERT INTO odd SELECT p.photo, t.label FROM products p JOIN truth t ON t.id = p.id \
         WHERE p.id <= 40",
    );
    session.run(
        "INSERT INTO odd VALUES ('photos/none.png', 'Bag'), ('photos/00041.png', NULL), \
         ('photos/00042.png', NULL), (NULL, 'Bag'), ('photos/00043.png', 'a thing'), \
         ('photos/00043.png', 'a thing'), ('photos/00001.png', 'a thing')",
    );
    let answer = session.run("EVALUATE TASK apparel ON (SELECT * FROM odd)");
    assert_eq!(answer.rows[0][2].as_deref(), Some("41"));
    // Used: one of a foreign class; the rest of the 47 rows are left out.
    let last: Vec<&str> = answer.rows[0][7..10]
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let why = "2 without a label, 1 without an input, 1 unreadable, 2 repeated";
    assert_eq!(last, ["2", "6", why]);
    assert_eq!(answer.warnings, 5);
    let said = warnings(&mut session);
    for part in [
        "Image 'photos/none.png' does not exist: it is left out",
        "2 rows without a label",
        "1 rows without an input",
        "1 rows have an input that came with another label",
    ] {
        assert!(
            said.iter().any(|text| text.contains(part)),
            "{said:?} lacks {part}"
        );
    }
    // A label that is no class of the task: an input of a foreign class.
    let foreign = "SELECT SUM(inputs) FROM ev_rows.confusion WHERE truth IS NULL";
    assert_eq!(session.value(foreign).as_deref(), Some("2"));
    session.run("SET @ml_on_error = 'fail'");
    let error = session.error("EVALUATE TASK apparel ON (SELECT * FROM odd)");
    assert_eq!(error.code, 1366, "{error:?}");
    assert!(error.message.contains("photos/none.png"), "{error:?}");
}

#[test]
fn rows_are_those_that_the_session_sees_in_whatever_character_set() {
    let proxy = proxy("ev_session", &["bag_tiny_other"]);
    let mut session = session(&proxy, "ev_session");
    let rows = |session: &mut Wire, query: &str| {
        let answer = session.run(&format!("EVALUATE TASK apparel ON ({query})"));
        answer.rows[0][2].clone().unwrap()
    };
    // Its own transaction, which goes on; and a limit on its results is none on these rows.
    session.run("CREATE TABLE mine (photo VARCHAR(99), label VARCHAR(40))");
    session.run("BEGIN");
    session.run(
        "INSERT INTO mine VALUES ('photos/00001.png', 'Ankle boot'), ('photos/00002.png', 'Coat')",
    );
    session.run("SET sql_select_limit = 1");
    assert_eq!(rows(&mut session, "SELECT photo, label FROM mine"), "2");
    assert_eq!(
        session.value("SELECT @@in_transaction").as_deref(),
        Some("1")
    );
    session.run("ROLLBACK");
    session.run("SET sql_select_limit = DEFAULT");
    let none = session.error("EVALUATE TASK apparel ON (SELECT photo, label FROM mine)");
    assert_eq!(none.code, 1525, "{none:?}");

    // Images themselves, equal names, WITH, a trailing comment,
    // labels of another type and character set.
    assert_eq!(
        rows(
            &mut session,
            "SELECT b.photo, label FROM product_blobs b JOIN truth USING (id)"
        ),
        "100"
    );
    assert_eq!(
        rows(
            &mut session,
            "WITH x AS (SELECT photo AS a FROM products LIMIT 9) SELECT a, a FROM x -- all\n"
        ),
        "9"
    );
    assert_eq!(
        rows(
            &mut session,
            "SELECT photo, id FROM products WHERE id < 5 UNION SELECT 'photos/00009.png', 'Bag'"
        ),
        "5"
    );
    session.run("CREATE TASK signs CLASSES ('Fuß', 'other')");
    let model = apparel::zoo()
        .iter()
        .find(|m| m.name == "bag_tiny_other")
        .unwrap();
    let file = model.file.file_name().unwrap().to_string_lossy();
    session.run(&format!(
        "CREATE MODEL feet FOR TASK signs FROM '{file}' OPTIONS (size = 28, channels = 1, \
         labels = ('Fuß', 'rest', 'other'), other = 'rest')"
    ));
    session.run("CREATE TABLE latin (photo VARCHAR(99), label VARCHAR(9)) CHARSET latin1");
    session.run("INSERT INTO latin VALUES ('photos/00001.png', 'Fuß')");
    for names in ["latin1", "utf8mb4"] {
        session.run(&format!("SET NAMES {names}"));
        session.run("EVALUATE MODEL feet ON (SELECT photo, label FROM latin)");
        session.run("SET NAMES utf8mb4");
        let truth = session.value("SELECT truth FROM ev_session.confusion WHERE model = 'feet'");
        assert_eq!(truth.as_deref(), Some("Fuß"), "{names}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_refused_by_name() {
    let proxy = proxy("ev_refused", &["bag_tiny_other"]);
    let mut session = session(&proxy, "ev_refused");
    session.run("CREATE TASK bare CLASSES ('a')");
    for (sql, code, part) in [
        (
            "EVALUATE TASK nothing ON (SELECT 'a', 'b')",
            1305,
            "Task 'nothing'",
        ),
        (
            "EVALUATE MODEL nothing ON (SELECT 'a', 'b')",
            1305,
            "Model 'nothing'",
        ),
        (
            "EVALUATE MODEL bag_tiny_other@7 ON (SELECT 'a', 'b')",
            1305,
            "bag_tiny_other@7",
        ),
        ("EVALUATE TASK bare ON (SELECT 'a', 'b')", 1525, "no model"),
        (
            "EVALUATE TASK apparel ON (SELECT photo FROM products)",
            1241,
            "2 column(s)",
        ),
        (
            "EVALUATE TASK apparel ON (SELECT id, photo FROM products)",
            1210,
            "first column",
        ),
        (
            "EVALUATE TASK apparel ON (SELECT photo, nosuch FROM products)",
            1054,
            "nosuch",
        ),
        (
            "EVALUATE TASK apparel ON (SELECT photo, 'a' FROM nosuch)",
            1146,
            "nosuch",
        ),
        (
            "EVALUATE TASK apparel ON (SELECT photo, 'a' FROM products WHERE FALSE)",
            1525,
            "no row",
        ),
        (
            "EVALUATE TASK apparel ON (SELECT photo FROM products",
            1064,
            "closing",
        ),
        (
            "EVALUATE TASK apparel ON (SELECT photo, ev_refused.apparel(photo) FROM products)",
            1235,
            "predictions in the query",
        ),
    ] {
        let error = session.error(sql);
        assert_eq!(error.code, code, "{error:?} at {sql}");
        assert!(error.message.contains(part), "{error:?} at {sql}");
    }
    let left = session.value("SELECT COUNT(*) FROM ev_refused.evaluations");
    assert_eq!(left.as_deref(), Some("0"));
}

#[test]
fn it_stands_among_other_statements() {
    let proxy = proxy("ev_several", &["bag_tiny_other"]);
    let mut session = session(&proxy, "ev_several");
    let text = format!(
        "SELECT 'a;b'; EVALUATE MODEL bag_tiny_other ON ({LABELLED} LIMIT 20); \
         CREATE TASK later CLASSES ('x'); SHOW TASKS LIKE 'l%'; DROP TASK later; SELECT 2"
    );
    let answers = session.query(&text).unwrap();
    let first = |n: usize| answers[n].rows[0][0].as_deref();
    assert_eq!(answers.len(), 6);
    assert_eq!((first(0), first(1)), (Some("a;b"), Some("bag_tiny_other")));
    assert_eq!((first(3), first(5)), (Some("later"), Some("2")));
    assert_eq!(session.value("SELECT 3").as_deref(), Some("3"));
}

#[tokio::test]
async fn it_is_prepared_once_and_executed_again() {
    let proxy = proxy("ev_prepared", &["bag_tiny_other", "footwear_nano"]);
    let mut conn = Conn::new(proxy.opts()).await.unwrap();
    conn.query_drop("USE ev_prepared_shop").await.unwrap();
    let limited = format!("EVALUATE TASK apparel ON ({LABELLED} WHERE p.id <= 60)");
    let statement = conn.prep(&limited).await.unwrap();
    let names: Vec<_> = statement
        .columns()
        .iter()
        .map(|c| c.name_str().into_owned())
        .collect();
    assert_eq!(names[0], "Model");
    for _ in 0..2 {
        let rows: Vec<(String, String, u64, f64, Value)> = conn
            .exec_map(&statement, (), |row: mysql_async::Row| {
                (
                    row.get(0).unwrap(),
                    row.get(1).unwrap(),
                    row.get(2).unwrap(),
                    row.get(3).unwrap(),
                    row.get(5).unwrap(),
                )
            })
            .await
            .unwrap();
        assert_eq!(rows.len(), 2);
        let model = |name: &str| rows.iter().find(|row| row.0 == name).unwrap();
        assert_eq!(
            (model("footwear_nano").1.as_str(), model("footwear_nano").2),
            ("1", 60)
        );
        assert!(model("footwear_nano").3 > 0.8);
        assert!(matches!(rows[0].4, Value::Double(seconds) if seconds > 0.0));
    }
    let with_parameter = format!("EVALUATE TASK apparel ON ({LABELLED} WHERE p.id <= ?)");
    let error = conn.prep(with_parameter).await.unwrap_err();
    assert!(
        matches!(&error, mysql_async::Error::Server(e) if e.code == 1235),
        "{error}"
    );
}

/// Rows of iris, and the class that the library which trained the model gives them.
fn flowers() -> Vec<(Vec<f64>, &'static str)> {
    #[derive(serde::Deserialize)]
    struct Expected {
        rows: Vec<Vec<f64>>,
        answers: Vec<Vec<f64>>,
    }
    let path = checkout().join("executor/tests/columns/expected.json");
    let all: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let Expected { rows, answers } =
        serde_json::from_value(all["iris_named_tensor"].clone()).unwrap();
    let class = |scores: Vec<f64>| {
        let best = (0..3).max_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        ["setosa", "versicolor", "virginica"][best.unwrap()]
    };
    rows.into_iter()
        .zip(answers.into_iter().map(class))
        .collect()
}

#[test]
fn columns_are_evaluated_like_images() {
    let settings = Settings {
        schema: "ev_columns".to_owned(),
        model_roots: vec![checkout().join("executor/tests/columns")],
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    session.run("CREATE DATABASE ev_columns_shop");
    session.run("USE ev_columns_shop");
    session.run(
        "CREATE TABLE iris (a DECIMAL(4,2), b FLOAT, c DOUBLE, d VARCHAR(9), species VARCHAR(20))",
    );
    for (row, class) in flowers() {
        let values: Vec<String> = row.iter().map(f64::to_string).collect();
        let values = values.join(", ");
        session.run(&format!("INSERT INTO iris VALUES ({values}, '{class}')"));
    }
    session.run("INSERT INTO iris VALUES (1, NULL, 1, 1, 'setosa')");
    session.run(
        "CREATE TASK flowers CLASSES ('setosa', 'versicolor', 'virginica') \
         INPUT (a DOUBLE, b DOUBLE, c DOUBLE, d DOUBLE)",
    );
    session.run(
        "CREATE MODEL iris FOR TASK flowers FROM 'iris_named_tensor.onnx' OPTIONS (output = 'softmax')",
    );
    let answer = session.run("EVALUATE TASK flowers ON (SELECT * FROM iris)");
    let count = flowers().len().to_string();
    assert_eq!(answer.rows[0][2], Some(count));
    assert_eq!(answer.rows[0][3].as_deref(), Some("1"));
    assert_eq!(
        warnings(&mut session),
        ["1 rows without an input are left out"]
    );
    let error = session.error("EVALUATE TASK flowers ON (SELECT a, b, species FROM iris)");
    assert_eq!(error.code, 1241, "{error:?}");
    assert!(error.message.contains("5 column(s)"), "{error:?}");
}

//! What ANALYZE does in its session: it executes under the statement's own rules,
//! and leaves what the store's leaves.

use predictsql_proxy::wire::command;
use predictsql_tests::{Settings, Wire, eventually};

use super::{GROUPED, STREAM, json, lines, number};
use crate::admin::{PASSWORD, admin};
use crate::differential::answer::{Param, execute, prepare};
use crate::kept::Place;

const STATE: &str = "SELECT ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID(), @@warning_count";

// Models take minutes for these, the store a moment.
const LONG_STREAM: &str = "SELECT id FROM products, seq_1_to_3000 WHERE ml.apparel(photo) = 'Bag'";
const LONG_GROUPED: &str = "SELECT ml.apparel(CONCAT(REPEAT('./', seq), photo)) AS k, COUNT(*) \
     FROM products, seq_1_to_1500 WHERE id <= 40 GROUP BY k";

/// `products` and a copy `labels` in which `kind` is stored, both fresh.
fn fresh(place: &Place, session: &mut Wire) {
    session.run("DROP TABLE IF EXISTS labels, kinds, plain");
    session.run(
        &place.sql("CREATE TABLE labels AS SELECT p.*, ml.apparel(photo) AS kind FROM products p"),
    );
    session.run("CREATE TABLE kinds (id INT PRIMARY KEY, kind VARCHAR(20))");
    session.run("CREATE TABLE plain LIKE kinds");
}

#[test]
fn changes_are_made_and_the_session_is_left_as_by_the_stores_own() {
    let place = Place::new("an_changes", "");
    let mut session = place.session();
    fresh(&place, &mut session);
    let changes = [
        (
            "UPDATE products SET photo = CONCAT('./', photo) WHERE ml.apparel(photo) = 'Bag'",
            "UPDATE labels SET photo = CONCAT('./', photo) WHERE kind = 'Bag'",
        ),
        (
            "INSERT INTO kinds SELECT id, ml.apparel(photo) FROM products",
            "INSERT INTO plain SELECT id, kind FROM labels",
        ),
        (
            "DELETE FROM products WHERE ml.apparel(photo) IN ('Bag', 'Coat')",
            "DELETE FROM labels WHERE kind IN ('Bag', 'Coat')",
        ),
        (
            "INSERT INTO kinds VALUES (1000, ml.apparel('1.png'))",
            "INSERT INTO plain VALUES (1000, 'x')",
        ),
        (
            "REPLACE INTO kinds SELECT id, LEFT(ml.apparel(photo), 3) FROM products",
            "REPLACE INTO plain SELECT id, LEFT(kind, 3) FROM labels",
        ),
        (
            "SELECT id FROM products WHERE ml.apparel(photo) <> 'Dress' LIMIT 7",
            "SELECT id FROM labels WHERE kind <> 'Dress' LIMIT 7",
        ),
        (
            "SELECT ml.apparel(photo) + 0 FROM products WHERE id < 9 GROUP BY photo",
            "SELECT kind + 0 FROM labels WHERE id < 9 GROUP BY photo",
        ),
    ];
    for (predicting, plain) in changes {
        session.run("SELECT seq FROM seq_1_to_5");
        let answer = session.run(&place.sql(&format!("ANALYZE {predicting}")));
        assert_eq!(answer.columns, ["ANALYZE"], "{predicting}");
        let found = session.rows(STATE);
        session.run("SELECT seq FROM seq_1_to_5");
        let expected = session.run(&format!("ANALYZE {plain}"));
        assert_eq!(answer.warnings, expected.warnings, "{predicting}");
        assert_eq!(found, session.rows(STATE), "{predicting}");
    }
    for (changed, plain) in [("products", "labels"), ("kinds", "plain")] {
        let count = |table: &str| format!("SELECT COUNT(*) FROM {table}");
        assert_eq!(session.value(&count(changed)), session.value(&count(plain)));
        let left = session.value(&count(changed)).unwrap();
        assert!(left != "0" && left != "80", "{changed}: {left}");
    }
    let photos = |table: &str| format!("SELECT GROUP_CONCAT(photo ORDER BY id) FROM {table}");
    assert_eq!(
        session.value(&photos("products")),
        session.value(&photos("labels"))
    );
    let said = json(&mut session, &place.sql(
        "ANALYZE FORMAT=JSON UPDATE products SET photo = UPPER(photo) WHERE ml.apparel(photo) IS NOT NULL"));
    let rows = session.value("SELECT COUNT(*) FROM products").unwrap();
    assert_eq!(number(&said["actual"]["rows_changed"]).to_string(), rows);

    // The store's errors are the statement's: nothing is half done.
    let error =
        session.error(&place.sql("ANALYZE INSERT INTO kinds SELECT 1000, ml.apparel('2.png')"));
    assert_eq!(error.code, 1062);
}

#[test]
fn a_transaction_that_is_rolled_back_keeps_nothing_and_explain_changes_nothing() {
    let place = Place::new("an_rollback", "");
    let mut session = place.session();
    let deletes = place.sql("DELETE FROM products WHERE ml.apparel(photo) IS NOT NULL");
    let inferred = place.proxy.images_inferred();
    session.run("SELECT seq FROM seq_1_to_5");
    let plan = lines(&mut session, &format!("EXPLAIN {deletes}"));
    assert!(plan[0].starts_with("Materialise plan"), "{plan:#?}");
    assert_eq!(
        session.rows("SELECT ROW_COUNT(), FOUND_ROWS()"),
        [[Some("-1".to_owned()), Some("5".to_owned())]]
    );
    assert_eq!(place.proxy.images_inferred(), inferred);
    session.run("BEGIN");
    lines(&mut session, &format!("ANALYZE {deletes}"));
    assert_eq!(
        session.value("SELECT COUNT(*) FROM products").as_deref(),
        Some("0")
    );
    session.run("ROLLBACK");
    assert_eq!(
        session.value("SELECT COUNT(*) FROM products").as_deref(),
        Some("80")
    );
    session.run("START TRANSACTION READ ONLY");
    assert_eq!(session.error(&format!("ANALYZE {deletes}")).code, 1792);
    lines(&mut session, &place.sql(&format!("ANALYZE {GROUPED}")));
    session.run("COMMIT");
    // A right to read is none to change.
    session.run("CREATE USER IF NOT EXISTS an_reader@'%'");
    session.run("GRANT SELECT, EXECUTE ON *.* TO an_reader@'%'");
    let database = Some("an_rollback_shop");
    let mut reader = Wire::login(place.proxy.address(), "an_reader", "", database).unwrap();
    assert_eq!(reader.error(&format!("ANALYZE {deletes}")).code, 1142);
    assert!(!lines(&mut reader, &place.sql(&format!("ANALYZE {STREAM}"))).is_empty());
}

#[test]
fn limits_hold_for_what_is_executed() {
    let place = Place::new("an_limits", "mode = 'off'");
    let mut session = place.session();
    let inferred = || place.proxy.images_inferred();
    let before = inferred();
    session.run("SET @ml_max_inferences = 10");
    for sql in [STREAM, GROUPED] {
        let error = session.error(&place.sql(&format!("ANALYZE {sql}")));
        assert_eq!(error.code, 1104, "{error:?}");
        assert!(!lines(&mut session, &place.sql(&format!("EXPLAIN {sql}"))).is_empty());
    }
    assert_eq!(inferred(), before);
    session.run("SET @ml_max_inferences = NULL, max_statement_time = 0.05");
    for sql in [LONG_STREAM, LONG_GROUPED] {
        let error = session.error(&place.sql(&format!("ANALYZE {sql}")));
        assert_eq!(error.code, 1969, "{error:?}");
    }
    // The limit may end this one, too.
    eventually("the limit is lifted", || {
        session.query("SET max_statement_time = 0").ok()
    });
    session.run("SET @ml_on_error = 'fail'");
    let error = session.error(&place.sql("ANALYZE SELECT ml.apparel('none.png')"));
    assert_eq!(error.code, 1366, "{error:?}");
    assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
}

#[test]
fn a_statement_can_be_killed_while_it_is_analyzed_and_shows_how_far_it_is() {
    let place = Place::of(Settings {
        schema: "an_killed".to_owned(),
        tables: "[cache]\nmode = 'off'\n".to_owned(),
        admin_password: Some(PASSWORD.to_owned()),
        ..Settings::default()
    });
    let mut other = place.session();
    for (sql, phase, inputs) in [
        (LONG_STREAM, "streaming", 240_000),
        (LONG_GROUPED, "predicting", 60_000),
    ] {
        let mut session = place.session();
        let sql = place.sql(&format!("ANALYZE {sql}"));
        session
            .send(&[&[command::QUERY], sql.as_bytes()].concat())
            .unwrap();
        let id = session.connection_id();
        let row = eventually("it tells when it will be done", || {
            let rows = admin(&place.proxy, "SHOW QUERIES");
            let row = rows.into_iter().find(|row| row[0] == id.to_string())?;
            (row[9] != "NULL" && row[4] != "0").then_some(row)
        });
        assert_eq!(row[6], phase, "{row:?}");
        assert_eq!(row[7], inputs.to_string(), "{row:?}");
        let predicted: u64 = row[8].parse().unwrap();
        assert!((1..inputs).contains(&predicted), "{row:?}");
        assert!(row[9].parse::<f64>().unwrap() > 0.0, "{row:?}");
        assert_eq!(row[3], "0", "no row is sent: {row:?}");
        let plan = match phase {
            "streaming" => "stream apparel: apparel_nano@1",
            _ => "materialise apparel: apparel_nano@1",
        };
        assert_eq!(row[10], plan);
        assert!(
            !row[11].contains("Bag") && row[11].starts_with("ANALYZE SELECT"),
            "{row:?}"
        );
        other.run(&format!("KILL QUERY {id}"));
        let packets = session.read_answer(command::QUERY).unwrap();
        assert_eq!(packets.len(), 1);
        assert_eq!(packets[0].payload[..3], [0xff, 0x25, 0x05], "1317");
        assert_eq!(session.value("SELECT 1").as_deref(), Some("1"));
    }
}

#[test]
fn plans_are_shown_by_prepared_statements_and_over_views() {
    let place = Place::new("an_prepared", "");
    let mut session = place.session();
    session.run(
        &place
            .sql("CREATE VIEW shown AS SELECT id, photo, ml.apparel(photo) AS kind FROM products"),
    );
    let text = |cells: &[Option<Vec<u8>>]| String::from_utf8(cells[0].clone().unwrap()).unwrap();
    for (sql, plan) in [
        (STREAM.replace("60", "?"), "Stream plan"),
        (
            GROUPED.replace("GROUP", "WHERE id <= ? GROUP"),
            "Materialise plan",
        ),
        (
            "SELECT kind, COUNT(*) FROM shown WHERE id <= ? GROUP BY kind".to_owned(),
            "Materialise plan",
        ),
    ] {
        for (head, executed) in [
            ("EXPLAIN", false),
            ("ANALYZE", true),
            ("EXPLAIN ANALYZE", true),
        ] {
            let sql = place.sql(&format!("{head} {sql}"));
            let id = prepare(&mut session, &sql).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            for rows in [60, 7] {
                let answer = execute(&mut session, id, &[Param::Int(rows)]).unwrap();
                let name = head.split(' ').next().unwrap();
                assert_eq!(answer.names(), [name], "{sql}");
                let lines: Vec<String> = answer.rows.iter().map(|row| text(row)).collect();
                assert!(lines[0].starts_with(plan), "{sql}: {lines:#?}");
                let inputs = lines.iter().find(|line| line.starts_with("  inputs "));
                let inputs = inputs.map(|line| line.split_whitespace().last().unwrap());
                let expected = match plan {
                    "Stream plan" => rows.to_string(),
                    _ => rows.min(40).to_string(),
                };
                assert_eq!(inputs, executed.then_some(&*expected), "{sql}: {lines:#?}");
            }
        }
    }
    session.run(&place.sql(&format!("PREPARE p FROM 'ANALYZE {GROUPED}'")));
    assert!(lines(&mut session, "EXECUTE p")[0].starts_with("Materialise plan"));
    let several = place.sql(&format!(
        "SET STATEMENT max_statement_time = 100 FOR ANALYZE {STREAM}"
    ));
    assert!(lines(&mut session, &several)[0].starts_with("Stream plan"));
    // A view's reader who may not see how it is made.
    session.run("CREATE USER IF NOT EXISTS an_viewer@'%'");
    session.run("GRANT SELECT ON an_prepared_shop.shown TO an_viewer@'%'");
    session.run("GRANT EXECUTE ON FUNCTION an_prepared.apparel TO an_viewer@'%'");
    let database = Some("an_prepared_shop");
    let mut viewer = Wire::login(place.proxy.address(), "an_viewer", "", database).unwrap();
    for head in ["EXPLAIN", "ANALYZE", "EXPLAIN ANALYZE"] {
        let sql = format!("{head} SELECT id FROM shown WHERE kind = 'Bag'");
        assert!(
            lines(&mut viewer, &sql)[0].starts_with("Stream plan"),
            "{sql}"
        );
    }
}

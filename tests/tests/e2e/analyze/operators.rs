//! What operators are told of predict statements: slow ones with their plan, each one as a span,
//! what is unreadable as warnings, and that what needs no prediction runs no model.

use predictsql_tests::{Proxy, Settings, Wire, eventually};

use crate::differential::answer::{Param, execute_once};
use crate::kept::Place;

fn slow_lines(proxy: &Proxy) -> Vec<String> {
    let log = proxy.log();
    let lines = log.lines().filter(|line| line.contains("predictsql::slow"));
    lines.map(str::to_owned).collect()
}

fn slow_line(proxy: &Proxy, text: &str) -> String {
    eventually("the slow statement is told", || {
        let mut lines = slow_lines(proxy).into_iter();
        lines.find(|line| line.contains(text))
    })
}

const SECRET: &str =
    "SELECT id, ml.apparel(photo) AS k FROM products WHERE photo <> 'a secret' ORDER BY k";

#[test]
fn slow_statements_are_logged_with_their_plan_and_without_literals() {
    let place = Place::of(Settings {
        schema: "an_slow".to_owned(),
        top: "slow_query_ms = 1".to_owned(),
        ..Settings::default()
    });
    let mut session = place.session();
    session.run(&place.sql(SECRET));
    session.run("SELECT SLEEP(0.01), 'plain'");
    // It is told when the statement ends, which its client may know before.
    let line = slow_line(&place.proxy, "ORDER BY k");
    for said in [
        "WARN",
        "user=\"root\"",
        "plan=\"materialise apparel: apparel_nano@1\"",
        "rows_sent=80",
        "images_inferred=40",
        "cache_hits=0",
        "planning ",
        "pass 2 ",
        "model_seconds=",
        "photo <> ? ORDER BY k",
    ] {
        assert!(line.contains(said), "{said}: {line}");
    }
    let lines = slow_lines(&place.proxy);
    let told = |text: &str| lines.iter().any(|line| line.contains(text));
    assert!(!told("secret") && !told("plain"), "{lines:#?}");

    let shows = place.another_with("slow_query_ms = 1\nslow_query_literals = true");
    let mut session = crate::kept::in_shop(&shows, &place.schema);
    session.run(&place.sql(SECRET));
    slow_line(&shows, "'a secret'");

    let off = place.another_with("slow_query_ms = 0");
    crate::kept::in_shop(&off, &place.schema).run(&place.sql(SECRET));
    assert_eq!(slow_lines(&off), Vec::<String>::new());
}

#[test]
fn each_statement_is_a_span_that_says_what_it_did() {
    let place = Place::new("an_span", "");
    let mut session = place.session();
    session.run(
        &place.sql(
            "SELECT id, ml.apparel(photo) FROM products WHERE photo <> 'a secret' AND id <= 40",
        ),
    );
    session.run(&place.sql("EXPLAIN SELECT ml.apparel(photo) FROM products"));
    let told = |route: &str| {
        let route = format!("route=\"{route}\"");
        eventually("the statement's end is told", || {
            let log = place.proxy.log();
            let mut lines = log
                .lines()
                .filter(|l| l.contains("predict statement seconds="));
            lines.find(|line| line.contains(&route)).map(str::to_owned)
        })
    };
    for said in [
        "plan=\"stream apparel: apparel_nano@1\"",
        "rows=40",
        "images_inferred=40",
        "cache_hits=0",
        "model_seconds=",
    ] {
        assert!(
            told("predict").contains(said),
            "{said}: {}",
            told("predict")
        );
    }
    assert!(told("explain").contains("images_inferred=0"));
    assert!(!place.proxy.log().contains("a secret"));
}

/// (count in the protocol, lines of SHOW WARNINGS, the first of them, SHOW COUNT(*) WARNINGS)
fn warnings(session: &mut Wire, told: u16) -> (u16, usize, String, Option<String>) {
    let rows = session.rows("SHOW WARNINGS");
    let first = rows[0][2].clone().unwrap();
    (
        told,
        rows.len(),
        first,
        session.value("SHOW COUNT(*) WARNINGS"),
    )
}

#[test]
fn unreadable_inputs_are_warned_of_and_counted_alike_in_both_protocols() {
    let place = Place::new("an_warnings", "");
    let mut session = place.session();
    let missing = "ml.apparel(CONCAT('no/', id, '/', photo))";
    for sql in [
        format!("SELECT id, {missing} FROM products"),
        format!("SELECT {missing} AS k, COUNT(*) FROM products GROUP BY k"),
        format!("ANALYZE SELECT id, {missing} FROM products"),
        format!("ANALYZE SELECT {missing} AS k, COUNT(*) FROM products GROUP BY k"),
    ] {
        let sql = place.sql(&sql);
        for kept in [64, 5] {
            session.run(&format!("SET max_error_count = {kept}"));
            let told = session.run(&sql).warnings;
            let by_text = warnings(&mut session, told);
            assert_eq!((by_text.0, by_text.1), (80, kept), "{sql}");
            assert!(
                by_text.2.contains("no/") && by_text.2.contains("its prediction is NULL"),
                "{by_text:?}"
            );
            assert_eq!(by_text.3.as_deref(), Some("80"), "{sql}");
            let told = execute_once(&mut session, &sql, &[]).unwrap().warnings;
            assert_eq!(warnings(&mut session, told), by_text, "{sql}");
        }
    }
}

#[test]
fn what_needs_no_prediction_runs_no_model() {
    let place = Place::new("an_none", "mode = 'off'");
    let mut session = place.session();
    session
        .run(&place.sql("CREATE VIEW shown AS SELECT id, ml.apparel(photo) AS kind FROM products"));
    let before = place.proxy.images_inferred();
    for sql in [
        "SELECT id, ml.apparel(photo) FROM products WHERE 1 = 0",
        "SELECT ml.apparel(photo) AS k, COUNT(*) FROM products WHERE 1 = 0 GROUP BY k",
        "SELECT id, ml.apparel(photo) FROM products LIMIT 0",
        "SELECT ml.apparel(photo) AS k FROM products GROUP BY k LIMIT 0",
        "SELECT id FROM products WHERE ml.apparel(photo) = 'Bag' LIMIT 0",
        "DESCRIBE shown",
        "EXPLAIN SELECT id, ml.apparel(photo) FROM products",
        "EXPLAIN FORMAT=JSON SELECT ml.apparel(photo) AS k, COUNT(*) FROM products GROUP BY k",
        "EXPLAIN UPDATE products SET photo = ml.apparel(photo)",
        "EXPLAIN SELECT kind FROM shown",
        "SELECT id FROM shown",
        "SELECT COUNT(*) FROM shown",
        "SELECT id FROM products WHERE ml.apparel(photo) = 'Bag' AND ml.apparel(photo) = 'Coat'",
        "SELECT id FROM products WHERE ml.apparel(photo) = 'no class at all'",
        "SELECT id FROM products WHERE id < 0 AND ml.apparel(photo) = 'Bag'",
        "UPDATE products SET photo = photo WHERE id < 0 AND ml.apparel(photo) = 'Bag'",
        "ANALYZE SELECT id, ml.apparel(photo) FROM products WHERE 1 = 0",
        "SHOW MODELS",
    ] {
        session.run(&place.sql(sql));
        assert_eq!(place.proxy.images_inferred(), before, "{sql}");
        if !sql.starts_with("SHOW") && !sql.starts_with("DESC") {
            execute_once(&mut session, &place.sql(sql), &[])
                .unwrap_or_else(|e| panic!("{sql}: {e:?}"));
            assert_eq!(place.proxy.images_inferred(), before, "prepared: {sql}");
        }
    }
    let limit = place.sql("SELECT id, ml.apparel(photo) FROM products LIMIT ?");
    execute_once(&mut session, &limit, &[Param::Int(0)]).unwrap();
    assert_eq!(place.proxy.images_inferred(), before);
}

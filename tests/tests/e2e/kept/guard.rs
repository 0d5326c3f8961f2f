//! The limit on what a statement may have models do: told before it starts,
//! and what is kept does not count.

use predictsql_tests::Wire;

use super::Place;

/// How many images the error says a statement needs.
fn needed(session: &mut Wire, sql: &str) -> u64 {
    let error = session.error(sql);
    assert_eq!((error.code, &*error.sqlstate), (1104, "42000"), "{error:?}");
    let words = error.message.split("would run ").nth(1);
    let number = words.and_then(|words| words.split(' ').next());
    let number: u64 = number
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{error:?}"));
    let advice = format!("SET @ml_max_inferences = {number} allows it");
    assert!(error.message.contains(&advice), "{error:?}");
    number
}

#[test]
fn a_statement_beyond_its_limit_is_refused_before_it_starts() {
    let place = Place::new("kept_guard", "");
    let mut session = place.session();
    let sql = |sql: &str| place.sql(sql);
    let inferred = || place.proxy.images_inferred();
    let before = inferred();
    session.run("SET @ml_max_inferences = 10");
    let rows = sql("SELECT id, ml.apparel(photo) FROM products");
    let two = sql(
        "SELECT COUNT(*) FROM products WHERE ml.apparel(photo) = 'Bag' OR ml.apparel(CONCAT('./', photo)) = 'Bag'",
    );
    let nested = sql(
        "SELECT COUNT(*) FROM products WHERE ml.apparel(IF(ml.apparel(photo) = 'Bag', photo, '1.png')) = 'Bag'",
    );
    for plan in ["NULL", "'temporary'", "'inline'"] {
        session.run(&format!("SET @ml_plan = {plan}"));
        assert_eq!(needed(&mut session, &rows), 40, "{plan}");
        let grouped = sql("SELECT ml.apparel(photo) AS k, COUNT(*) FROM products GROUP BY k");
        assert_eq!(needed(&mut session, &grouped), 40);
        let filtered = sql("SELECT id FROM products WHERE ml.apparel(photo) = 'Bag' AND id <= 30");
        assert_eq!(needed(&mut session, &filtered), 30);
        assert_eq!(
            needed(&mut session, &two),
            40,
            "the same images by two names"
        );
        assert_eq!(needed(&mut session, &nested), 40);
    }
    let changed = sql("UPDATE products SET photo = 'x' WHERE ml.apparel(photo) = 'Bag'");
    assert_eq!(needed(&mut session, &changed), 40);
    assert_eq!(inferred(), before, "nothing was run");

    // Missing files need no model.
    session.run("SET @ml_plan = NULL");
    let missing = sql("SELECT id, ml.apparel(CONCAT('no/', photo)) FROM products");
    assert_eq!(session.rows(&missing).len(), 80);
    // What is kept does not count.
    session.run("SET @ml_max_inferences = 40");
    place.settle("SELECT COUNT(DISTINCT ml.apparel(photo)) FROM products WHERE id <= 35");
    session.run("SET @ml_max_inferences = 4");
    assert_eq!(needed(&mut session, &rows), 5);
    session.run("SET @ml_max_inferences = 5");
    assert_eq!(session.rows(&rows).len(), 80);
    assert_eq!(inferred() - before, 40);
    // Without what is kept, a stream looks at each row.
    session.run("SET @ml_cache = 'off', @ml_max_inferences = 79");
    assert_eq!(needed(&mut session, &rows), 80);
    session.run("SET @ml_max_inferences = 0");
    assert_eq!(session.rows(&rows).len(), 80);
    for wrong in ["-1", "'many'", "1.5"] {
        session.run(&format!("SET @ml_max_inferences = {wrong}"));
        assert_eq!(session.error(&rows).code, 1231, "{wrong}");
    }
}

/// What tools ask about a query before they show it, each with the number of its rows.
const PROBES: &[(&str, usize)] = &[
    (
        "SELECT * FROM (SELECT id, ml.apparel(photo) AS k FROM products) t LIMIT 0",
        0,
    ),
    (
        "SELECT k, COUNT(*) FROM (SELECT id, ml.apparel(photo) AS k FROM products) t WHERE 1 = 0 GROUP BY k",
        0,
    ),
    (
        "SELECT COUNT(*) FROM (SELECT id, ml.apparel(photo) AS k FROM products) t",
        1,
    ),
    (
        "SELECT SUM(1) AS col FROM (SELECT p.*, ml.apparel(photo) FROM products p) t HAVING COUNT(1) > 0",
        1,
    ),
    (
        "SELECT id FROM (SELECT id, ml.apparel(photo) AS k FROM products) t ORDER BY id LIMIT 3",
        3,
    ),
    (
        "SELECT COUNT(*) FROM (SELECT * FROM (SELECT *, ml.apparel(photo) AS k FROM products) s) t",
        1,
    ),
    (
        "WITH t AS (SELECT id, ml.apparel(photo) AS k FROM products) SELECT COUNT(*) FROM t",
        1,
    ),
    ("SELECT COUNT(*) FROM kinds", 1),
];

#[test]
fn probes_around_a_query_run_no_model() {
    let place = Place::new("kept_probes", "");
    let mut session = place.session();
    let kinds = "CREATE VIEW kinds AS SELECT p.*, ml.apparel(photo) AS k FROM products p";
    session.run(&place.sql(kinds));
    session.run("SET @ml_cache = 'off', @ml_max_inferences = 1");
    let before = place.proxy.images_inferred();
    for (probe, rows) in PROBES {
        assert_eq!(session.rows(&place.sql(probe)).len(), *rows, "{probe}");
    }
    assert_eq!(place.proxy.images_inferred(), before, "a probe ran a model");
    // The rows of a wrapped query are streamed: the limit ends it.
    let one =
        "SELECT * FROM (SELECT id, ml.apparel(photo) AS k FROM products) t WHERE id > 7 LIMIT 1";
    assert_eq!(session.rows(&place.sql(one)).len(), 1);
    assert_eq!(place.proxy.images_inferred() - before, 1);
}

#[test]
fn a_limit_of_rows_may_end_a_statement_early_and_users_have_limits_of_their_own() {
    let limits =
        "[limits]\ninferences_max = 12\ninferences_max_by_user = { kept_bi = 3, root = 0 }";
    let place = Place::new("kept_users", &format!("mode = 'off'\n{limits}"));
    let mut session = place.session();
    let rows = place
        .sql("SELECT id FROM products WHERE ml.apparel(photo) <> 'nothing' AND RAND() < 2 LIMIT 1");
    let none = place
        .sql("SELECT id FROM products WHERE ml.predict_proba('apparel', 'Bag', photo) > 1 LIMIT 1");
    assert_eq!(session.rows(&rows).len(), 1, "root has no limit");
    session.run("SET @ml_max_inferences = 64");
    assert_eq!(session.rows(&rows).len(), 1, "it ends soon enough");
    let error = session.error(&none);
    assert_eq!(error.code, 1104, "{error:?}");
    assert!(error.message.contains("more than 64 images"), "{error:?}");

    let mut root = place.proxy.root();
    for (user, max) in [("kept_bi", 3), ("kept_other", 12)] {
        root.run(&format!("CREATE USER {user}@'%'"));
        root.run(&format!("GRANT SELECT, EXECUTE ON *.* TO {user}@'%'"));
        let mut session =
            Wire::login(place.proxy.address(), user, "", Some("kept_users_shop")).unwrap();
        let within = format!("SELECT ml.apparel(photo) FROM products WHERE id <= {max}");
        assert_eq!(session.rows(&place.sql(&within)).len(), max);
        let beyond = format!("SELECT ml.apparel(photo) FROM products WHERE id <= {max} + 1");
        assert_eq!(needed(&mut session, &place.sql(&beyond)), max as u64 + 1);
        session.run("SET @ml_max_inferences = 100");
        assert_eq!(session.rows(&place.sql(&beyond)).len(), max + 1);
    }
    let refused = "predictsql_lane_commands_total{outcome=\"over_limit\"}";
    assert_eq!(place.proxy.metric(refused), 3);
}

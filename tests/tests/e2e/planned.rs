//! Statements under constraints: what is promised is kept,
//! and what cannot be kept is refused or warned of.

mod priors;

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use predictsql_tests::apparel::{self, PHOTOS};
use predictsql_tests::{Proxy, Settings, Store, Wire};
use serde_json::Value;

const MODELS: [&str; 4] = [
    "apparel_nano",
    "apparel_small",
    "boot_sneaker_nano",
    "footwear_other",
];
/// What each takes for an image, in seconds. What EVALUATE measures differs from run to run,
/// and plans with it.
const SECONDS: [(&str, f64); 4] = [
    ("apparel_nano", 0.000_04),
    ("apparel_small", 0.000_1),
    ("boot_sneaker_nano", 0.000_03),
    ("footwear_other", 0.000_08),
];
const SHOES: &str = "('Sneaker', 'Ankle boot')";

/// A proxy with evaluated models, and a session in its shop.
pub fn proxy(schema: &str, tables: &str) -> (Proxy, Wire) {
    let settings = Settings {
        schema: schema.to_owned(),
        tables: tables.to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    apparel::create_zoo(&mut session, |name| MODELS.contains(&name));
    apparel::create_shop(&mut session, &format!("{schema}_shop"));
    session.run(&format!("USE {schema}_shop"));
    apparel::create_labelled(&mut session);
    session.run("EVALUATE TASK apparel ON (SELECT photo, label FROM labelled)");
    set_seconds(schema);
    // This proxy looks at the catalog anew.
    session.run("ALTER TASK apparel SET accuracy_slack_points = DEFAULT");
    session.run("SET @ml_cache = 'off'");
    (proxy, session)
}

/// Publishes [`SECONDS`] in the place of what was measured.
fn set_seconds(schema: &str) {
    let mut root = Store::shared().root();
    for (model, seconds) in SECONDS {
        let changed = root.run(&format!(
            "UPDATE {schema}.votes v JOIN {schema}.models m ON m.id = v.model_id SET v.costs = \
             JSON_REPLACE(v.costs, '$[0].seconds_by_batch', JSON_ARRAY(JSON_ARRAY(1, {seconds}))) \
             WHERE m.name = '{model}'"
        ));
        assert_eq!(changed.affected_rows, 1, "{model}");
    }
    root.run(&format!("UPDATE {schema}.meta SET epoch = epoch + 1"));
    root.run(&format!(
        "UPDATE {schema}.evaluations SET epoch = (SELECT epoch FROM {schema}.meta)"
    ));
}

fn plan(session: &mut Wire, sql: &str) -> Value {
    let text = session
        .value(&format!("EXPLAIN FORMAT=JSON {sql}"))
        .unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    json["predictions"][0].clone()
}

/// F1 of the ids that a statement returns, on photos that nothing was planned with.
fn f1(session: &mut Wire, sql: &str, wanted: &str) -> f64 {
    let ids = |rows: Vec<Vec<Option<String>>>| -> Vec<String> {
        rows.into_iter()
            .map(|row| row[0].clone().unwrap())
            .collect()
    };
    let found = ids(session.rows(sql));
    let wanted = ids(session.rows(&format!("SELECT id FROM truth WHERE label {wanted}")));
    let right = found.iter().filter(|id| wanted.contains(id)).count();
    2.0 * right as f64 / (found.len() + wanted.len()) as f64
}

#[test]
fn a_promised_f1_is_that_of_the_rows_returned() {
    let (_proxy, mut session) = proxy("pl_promise", "");
    let shoes = format!("IN {SHOES}");
    for (wanted, least) in [
        (shoes.as_str(), 0.9),
        ("NOT IN ('Shirt', 'T-shirt/top')", 0.9),
        ("<> 'Bag'", 0.97),
    ] {
        session.run(&format!("SET @ml_min_accuracy = {least}"));
        let sql =
            format!("SELECT id FROM products WHERE pl_promise.predict('apparel', photo) {wanted}");
        let plan = plan(&mut session, &sql);
        assert_eq!(plan["metric"], "F1");
        assert_eq!(plan["at_least"]["promised"], true, "{plan}");
        let f1 = f1(&mut session, &sql, wanted);
        assert!(f1 >= least, "{wanted}: F1 {f1}, promised {least}; {plan}");
        // The metric that was foretold is this one, not that of the classes that are filtered out.
        let expected = plan["expected"].as_f64().unwrap();
        assert!((f1 - expected).abs() < 0.05, "{wanted}: F1 {f1}, {plan}");
    }
}

#[test]
fn what_cannot_be_promised_says_what_could_be() {
    let (_proxy, mut session) = proxy("pl_refuse", "");
    let sql =
        format!("SELECT id FROM products WHERE pl_refuse.predict('apparel', photo) IN {SHOES}");
    for (set, says) in [
        ("@ml_min_accuracy = 0.9999", "which can be had"),
        (
            "@ml_max_seconds = 0.0000001",
            "max_seconds = 0.0000001 cannot be kept: the cheapest plan takes",
        ),
        ("@ml_max_cost = 1", "price_per_device_hour"),
    ] {
        session.run(&format!("SET {set}"));
        let error = session.error(&sql);
        assert_eq!(
            (error.code, error.sqlstate.as_str()),
            (1644, "45000"),
            "{set}"
        );
        assert!(error.message.contains(says), "{set}: {}", error.message);
        assert!(error.message.len() <= 512, "{}", error.message);
        let (name, _) = set.split_once(' ').unwrap();
        session.run(&format!("SET {name} = NULL"));
    }
}

#[test]
fn money_counts_where_the_device_has_a_price() {
    let (_proxy, mut session) = proxy("pl_price", "[planner]\nprice_per_device_hour = 3600");
    let sql = "SELECT id, pl_price.predict('apparel', photo) FROM products";
    let unlimited = plan(&mut session, sql);
    let cost = |plan: &Value| plan["cost"]["expected"].as_f64().unwrap();
    let seconds = unlimited["device_seconds"]["expected"].as_f64().unwrap();
    assert!(
        (cost(&unlimited) / seconds - 1.0).abs() < 1e-9,
        "one a second"
    );
    let lines = session.rows(&format!("EXPLAIN {sql}"));
    let has_cost = |row: &Vec<Option<String>>| row[0].as_deref().unwrap().contains("cost ");
    assert!(lines.iter().any(has_cost), "{lines:?}");
    // Rows count by the next power of two.
    session.run(&format!("SET @ml_max_cost = {}", 4.0 * cost(&unlimited)));
    assert!(session.rows(sql).len() == PHOTOS);
    session.run(&format!("SET @ml_max_cost = {}", cost(&unlimited) / 100.0));
    let error = session.error(sql);
    assert!(error.message.contains("and costs"), "{}", error.message);
}

#[tokio::test(flavor = "current_thread")]
async fn a_limit_that_nothing_can_be_planned_by_is_warned_of() {
    let (proxy, session) = proxy("pl_rows", "");
    drop(session);
    let mut conn = Conn::new(proxy.opts()).await.unwrap();
    conn.query_drop("USE pl_rows_shop").await.unwrap();
    conn.query_drop("SET @ml_max_seconds = 600").await.unwrap();
    let sql = "SELECT id, pl_rows.predict('apparel', photo) FROM products WHERE id <= ?";
    // The store estimates no rows of a statement that was prepared with parameters.
    let rows: Vec<Row> = conn.exec(sql, (3,)).await.unwrap();
    assert_eq!(rows.len(), 3);
    let warnings: Vec<(String, u16, String)> = conn.query("SHOW WARNINGS").await.unwrap();
    let [(level, code, text)] = &warnings[..] else {
        panic!("{warnings:?}");
    };
    assert_eq!((level.as_str(), *code), ("Warning", 1644));
    assert!(
        text.starts_with("max_seconds = 600 could not be planned for"),
        "{text}"
    );
    let rows: Vec<Row> = conn.query(sql.replace('?', "3")).await.unwrap();
    assert_eq!(rows.len(), 3);
    let warnings: Vec<Row> = conn.query("SHOW WARNINGS").await.unwrap();
    assert_eq!(warnings.len(), 0);
    conn.disconnect().await.unwrap();
}

#[test]
fn scores_are_calibrated_and_the_answer_has_the_greatest() {
    let (_proxy, mut session) = proxy("pl_score", "");
    let scores: Vec<String> = apparel::CLASSES
        .iter()
        .map(|class| format!("pl_score.predict_proba('apparel_nano', '{class}', photo)"))
        .collect();
    let sql = format!(
        "SELECT t.label, pl_score.predict('apparel_nano', p.photo), {} \
         FROM products p JOIN truth t ON t.id = p.id",
        scores.join(", ").replace("photo", "p.photo")
    );
    let rows = session.rows(&sql);
    assert_eq!(rows.len(), PHOTOS);
    let (mut sure, mut right) = (0.0, 0.0);
    for row in &rows {
        let score = |cell: &Option<String>| cell.as_deref().unwrap().parse::<f64>().unwrap();
        let of: HashMap<&str, f64> = apparel::CLASSES
            .into_iter()
            .zip(row[2..].iter().map(score))
            .collect();
        assert!(of.values().sum::<f64>() < 1.0 + 1e-5, "{row:?}");
        let answer = of[row[1].as_deref().unwrap()];
        assert!(of.values().all(|s| *s <= answer), "{row:?}");
        sure += answer;
        right += f64::from(u8::from(row[0] == row[1]));
    }
    // As sure as it is right, over all; uncalibrated it is 3 points off.
    let gap = (sure - right).abs() / rows.len() as f64;
    assert!(gap < 0.025, "{gap}");
    // Two passes give what one gives.
    let ordered = session.rows(&format!("{sql} ORDER BY 3"));
    let streamed = session.rows(&format!("SELECT * FROM ({sql}) s"));
    let sorted = |mut rows: Vec<Vec<Option<String>>>| {
        rows.sort();
        rows
    };
    assert_eq!(sorted(ordered), sorted(rows));
    assert_eq!(streamed.len(), PHOTOS);
}

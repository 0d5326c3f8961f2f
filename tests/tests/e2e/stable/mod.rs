//! Predictions are values: statements that ask for nothing agree about every input.

mod random;

use predictsql_tests::apparel::CLASSES;
use predictsql_tests::{Proxy, Wire};
use serde_json::Value;

use crate::planned::proxy;

/// A proxy with evaluated models, and a session in its shop with table `stored(id, label)` of the
/// task's predictions.
fn with_stored(schema: &str) -> (Proxy, Wire) {
    let (proxy, mut session) = proxy(schema, "");
    session.run("SET @ml_cache = 'on'");
    session.run("CREATE TABLE stored (id INT PRIMARY KEY, label VARCHAR(255))");
    store_labels(schema, &mut session);
    (proxy, session)
}

fn store_labels(schema: &str, session: &mut Wire) {
    session.run("DELETE FROM stored");
    session.run(&format!(
        "INSERT INTO stored SELECT id, {schema}.apparel(photo) FROM products"
    ));
}

fn explained(session: &mut Wire, sql: &str) -> Value {
    let text = session.value(&format!("EXPLAIN FORMAT=JSON {sql}"));
    let json: Value = serde_json::from_str(&text.unwrap()).unwrap();
    json["predictions"][0].clone()
}

/// What EXPLAIN says of the models.
fn decision(session: &mut Wire, sql: &str) -> String {
    let plan = explained(session, sql);
    format!("{} {}", plan["stages"], plan["floor"])
}

fn of_class(schema: &str, class: &str) -> String {
    format!("SELECT COUNT(*) FROM products WHERE {schema}.apparel(photo) = '{class}'")
}

fn counts(schema: &str, session: &mut Wire) -> Vec<u64> {
    let count = |class: &&str| {
        let count = session.value(&of_class(schema, class));
        count.unwrap().parse().unwrap()
    };
    CLASSES.iter().map(count).collect()
}

fn grouped(schema: &str, session: &mut Wire) -> Vec<u64> {
    let sql = format!("SELECT {schema}.apparel(photo) k, COUNT(*) FROM products GROUP BY k");
    let rows = session.rows(&sql);
    let count = |class: &&str| {
        let row = rows.iter().find(|row| row[0].as_deref() == Some(class));
        row.map_or(0, |row| row[1].as_deref().unwrap().parse().unwrap())
    };
    CLASSES.iter().map(count).collect()
}

#[test]
fn a_drill_down_adds_up() {
    let schema = "st_counts";
    let (_proxy, mut session) = with_stored(schema);
    assert_eq!(counts(schema, &mut session), grouped(schema, &mut session));
    let labels = format!("SELECT {schema}.apparel(photo) FROM products");
    let own = decision(&mut session, &labels);
    for class in CLASSES {
        let sql = of_class(schema, class);
        assert_eq!(decision(&mut session, &sql), own);
        assert_eq!(explained(&mut session, &sql)["answers"], "stable");
    }

    // Plans by statement are other plans: that is what the counts could have differed by.
    session.run("ALTER TASK apparel SET answers = 'per_statement'");
    let text = session.rows("SHOW CREATE TASK apparel");
    let text = text[0][1].as_deref().unwrap();
    assert!(text.contains("answers = 'per_statement'"), "{text}");
    let differing = CLASSES.iter().filter(|class| {
        let sql = of_class(schema, class);
        assert_eq!(explained(&mut session, &sql)["answers"], "per_statement");
        decision(&mut session, &sql) != own
    });
    assert!(differing.count() > 0);
    session.run("ALTER TASK apparel SET answers = DEFAULT");
    assert_eq!(decision(&mut session, &labels), own);
}

#[test]
fn who_asks_for_something_gets_a_plan_for_it_and_explain_tells() {
    let schema = "st_asks";
    let (_proxy, mut session) = proxy(schema, "");
    let call = format!("{schema}.apparel(photo)");
    let sql = |hint: &str| format!("SELECT {hint} id FROM products WHERE {call} = 'Bag'");
    let whose = |session: &mut Wire, sql: &str| {
        let lines = session.rows(&format!("EXPLAIN {sql}"));
        let mut lines = lines.iter().filter_map(|row| row[0].clone());
        let line = lines.find(|line| line.contains("Answers:")).unwrap();
        line.trim().to_owned()
    };
    let (own, for_it) = ("Answers: the task's own", "Answers: this statement's plan");
    assert_eq!(whose(&mut session, &sql("")), own);
    for hint in [
        "min_accuracy = 0.9",
        "max_seconds = 60",
        "strategy = cheapest",
        "prior = '{\"Bag\": 0.5}'",
    ] {
        let sql = sql(&format!("/*+ ML({hint}) */"));
        assert_eq!(whose(&mut session, &sql), for_it, "{hint}");
    }
    for setting in ["min_accuracy = 0.9", "strategy = 'greedy'"] {
        session.run(&format!("SET @ml_{setting}"));
        assert_eq!(whose(&mut session, &sql("")), for_it, "{setting}");
        let (name, _) = setting.split_once(' ').unwrap();
        session.run(&format!("SET @ml_{name} = NULL"));
    }
    let named = sql("").replace("apparel(", "predict('apparel_nano', ");
    assert_eq!(whose(&mut session, &named), for_it);
    assert_eq!(whose(&mut session, &sql("")), own);

    // A task's own constraints shape its one decision; its limits hold for each statement.
    session.run("ALTER TASK apparel SET min_accuracy = 0.8");
    assert_eq!(whose(&mut session, &sql("")), own);
    let plan = explained(&mut session, &sql(""));
    assert_eq!(plan["metric"], "accuracy");
    assert_eq!(plan["at_least"]["promised"], true, "{plan}");
    session.run("ALTER TASK apparel SET min_accuracy = DEFAULT, max_seconds = 0.0000001");
    let error = session.error(&sql(""));
    assert_eq!(error.code, 1644);
    let says = "the task's own plan takes";
    assert!(error.message.contains(says), "{}", error.message);
    session.run("ALTER TASK apparel SET max_seconds = 600");
    assert_eq!(whose(&mut session, &sql("")), own);
    session.run("ALTER TASK apparel SET max_seconds = DEFAULT");
    let error = session.error("ALTER TASK apparel SET answers = 'sometimes'");
    assert!(
        error.message.contains("'stable' or 'per_statement'"),
        "{}",
        error.message
    );
}

#[test]
fn a_transaction_keeps_the_decision_that_it_has_used() {
    let schema = "st_kept";
    let (proxy, mut session) = proxy(schema, "");
    let sql = format!("SELECT id, {schema}.apparel(photo) FROM products ORDER BY id");
    let mut other = proxy.root();
    // Within so many points the cheapest model will do.
    let loose = "ALTER TASK apparel SET accuracy_slack_points = 100";
    let strict = "ALTER TASK apparel SET accuracy_slack_points = 0";
    for (begin, end) in [
        ("BEGIN", "COMMIT"),
        ("SET autocommit = 0", "SET autocommit = 1"),
    ] {
        other.run(strict);
        session.run(begin);
        let first = session.rows(&sql);
        other.run(loose);
        assert_eq!(session.rows(&sql), first, "{begin}");
        let in_transaction = decision(&mut session, &sql);
        session.run(end);
        assert_ne!(decision(&mut session, &sql), in_transaction, "{begin}");
        let after = session.rows(&sql);
        assert_ne!(after, first, "the models answer differently");
        // The next transaction knows nothing of this one.
        session.run(begin);
        assert_eq!(session.rows(&sql), after, "{begin}");
        session.run(end);
    }
}

#[test]
fn the_answer_has_the_greatest_score() {
    let schema = "st_score";
    let (_proxy, mut session) = with_stored(schema);
    let scores: Vec<String> = CLASSES
        .iter()
        .map(|class| format!("{schema}.predict_proba('apparel', '{class}', p.photo)"))
        .collect();
    let sql = format!(
        "SELECT s.label, {schema}.apparel(p.photo), {} FROM products p JOIN stored s ON s.id = p.id",
        scores.join(", ")
    );
    let mut agree = 0;
    let rows = session.rows(&sql);
    for row in &rows {
        assert_eq!(row[0], row[1], "scores beside it change no answer");
        let scores = row[2..]
            .iter()
            .map(|score| score.as_deref().map(|s| s.parse::<f64>().unwrap()));
        let scores: Vec<Option<f64>> = scores.collect();
        let best = (0..CLASSES.len()).max_by(|a, b| scores[*a].partial_cmp(&scores[*b]).unwrap());
        agree += usize::from(row[0].as_deref() == best.map(|class| CLASSES[class]));
    }
    // Scores are rounded, and calibrated by model: at ties another class may come first.
    assert!(agree * 100 >= rows.len() * 99, "{agree} of {}", rows.len());
}

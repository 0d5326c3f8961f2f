//! Declared shares of classes, through SQL: figures and plans are of inputs that show classes so
//! often.

use predictsql_tests::Wire;
use serde_json::Value;

use super::{plan, proxy};

/// Accuracy of a statement's labels on photos that nothing was planned with,
/// each class by its share.
fn accuracy(session: &mut Wire, predict: &str, shares: &Value) -> f64 {
    let rows = session.rows(&format!(
        "SELECT t.label, AVG(t.label <=> p.answer) FROM truth t \
         JOIN (SELECT id, {predict} AS answer FROM products) p ON p.id = t.id GROUP BY t.label"
    ));
    let right = |row: &Vec<Option<String>>| -> f64 {
        let share = shares[row[0].as_deref().unwrap()].as_f64().unwrap();
        share * row[1].as_deref().unwrap().parse::<f64>().unwrap()
    };
    rows.iter().map(right).sum()
}

fn expected(plan: &Value) -> f64 {
    plan["expected"].as_f64().unwrap()
}

#[test]
fn figures_are_those_of_the_declared_population() {
    let (_proxy, mut session) = proxy("pr_figures", "");
    let sql = "SELECT id, pr_figures.predict('apparel', photo) FROM products";
    let none = plan(&mut session, sql);
    assert_eq!(none["prior"], Value::Null);
    session.run("SET @ml_strategy = 'best_single'");
    let alone = plan(&mut session, sql);
    // Shirts are what models take for something else, trousers are not.
    let mut seen = Vec::new();
    for prior in [r#"{"Shirt": 0.7}"#, r#"{"Trouser": 0.7}"#] {
        session.run(&format!("SET @ml_prior = '{prior}'"));
        let plan = plan(&mut session, sql);
        let shares = &plan["prior"];
        let (foretold, right) = (
            expected(&plan),
            accuracy(&mut session, "pr_figures.predict('apparel', photo)", shares),
        );
        assert!((foretold - right).abs() < 0.06, "{prior}: {right}, {plan}");
        // What certifies is a sample of that population: fewer rows.
        let rows = |plan: &Value| plan["at_least"]["rows"].as_u64().unwrap();
        assert!(rows(&plan) < rows(&alone) / 2, "{plan}");
        assert!(
            plan["at_least"]["value"].as_f64().unwrap() < foretold,
            "{plan}"
        );
        let population = plan["population"].as_str().unwrap();
        assert!(
            population.ends_with(", classes weighted by the declared prior"),
            "{population}"
        );
        seen.push(foretold);
    }
    assert!(
        seen[0] + 0.05 < expected(&alone) && expected(&alone) + 0.02 < seen[1],
        "{seen:?} {alone}"
    );
    let lines = session.rows(&format!("EXPLAIN {sql}"));
    let lines: Vec<&str> = lines.iter().map(|row| row[0].as_deref().unwrap()).collect();
    assert!(lines.iter().all(|l| l.chars().count() <= 80), "{lines:?}");
    let words: Vec<&str> = lines.iter().flat_map(|l| l.split_whitespace()).collect();
    let text = words.join(" ");
    for says in [
        "classes weighted by the declared prior",
        "Prior 'Trouser' 70.0 %, ",
    ] {
        assert!(text.contains(says), "{text}");
    }
}

#[test]
fn another_mix_of_classes_has_another_plan() {
    let (_proxy, mut session) = proxy("pr_plans", "");
    let sql = "SELECT id, pr_plans.predict('apparel', photo) FROM products";
    let stages = |session: &mut Wire| -> Vec<String> {
        let plan = plan(session, sql);
        let stages = plan["stages"].as_array().unwrap().iter();
        stages.map(|stage| stage["models"].to_string()).collect()
    };
    let all = stages(&mut session);
    // The labelled rows' own shares change nothing, as exactly as a query tells them.
    for own in [
        "'{}'",
        "(SELECT JSON_OBJECTAGG(label, share) FROM (SELECT label, COUNT(*) / SUM(COUNT(*)) OVER () \
         AS share FROM labelled GROUP BY label) s)",
    ] {
        session.run(&format!("SET @ml_prior = {own}"));
        assert_eq!(stages(&mut session), all, "{own}");
    }
    // Bags and trousers alone the least model knows well enough, and all classes it does not.
    session.run("SET @ml_min_accuracy = 0.87, @ml_prior = NULL");
    let all = stages(&mut session);
    assert!(all.concat().contains("apparel_small"), "{all:?}");
    session.run("SET @ml_prior = JSON_OBJECT('Bag', 0.5, 'Trouser', 0.5)");
    let easy = stages(&mut session);
    assert!(
        easy.len() == 1 && easy[0].contains("apparel_nano"),
        "{easy:?}"
    );
    session.run("SET @ml_prior = JSON_OBJECT('Shirt', 1)");
    let error = session.error(sql);
    assert_eq!((error.code, error.sqlstate.as_str()), (1644, "45000"));
    assert!(
        error
            .message
            .contains("labelled rows (of the declared prior)"),
        "{}",
        error.message
    );
}

#[test]
fn the_closest_declaration_counts_and_is_taken_back() {
    let (_proxy, mut session) = proxy("pr_order", "");
    let predict = "id, pr_order.predict('apparel', photo) FROM products";
    let sql = &format!("SELECT {predict}");
    let bags = |session: &mut Wire, sql: &str| -> Option<f64> {
        let plan = plan(session, sql);
        let share = plan["prior"]["Bag"].as_f64()?;
        Some((share * 1_000.0).round() / 1_000.0)
    };
    assert_eq!(bags(&mut session, sql), None);
    session.run(r#"ALTER TASK apparel SET prior = '{"Bag": 0.5, "T-shirt/top": 0}'"#);
    assert_eq!(bags(&mut session, sql), Some(0.5));
    let created = session.rows("SHOW CREATE TASK apparel")[0][1]
        .clone()
        .unwrap();
    assert!(
        created.contains(r#", prior = '{"Bag":0.5,"T-shirt/top":0.0}')"#),
        "{created}"
    );
    session.run(r#"SET @ml_prior = '{"Bag": 0.4}'"#);
    assert_eq!(bags(&mut session, sql), Some(0.4));
    let hinted = |hint: &str| format!("SELECT /*+ ML(prior = '{hint}') */ {predict}");
    assert_eq!(bags(&mut session, &hinted(r#"{"Bag": 0.3}"#)), Some(0.3));
    // By task; what says nothing of this one leaves it to the next.
    session.run(r#"SET @ml_prior = '{"Apparel": {"Bag": 0.2}}'"#);
    assert_eq!(bags(&mut session, sql), Some(0.2));
    session.run("CREATE TASK pets CLASSES ('cat', 'dog')");
    session.run(r#"SET @ml_prior = '{"pets": {"cat": 0.2}}'"#);
    assert_eq!(bags(&mut session, sql), Some(0.5));
    // The labelled rows' own shares can be asked for, and nothing at all.
    session.run("SET @ml_prior = '{}'");
    assert_eq!(bags(&mut session, sql), None);
    for none in ["NULL", "''"] {
        session.run(&format!("SET @ml_prior = {none}"));
        assert_eq!(bags(&mut session, sql), Some(0.5), "{none}");
    }
    session.run("ALTER TASK apparel SET prior = NULL");
    assert_eq!(bags(&mut session, sql), None);
    let created = session.rows("SHOW CREATE TASK apparel")[0][1]
        .clone()
        .unwrap();
    assert!(!created.contains("prior"), "{created}");
}

#[test]
fn what_cannot_be_meant_is_refused_and_what_no_row_shows_is_told() {
    let (_proxy, mut session) = proxy("pr_errors", "");
    let sql = "SELECT id, pr_errors.predict('apparel', photo) FROM products WHERE id <= 2";
    for (prior, says) in [
        (
            "Bag=0.3",
            "'@ml_prior' can't be set to that value: it is a JSON object",
        ),
        (
            r#"{"Bag": -0.3}"#,
            "'Bag' has -0.3, which is not from 0 to 1",
        ),
        (r#"{"Bag": NaN}"#, "not a JSON object"),
        (r#"{"Bag": 0.7, "Coat": 0.4}"#, "sum to 1.1000, more than 1"),
        (r#"{"bag": 0.3}"#, "'bag' is no class of task 'apparel'"),
        (r#"{"clothes": {"Bag": 0.3}}"#, "there is no task 'clothes'"),
    ] {
        session.run(&format!("SET @ml_prior = '{prior}'"));
        let error = session.error(sql);
        assert_eq!(
            (error.code, error.sqlstate.as_str()),
            (1231, "42000"),
            "{prior}: {error:?}"
        );
        assert!(error.message.contains(says), "{prior}: {}", error.message);
        assert!(error.message.len() <= 512, "{}", error.message);
    }
    session.run("SET @ml_prior = NULL");
    let hinted = sql.replacen("SELECT", "SELECT /*+ ML(prior = {\"Bag\": 2}) */", 1);
    let error = session.error(&hinted);
    assert_eq!((error.code, error.sqlstate.as_str()), (1231, "42000"));
    assert!(error.message.contains("'ML(prior)'"), "{}", error.message);
    for (prior, says) in [
        (r#"'{"Hat": 0.3}'"#, "Unknown class 'Hat' in option 'prior'"),
        ("0.3", "a JSON object in quotes"),
    ] {
        let error = session.error(&format!("ALTER TASK apparel SET prior = {prior}"));
        assert_eq!((error.code, error.sqlstate.as_str()), (1525, "HY000"));
        assert!(error.message.contains(says), "{}", error.message);
    }

    // Labelled rows without bags: a share of bags is nothing that figures could tell of.
    session
        .run("EVALUATE TASK apparel ON (SELECT photo, label FROM labelled WHERE label <> 'Bag')");
    session.run(r#"SET @ml_prior = '{"Bag": 0.3, "Coat": 0.2}'"#);
    let answer = session.run(sql);
    assert_eq!((answer.rows.len(), answer.warnings), (2, 1));
    let warnings = session.rows("SHOW WARNINGS");
    let says = "the prior gives a share to 'Bag', of which there are no labelled rows";
    assert!(
        warnings[0][2].as_deref().unwrap().contains(says),
        "{warnings:?}"
    );
    let plan = plan(&mut session, sql);
    assert_eq!(plan["prior_without_labelled_rows"][0], "Bag");
    session.run(r#"SET @ml_prior = '{"Bag": 1}'"#);
    let error = session.error(sql);
    assert!(
        error.message.contains("no labelled row of task"),
        "{}",
        error.message
    );
}

//! ANALYZE of predictions: it executes the statement,
//! and tells what that took beside what was expected.

mod operators;
mod sessions;

use predictsql_tests::{Wire, apparel};
use serde_json::Value;

use crate::admin::metric;
use crate::kept::Place;

/// The one row of JSON.
fn json(session: &mut Wire, sql: &str) -> Value {
    let rows = session.rows(sql);
    assert_eq!((rows.len(), rows[0].len()), (1, 1), "{sql}");
    serde_json::from_str(rows[0][0].as_deref().unwrap()).unwrap()
}

/// The lines of a plan.
fn lines(session: &mut Wire, sql: &str) -> Vec<String> {
    session.rows(sql).into_iter().flatten().flatten().collect()
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no count"))
}

fn seconds(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

const STREAM: &str = "SELECT id, ml.apparel(photo) FROM products WHERE id <= 60";
const GROUPED: &str = "SELECT ml.apparel(photo) AS k, COUNT(*) FROM products GROUP BY k";

/// EXPLAIN's seconds rest on what ran before: its inputs, and which of their outputs are kept.
#[test]
fn what_ran_before_corrects_what_is_expected() {
    let place = Place::new("an_expected", "");
    let mut session = place.session();
    let mut expected = |set: &str| {
        session.rows(set);
        let plan = json(
            &mut session,
            &place.sql(&format!("EXPLAIN FORMAT=JSON {STREAM}")),
        );
        let of = &plan["seconds"];
        assert!(seconds(&of["expected"]) > 0.0, "{of}");
        (
            seconds(&of["inferences"]),
            number(&of["statements_observed"]),
        )
    };
    let (inferences, observed) = expected("SET @ml_cache = 'on'");
    assert!(inferences >= 40.0, "{inferences}");
    assert_eq!(observed, 0);
    let mut other = place.session();
    json(
        &mut other,
        &place.sql(&format!("ANALYZE FORMAT=JSON {STREAM}")),
    );
    assert_eq!(expected("SET @ml_cache = 'on'"), (0.0, 1), "all are kept");
    assert_eq!(expected("SET @ml_cache = 'off'"), (40.0, 1), "40 photos");
    let text = lines(&mut other, &place.sql(&format!("EXPLAIN {STREAM}"))).join(" ");
    assert!(text.contains("Seconds  about "), "{text}");
    assert!(text.contains("corrected by such statements"), "{text}");
    observed_paces_are_shown(&place, &mut other);
}

/// The models that have run, and only those, have an observed pace in SHOW MODELS and metrics.
fn observed_paces_are_shown(place: &Place, session: &mut Wire) {
    let ran = json(
        session,
        &place.sql(&format!("ANALYZE FORMAT=JSON {STREAM}")),
    );
    let stages = ran["predictions"][0]["actual"]["stages"]
        .as_array()
        .unwrap();
    let models = stages.iter().flat_map(|s| s["models"].as_array().unwrap());
    let mut ran: Vec<_> = models
        .map(|model| model["name"].as_str().unwrap().to_owned())
        .collect();
    ran.sort();
    ran.dedup();
    let of_schema = place.sql("SHOW MODELS WHERE Observed_seconds_per_image > 0");
    let shown: Vec<_> = session.rows(&of_schema);
    let shown: Vec<_> = shown.iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!(shown, ran);
    for model in &shown {
        let series = format!(
            "predictsql_model_observed_seconds_per_input{{model=\"{model}\",version=\"1\"}}"
        );
        assert!(metric(&place.proxy, &series) > 0.0);
    }
}

#[test]
fn figures_are_those_of_the_metrics_and_the_second_run_infers_nothing() {
    let place = Place::new("an_figures", "");
    let mut session = place.session();
    let inferred = || place.proxy.images_inferred();
    let explained = |session: &mut Wire| {
        let sql = place.sql(&format!("EXPLAIN FORMAT=JSON {STREAM}"));
        let prediction = json(session, &sql)["predictions"][0].clone();
        (
            prediction["cache"].clone(),
            prediction["hit_rate_so_far"].as_f64(),
        )
    };
    assert_eq!(explained(&mut session), ("on".into(), None));
    let mut analyzed = |head: &str, sql: &str| {
        let before = inferred();
        let plan = json(
            &mut session,
            &place.sql(&format!("{head} FORMAT=JSON {sql}")),
        );
        (plan, inferred() - before)
    };
    // 60 rows of 40 photos; the answer has 60 rows, which nobody gets.
    let (plan, images) = analyzed("ANALYZE", STREAM);
    let actual = &plan["actual"];
    assert_eq!(plan["plan"], "stream");
    assert_eq!(images, 40);
    assert_eq!(number(&actual["images_inferred"]), images);
    assert_eq!(number(&actual["rows_read"]), 60);
    assert_eq!(number(&actual["rows"]), 60);
    assert_eq!(number(&actual["cache_hits"]), 20);
    let prediction = &plan["predictions"][0]["actual"];
    assert_eq!(number(&prediction["inputs"]), 60);
    assert_eq!(number(&prediction["inputs_like_another"]), 20);
    let stage = &prediction["stages"][0];
    assert_eq!(number(&stage["inputs"]), 40);
    assert_eq!(number(&stage["models"][0]["images_inferred"]), 40);
    assert_eq!(stage["models"][0]["name"], "apparel_nano");
    let threads = &actual["executor_seconds"];
    for kind in ["fetching", "decoding", "inferring"] {
        assert!(seconds(&threads[kind]) > 0.0, "{kind}: {actual}");
    }
    let inference = seconds(&stage["models"][0]["seconds"]["inferring"]);
    assert_eq!(inference, seconds(&threads["inferring"]));
    let device = seconds(&threads["decoding"]) + seconds(&threads["inferring"]);
    assert!((seconds(&actual["device_seconds"]) - device).abs() < 1e-9);
    let phases = actual["seconds_by_phase"].as_object().unwrap();
    let names: Vec<&String> = phases.keys().collect();
    assert_eq!(names, ["planning", "streaming"]);
    let sum: f64 = phases.values().map(seconds).sum();
    assert!(sum <= seconds(&actual["seconds"]), "{actual}");

    place.settle(GROUPED);
    for (head, sql, name) in [
        ("ANALYZE", STREAM, "stream"),
        ("ANALYZE", GROUPED, "materialise"),
        ("EXPLAIN ANALYZE", GROUPED, "materialise"),
        ("DESC ANALYZE", STREAM, "stream"),
    ] {
        let (plan, images) = analyzed(head, sql);
        let actual = &plan["actual"];
        assert_eq!(plan["plan"], name, "{sql}");
        assert_eq!(
            (images, number(&actual["images_inferred"])),
            (0, 0),
            "{sql}"
        );
        assert_eq!(actual["hit_rate"], 1.0, "{sql}: {actual}");
        let stage = &plan["predictions"][0]["actual"]["stages"][0];
        assert_eq!(
            number(&stage["models"][0]["outputs_kept"]),
            number(&stage["inputs"])
        );
        assert!(number(&stage["inputs"]) >= 40 && number(&actual["rows"]) > 0);
    }
    // Without running anything, the share that was found so far is known.
    let (mode, rate) = explained(&mut session);
    assert_eq!(mode, "on");
    assert!(
        rate.is_some_and(|rate| rate > 0.0 && rate < 1.0),
        "{rate:?}"
    );
    session.run("SET @ml_cache = 'off'");
    assert_eq!(explained(&mut session).0, "off");
}

#[test]
fn a_materialised_statement_tells_of_both_passes_and_of_unreadable_inputs() {
    let place = Place::new("an_passes", "");
    let mut session = place.session();
    let sql = place.sql(
        "SELECT COUNT(*) FROM products WHERE ml.apparel(IF(id % 4 = 0, CONCAT('no/', photo), photo)) = 'Bag' \
         OR ml.predict_proba('apparel', 'Bag', photo) > 2",
    );
    for plan in ["'temporary'", "'inline'"] {
        session.run(&format!("SET @ml_plan = {plan}"));
        let answer = session.run(&format!("ANALYZE FORMAT=JSON {sql}"));
        assert_eq!(answer.columns, ["ANALYZE"]);
        let shown: Value = serde_json::from_str(answer.rows[0][0].as_deref().unwrap()).unwrap();
        let actual = &shown["actual"];
        let phases = actual["seconds_by_phase"].as_object().unwrap();
        for phase in ["planning", "reading_inputs", "predicting", "pass_2"] {
            assert!(phases.contains_key(phase), "{plan}: {actual}");
        }
        assert_eq!(number(&actual["rows"]), 1, "{plan}");
        // Every fourth of 40 paths.
        assert_eq!(number(&actual["inputs_unreadable"]), 10, "{plan}: {shown}");
        let of_predictions: u64 = shown["predictions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|p| number(&p["actual"]["inputs_unreadable"]))
            .sum();
        assert_eq!(of_predictions, 10, "{plan}: {shown}");
        assert_eq!(answer.warnings, 10, "{plan}");
        assert_eq!(session.rows("SHOW WARNINGS").len(), 10, "{plan}");
    }
}

#[test]
fn lines_fit_a_terminal_and_say_what_was_chosen_and_why() {
    let place = Place::new("an_lines", "");
    let mut session = place.session();
    for model in apparel::zoo() {
        if model.name != "apparel_nano" && !model.name.contains("resnet") {
            session.run(&model.statement());
        }
    }
    let labelled = apparel::photos();
    session.run("CREATE TABLE truth (photo VARCHAR(100), label VARCHAR(40))");
    let rows: Vec<String> = (1..=apparel::PHOTOS)
        .map(|id| {
            std::fs::copy(
                labelled.root().join(apparel::Photos::path(id)),
                place.images.join(format!("t{id}.png")),
            )
            .unwrap();
            format!("('t{id}.png', '{}')", labelled.class(id))
        })
        .collect();
    session.run(&format!("INSERT INTO truth VALUES {}", rows.join(", ")));
    session.run("EVALUATE TASK apparel ON (SELECT photo, label FROM truth)");
    let sql = place.sql(
        "SELECT COUNT(*) FROM truth WHERE ml.apparel(photo) IN ('Sneaker', 'Ankle boot') GROUP BY label",
    );
    let stream = place.sql(
        "SELECT photo FROM truth WHERE ml.apparel(photo) IN ('Sneaker', 'Ankle boot', 'a class that is not known to anybody at all')",
    );
    session.run("SET @ml_min_accuracy = 0.8");
    for sql in [&sql, &stream] {
        let plan = lines(&mut session, &format!("EXPLAIN {sql}"));
        let analyzed = lines(&mut session, &format!("ANALYZE {sql}"));
        let again = lines(&mut session, &format!("EXPLAIN ANALYZE FORMAT=TREE {sql}"));
        for line in plan.iter().chain(&analyzed).chain(&again) {
            assert!(line.chars().count() <= 80, "{line:?}");
        }
        for said in [
            "Price",
            "Kept",
            "Planned in",
            "F1",
            "Rejected: ",
            "at least",
        ] {
            let found = |lines: &[String]| lines.iter().any(|l| l.contains(said));
            assert!(found(&plan) && found(&analyzed), "{said}: {plan:#?}");
        }
        assert!(!plan.iter().any(|line| line.starts_with("Executed")));
        let figure = |lines: &[String], name: &str| -> String {
            let line = lines
                .iter()
                .find(|line| line.trim_start().starts_with(name));
            let line = line.unwrap_or_else(|| panic!("no {name}: {lines:#?}"));
            line.split_whitespace().last().unwrap().to_owned()
        };
        assert_eq!(figure(&analyzed, "inputs"), "600");
        assert_eq!(figure(&analyzed, "stage 1 inputs"), "600");
        assert_eq!(figure(&again, "images inferred"), "0");
        assert_eq!(figure(&again, "cache hits"), "600");
        // Every model that could answer is chosen or has its reason.
        let plan = json(&mut session, &format!("EXPLAIN FORMAT=JSON {sql}"));
        let prediction = &plan["predictions"][0];
        let mut models: Vec<&str> = prediction["not_chosen"]
            .as_array()
            .unwrap()
            .iter()
            .inspect(|model| assert!(!model["reason"].as_str().unwrap().is_empty()))
            .map(|model| model["name"].as_str().unwrap())
            .collect();
        for stage in prediction["stages"].as_array().unwrap() {
            let chosen = stage["models"].as_array().unwrap().iter();
            models.extend(chosen.map(|model| model["name"].as_str().unwrap()));
        }
        models.sort_unstable();
        models.dedup();
        let all = session.rows("SHOW MODELS").len();
        assert_eq!(models.len(), all, "{models:?}");
        let text = analyzed.join(" ");
        for model in models {
            assert!(text.contains(&format!("{model}@1")), "{model}: {text}");
        }
        assert!(seconds(&prediction["planning_seconds"]) > 0.0);
        assert!(seconds(&prediction["seconds"]["low"]) <= seconds(&prediction["seconds"]["high"]));
    }
}

//! EVALUATE through the proxy: what it measures, on whose rows, by whose right, and what it leaves
//! behind when it does not come to its end.

mod beside;
mod labels;
mod naive;
mod rows;
mod stability;

use std::collections::BTreeMap;

use predictsql_proxy::wire::command;
use predictsql_tests::apparel::{self, PHOTOS};
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};

use crate::admin::metric;

/// A proxy with a catalog of its own: task `apparel` with these models,
/// and the database `{schema}_shop`.
fn proxy(schema: &str, models: &[&str]) -> Proxy {
    let settings = Settings {
        schema: schema.to_owned(),
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut root = proxy.root();
    apparel::create_zoo(&mut root, |name| models.contains(&name));
    apparel::create_shop(&mut root, &format!("{schema}_shop"));
    proxy
}

fn session(proxy: &Proxy, schema: &str) -> Wire {
    let mut session = proxy.root();
    session.run(&format!("USE {schema}_shop"));
    session
}

const LABELLED: &str = "SELECT p.photo, t.label FROM products p JOIN truth t ON t.id = p.id";

fn number(cell: &Option<String>) -> f64 {
    cell.as_deref().unwrap().parse().unwrap()
}

#[test]
fn figures_are_those_of_an_independent_count() {
    let models = ["apparel_nano", "footwear_nano", "bag_tiny_other"];
    let proxy = proxy("ev_count", &models);
    let mut session = session(&proxy, "ev_count");
    let answer = session.run(&format!("EVALUATE TASK apparel ON ({LABELLED})"));
    let columns = [
        "Model",
        "Version",
        "Rows",
        "Accuracy",
        "Accuracy_all",
        "Seconds_per_image",
        "Load_seconds",
        "Foreign",
        "Left_out",
        "Left_out_why",
        "Parts",
    ];
    assert_eq!(
        (answer.columns, answer.warnings),
        (columns.map(str::to_owned).to_vec(), 0)
    );
    assert_eq!(answer.rows.len(), models.len());
    for (row, name) in answer.rows.iter().zip(models) {
        assert_eq!(row[0].as_deref(), Some(name));
        assert_eq!(row[1].as_deref(), Some("1"));
        assert_eq!(number(&row[2]), PHOTOS as f64);
        assert!(number(&row[5]) > 0.0 && number(&row[6]) > 0.0);
        let covers = &apparel::zoo()
            .iter()
            .find(|m| m.name == name)
            .unwrap()
            .covers;
        let counted = count(&mut session, name, covers);
        assert_eq!(
            (number(&row[3]), number(&row[4])),
            counted.accuracies(),
            "{name}"
        );
        let confused = "SELECT truth, answer, CAST(SUM(inputs) AS INT) FROM ev_count.confusion";
        let confused = session.rows(&format!(
            "{confused} WHERE model = '{name}' GROUP BY 1, 2 ORDER BY truth, answer"
        ));
        let confused: Vec<_> = confused
            .into_iter()
            .map(|row| ((row[0].clone(), row[1].clone()), number(&row[2]) as usize))
            .collect();
        assert_eq!(confused, Vec::from_iter(counted.confusion), "{name}");
    }

    // By parts, which are disjoint and all rows together.
    let parts = session.rows(
        "SELECT e.cal_rows, e.plan_rows, e.cert_rows, LENGTH(e.plan_truths), LENGTH(v.plan), \
         LENGTH(v.cert), s.inputs_all, s.part FROM ev_count.evaluations e \
         JOIN ev_count.votes v ON v.evaluation = e.id \
         JOIN ev_count.model_stats s ON s.model_id = v.model_id \
         WHERE s.model = 'bag_tiny_other' ORDER BY s.part",
    );
    let n: Vec<f64> = parts[0][..6].iter().map(number).collect();
    assert_eq!(n[0] + n[1] + n[2], PHOTOS as f64);
    assert_eq!((n[3], n[4], n[5]), (2.0 * n[1], 4.0 * n[1], 4.0 * n[2]));
    let of_part: Vec<f64> = parts.iter().map(|row| number(&row[6])).collect();
    assert_eq!(of_part, [PHOTOS as f64, n[0], n[1], n[2]]);
}

/// What a model answers to all photos, counted from its predictions.
struct Counted {
    own: [usize; 2],
    all: [usize; 2],
    confusion: BTreeMap<(Option<String>, Option<String>), usize>,
}

impl Counted {
    fn accuracies(&self) -> (f64, f64) {
        let share = |[part, whole]: [usize; 2]| part as f64 / whole as f64;
        (share(self.own), share(self.all))
    }
}

fn count(session: &mut Wire, model: &str, covers: &[String]) -> Counted {
    let mut counted = Counted {
        own: [0; 2],
        all: [0; 2],
        confusion: BTreeMap::new(),
    };
    let rows = session.rows(&format!(
        "SELECT t.label, ev_count.predict('{model}', p.photo) FROM products p \
         JOIN truth t ON t.id = p.id"
    ));
    for row in rows {
        let (truth, answer) = (row[0].clone(), row[1].clone());
        let own = covers.contains(truth.as_ref().unwrap());
        let correct = if own {
            answer == truth
        } else {
            answer.is_none()
        };
        counted.own[0] += usize::from(own && correct);
        counted.own[1] += usize::from(own);
        counted.all[0] += usize::from(correct);
        counted.all[1] += 1;
        *counted.confusion.entry((truth, answer)).or_default() += 1;
    }
    counted
}

#[test]
fn a_model_evaluated_later_joins_the_task_on_the_same_rows_only() {
    let proxy = proxy("ev_join", &["apparel_nano", "bag_tiny_other"]);
    let mut session = session(&proxy, "ev_join");
    let planned = "SELECT GROUP_CONCAT(m.name ORDER BY m.id) FROM ev_join.votes v \
                   JOIN ev_join.evaluations e ON e.id = v.evaluation AND e.published \
                   JOIN ev_join.models m ON m.id = v.model_id";
    session.run(&format!("EVALUATE MODEL apparel_nano ON ({LABELLED})"));
    let other_order = format!("{LABELLED} ORDER BY t.label, p.id DESC");
    let joined = session.run(&format!(
        "EVALUATE MODEL bag_tiny_other@1 ON ({other_order})"
    ));
    assert_eq!((joined.rows.len(), joined.warnings), (1, 0));
    let both = Some("apparel_nano,bag_tiny_other".to_owned());
    assert_eq!(session.value(planned), both);

    let apart = format!("EVALUATE MODEL bag_tiny_other ON ({LABELLED} WHERE p.id <= 300)");
    assert_eq!(session.run(&apart).warnings, 1);
    let warnings = session.rows("SHOW WARNINGS");
    let said = warnings[0][2].as_deref().unwrap();
    assert!(
        said.contains("'bag_tiny_other'") && said.contains("EVALUATE TASK apparel"),
        "{said}"
    );
    assert_eq!(session.value(planned).as_deref(), Some("apparel_nano"));
    let rows = "SELECT inputs_all FROM ev_join.model_stats WHERE model = 'bag_tiny_other' AND part = 'all'";
    assert_eq!(session.value(rows).as_deref(), Some("300"));

    let whole = session.run(&format!(
        "EVALUATE TASK apparel ON ({LABELLED} WHERE p.id <= 300)"
    ));
    assert_eq!((whole.rows.len(), whole.warnings), (2, 0));
    assert_eq!(session.value(planned), both);
    assert_eq!(
        session
            .value("SELECT COUNT(*) FROM ev_join.evaluations")
            .as_deref(),
        Some("1")
    );
    session.run("DROP MODEL bag_tiny_other");
    assert_eq!(
        session
            .value("SELECT COUNT(*) FROM ev_join.votes")
            .as_deref(),
        Some("1")
    );
}

#[test]
fn whoever_may_not_change_the_catalog_or_read_the_rows_may_not_evaluate() {
    let proxy = proxy("ev_rights", &["bag_tiny_other"]);
    let store = Store::shared();
    let mut root = store.root();
    for (user, grants) in [
        ("ev_reader", "SELECT ON *.*"),
        ("ev_maker", "INSERT ON ev_rights.models"),
    ] {
        root.run(&format!("CREATE USER {user}@'127.0.0.1'"));
        root.run(&format!("GRANT {grants} TO {user}@'127.0.0.1'"));
    }
    let evaluate = "EVALUATE TASK apparel ON (SELECT p.photo, t.label \
                    FROM ev_rights_shop.products p JOIN ev_rights_shop.truth t ON t.id = p.id)";
    let login = |user: &str| Wire::login(proxy.address(), user, "", None).unwrap();
    let mut reader = login("ev_reader");
    let error = reader.error(evaluate);
    assert_eq!(error.code, 1142, "{error:?}");
    let mut maker = login("ev_maker");
    let error = maker.error(evaluate);
    assert_eq!(error.code, 1142, "{error:?}");
    root.run("GRANT SELECT ON ev_rights_shop.* TO ev_maker@'127.0.0.1'");
    assert_eq!(maker.rows(evaluate).len(), 1);
    // Who evaluated is told, and the tables are for whoever may read them.
    let by = reader.value("SELECT created_by FROM ev_rights.evaluations");
    assert_eq!(by.as_deref(), Some("ev_maker@127.0.0.1"));
    assert_eq!(
        maker.error("SELECT * FROM ev_rights.model_stats").code,
        1142
    );
}

#[test]
fn what_does_not_come_to_its_end_publishes_nothing() {
    let proxy = proxy("ev_killed", &["apparel_large"]);
    let mut session = session(&proxy, "ev_killed");
    session.run(&format!(
        "EVALUATE TASK apparel ON ({LABELLED} WHERE p.id <= 50)"
    ));
    let left = "SELECT CONCAT(epoch, ' ', cal_rows + plan_rows + cert_rows) \
                FROM ev_killed.evaluations";
    let before = session.value(left);
    assert!(before.as_ref().unwrap().ends_with(" 50"), "{before:?}");
    // Each row an input of its own, and more of them than can be answered soon.
    session.run(
        "CREATE TABLE many AS SELECT CONCAT(REPEAT('./', seq DIV 100), 'photos/', \
         LPAD(seq % 100 + 1, 5, '0'), '.png') AS photo, 'Bag' AS label FROM seq_1_to_20000",
    );
    let evaluate = "EVALUATE TASK apparel ON (SELECT photo, label FROM many)";
    let mut other = proxy.root();
    let inferred = |proxy: &Proxy| metric(proxy, "predictsql_images_inferred_total");
    let at_work = |proxy: &Proxy, before: f64| {
        eventually("inference begins", || {
            (inferred(proxy) > before).then_some(())
        });
    };

    let so_far = inferred(&proxy);
    session
        .send(&[&[command::QUERY], evaluate.as_bytes()].concat())
        .unwrap();
    at_work(&proxy, so_far);
    other.run(&format!("KILL QUERY {}", session.connection_id()));
    let packets = session.read_answer(command::QUERY).unwrap();
    assert_eq!(
        packets.last().unwrap().payload[..3],
        [0xff, 0x25, 0x05],
        "1317"
    );
    assert_eq!(session.value(left), before);

    let so_far = inferred(&proxy);
    session
        .send(&[&[command::QUERY], evaluate.as_bytes()].concat())
        .unwrap();
    at_work(&proxy, so_far);
    drop(session);
    eventually("the evaluation ends with its client", || {
        (metric(&proxy, "predictsql_statements_running") == 0.0).then_some(())
    });
    assert_eq!(other.value(left), before);
}

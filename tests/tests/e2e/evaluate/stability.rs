//! The same statement gives the same rows: cold or warm, under load, from kept outputs or not, by
//! either physical plan, through any proxy of the store.

use std::collections::BTreeSet;
use std::thread;

use predictsql_tests::{Proxy, Settings, Store, Wire};

use super::{LABELLED, proxy, session};

const MODELS: [&str; 5] = [
    "apparel_nano",
    "apparel_medium",
    "footwear_other",
    "boot_sneaker_nano",
    "bag_tiny_other",
];

const STRATEGIES: [&str; 5] = [
    "optimal",
    "greedy",
    "best_per_class",
    "most_accurate",
    "all",
];

/// Statements that both physical plans answer.
const EITHER: [&str; 4] = [
    "SELECT id FROM products WHERE id <= 100 AND ml.apparel(photo) IN ('Sneaker', 'Ankle boot') ORDER BY id",
    "SELECT id, ml.apparel(photo) FROM products WHERE id <= 100 ORDER BY id",
    "SELECT id, ml.apparel(photo) = 'Bag' FROM products WHERE id <= 100 ORDER BY id",
    "SELECT id FROM products WHERE id <= 100 AND ml.apparel(photo) <> 'Bag' \
     AND (ml.predict('apparel_nano', photo) = 'Coat' OR id < 50) ORDER BY id",
];

/// And those that one answers.
const MATERIALISED: [&str; 2] = [
    "SELECT id % 3, SUM(ml.apparel(photo) = 'Sneaker'), COUNT(*) FROM products WHERE id <= 100 GROUP BY 1 ORDER BY 1",
    "SELECT ml.apparel(photo) AS k, COUNT(*) FROM products WHERE id <= 100 GROUP BY k ORDER BY k",
];

type Rows = Vec<Vec<Option<String>>>;

/// What all statements answer under each strategy.
fn answers(session: &mut Wire, schema: &str, statements: &[&str]) -> Vec<(String, Rows)> {
    let mut answers = Vec::new();
    for strategy in STRATEGIES {
        session.run(&format!("SET @ml_strategy = '{strategy}'"));
        for sql in statements {
            let rows = session.rows(&sql.replace("ml.", &format!("{schema}.")));
            answers.push((format!("{strategy}: {sql}"), rows));
        }
    }
    answers
}

/// Several sessions at once, each in a way of its own.
fn under_load(proxy: &Proxy, schema: &str, expected: &[(String, Rows)]) {
    let ways = [
        ("NULL", "off"),
        ("'stream'", "on"),
        ("'temporary'", "read"),
        ("'inline'", "on"),
        ("'temporary'", "off"),
        ("'stream'", "read"),
    ];
    thread::scope(|scope| {
        for (plan, cache) in ways {
            scope.spawn(move || {
                let mut session = session(proxy, schema);
                session.run(&format!("SET @ml_plan = {plan}, @ml_cache = '{cache}'"));
                let statements = match plan {
                    "'stream'" => EITHER.to_vec(),
                    _ => [&EITHER[..], &MATERIALISED].concat(),
                };
                for (what, rows) in answers(&mut session, schema, &statements) {
                    let (_, expected) = expected.iter().find(|(w, _)| *w == what).unwrap();
                    assert_eq!(&rows, expected, "plan {plan}, cache {cache}, {what}");
                }
            });
        }
    });
}

#[test]
fn a_statement_gives_the_same_rows_however_it_is_run() {
    let first = proxy("ev_same", &MODELS);
    let mut cold = session(&first, "ev_same");
    let evaluated = cold.run(&format!("EVALUATE TASK apparel ON ({LABELLED})"));
    assert_eq!(evaluated.rows.len(), MODELS.len());
    cold.run("SET @ml_cache = 'off'");
    let statements = [&EITHER[..], &MATERIALISED].concat();
    let expected = answers(&mut cold, "ev_same", &statements);
    let (_, two_classes) = &expected[0];
    assert!((5..50).contains(&two_classes.len()), "{two_classes:?}");
    let labels = expected
        .iter()
        .filter(|(what, _)| what.ends_with(EITHER[1]));
    let labels: BTreeSet<&Rows> = labels.map(|(_, rows)| rows).collect();
    assert!(labels.len() > 1, "strategies do not differ");
    let before = first.images_inferred();
    cold.run("SET @ml_strategy = 'all'");
    cold.rows(&EITHER[1].replace("ml.", "ev_same."));
    assert_eq!(first.images_inferred() - before, 100 * MODELS.len() as u64);

    under_load(&first, "ev_same", &expected);
    // From what was kept, and by a proxy that has nothing in memory.
    under_load(&first, "ev_same", &expected);
    let settings = Settings {
        schema: "ev_same".to_owned(),
        ..Settings::default()
    };
    let second = Proxy::start(Store::shared(), &settings);
    under_load(&second, "ev_same", &expected);
    let mut cold = session(&second, "ev_same");
    assert_eq!(answers(&mut cold, "ev_same", &statements), expected);
}

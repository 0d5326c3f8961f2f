//! EVALUATE beside other clients: it measures models, and takes nothing from who uses them.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::{LABELLED, proxy, session};

const ROUNDS: usize = 40;

#[test]
fn statements_of_others_do_not_fail_while_models_are_measured() {
    let proxy = proxy("ev_beside", &["apparel_nano", "footwear_nano"]);
    let mut setup = session(&proxy, "ev_beside");
    setup.run("CREATE TABLE kinds (id INT PRIMARY KEY, kind VARCHAR(40))");
    setup.run("INSERT INTO kinds SELECT id, NULL FROM products WHERE id <= 100");
    setup.run("CREATE TABLE log (id INT, kind VARCHAR(40))");
    // Each needs inference: kept outputs would need no session.
    let statements = [
        "SELECT COUNT(*) FROM products WHERE ml.predict('apparel', photo) = 'Bag' AND id <= 150",
        "UPDATE kinds k JOIN products p ON p.id = k.id SET k.kind = ml.predict('apparel', p.photo) WHERE k.id <= 50",
        "INSERT INTO log SELECT id, ml.predict('apparel', photo) FROM products WHERE id <= 50",
    ];
    let evaluated = AtomicUsize::new(0);
    let mut rows = None;
    std::thread::scope(|scope| {
        for statement in statements {
            let (proxy, evaluated) = (&proxy, &evaluated);
            scope.spawn(move || {
                let mut client = session(proxy, "ev_beside");
                client.run("SET @ml_cache = 'off'");
                let statement = statement.replace("ml.", "ev_beside.");
                for _ in 0..ROUNDS {
                    client.run(&statement);
                }
                evaluated.fetch_add(1, Relaxed);
            });
        }
        let mut client = session(&proxy, "ev_beside");
        for round in 0.. {
            if evaluated.load(Relaxed) == statements.len() || round == 10 * ROUNDS {
                break;
            }
            let rows_of = format!("{LABELLED} WHERE p.id <= 20");
            let answer = client.run(&format!("EVALUATE MODEL apparel_nano ON ({rows_of})"));
            rows = Some(answer.rows.len());
        }
    });
    assert_eq!(rows, Some(1));
    let logged = setup.value("SELECT COUNT(*) FROM log WHERE kind IS NOT NULL");
    assert_eq!(logged, Some((50 * ROUNDS).to_string()));
}

//! What statements of two passes do in sessions: how often they infer, whose rights they need, and
//! what they see while others write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use predictsql_tests::apparel::{self, Photos};
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};

use super::shop::model;

/// A proxy of its own, so that its inferences can be counted.
fn proxy() -> &'static Proxy {
    static MADE: OnceLock<Proxy> = OnceLock::new();
    MADE.get_or_init(|| {
        let settings = Settings {
            schema: "tp".to_owned(),
            image_roots: vec![apparel::photos().root().to_owned()],
            tables: "[cache]\nmode = 'off'".to_owned(),
            ..Settings::default()
        };
        let proxy = Proxy::start(Store::shared(), &settings);
        let mut session = proxy.root();
        session.run(&apparel::create_task());
        session.run(&model("apparel_nano").statement());
        session.run("CREATE DATABASE tpd CHARACTER SET utf8mb4");
        proxy
    })
}

fn session() -> Wire {
    let mut session = proxy().root();
    session.run("USE tpd");
    session
}

fn images_inferred() -> u64 {
    proxy().images_inferred()
}

/// One test, since what others infer would be counted too.
#[test]
fn inferences_rights_and_writers() {
    each_distinct_input_is_inferred_once();
    several_statements_are_answered_in_turn();
    rights_are_those_of_the_user();
    no_row_is_skipped_while_others_write();
    a_kill_ends_the_inference_and_not_the_session();
    a_deadline_ends_the_inference_and_not_the_session();
}

fn each_distinct_input_is_inferred_once() {
    let mut session = session();
    session.run("CREATE TABLE many (id INT PRIMARY KEY, photo VARCHAR(100), warehouse INT)");
    session.run(
        "INSERT INTO many SELECT seq, IF(seq % 21 = 0, NULL, CONCAT('photos/', LPAD(seq % 20 + 1, 5, '0'), '.png')), \
         seq % 3 FROM seq_1_to_3000",
    );
    for (sql, images) in [
        (
            "SELECT tp.apparel(photo) AS k, COUNT(*), MAX(tp.predict('apparel', photo)) FROM many GROUP BY k",
            20,
        ),
        (
            "SELECT warehouse, COUNT(DISTINCT tp.apparel(photo)) FROM many WHERE photo LIKE '%5.png' GROUP BY 1",
            2,
        ),
        (
            "SELECT MAX(tp.apparel(photo)), MAX(tp.predict_proba('apparel', 'Bag', photo)) FROM many",
            20,
        ),
        (
            "SELECT tp.apparel(photo), COUNT(*) FROM many WHERE 1 = 0 GROUP BY 1",
            0,
        ),
        (
            "SELECT tp.apparel(photo), COUNT(*) FROM many GROUP BY 1 LIMIT 0",
            0,
        ),
        (
            "EXPLAIN SELECT tp.apparel(photo), COUNT(*) FROM many GROUP BY 1",
            0,
        ),
    ] {
        for plan in ["NULL", "'temporary'", "'inline'"] {
            session.run(&format!("SET @ml_plan = {plan}"));
            let before = images_inferred();
            session.run(sql);
            assert_eq!(images_inferred() - before, images, "{plan}: {sql}");
        }
    }
    let explained = session.rows("EXPLAIN SELECT tp.apparel(photo), COUNT(*) FROM many GROUP BY 1");
    let lines: Vec<String> = explained.into_iter().flatten().flatten().collect();
    assert!(lines[0].starts_with("Materialise plan"), "{lines:?}");
    assert!(lines.iter().any(|l| l.starts_with("Harvest")), "{lines:?}");
    assert!(lines.iter().all(|l| l.chars().count() <= 80), "{lines:?}");
}

fn several_statements_are_answered_in_turn() {
    let mut session = session();
    session.run("CREATE TABLE few (id INT PRIMARY KEY, photo VARCHAR(100), label VARCHAR(40))");
    let answers = session
        .query(
            "INSERT INTO few (id, photo) VALUES (1, 'photos/00001.png'), (2, 'photos/00001.png'), (3, ';'); \
             SELECT id, tp.apparel(photo) FROM few ORDER BY id; SHOW WARNINGS; \
             UPDATE few SET label = tp.apparel(photo); SELECT ROW_COUNT(), ';'; \
             SELECT COUNT(*), COUNT(DISTINCT tp.apparel(photo)) FROM few; DO 1;",
        )
        .unwrap();
    assert_eq!(answers.len(), 7, "{answers:?}");
    assert_eq!(answers[0].affected_rows, 3);
    assert_eq!((answers[1].rows.len(), answers[1].warnings), (3, 1));
    assert_eq!(answers[2].rows.len(), 1);
    assert_eq!(answers[3].affected_rows, 2);
    let cell = |text: &str| Some(text.to_owned());
    assert_eq!(answers[4].rows, [[cell("2"), cell(";")]]);
    assert_eq!(answers[5].rows, [[cell("3"), cell("1")]]);
    // An error ends the text, and what came before it stays done.
    let error = session
        .error("UPDATE few SET label = 'x'; SELECT tp.apparel(nope) FROM few; DELETE FROM few");
    assert_eq!(error.code, 1054);
    let left = session.value("SELECT COUNT(*) FROM few WHERE label = 'x'");
    assert_eq!(left.as_deref(), Some("3"));
    session.run("CREATE PROCEDURE two() BEGIN SELECT 1; SELECT 2; END");
    let answers = session.query("CALL two(); SELECT MAX(tp.apparel(photo)) FROM few; CALL two()");
    assert_eq!(answers.unwrap().len(), 7);
}

fn rights_are_those_of_the_user() {
    let mut root = session();
    root.run("CREATE TABLE shown (id INT PRIMARY KEY, photo VARCHAR(100), secret VARCHAR(100))");
    root.run("INSERT INTO shown VALUES (1, 'photos/00001.png', 'photos/00002.png')");
    let mut store = Store::shared().root();
    store.run("CREATE USER tp_user@'%' IDENTIFIED BY 'x'");
    store.run("GRANT SELECT (id, photo) ON tpd.shown TO tp_user@'%'");
    let login = || Wire::login(proxy().address(), "tp_user", "x", Some("tpd")).unwrap();
    let grouped = "SELECT tp.apparel(photo) AS k, COUNT(*) FROM shown GROUP BY k";
    assert_eq!(login().error(grouped).code, 1370);
    store.run("GRANT EXECUTE ON FUNCTION tp.apparel TO tp_user@'%'");
    let mut user = login();
    for plan in ["NULL", "'temporary'", "'inline'"] {
        user.run(&format!("SET @ml_plan = {plan}"));
        assert_eq!(user.rows(grouped).len(), 1, "{plan}");
        let error = user.error("SELECT MAX(tp.apparel(secret)) FROM shown");
        assert_eq!(error.code, 1143, "{error:?}");
        let error = user.error("UPDATE shown SET photo = tp.apparel(photo)");
        assert_eq!(error.code, 1142, "{error:?}");
    }
}

fn no_row_is_skipped_while_others_write() {
    const ROUNDS: usize = 12;
    let mut session = session();
    session.run("CREATE TABLE busy (id INT AUTO_INCREMENT PRIMARY KEY, photo VARCHAR(200), label VARCHAR(40))");
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = Arc::clone(&stop);
        move || {
            let mut session = Store::shared().root();
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                // Another input each time, and an image all the same.
                let path = format!(
                    "{}{}",
                    "./".repeat(1 + n / 50 % 60),
                    Photos::path(n % 50 + 1)
                );
                session.run(&format!("INSERT INTO tpd.busy (photo) VALUES ('{path}')"));
            }
        }
    });
    for round in 0..ROUNDS {
        let plan = ["NULL", "'temporary'", "'inline'"][round % 3];
        session.run(&format!("SET @ml_plan = {plan}"));
        let isolation = ["REPEATABLE READ", "READ COMMITTED"][round % 2];
        session.run(&format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL {isolation}"
        ));
        let counts = session.rows("SELECT COUNT(*), COUNT(tp.apparel(photo)) FROM busy");
        assert_eq!(counts[0][0], counts[0][1], "{plan} {isolation}");
        let update = "UPDATE busy SET label = tp.apparel(photo) WHERE label IS NULL";
        let changed = session.query(update).unwrap()[0].affected_rows.to_string();
        let state = session.rows("SELECT ROW_COUNT(), @@in_transaction");
        assert_eq!(state[0], [Some(changed), Some("0".to_owned())]);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    session.run("UPDATE busy SET label = tp.apparel(photo) WHERE label IS NULL");
    let wrong = "SELECT COUNT(*) FROM busy WHERE NOT label <=> tp.apparel(photo) OR label IS NULL";
    assert_eq!(session.value(wrong).as_deref(), Some("0"));
}

fn a_kill_ends_the_inference_and_not_the_session() {
    const INPUTS: u64 = 40_000;
    let mut session = session();
    // It takes minutes for them.
    session.run(&model("apparel_large").statement());
    session.run("CREATE TABLE slow (id INT PRIMARY KEY, photo VARCHAR(1000))");
    session.run(&format!(
        "INSERT INTO slow SELECT seq, CONCAT(REPEAT('./', seq DIV 100), 'photos/', \
         LPAD(seq % 100 + 1, 5, '0'), '.png') FROM seq_1_to_{INPUTS}"
    ));
    let before = images_inferred();
    let id = session.connection_id();
    let killer = std::thread::spawn(move || {
        eventually("inference begins", || {
            (images_inferred() > before).then_some(())
        });
        self::session().run(&format!("KILL QUERY {id}"));
    });
    let sql = "SELECT tp.predict('apparel_large', photo) AS k, COUNT(*) FROM slow GROUP BY k";
    let error = session.error(sql);
    killer.join().unwrap();
    assert_eq!(error.code, 1317, "{error:?}");
    let inferred = images_inferred() - before;
    assert!(inferred < INPUTS, "all {inferred} were inferred");
    assert_eq!(
        session
            .rows("SELECT MAX(tp.apparel(photo)) FROM slow WHERE id < 9")
            .len(),
        1
    );
}

fn a_deadline_ends_the_inference_and_not_the_session() {
    let mut session = session();
    session.run("SET @ml_cache = 'off'");
    let inputs: u64 = session
        .value("SELECT COUNT(*) FROM slow")
        .unwrap()
        .parse()
        .unwrap();
    let long = [
        "SELECT tp.predict('apparel_large', photo) AS k, COUNT(*) FROM slow GROUP BY k",
        "SELECT id FROM slow WHERE tp.predict('apparel_large', photo) = 'Bag' AND SLEEP(0) = 0",
        "UPDATE slow SET photo = tp.predict('apparel_large', photo)",
    ];
    // Here it is the store that does not come to an end.
    let few = [
        "SELECT MAX(tp.apparel(photo)), SUM(SLEEP(1000)) FROM slow WHERE id < 9",
        "SELECT id, tp.apparel(photo) FROM slow WHERE id < 9 AND SLEEP(1000) = 0",
    ];
    for (limit, statements, code) in [
        (
            "@ml_max_seconds = NULL, max_statement_time = 0.2",
            &long[..],
            1969,
        ),
        (
            "@ml_max_seconds = NULL, max_statement_time = 0.2",
            &few[..],
            1969,
        ),
        (
            "@ml_max_seconds = 9999, max_statement_time = 0.2",
            &few[..],
            1969,
        ),
        (
            "@ml_max_seconds = 0.5, max_statement_time = 0",
            &few[..],
            3024,
        ),
    ] {
        for sql in statements {
            session.run(&format!("SET {limit}"));
            let before = images_inferred();
            let error = session.error(sql);
            assert_eq!(error.code, code, "{limit}: {sql}: {error:?}");
            assert!(images_inferred() - before < inputs, "{sql}");
            let state = "SELECT ROW_COUNT(), @@error_count, @@in_transaction";
            // The limit is not to meet this one.
            let left = session.rows(&format!("SET STATEMENT max_statement_time = 0 FOR {state}"));
            let expected = ["-1", "1", "0"].map(|cell| Some(cell.to_owned()));
            assert_eq!(left[0], expected, "{sql}");
            // Nor the next ones; it may meet this.
            eventually("the limit is lifted", || {
                session.query("SET max_statement_time = 0").ok()
            });
        }
    }
    session.run("SET @ml_max_seconds = 6000, max_statement_time = 6000");
    let few = "SELECT MAX(tp.apparel(photo)) FROM slow WHERE id < 9";
    assert_eq!(session.rows(few).len(), 1);
    session.run("SET @ml_max_seconds = 'soon'");
    assert_eq!(session.error(few).code, 1231);
}

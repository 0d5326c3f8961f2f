//! Views over predictions as their users meet them: rights, tools, what is inferred; and
//! statements that SQL prepares.

use std::process::Command;
use std::sync::OnceLock;

use predictsql_tests::apparel;
use predictsql_tests::{Proxy, Settings, Store, Wire, eventually};

use crate::differential::shop::model;

fn proxy() -> &'static Proxy {
    static MADE: OnceLock<Proxy> = OnceLock::new();
    MADE.get_or_init(|| made("vp", "vpd"))
}

/// A proxy with views in `database`.
fn made(schema: &str, database: &str) -> Proxy {
    let settings = Settings {
        schema: schema.to_owned(),
        image_roots: vec![apparel::photos().root().to_owned()],
        ..Settings::default()
    };
    let proxy = Proxy::start(Store::shared(), &settings);
    let mut session = proxy.root();
    session.run(&apparel::create_task());
    session.run(&model("apparel_nano").statement());
    session.run(&format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
    session.run(&format!("USE {database}"));
    for sql in [
        "CREATE TABLE photos (id INT PRIMARY KEY, photo VARCHAR(100), price INT)",
        "INSERT INTO photos SELECT seq, CONCAT('photos/', LPAD(seq, 5, '0'), '.png'), seq % 7 FROM seq_1_to_60",
        "CREATE VIEW shown AS SELECT p.*, vp.predict('apparel', p.photo) AS kind FROM photos p",
        "CREATE VIEW hidden AS SELECT id, vp.apparel(photo) AS kind FROM photos",
        "CREATE SQL SECURITY INVOKER VIEW invoked AS SELECT id, vp.apparel(photo) AS kind FROM photos",
        "CREATE VIEW named AS SELECT id, photo, vp.predict('apparel_nano', photo) AS nano FROM photos",
    ] {
        session.run(&sql.replace("vp.", &format!("{schema}.")));
    }
    proxy
}

fn session() -> Wire {
    let mut session = proxy().root();
    session.run("USE vpd");
    session
}

fn login(user: &str) -> Wire {
    Wire::login(proxy().address(), user, "x", Some("vpd")).unwrap()
}

/// With a proxy of its own, since what others infer would be counted too.
#[test]
fn a_statement_infers_no_more_than_it_asks_for() {
    let proxy = made("vc", "vcd");
    let mut session = proxy.root();
    session.run("USE vcd");
    session.run("SET @ml_cache = 'off'");
    for (sql, images) in [
        ("SELECT id, photo FROM shown", 0),
        ("SELECT COUNT(*) FROM shown WHERE price = 3", 0),
        ("SELECT * FROM shown LIMIT 0", 0),
        ("SELECT kind FROM shown WHERE 1 = 0", 0),
        ("DESCRIBE shown", 0),
        ("EXPLAIN SELECT kind, COUNT(*) FROM shown GROUP BY kind", 0),
        (
            "SELECT kind, COUNT(*) FROM shown WHERE id < 5 GROUP BY kind",
            4,
        ),
        ("SELECT * FROM shown WHERE price = 3 AND kind = 'Bag'", 9),
        ("SELECT kind FROM hidden WHERE id < 4", 3),
        (
            "UPDATE shown SET price = price WHERE kind = 'Bag' AND id < 6",
            5,
        ),
    ] {
        let before = proxy.images_inferred();
        session.run(sql);
        assert_eq!(proxy.images_inferred() - before, images, "{sql}");
    }
    let before = proxy.images_inferred();
    session.run("SELECT * FROM shown LIMIT 2");
    assert!(proxy.images_inferred() - before < 60);
}

#[test]
fn who_may_read_the_view_alone_is_answered_through_it() {
    let _made = proxy();
    let mut store = Store::shared().root();
    store.run("CREATE USER vp_user@'%' IDENTIFIED BY 'x'");
    for view in ["shown", "hidden", "invoked", "named"] {
        store.run(&format!("GRANT SELECT ON vpd.{view} TO vp_user@'%'"));
    }
    let grouped = "SELECT kind, COUNT(*) FROM shown GROUP BY kind ORDER BY kind";
    assert_eq!(login("vp_user").error(grouped).code, 1370);
    store.run("GRANT EXECUTE ON FUNCTION vp.apparel TO vp_user@'%'");
    let mut user = login("vp_user");
    let expected = session().rows(grouped);
    for plan in ["NULL", "'temporary'", "'inline'"] {
        user.run(&format!("SET @ml_plan = {plan}"));
        assert_eq!(user.rows(grouped), expected, "{plan}");
        assert_eq!(
            user.rows("SELECT * FROM shown WHERE kind IS NOT NULL")
                .len(),
            60
        );
        assert_eq!(user.rows("SELECT nano FROM named WHERE id < 9").len(), 8);
    }
    user.run("SET @ml_plan = NULL");
    assert!(
        user.rows("EXPLAIN SELECT * FROM shown WHERE kind = 'Bag'")
            .len()
            > 3
    );
    assert_eq!(user.rows("DESCRIBE shown").len(), 4);
    let columns = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'vpd' AND table_name = 'shown'";
    assert_eq!(user.rows(columns).len(), 4);
    let error = user.error("SELECT kind FROM hidden");
    assert_eq!(error.code, 1142);
    for told in ["`vpd`.`hidden`", "SQL SECURITY INVOKER", "show the columns"] {
        assert!(error.message.contains(told), "{error:?}");
    }
    assert_eq!(user.rows("SELECT id FROM hidden").len(), 60);
    assert_eq!(user.error("SELECT kind FROM invoked").code, 1356);
    store.run("GRANT SELECT ON vpd.photos TO vp_user@'%'");
    let mut user = login("vp_user");
    assert_eq!(user.rows("SELECT kind FROM invoked").len(), 60);
    assert_eq!(user.rows("SELECT kind FROM hidden").len(), 60);
}

#[test]
fn names_that_hide_a_view_are_told_from_it() {
    let mut session = session();
    session.run("CREATE TEMPORARY TABLE shown AS SELECT 1 AS id, 'mine' AS kind, 'x' AS photo");
    assert_eq!(
        session
            .value("SELECT kind FROM shown WHERE id = 1")
            .as_deref(),
        Some("mine")
    );
    session.run("DROP TEMPORARY TABLE shown");
    assert_eq!(session.rows("SELECT kind FROM shown").len(), 60);
    session.run("CREATE VIEW goes AS SELECT photo, vp.apparel(photo) AS kind FROM photos");
    assert_eq!(session.rows("SELECT kind FROM goes").len(), 60);
    session.run("RENAME TABLE goes TO stays");
    assert_eq!(session.rows("SELECT kind FROM stays").len(), 60);
    session.run("CREATE OR REPLACE VIEW stays AS SELECT 'plain' AS kind");
    assert_eq!(
        session.value("SELECT kind FROM stays").as_deref(),
        Some("plain")
    );
    session.run("DROP VIEW stays");
    session.run("CREATE TABLE stays AS SELECT 'table' AS kind");
    assert_eq!(
        session.value("SELECT kind FROM stays").as_deref(),
        Some("table")
    );
}

#[test]
fn views_that_others_make_are_seen_soon() {
    let mut session = session();
    Store::shared().root().run(
        "CREATE VIEW vpd.foreign_view AS SELECT photo, vp.apparel(photo) AS kind FROM vpd.photos",
    );
    let rows = eventually("the view is known", || {
        let answers = session.query("SELECT kind FROM foreign_view WHERE photo < 'photos/00005'");
        answers.ok().map(|answers| answers[0].rows.len())
    });
    assert_eq!(rows, 4);
}

#[test]
fn a_dump_of_views_makes_them_again() {
    let address = proxy().address();
    let client = |program: &str| {
        let mut command = Command::new(program);
        let port = format!("-P{}", address.port());
        command.args(["--no-defaults", "-h127.0.0.1", "-uroot", &port]);
        command
    };
    let dump = client("mariadb-dump")
        .arg("vpd")
        .args(["photos", "shown", "named"])
        .output()
        .unwrap();
    assert!(
        dump.status.success(),
        "{}",
        String::from_utf8_lossy(&dump.stderr)
    );
    let mut session = session();
    session.run("CREATE DATABASE vpd2 CHARACTER SET utf8mb4");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dump.sql");
    std::fs::write(&file, &dump.stdout).unwrap();
    let restored = client("mariadb")
        .arg("vpd2")
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(
        restored.status.success(),
        "{}",
        String::from_utf8_lossy(&restored.stderr)
    );
    session.run("USE vpd2");
    let rows = eventually("the restored views are known", || {
        let answers = session.query("SELECT kind, nano FROM shown JOIN named USING (id)");
        answers.ok().map(|answers| answers[0].rows.clone())
    });
    assert!(rows.len() == 60 && rows.iter().all(|row| row[0] == row[1]));
    let made = |session: &mut Wire| session.rows("SHOW CREATE VIEW shown");
    let again = made(&mut session);
    session.run("USE vpd");
    let first = made(&mut session);
    assert_eq!(
        again[0][1].as_deref().map(|sql| sql.replace("`vpd2`.", "")),
        first[0][1].as_deref().map(|sql| sql.replace("`vpd`.", ""))
    );
}

#[test]
fn statements_that_sql_prepares_predict() {
    let mut session = session();
    let bags = session.value("SELECT COUNT(*) FROM shown WHERE kind = 'Bag' AND id < 40");
    session.run("SET @text = 'SELECT COUNT(*) FROM shown WHERE kind = ? AND id < ?', @kind = 'Bag', @id = 40");
    for prepare in [
        "PREPARE s FROM @text",
        "PREPARE s FROM 'SELECT COUNT(*) FROM photos WHERE vp.apparel(photo) = ? AND id < ?'",
        "PREPARE s FROM CONCAT('SELECT COUNT(*) FROM photos ', 'WHERE vp.apparel(photo) = ? AND id < ?')",
    ] {
        session.run(prepare);
        assert_eq!(
            session.value("EXECUTE s USING @kind, @id"),
            bags,
            "{prepare}"
        );
        assert_eq!(
            session.value("EXECUTE s USING @kind, 0").as_deref(),
            Some("0")
        );
    }
    assert_eq!(session.error("EXECUTE s USING @kind").code, 1210);
    session.run("PREPARE s FROM 'SELECT 7'");
    assert_eq!(session.value("EXECUTE s").as_deref(), Some("7"));
    session.run("PREPARE S FROM 'SELECT id, ?, vp.apparel(photo) FROM photos ORDER BY id LIMIT ?'");
    session.run("DEALLOCATE PREPARE s");
    assert_eq!(session.error("EXECUTE s").code, 1243);
    let immediate = "EXECUTE IMMEDIATE 'SELECT kind FROM shown WHERE id = ?' USING 3";
    let kind = session.value("SELECT kind FROM shown WHERE id = 3");
    assert_eq!(session.value(immediate), kind);
    let several = session.query("PREPARE t FROM 'SELECT kind FROM shown WHERE id = ?'; SET @three = 3; EXECUTE t USING @three");
    assert_eq!(several.unwrap().pop().unwrap().rows[0][0], kind);
    assert_eq!(
        session
            .error("PREPARE u FROM 'SELECT vp.apparel(nope) FROM photos'")
            .code,
        1054
    );
    assert_eq!(
        session
            .error("PREPARE u FROM 'SELECT vp.apparel() FROM photos'")
            .code,
        1318
    );
}

#[test]
fn settings_of_one_statement_hold_for_it_alone() {
    let mut session = session();
    let quoted = "SET STATEMENT sql_mode = 'ANSI_QUOTES', max_statement_time = 90 FOR \
                  SELECT kind, COUNT(*) FROM shown WHERE kind <> \"x\" GROUP BY kind";
    let plain = session.rows("SELECT kind, COUNT(*) FROM shown GROUP BY kind");
    assert_eq!(session.rows(quoted), plain);
    let streamed = "SET STATEMENT sql_select_limit = 5 FOR SELECT vp.apparel(photo) FROM photos";
    assert_eq!(session.rows(streamed).len(), 5);
    assert_eq!(
        session.rows("SELECT vp.apparel(photo) FROM photos").len(),
        60
    );
    assert_eq!(
        session
            .error("SET STATEMENT nope = 1 FOR SELECT kind FROM shown")
            .code,
        1193
    );
}

#[test]
fn a_file_of_the_store_takes_predictions() {
    let mut session = session();
    let folder = session.value("SELECT @@secure_file_priv").unwrap();
    let file = std::path::Path::new(&folder).join("kinds.txt");
    let path = file.to_str().unwrap();
    session.run(&format!("SELECT id, kind FROM shown WHERE kind <> 'Bag' INTO OUTFILE '{path}' FIELDS TERMINATED BY ','"));
    let lines = std::fs::read_to_string(&file).unwrap().lines().count();
    let expected = session.value("SELECT COUNT(*) FROM shown WHERE kind <> 'Bag'");
    assert_eq!(Some(lines.to_string()), expected);
}

/// The store runs the stub in a plain query; the proxy looks at the views then,
/// and answers it after all.
#[test]
fn a_view_made_past_the_proxy_is_answered_at_once() {
    let mut store = Store::shared().root();
    let mut session = session();
    for (number, rest) in [
        (1, "ORDER BY id"),
        (2, "GROUP BY kind"),
        (3, "WHERE id < 5 FOR UPDATE;"),
    ]
    .into_iter()
    {
        store.run(&format!(
            "CREATE VIEW vpd.past{number} AS SELECT * FROM vpd.shown"
        ));
        let expected = session.rows(&format!("SELECT kind FROM shown {rest}"));
        let found = session.rows(&format!("SELECT kind FROM past{number} {rest}"));
        assert_eq!(found, expected, "{rest}");
        // By now it is known.
        let changed = session.run(&format!(
            "UPDATE past{number} SET price = 1 WHERE kind = 'nothing'"
        ));
        assert_eq!(changed.affected_rows, 0);
    }
    // What is no view of predictions keeps the function's error, however often it is looked at.
    store.run("CREATE FUNCTION vpd.asks() RETURNS TEXT READS SQL DATA BEGIN SET @asked = @asked + 1; RETURN vp.apparel('photos/00001.png'); END");
    store.run("CREATE VIEW vpd.asking AS SELECT vpd.asks() AS kind");
    for query in [
        "SELECT asks()",
        "SELECT * FROM asking",
        "SELECT * FROM asking",
    ] {
        session.run("SET @asked = 0");
        assert_eq!(session.error(query).code, 1644);
        let warned = session.rows("SHOW WARNINGS");
        assert_eq!(warned[0][1].as_deref(), Some("1644"));
        // The store is not asked to run it once more.
        assert_eq!(session.value("SELECT @asked").as_deref(), Some("1"));
    }
}

/// The store merges a view, and may look at predictions before the view's own condition.
#[test]
fn conditions_of_views_cost_no_inference_and_no_right() {
    let proxy = made("vw", "vwd");
    let mut store = Store::shared().root();
    store.run("CREATE VIEW vwd.chosen AS SELECT id, photo, vw.apparel(photo) AS kind FROM vwd.photos WHERE price LIKE '3%'");
    store.run("CREATE USER vw_user@'%' IDENTIFIED BY 'x'");
    for grant in [
        "SELECT, UPDATE ON vwd.chosen",
        "EXECUTE ON FUNCTION vw.apparel",
    ] {
        store.run(&format!("GRANT {grant} TO vw_user@'%'"));
    }
    let mut user = Wire::login(proxy.address(), "vw_user", "x", Some("vwd")).unwrap();
    user.run("SET @ml_cache = 'off'");
    eventually("the view is known", || {
        user.query("SELECT kind FROM chosen LIMIT 0").ok()
    });
    let bags = "SELECT COUNT(*) FROM chosen WHERE kind IN ('Bag', 'Coat')";
    for sql in [
        bags,
        "SELECT COUNT(*) FROM chosen AS s WHERE s.kind LIKE '%a%' AND s.id < 100",
        "SELECT kind, COUNT(*) FROM chosen WHERE kind > 'A' GROUP BY kind",
        "UPDATE chosen SET photo = photo WHERE kind <> 'Bag'",
    ] {
        let before = proxy.images_inferred();
        user.run(sql);
        assert_eq!(proxy.images_inferred() - before, 9, "{sql}");
    }
    let expected = "SELECT COUNT(*) FROM (SELECT vw.apparel(photo) AS kind FROM vwd.photos WHERE price = 3) AS d WHERE kind IN ('Bag', 'Coat')";
    assert_eq!(user.value(bags), proxy.root().value(expected));
    let mut root = proxy.root();
    root.run("USE vwd");
    root.run("LOCK TABLES chosen READ");
    // No table may be named once more there, so that nothing tells which rows count.
    let answer = root.query(bags);
    assert!(
        answer.is_ok() || answer.as_ref().unwrap_err().code == 1235,
        "{answer:?}"
    );
}

#[test]
fn views_that_name_a_prediction_twice_each_are_answered() {
    let _made = proxy();
    let mut session = session();
    session.run("CREATE VIEW twice0 AS SELECT photo, vp.apparel(photo) AS kind FROM photos");
    for n in 1..12 {
        session.run(&format!(
            "CREATE VIEW twice{n} AS SELECT photo, LEFT(CONCAT(kind, kind), 5) AS kind FROM twice{}",
            n - 1
        ));
    }
    let once = "SELECT photo, LEFT(CONCAT(kind, kind), 5) FROM twice0 ORDER BY photo";
    let right = session.rows(once);
    let found = session.rows("SELECT photo, kind FROM twice11 ORDER BY photo");
    assert!(!right.is_empty());
    assert_eq!(found, right);
}

#[test]
fn views_that_grow_too_long_are_refused_by_name() {
    let _made = proxy();
    let mut session = session();
    let others: Vec<String> = (0..2_000).map(|n| format!("'none/{n}'")).collect();
    session.run(&format!(
        "CREATE VIEW grown0 AS SELECT LENGTH(photo) AS bytes, vp.apparel(photo) AS kind FROM photos \
         WHERE photo NOT IN ({})",
        others.join(", ")
    ));
    for n in 1..8 {
        session.run(&format!(
            "CREATE VIEW grown{n} AS SELECT bytes, kind FROM grown{0} UNION ALL SELECT bytes, kind FROM grown{0}",
            n - 1
        ));
    }
    let count = |n: usize| format!("SELECT COUNT(kind) FROM grown{n}");
    let single: u64 = session.value(&count(0)).unwrap().parse().unwrap();
    let double: u64 = session.value(&count(1)).unwrap().parse().unwrap();
    assert_eq!(double, 2 * single);
    let error = session.error("SELECT COUNT(*) FROM grown7 WHERE kind = 'Bag'");
    assert_eq!(error.code, 1235);
    assert!(error.message.contains("bytes"), "{error:?}");
    // What names no prediction needs none of that.
    assert!(session.value("SELECT COUNT(bytes) FROM grown1").is_some());
}

#[test]
fn predictions_nested_too_deep_are_refused_at_once() {
    let _made = proxy();
    let mut session = session();
    let nested = |depth: usize| {
        let call = (0..depth).fold("photo".to_owned(), |inner, _| {
            format!("vp.apparel({inner})")
        });
        format!("SELECT COUNT({call}) FROM photos")
    };
    assert_eq!(session.value(&nested(3)).as_deref(), Some("0"));
    for depth in [4, 12, 100] {
        let error = session.error(&nested(depth));
        assert_eq!(error.code, 1235, "{error:?}");
        assert!(
            error.message.contains("nested deeper than 3 levels"),
            "{error:?}"
        );
    }
    // The session goes on, also where the store would not take what is made of a statement.
    let long = format!(
        "SELECT COUNT(*) FROM photos WHERE vp.apparel(photo) IN ('{}')",
        "x".repeat(900_000)
    );
    assert_eq!(session.value(&long).as_deref(), Some("0"));
    assert_eq!(session.rows("SELECT kind FROM shown").len(), 60);
}

#[test]
fn routines_and_triggers_get_the_functions_own_error() {
    let mut session = session();
    for sql in [
        "CREATE TABLE logged (id INT, kind VARCHAR(255))",
        "CREATE PROCEDURE asks() SELECT kind FROM shown",
    ] {
        session.run(sql);
    }
    let mut store = Store::shared().root();
    store.run("CREATE TRIGGER vpd.asks BEFORE INSERT ON vpd.logged FOR EACH ROW SET NEW.kind = vp.apparel('photos/00001.png')");
    for sql in ["CALL asks()", "INSERT INTO logged (id) VALUES (1)"] {
        let error = session.error(sql);
        assert_eq!((error.code, &*error.sqlstate), (1644, "ML001"), "{sql}");
        assert!(
            error.message.contains("answered by PredictSQL"),
            "{error:?}"
        );
    }
}

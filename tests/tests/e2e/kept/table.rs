//! The table of kept outputs: its limit, its rights, and rows that no model gave.

use predictsql_tests::{Store, Wire, eventually};

use super::{GROUPED, Place, in_shop, nano, rows};

#[test]
fn the_table_stays_within_its_limit() {
    let place = Place::new("kept_limit", "prediction_cache_rows_max = 20");
    place.settle(GROUPED);
    let mut root = Store::shared().root();
    let mut count = || {
        let count = root.value("SELECT COUNT(*) FROM kept_limit.predictions");
        count.unwrap().parse::<u64>().unwrap()
    };
    // Rows are written in one INSERT or in more, and each may be followed by an eviction: the
    // number of evicted rows is what the limit leaves of those written, not a constant.
    eventually("outputs were evicted", || {
        let metric = |name: &str| {
            place
                .proxy
                .metric(&format!("predictsql_cache_{name}_total"))
        };
        let (written, evicted) = (metric("writes"), metric("evictions"));
        let left = count();
        (written == 40 && left <= 20 && evicted + left == written).then_some(())
    });
    // What memory holds is not lost.
    assert_eq!(place.rows(&mut place.session(), GROUPED).1, 0);
}

#[test]
fn rows_that_no_model_gave_are_ignored_and_users_can_make_none() {
    let place = Place::new("kept_poison", "");
    place.settle(GROUPED);
    let (grouped, _) = place.rows(&mut place.session(), GROUPED);
    let written = || place.proxy.metric("predictsql_cache_writes_total");
    eventually("outputs are in the table", || {
        (written() == 40).then_some(())
    });
    let mut root = Store::shared().root();
    root.run(
        "UPDATE kept_poison.predictions SET scores = IF(ORD(input) % 2, 'x', REPEAT('\\0', 44))",
    );
    // A statement waits a second for the table at most: on a busy machine it may take more than
    // one proxy to see the rows.
    eventually("rows that no model gave are told of", || {
        let other = place.another();
        let mut session = in_shop(&other, &place.schema);
        let (again, inferred) = rows(&other, &mut session, &place.sql(GROUPED));
        assert_eq!((&again, inferred), (&grouped, 40));
        let told = other.log().matches("outputs that no model gave").count();
        assert!(told <= 1, "{told}");
        (told == 1).then_some(())
    });

    root.run("CREATE USER kept_ann@'%'");
    root.run("GRANT EXECUTE ON kept_poison.* TO kept_ann@'%'");
    root.run("GRANT SELECT ON kept_poison_shop.* TO kept_ann@'%'");
    let mut ann = Wire::login(
        place.proxy.address(),
        "kept_ann",
        "",
        Some("kept_poison_shop"),
    );
    let ann = ann.as_mut().unwrap();
    assert_eq!(place.rows(ann, GROUPED).1, 0, "she has the use of them");
    for sql in [
        "SELECT * FROM kept_poison.predictions",
        "DELETE FROM kept_poison.predictions",
        "INSERT INTO kept_poison.predictions VALUES ('a', 'b', 'c', 1)",
    ] {
        assert_eq!(ann.error(sql).code, 1142, "{sql}");
    }
}

#[test]
fn a_store_that_keeps_nothing_fails_no_statement() {
    let place = Place::new("kept_without", "");
    let mut root = Store::shared().root();
    root.run("RENAME TABLE kept_without.predictions TO kept_without.elsewhere");
    let (grouped, inferred) = place.rows(&mut place.session(), GROUPED);
    assert!(!grouped.is_empty());
    assert_eq!(inferred, 40);
    place.settle(GROUPED);
    eventually("outputs were dropped", || {
        (place.proxy.metric("predictsql_cache_dropped_total") >= 40).then_some(())
    });
}

/// Has the store refuse rows for a table as it does on a full disk.
fn fill_up(root: &mut Wire, table: &str) {
    root.run(&format!(
        "CREATE TRIGGER {table}_full BEFORE INSERT ON {table} FOR EACH ROW \
         SIGNAL SQLSTATE 'HY000' SET MYSQL_ERRNO = 1114, MESSAGE_TEXT = 'The table is full'"
    ));
}

#[test]
fn a_full_disk_fails_no_statement_but_those_that_change_the_catalog() {
    let place = Place::new("kept_full", "");
    let mut root = Store::shared().root();
    root.run("USE kept_full");
    fill_up(&mut root, "predictions");
    let (grouped, inferred) = place.rows(&mut place.session(), GROUPED);
    assert_eq!(inferred, 40);
    let count = |series: &str| place.proxy.metric(series);
    eventually("outputs were dropped", || {
        (count("predictsql_cache_dropped_total") >= 40).then_some(())
    });
    // The store may be kept from writing, and memory serves all the same.
    place.settle(GROUPED);
    assert_eq!(count("predictsql_cache_writes_total"), 0);

    let mut session = place.session();
    session.run("CREATE TABLE labelled AS SELECT photo, 'Bag' AS label FROM products");
    let evaluate = "EVALUATE TASK apparel ON (SELECT photo, label FROM labelled)";
    session.run(evaluate);
    let stored = "SELECT GROUP_CONCAT(id, epoch) FROM kept_full.evaluations";
    let before = root.value(stored);
    let models = root.value("SELECT COUNT(*) FROM kept_full.models");
    for table in ["model_stats", "models", "tasks"] {
        fill_up(&mut root, table);
    }
    let another = nano()
        .statement()
        .replace("MODEL apparel_nano", "MODEL apparel_pico");
    for sql in [
        evaluate,
        &another,
        "CREATE TASK pets CLASSES ('cat', 'dog')",
    ] {
        let error = session.error(sql);
        assert!(error.message.contains("1114"), "{sql}: {error:?}");
    }
    assert_eq!(root.value(stored), before);
    assert_eq!(root.value("SELECT COUNT(*) FROM kept_full.models"), models);
    assert_eq!(place.rows(&mut session, GROUPED), (grouped.clone(), 0));

    // With room all goes on.
    for table in ["predictions", "model_stats", "models", "tasks"] {
        root.run(&format!("DROP TRIGGER {table}_full"));
    }
    session.run("CREATE TASK pets CLASSES ('cat', 'dog')");
    session.run(&another);
    session.run(evaluate);
    assert_eq!(place.rows(&mut session, GROUPED).0, grouped);
}

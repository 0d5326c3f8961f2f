//! Calls without the schema's name, in sessions whose current database is the schema.

use predictsql_proxy::wire::{Capabilities, command};
use predictsql_tests::{Store, Wire};

use super::answer::{Param, query};
use super::case::case;
use super::fixture::fixture;
use super::pair::Pair;
use super::schemas::LANE;
use super::verdict::Verdict;

fn pair() -> Pair {
    fixture();
    let mut pair = Pair::open();
    pair.lane.run("USE dm");
    pair.naive.run("USE nv");
    pair
}

#[test]
fn calls_need_no_name_of_the_schema() {
    let mut pair = pair();
    let int = |n| [Param::Int(n)];
    for case in [
        case("SELECT id, apparel(photo) FROM df.p ORDER BY id"),
        case("SELECT id FROM df.p WHERE predict('apparel', photo) = 'Bag'"),
        case("SELECT `apparel` (photo) AS k, COUNT(*) FROM df.p GROUP BY k"),
        case("SELECT COUNT(*), MAX(UPPER(ml.apparel(photo))) FROM df.p WHERE Apparel(photo) LIKE 'S%'"),
        case("WITH apparel (a) AS (SELECT photo FROM df.p WHERE id < 9) SELECT a, apparel(a) FROM apparel"),
        case("SELECT ROUND(predict_proba('apparel', 'Bag', photo), 2) > 0.5 FROM df.p"),
        case("SELECT apparel(photo) FROM df.p WHERE id > ? AND apparel(photo) <> 'Bag'").with(int(5)),
        case("SELECT apparel(a.photo) FROM df.p a JOIN df.p b ON apparel(a.photo) = apparel(b.photo) WHERE b.id = ?").with(int(3)),
        case("SELECT apparel() FROM df.p"),
        case("SELECT apparel(nope) FROM df.p"),
        case("SELECT nothing(photo) FROM df.p"),
    ] {
        for binary in [false, true] {
            match pair.read(&case, binary) {
                Verdict::Same | Verdict::SameError => {}
                verdict => panic!("binary {binary}: {}: {verdict:?}", case.sql),
            }
        }
    }
}

#[test]
fn other_databases_keep_their_functions() {
    fixture();
    Store::shared().root().run(
        "CREATE OR REPLACE FUNCTION df.apparel(x TEXT CHARSET utf8mb4) RETURNS TEXT CHARSET utf8mb4 RETURN 'of df'",
    );
    let mut pair = pair();
    pair.both("USE df");
    // Without a name the session's own function answers,
    // also where the session has been in the schema.
    assert_eq!(
        pair.lane
            .value("SELECT apparel(photo) FROM p LIMIT 1")
            .as_deref(),
        Some("of df")
    );
    pair.lane.run("USE dm");
    assert_ne!(
        pair.lane
            .value("SELECT apparel(photo) FROM df.p LIMIT 1")
            .as_deref(),
        Some("of df")
    );
    assert_eq!(
        pair.lane
            .value("SELECT df.apparel(photo) FROM df.p LIMIT 1")
            .as_deref(),
        Some("of df")
    );
}

/// However a session comes to the schema, its calls are the schema's.
#[test]
fn every_way_into_the_schema_is_seen() {
    let proxy = fixture();
    let sql = "SELECT apparel(photo) FROM df.p WHERE id = 3";
    let expected = proxy
        .root()
        .value("SELECT dm.apparel(photo) FROM df.p WHERE id = 3");
    assert!(expected.is_some());
    let asked = |session: &mut Wire| session.value(sql);

    let mut at_login = Wire::login(proxy.address(), "root", "", Some(LANE)).unwrap();
    assert_eq!(asked(&mut at_login), expected);

    let mut by_command = proxy.root();
    let chosen = [&[command::INIT_DB], LANE.as_bytes()].concat();
    by_command.command(&chosen).unwrap();
    assert_eq!(asked(&mut by_command), expected);

    for statement in [
        "USE dm",
        "/* c */ USE `dm`;",
        "EXECUTE IMMEDIATE 'USE dm'",
        "SET STATEMENT max_statement_time = 9 FOR USE dm",
    ] {
        let mut session = proxy.root();
        // Not all of them are statements that every store takes.
        if session.query(statement).is_ok()
            && session.value("SELECT DATABASE()").as_deref() == Some(LANE)
        {
            assert_eq!(asked(&mut session), expected, "{statement}");
        }
    }

    let mut several = proxy.root();
    assert!(several.capabilities().has(Capabilities::MULTI_STATEMENTS));
    let answers = several
        .query(&format!("DO 1; USE dm; {sql}; SELECT COUNT(*) FROM df.p"))
        .unwrap();
    assert_eq!(answers[2].rows[0][0], expected);

    let mut named = proxy.root();
    named.run("USE dm");
    named.run("PREPARE s FROM 'SELECT apparel(photo) FROM df.p WHERE id = ?'");
    assert_eq!(named.value("EXECUTE s USING 3"), expected);

    let mut views = proxy.root();
    views.run("USE dm");
    views.run(
        "CREATE OR REPLACE VIEW df.bare AS SELECT id, predict('apparel', photo) AS kind FROM df.p",
    );
    views.run("USE df");
    assert_eq!(views.value("SELECT kind FROM bare WHERE id = 3"), expected);
    views.run("DROP VIEW bare");
}

/// The store by itself drops rows before it looks at this HAVING, if the functions may vary: a
/// derived table tells what is right.
#[test]
fn limits_count_rows_that_having_keeps() {
    let mut session = fixture().root();
    session.run("USE df");
    let kinds = "SELECT id, price, dm.apparel(photo) AS k FROM p";
    for plan in ["NULL", "'temporary'", "'inline'"] {
        session.run(&format!("SET @ml_plan = {plan}"));
        let expected = session.rows(&format!(
            "SELECT * FROM ({kinds}) t WHERE k = 'Bag' ORDER BY price DESC, id LIMIT 3"
        ));
        assert_eq!(expected.len(), 3);
        let rest = "HAVING k = 'Bag' ORDER BY price DESC, id LIMIT 3";
        assert_eq!(session.rows(&format!("{kinds} {rest}")), expected, "{plan}");
        assert_eq!(
            session.rows(&format!("SELECT * FROM ({kinds} {rest}) t")),
            expected,
            "{plan}"
        );
    }
}

#[test]
fn columns_of_a_list_of_rows_are_called_by_the_clients_text() {
    let mut pair = Pair::open();
    let values = case("VALUES (ml.apparel((SELECT photo FROM p WHERE id = 3)), 2), ('a', 3)");
    for binary in [false, true] {
        let verdict = pair.read(&values, binary);
        assert!(matches!(verdict, Verdict::Same), "{verdict:?}");
    }
    let names = query(&mut pair.lane, "VALUES (dm.apparel('x'), 1)")
        .unwrap()
        .names();
    assert_eq!(names, ["dm.apparel('x')", "1"]);
}

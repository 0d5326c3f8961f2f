//! What a predict statement leaves in its session,
//! against what the same statement leaves without a proxy.

use super::answer::{self, Answer, execute_once, query};
use super::pair::Pair;
use super::schemas::{LANE, NAIVE, in_schema};
use predictsql_tests::Wire;
use predictsql_tests::wire::SqlError;

/// Statements without images that cannot be read, of which only the lane warns.
const STATEMENTS: &[&str] = &[
    // Stream plans
    "SELECT id, ml.apparel(photo) FROM p WHERE id < 20",
    "SELECT id FROM p WHERE id < 100 AND ml.apparel(photo) = 'Bag'",
    "SELECT id FROM p WHERE id < 100 AND ml.apparel(photo) <> 'Bag' ORDER BY id LIMIT 3",
    "SELECT id FROM p WHERE id < 100 AND ml.apparel(photo) <> 'Bag' ORDER BY id LIMIT 4 OFFSET 2",
    "SELECT id FROM p WHERE id < 100 AND ml.apparel(photo) = 'Bag' LIMIT 20 OFFSET 90",
    "SELECT id FROM p WHERE id < 100 AND ml.apparel(photo) = 'no class'",
    "SELECT id, ml.apparel(photo) FROM p WHERE id < 20 LIMIT 3 OFFSET 2",
    "SELECT id, CAST('x' AS INT), ml.apparel(photo) FROM p WHERE id < 4",
    // The select list is evaluated for rows that the prediction drops, too:
    // it warns of nothing here.
    "SELECT id, CAST(id AS CHAR) FROM p WHERE id < 80 AND ml.apparel(photo) <> 'Bag'",
    "SELECT ml.predict('apparel', 'photos/a.png')",
    "SELECT ml.predict('apparel', 'photos/a.png') = 'Bag' AS b LIMIT 0",
    // Two passes
    "SELECT ml.apparel(photo) AS k, COUNT(*) FROM p WHERE id < 100 GROUP BY k",
    "SELECT SQL_CALC_FOUND_ROWS id, ml.apparel(photo) FROM p WHERE id < 50 ORDER BY id LIMIT 3",
    "SELECT SQL_CALC_FOUND_ROWS id FROM p WHERE id < 50 AND ml.apparel(photo) <> 'Bag' ORDER BY id LIMIT 3",
    "SELECT DISTINCT ml.apparel(photo), CAST('x' AS INT) FROM p WHERE id < 50",
    "(SELECT ml.apparel(photo) FROM p WHERE id = 3) UNION SELECT 'x'",
    "SELECT MAX(ml.apparel(photo)) INTO @m FROM p WHERE id < 9",
    "INSERT INTO tr (label) VALUES (ml.predict('apparel', 'photos/a.png')), ('x')",
    "INSERT INTO tr (label) SELECT ml.apparel(photo) FROM p WHERE id < 7",
    "INSERT INTO tr (id, label) SELECT 1, ml.apparel(photo) FROM p WHERE id < 4 ON DUPLICATE KEY UPDATE label = 'dup'",
    "REPLACE INTO tr (id, label) VALUES (1, ml.predict('apparel', 'photos/a.png'))",
    "UPDATE tr SET label = ml.predict('apparel', 'photos/a.png'), n = 3",
    "UPDATE tr SET n = CAST('7x' AS INT) WHERE label <> ml.predict('apparel', 'photos/A.png')",
    "DELETE FROM tr WHERE id > 2 AND label <> ml.predict('apparel', 'photos/a.png')",
    "DELETE FROM tr WHERE label = CONCAT(ml.predict('apparel', 'photos/a.png'), 'no')",
    "CREATE OR REPLACE TEMPORARY TABLE made SELECT id, ml.apparel(photo) AS k FROM p WHERE id < 6",
    "SET @s = ml.predict('apparel', 'photos/a.png')",
    "DO ml.predict('apparel', 'photos/a.png')",
    // What they read of the statement before
    "SELECT ROW_COUNT(), FOUND_ROWS(), ml.predict('apparel', 'photos/a.png')",
    "SELECT id, ROW_COUNT() AS r, FOUND_ROWS() + 1, ml.apparel(photo) FROM p WHERE id < 3",
    "SELECT @@warning_count, @@session.error_count, COUNT(ml.apparel(photo)) FROM p WHERE id < 3",
    "INSERT INTO tr (n, label) VALUES (ROW_COUNT(), ml.predict('apparel', 'photos/a.png'))",
    // What may predict, since it reads a variable, and turns out to be the store's
    "EXECUTE IMMEDIATE 'UPDATE tr SET n = 7, label = @l WHERE id < 3'",
    "EXECUTE IMMEDIATE 'SELECT id, @l FROM p WHERE id < 9 ORDER BY id'",
    "EXECUTE IMMEDIATE 'SELECT CAST(\"7x\" AS INT), id, @l FROM p WHERE id < 3 ORDER BY id'",
    // Errors: found by preparing, and by running
    "SELECT ml.apparel(nope) FROM p",
    "SELECT ml.apparel(photo) FROM p WHERE",
    "SELECT ml.apparel(photo) FROM nowhere",
    "SELECT id, ml.apparel(photo) FROM p WHERE id = (SELECT k FROM q)",
    "SELECT COUNT(*) FROM p WHERE ml.apparel(photo) = (SELECT kind FROM q) AND id < 9",
    "INSERT INTO tr (id, label) VALUES (1, ml.predict('apparel', 'photos/a.png'))",
];

/// What came before, so that each leaves something else.
const BEFORE: &[&str] = &[
    "SELECT id FROM p ORDER BY id LIMIT 5",
    "UPDATE tr SET n = COALESCE(n, 0) + 1 WHERE id < 4",
    "SELECT CAST('y' AS INT), CAST('z' AS INT)",
];

/// How it is looked at; each look follows the statement anew.
const LOOKS: &[&str] = &[
    "SELECT ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID()",
    "SELECT FOUND_ROWS() AS f, 1 + ROW_COUNT()",
    "SELECT @@warning_count, @@session.error_count AS e",
    "SELECT @@warning_count, 'a FROM b', TRIM('a' FROM 'ab')",
    "SELECT(@@warning_count)FROM`tr`LIMIT 1",
    "SHOW WARNINGS",
    "SHOW COUNT(*) WARNINGS",
    "SHOW ERRORS LIMIT 1",
    "SHOW WARNINGS LIMIT 1, 1",
    "SELECT n, label FROM tr ORDER BY id",
    "SELECT @s, @m",
];

fn open() -> Pair {
    let mut pair = Pair::open();
    pair.both(
        "CREATE TEMPORARY TABLE tr (id INT AUTO_INCREMENT PRIMARY KEY, n INT, label VARCHAR(40))",
    );
    pair.both("SELECT id FROM p LIMIT 2");
    pair.both("INSERT INTO tr (n, label) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
    pair
}

/// An answer without what must differ: the names of the functions' schemas.
fn plain(answer: Result<Answer, SqlError>) -> Result<Answer, u16> {
    answer.map(Answer::plain).map_err(|error| error.code)
}

fn compare(found: Result<Answer, SqlError>, expected: Result<Answer, SqlError>) -> Option<String> {
    match (plain(found), plain(expected)) {
        (Ok(found), Ok(expected)) => match found.done == expected.done {
            true => found.difference(&expected, true).or_else(|| {
                (found.warnings != expected.warnings)
                    .then(|| format!("{} warnings, not {}", found.warnings, expected.warnings))
            }),
            false => Some(format!("OK {:?}, not {:?}", found.done, expected.done)),
        },
        (Err(found), Err(expected)) if found == expected => None,
        (found, expected) => Some(format!("{:?}, not {:?}", found.err(), expected.err())),
    }
}

#[test]
fn a_session_is_left_as_the_statement_itself_would_leave_it() {
    let mut wrong = Vec::new();
    let run = |session: &mut Wire, sql: &str, binary: bool| match binary {
        true => execute_once(session, sql, &[]),
        false => query(session, sql),
    };
    for sql in STATEMENTS {
        let (lane, naive) = (in_schema(sql, LANE), in_schema(sql, NAIVE));
        for binary in [false, true] {
            let mut pair = open();
            for (number, look) in LOOKS.iter().enumerate() {
                // Without a table the warnings of the statement before stay.
                if look.contains("@@warning_count") && !sql.contains("FROM") {
                    continue;
                }
                pair.both(BEFORE[number % BEFORE.len()]);
                let found = run(&mut pair.lane, &lane, binary);
                let expected = run(&mut pair.naive, &naive, binary);
                let unordered = !sql.contains("ORDER BY");
                if let (Ok(found), Ok(expected)) = (&found, &expected)
                    && unordered
                {
                    assert!(
                        found.rows.len() == expected.rows.len(),
                        "{sql}: {:?}, expected {:?}; warnings {:?}",
                        found.rows,
                        expected.rows,
                        pair.lane
                            .query("SHOW WARNINGS")
                            .map(|shown| shown[0].rows.clone()),
                    );
                }
                if !unordered && let Some(difference) = compare(found, expected) {
                    wrong.push(format!("{binary} {sql}: {difference}"));
                }
                let seen = query(&mut pair.lane, look);
                let (seen, expected) = (seen, query(&mut pair.naive, look));
                if let Some(difference) = compare(seen, expected) {
                    wrong.push(format!(
                        "{binary} {sql}\n    after {}: {look}: {difference}",
                        BEFORE[number % BEFORE.len()]
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn preparing_leaves_what_was_there() {
    let sql = "SELECT id, ml.apparel(photo) FROM p";
    let mut wrong = Vec::new();
    for look in LOOKS {
        for before in BEFORE {
            let mut pair = open();
            pair.both(before);
            answer::prepare(&mut pair.lane, &in_schema(sql, LANE)).unwrap();
            answer::prepare(&mut pair.naive, &in_schema(sql, NAIVE)).unwrap();
            let (seen, expected) = (query(&mut pair.lane, look), query(&mut pair.naive, look));
            if let Some(difference) = compare(seen, expected) {
                wrong.push(format!("after {before}: {look}: {difference}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn errors_and_warnings_of_the_lane_are_read_as_those_of_the_store() {
    let mut session = Pair::open().lane;
    let one = |session: &mut Wire, sql: &str| session.rows(sql).remove(0);
    let cells = |cells: &[&str]| -> Vec<Option<String>> {
        cells.iter().map(|cell| Some((*cell).to_owned())).collect()
    };
    session.run("SELECT id FROM p LIMIT 5");
    let refused = in_schema("SELECT ml.has('apparel', 'Bag', photo) FROM p", LANE);
    assert_eq!(session.error(&refused).code, 1235);
    let state = "SELECT ROW_COUNT(), FOUND_ROWS(), @@warning_count, @@error_count";
    assert_eq!(one(&mut session, state), cells(&["-1", "5", "1", "1"]));
    assert_eq!(session.error(&refused).code, 1235);
    assert_eq!(one(&mut session, "SHOW ERRORS")[1].as_deref(), Some("1235"));

    // Of 150 rows more than ten cannot be read; the session keeps two warnings.
    session.run("SET max_error_count = 2");
    for sql in [
        "SELECT id, ml.apparel(photo) FROM p",
        "SELECT ml.apparel(photo) AS k, COUNT(*), CAST('x' AS INT) FROM p GROUP BY k",
        "SELECT id, CAST('x' AS INT), ml.apparel(photo) FROM p",
    ] {
        let sql = in_schema(sql, LANE);
        let told = query(&mut session, &sql).unwrap().warnings;
        assert!(told > 5, "{told}");
        let told = told.to_string();
        assert_eq!(session.rows("SHOW WARNINGS").len(), 2, "{sql}");
        assert_eq!(one(&mut session, "SHOW COUNT(*) WARNINGS"), cells(&[&told]));
        let counted = one(&mut session, "SELECT @@warning_count, @@error_count");
        assert_eq!(counted, cells(&[&told, "0"]), "{sql}");
        session.run("SELECT COUNT(*) FROM p");
        assert_eq!(one(&mut session, "SELECT @@warning_count"), cells(&["0"]));
    }
}

#[test]
fn time_stands_still_while_a_statement_runs() {
    let mut session = Pair::open().lane;
    // Each time is another input.
    let input = "ELT(MICROSECOND(NOW(6)) % 7 + 1, 'photos/a.png', './photos/a.png', 'photos/./a.png', \
                 '././photos/a.png', './photos/./a.png', 'photos/././a.png', '././././photos/a.png')";
    let label = session.value(&in_schema(
        "SELECT ml.predict('apparel', 'photos/a.png')",
        LANE,
    ));
    for plan in ["NULL", "'temporary'", "'inline'"] {
        session.run(&format!("SET @ml_plan = {plan}"));
        for _ in 0..5 {
            let sql = format!(
                "SELECT MAX(ml.apparel({input})) FROM p WHERE id < 9 AND UTC_TIMESTAMP(6) <= NOW(6) + INTERVAL 1 DAY"
            );
            assert_eq!(session.value(&in_schema(&sql, LANE)), label, "{plan}");
        }
    }
    session.run("SET @ml_plan = NULL");
    let now = "SELECT NOW(6), COUNT(ml.apparel(photo)) FROM p WHERE id < 9";
    let before = session.value("SELECT NOW(6)").unwrap();
    let during = session.value(&in_schema(now, LANE)).unwrap();
    let after = session.value("SELECT NOW(6)").unwrap();
    assert!(
        before < during && during < after,
        "{before} {during} {after}"
    );
    session.run("SET timestamp = 86400.5");
    let set = session.value("SELECT NOW(6)");
    assert_eq!(session.value(&in_schema(now, LANE)), set);
    assert_eq!(session.value("SELECT NOW(6)"), set);
    session.run("CREATE TEMPORARY TABLE ts (k VARCHAR(40), t DATETIME(6) DEFAULT NOW(6))");
    session.run(&in_schema(
        "INSERT INTO ts (k) VALUES (ml.predict('apparel', 'photos/a.png'))",
        LANE,
    ));
    assert_eq!(session.value("SELECT t FROM ts"), set);
}

//! Statements whose parts must be evaluated once, equal calls, and predictions in a recursive
//! WITH.

use super::answer::query;
use super::case::case;
use super::pair::Pair;
use super::schemas::{LANE, NAIVE, in_schema};
use super::verdict::{UNSUPPORTED, Verdict};

/// Each is answered; `@n` and the sequence are then as the store alone leaves them.
const ONCE: &[&str] = &[
    "SELECT @n := @n + 1 AS n, ml.apparel(photo) FROM p ORDER BY id",
    "SELECT COUNT(*) FROM (SELECT @n := @n + 1 AS n, photo FROM p) d WHERE ml.apparel(photo) = 'Bag'",
    "SELECT k, COUNT(*) FROM (SELECT @n := @n + 1 AS n, ml.apparel(photo) AS k FROM p) d GROUP BY k ORDER BY k",
    "SELECT ml.apparel(photo) k, COUNT(n) FROM (SELECT NEXTVAL(numbers) AS n, photo FROM p WHERE id < 9) d GROUP BY k ORDER BY k",
    "WITH c AS (SELECT NEXT VALUE FOR numbers AS n, photo FROM p WHERE id < 9) SELECT ml.apparel(photo) k, COUNT(n) FROM c GROUP BY k ORDER BY k",
    "SELECT ml.apparel(photo) k, COUNT(NEXTVAL(numbers)) FROM p WHERE id < 9 GROUP BY k ORDER BY k",
    "SELECT ml.apparel(photo) k, COUNT(*) FROM (SELECT UUID() AS u, photo FROM p) d GROUP BY k ORDER BY k",
    "SELECT ml.apparel(photo) k, COUNT(*) FROM p, (SELECT @n := 7) AS d GROUP BY k ORDER BY k",
];

/// Each is refused by this name; `@n` and the sequence stay as they are.
const REFUSED: &[(&str, &str)] = &[
    (
        "SELECT COUNT(*) FROM (SELECT photo FROM p ORDER BY RAND() LIMIT 5) d WHERE ml.apparel(photo) = 'Bag'",
        "RAND()",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT photo FROM p WHERE NEXTVAL(numbers) < 9) d WHERE ml.apparel(photo) = 'Bag'",
        "NEXTVAL()",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT photo FROM (SELECT @n := @n + 1 AS n, photo FROM p) x WHERE n < 9) d WHERE ml.apparel(photo) = 'Bag'",
        "column 'n'",
    ),
    (
        "SELECT COUNT(*) FROM (SELECT photo FROM p WHERE GET_LOCK('surprises', 0) = 1) d WHERE ml.apparel(photo) = 'Bag'",
        "GET_LOCK()",
    ),
];

#[test]
fn what_must_be_evaluated_once_is() {
    let mut pair = Pair::open();
    for sql in ONCE {
        pair.both("CREATE OR REPLACE TEMPORARY SEQUENCE numbers");
        pair.both("SET @n = 0");
        let verdict = pair.read(&case(*sql), false);
        assert!(matches!(verdict, Verdict::Same), "{sql}: {verdict:?}");
        let state = "SELECT @n, NEXTVAL(numbers)";
        let of_lane = query(&mut pair.lane, state).unwrap();
        let of_naive = query(&mut pair.naive, state).unwrap();
        assert_eq!(of_lane.rows, of_naive.rows, "{sql}");
    }
    for (sql, name) in REFUSED {
        pair.lane
            .run("CREATE OR REPLACE TEMPORARY SEQUENCE numbers");
        pair.lane.run("SET @n = 0");
        let error = query(&mut pair.lane, &in_schema(sql, LANE)).expect_err(sql);
        assert_eq!(error.code, UNSUPPORTED, "{sql}: {error:?}");
        assert!(error.message.contains(name), "{sql}: {error:?}");
        let state = "SELECT @n, NEXTVAL(numbers), IS_FREE_LOCK('surprises')";
        let left = query(&mut pair.lane, state).unwrap();
        let expected = ["0", "1", "1"].map(|cell| Some(cell.as_bytes().to_vec()));
        assert_eq!(left.rows, [expected], "{sql}");
    }
}

#[test]
fn steps_of_a_recursive_with_predict() {
    let mut pair = Pair::open();
    for sql in [
        "WITH RECURSIVE w AS (SELECT 1 AS id, CAST(ml.apparel(photo) AS CHAR(400)) AS path FROM p WHERE id = 1 \
         UNION ALL SELECT w.id + 1, CONCAT_WS('>', w.path, ml.apparel(p.photo)) FROM w JOIN p ON p.id = w.id + 1 WHERE w.id < 9) \
         SELECT id, path FROM w ORDER BY id",
        "WITH RECURSIVE w AS (SELECT 1 AS id UNION ALL SELECT w.id + 1 FROM w JOIN p ON p.id = w.id + 1 WHERE ml.apparel(p.photo) <> 'Bag') \
         SELECT COUNT(*) FROM w",
        "WITH RECURSIVE w AS (SELECT 1 AS id, 'x' AS k UNION ALL SELECT w.id + 1, LEFT(ml.apparel(p.img), 1) FROM w LEFT JOIN p ON p.id = w.id WHERE w.id < 12) \
         SELECT k, COUNT(*) FROM w GROUP BY k ORDER BY k",
    ] {
        let verdict = pair.read(&case(sql), false);
        assert!(matches!(verdict, Verdict::Same), "{sql}: {verdict:?}");
    }
    let sql = "WITH RECURSIVE w AS (SELECT 'photos/00001.png' AS i, 1 AS n UNION ALL SELECT CONCAT('photos/0000', n, '.png'), \
               n + LENGTH(ml.apparel(i)) FROM w WHERE n < 9) SELECT COUNT(*) FROM w";
    let error = query(&mut pair.lane, &in_schema(sql, LANE)).expect_err(sql);
    assert_eq!(error.code, UNSUPPORTED, "{error:?}");
    assert!(error.message.contains("recursive WITH"), "{error:?}");
}

#[test]
fn equal_calls_count_once() {
    let mut pair = Pair::open();
    let sums = (0..1000).map(|n| format!("SUM(ml.apparel(photo) = 'class {n}') AS c{n}"));
    let pivot = format!(
        "SELECT {}, COUNT(*) FROM p",
        sums.collect::<Vec<_>>().join(", ")
    );
    let verdict = pair.read(&case(&*pivot), false);
    assert!(matches!(verdict, Verdict::Same), "{verdict:?}");

    let row = |n: usize| format!("({n}, ml.apparel('photos/{:05}.png'))", n % 3 + 1);
    let batch = (0..2000).map(row).collect::<Vec<_>>().join(", ");
    pair.both("CREATE TEMPORARY TABLE batch (id INT PRIMARY KEY, kind VARCHAR(40))");
    let insert = format!("INSERT INTO batch VALUES {batch}");
    let sums = "SELECT kind, COUNT(*), SUM(id) FROM batch GROUP BY kind ORDER BY kind";
    let mut found = Vec::new();
    for (session, schema) in [(&mut pair.lane, LANE), (&mut pair.naive, NAIVE)] {
        query(session, &in_schema(&insert, schema)).unwrap();
        found.push(query(session, sums).unwrap().rows);
    }
    assert_eq!(found[0], found[1]);

    let different = (0..1001).map(|n| format!("ml.apparel('{n}.png') AS c{n}"));
    let sql = format!("SELECT {}", different.collect::<Vec<_>>().join(", "));
    let error = query(&mut pair.lane, &in_schema(&sql, LANE)).expect_err("too many");
    assert_eq!(error.code, UNSUPPORTED, "{error:?}");
    assert!(error.message.contains("1000 different"), "{error:?}");
}

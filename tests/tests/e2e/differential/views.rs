//! Views over predictions against views over the naive functions: the same statements over both.
//!
//! Statements are written with database `vw`, which is `vd` for the lane and `vn` for the naive
//! side.

use super::answer::{Answer, Param, execute_once, query};
use super::pair::Pair;
use super::schemas::{LANE, NAIVE, in_schema, replace_word};
use super::verdict::{Verdict, verdict};

const VIEWS: &[&str] = &[
    "CREATE VIEW vw.shown AS SELECT id, photo, price, city, label, ml.apparel(photo) AS kind FROM df.p",
    "CREATE OR REPLACE VIEW vw.everything AS SELECT p.*, ml.predict('apparel', photo) AS kind, \
     ml.predict_proba('apparel', 'Bag', photo) AS bag FROM df.p p",
    "CREATE SQL SECURITY INVOKER VIEW vw.hidden AS SELECT id, price, ml.apparel(photo) AS kind, \
     CASE ml.apparel(photo) WHEN 'Bag' THEN 'bag' ELSE CONCAT('no\\\\', 'it''s') END AS is_bag \
     FROM df.p WHERE id < 120 AND price > 1",
    "CREATE VIEW vw.named AS SELECT id, photo, ml.predict('apparel_nano@1', photo) AS nano FROM df.p",
    "CREATE VIEW vw.unnamed AS SELECT id, photo, ml.apparel(photo), UPPER(ml.apparel(photo)) FROM df.p",
    "CREATE VIEW vw.bags AS SELECT id, photo, price FROM df.p WHERE ml.apparel(photo) = 'Bag'",
    "CREATE VIEW vw.counts (what, n) AS SELECT ml.apparel(photo), COUNT(*) FROM df.p GROUP BY ml.apparel(photo)",
    "CREATE VIEW vw.upon AS SELECT s.id, s.kind AS k, s.photo, q.town FROM vw.shown s LEFT JOIN df.q q ON q.k = s.id",
    "CREATE VIEW vw.over_hidden AS SELECT id, LOWER(kind) AS kind FROM vw.hidden WHERE price < 60",
    "CREATE VIEW vw.over_bags AS SELECT b.id, ml.footwear(b.photo) AS shoe FROM vw.bags b",
    "CREATE VIEW vw.few AS SELECT id, ml.apparel(photo) AS kind FROM df.p ORDER BY id LIMIT 20",
    "CREATE VIEW vw.either AS SELECT id, ml.apparel(photo) AS kind FROM df.p WHERE id < 9 UNION ALL SELECT k, kind FROM df.q",
    "CREATE ALGORITHM = TEMPTABLE VIEW vw.apart AS SELECT id, photo, ml.apparel(photo) AS kind FROM df.p",
    "CREATE VIEW vw.kinds AS SELECT DISTINCT ml.apparel(photo) AS kind, city FROM df.p",
    "CREATE VIEW vw.where_equal AS SELECT id, photo, ml.apparel(photo) kind FROM df.p WHERE city = 'Oslo'",
    "CREATE VIEW vw.where_like AS SELECT id, photo, ml.apparel(photo) kind FROM df.p WHERE sku LIKE 'SKU-0%' OR stock IS NULL",
    "CREATE VIEW vw.where_less AS SELECT id, photo, price, ml.apparel(photo) kind FROM df.p WHERE stock < 25 AND price < 60",
    "CREATE VIEW vw.where_query AS SELECT id, photo, ml.apparel(photo) kind FROM df.p WHERE id IN (SELECT k FROM df.q WHERE town > 'E') AND NOT city IN ('Ghent')",
    "CREATE VIEW vw.where_left AS SELECT p.id, p.photo, q.town, ml.apparel(p.photo) kind FROM df.p LEFT JOIN df.q ON q.k = p.stock AND q.k < 9 WHERE q.town <> 'Oslo' OR p.price > 50",
    "CREATE VIEW vw.over_where AS SELECT w.id, w.photo, CONCAT(w.kind, w.kind) AS kind FROM vw.where_less AS w WHERE w.id % 3 <> 1",
    "CREATE VIEW vw.filled AS SELECT id, photo, IFNULL(ml.apparel(photo), 'none') AS kind, ml.apparel('photos/00001.png') AS one, \
     ml.apparel(IFNULL(photo, 'photos/00001.png')) AS any_kind FROM df.p WHERE id > 20",
    "CREATE VIEW vw.over_filled AS SELECT q.k AS id, f.kind, f.one FROM df.q LEFT JOIN vw.filled AS f ON f.id = q.k",
    "CREATE VIEW vw.over_apart AS SELECT a.id FROM vw.apart AS a WHERE a.id < 30",
    "CREATE VIEW vw.shoes_apart AS SELECT a.id, a.photo, ml.footwear(a.photo) AS shoe FROM vw.apart AS a",
    "CREATE VIEW vw.over_counts AS SELECT DISTINCT c.n FROM vw.counts AS c",
    "CREATE VIEW vw.twice_apart AS SELECT o.id + 1 AS next FROM vw.over_apart AS o",
    "CREATE VIEW vw.joined_on AS SELECT s.id, s.photo, s.kind, q.town FROM vw.shown AS s LEFT JOIN df.q ON q.k = s.id AND q.kind <> s.kind",
    "CREATE VIEW vw.shoes AS SELECT p.id, p.photo, UPPER(ml.footwear(p.photo)) AS shoe FROM df.p WHERE p.id <> 7",
    "CREATE VIEW vw.shoes_joined AS SELECT s.id, s.photo, s.shoe, UPPER(s.shoe) AS kind FROM vw.shoes AS s \
     LEFT JOIN df.q ON df.q.k = s.id WHERE s.photo LIKE 'photos/0000%' OR s.shoe > 'P'",
    "CREATE VIEW vw.joined_twice AS SELECT s.id, s.kind, CONCAT(s.shoe, '-') AS label, ml.footwear(s.photo) AS shoe \
     FROM df.q, vw.shoes_joined AS s WHERE (ml.apparel(s.photo) <> 'Shirt' OR s.kind BETWEEN 'B' AND 'F') AND df.q.k = s.id",
    "CREATE VIEW vw.ranked AS SELECT id, kind, ROW_NUMBER() OVER (PARTITION BY kind ORDER BY id) AS r FROM vw.shown",
];

const STATEMENTS: &[&str] = &[
    "SELECT * FROM vw.shown",
    "SELECT COUNT(*), MIN(v.label) FROM vw.joined_twice AS v",
    "SELECT v.* FROM vw.joined_twice AS v ORDER BY v.id, v.label",
    "SELECT id, kind FROM shown WHERE kind = 'Bag' AND price < 60",
    "SELECT * FROM shown ORDER BY id LIMIT 7",
    "SELECT s.* FROM shown AS s WHERE s.kind <> 'Bag' ORDER BY s.id",
    "SELECT vw.shown.kind, shown.id FROM vw.shown WHERE vw.shown.id < 20",
    "SELECT kind, COUNT(*) FROM shown GROUP BY kind ORDER BY kind",
    "SELECT kind, COUNT(*) AS n FROM shown WHERE price < 50 GROUP BY kind HAVING n > 1 ORDER BY n DESC, kind",
    "SELECT city, COUNT(*) FROM shown GROUP BY city HAVING MAX(kind) > 'Shirt' ORDER BY city",
    "SELECT UPPER(kind), COUNT(*) FROM shown GROUP BY kind ORDER BY kind",
    "SELECT LEFT(kind, 1) AS kind, COUNT(*) FROM shown GROUP BY LEFT(shown.kind, 1) ORDER BY 1",
    "SELECT price AS kind FROM shown WHERE id < 9 ORDER BY kind, id",
    "SELECT DISTINCT kind FROM shown ORDER BY kind DESC",
    "SELECT DISTINCT UPPER(kind) FROM shown",
    "SELECT COUNT(*), COUNT(kind), COUNT(DISTINCT kind), MIN(kind) FROM shown",
    "SELECT id FROM shown WHERE kind = label",
    "SELECT id, kind = label AS ok FROM shown",
    "SELECT id FROM over_apart ORDER BY id",
    "SELECT COUNT(*), MIN(v.kind) FROM joined_on AS v",
    "SELECT town, kind, COUNT(*) FROM joined_on GROUP BY town, kind",
    "SELECT COUNT(*), MIN(ml.apparel(s.photo)) FROM (df.p s LEFT JOIN df.q ON (q.k = s.id AND q.kind <> ml.apparel(s.photo)))",
    "SELECT id FROM shoes_apart WHERE id < 9 ORDER BY id",
    "SELECT id, shoe FROM shoes_apart WHERE shoe = 'Sneaker' AND id < 60 ORDER BY id",
    "SELECT COUNT(*) FROM over_counts WHERE n > 1",
    "SELECT q.k, t.next FROM df.q LEFT JOIN twice_apart t ON t.next = q.k ORDER BY q.k",
    "SELECT id FROM shown ORDER BY kind, id LIMIT 12",
    "SELECT id, kind FROM shown ORDER BY shown.kind, id LIMIT 12",
    "SELECT id FROM shown WHERE kind IN ('Bag', 'Coat') OR price < 10",
    "SELECT q.k, s.id FROM df.q JOIN shown s ON s.kind = q.kind WHERE s.id < 30",
    "SELECT q.k, s.* FROM df.q LEFT JOIN shown s ON s.id = q.k AND s.kind = q.kind ORDER BY q.k",
    "SELECT q.k, f.kind FROM df.q LEFT JOIN filled f ON f.id = q.k ORDER BY q.k",
    "SELECT q.k, f.kind, f.one, f.any_kind FROM filled f RIGHT JOIN df.q ON f.id = q.k ORDER BY q.k",
    "SELECT q.k, f.* FROM df.q LEFT JOIN (df.p JOIN filled f ON f.id = p.id) ON p.id = q.k ORDER BY q.k",
    "SELECT COUNT(*) FROM df.q LEFT JOIN filled f ON f.id = q.k WHERE f.kind = 'none'",
    "SELECT * FROM over_filled ORDER BY id",
    "SELECT kind, COUNT(*) FROM over_filled GROUP BY kind ORDER BY kind",
    "SELECT * FROM shown s JOIN df.q q ON s.id = q.k WHERE s.kind = 'Bag'",
    "SELECT a.id, b.id FROM shown a JOIN shown b ON a.kind = b.kind WHERE a.id < 9 AND b.id < 9",
    "SELECT a.id FROM shown a JOIN shown b USING (id) WHERE a.kind = b.kind AND a.id < 40",
    "SELECT COUNT(*) FROM shown NATURAL JOIN (SELECT 5 AS id) AS five",
    "SELECT id FROM df.p WHERE id IN (SELECT id FROM shown WHERE kind = 'Bag')",
    "SELECT k FROM df.q WHERE EXISTS (SELECT 1 FROM shown WHERE shown.kind = q.kind AND shown.id > q.k)",
    "SELECT k, (SELECT COUNT(*) FROM shown WHERE kind = q.kind) FROM df.q",
    "SELECT id FROM shown WHERE EXISTS (SELECT 1 FROM df.q WHERE q.kind = shown.kind AND q.k < 5)",
    "SELECT id, (SELECT MAX(town) FROM df.q WHERE q.kind = shown.kind) FROM shown WHERE id < 50",
    "SELECT d.kind, COUNT(*) FROM (SELECT * FROM shown WHERE price > 30) AS d GROUP BY d.kind",
    "WITH c AS (SELECT kind, price FROM shown) SELECT kind, SUM(price) FROM c GROUP BY kind ORDER BY kind",
    "WITH shown AS (SELECT 'x' AS kind) SELECT kind FROM shown",
    "SELECT kind FROM shown WHERE id < 5 UNION SELECT kind FROM df.q ORDER BY kind",
    "(SELECT id, kind FROM shown WHERE id < 5) UNION ALL (SELECT id, k FROM upon WHERE id < 3) ORDER BY id, kind",
    "SELECT id, ROW_NUMBER() OVER (PARTITION BY kind ORDER BY id) AS r FROM shown ORDER BY id",
    "SELECT CASE WHEN kind = 'Bag' THEN kind ELSE 'other' END AS c, COUNT(*) FROM shown GROUP BY c ORDER BY c",
    "SELECT GROUP_CONCAT(DISTINCT kind ORDER BY kind) FROM shown",
    "SELECT JSON_OBJECT('k', kind) FROM shown WHERE id < 9",
    "SELECT -1 * (kind = 'Bag'), kind LIKE 'S%' FROM shown",
    "SELECT kind FROM shown WHERE id = 3 FOR UPDATE",
    "SELECT kind INTO @kind FROM shown WHERE id = 4",
    "SELECT * FROM everything WHERE kind = 'Bag' LIMIT 3",
    "SELECT id, kind, bag FROM everything WHERE bag > 0.5 ORDER BY id",
    "SELECT kind, COUNT(*) FROM everything WHERE city = 'Oslo' GROUP BY kind",
    "SELECT * FROM hidden",
    "SELECT vw.hidden.id, kind FROM vw.hidden WHERE kind = 'Bag'",
    "SELECT is_bag, COUNT(*) FROM hidden GROUP BY is_bag",
    "SELECT id FROM hidden ORDER BY id",
    "SELECT hidden.*, q.town FROM hidden JOIN df.q ON q.k = hidden.id",
    "SELECT nano, COUNT(*) FROM named GROUP BY nano ORDER BY nano",
    "SELECT n.id FROM named n JOIN shown s ON s.id = n.id WHERE n.nano <> s.kind",
    "SELECT * FROM unnamed WHERE id < 6",
    "SELECT `ml.apparel(photo)`, `UPPER(ml.apparel(photo))` FROM unnamed WHERE `ml.apparel(photo)` = 'Bag'",
    "SELECT * FROM bags",
    "SELECT COUNT(*), MAX(price) FROM bags",
    "SELECT bags.id, ml.footwear(bags.photo) FROM bags WHERE id < 90",
    "SELECT * FROM counts ORDER BY what",
    "SELECT SUM(n) FROM vw.counts",
    "SELECT what FROM counts WHERE n > 3 AND what <> 'Bag' ORDER BY what",
    "SELECT * FROM upon WHERE k = 'Bag'",
    "SELECT k, COUNT(town) FROM upon GROUP BY k ORDER BY k",
    "SELECT town FROM upon WHERE id = 3",
    "SELECT * FROM over_hidden ORDER BY id",
    "SELECT kind, COUNT(*) FROM over_hidden GROUP BY kind",
    "SELECT * FROM over_bags",
    "SELECT shoe, COUNT(*) FROM over_bags GROUP BY shoe",
    "SELECT * FROM few",
    "SELECT COUNT(*) FROM few WHERE kind = 'Bag'",
    "SELECT id FROM few ORDER BY id DESC",
    "SELECT * FROM either ORDER BY id, kind",
    "SELECT kind, COUNT(*) FROM either GROUP BY kind ORDER BY kind",
    "SELECT id FROM apart WHERE id < 9 ORDER BY id",
    "SELECT kind, COUNT(*) FROM apart GROUP BY kind",
    "SELECT * FROM kinds ORDER BY kind, city",
    "SELECT COUNT(*) FROM kinds",
    "SELECT * FROM ranked WHERE r = 1 ORDER BY id",
    "SELECT COUNT(*) FROM where_equal WHERE kind = 'Bag'",
    "SELECT COUNT(*) FROM where_like WHERE kind LIKE 'S%'",
    "SELECT COUNT(*) FROM where_less WHERE kind IN ('Bag', 'Coat') AND price < 20",
    "SELECT kind, COUNT(*) FROM where_query WHERE kind > 'C' GROUP BY kind ORDER BY kind",
    "SELECT town, COUNT(*) FROM where_left WHERE kind <> 'Bag' GROUP BY town",
    "SELECT COUNT(*), MIN(kind) FROM over_where WHERE kind LIKE '%a%'",
    "SELECT COUNT(*) FROM where_equal a JOIN where_like b ON a.kind = b.kind WHERE a.kind <> 'Shirt'",
    "SELECT q.k, COUNT(w.id) FROM df.q LEFT JOIN where_less w ON w.kind = q.kind GROUP BY q.k ORDER BY q.k",
    "SELECT COUNT(*) FROM where_equal w WHERE kind = 'Bag' AND ml.footwear(w.photo) = 'Sandal' AND ml.apparel(photo) <> 'Coat'",
    "SELECT id FROM df.p WHERE id IN (SELECT id FROM where_like WHERE kind BETWEEN 'B' AND 'D') ORDER BY id",
    "SELECT id FROM shown",
    "SELECT COUNT(*) FROM shown WHERE price < 50",
    "SELECT kind FROM shown WHERE 1 = 0",
    "SELECT * FROM shown LIMIT 0",
    "SELECT table_name, column_name, column_type, is_nullable FROM information_schema.columns \
     WHERE table_schema = 'vw' AND table_name NOT IN ('named', 'unnamed') ORDER BY 1, 2",
    "DESCRIBE shown",
    "SHOW FULL COLUMNS FROM hidden",
];

/// Refused by the store.
const WRONG: &[&str] = &[
    "SELECT s.nope, kind FROM shown s",
    "SELECT kind FROM shown s JOIN shown t ON s.id = t.id",
    "SELECT kind, COUNT(*) FROM shown HAVING nope = kind",
    "UPDATE shown SET kind = 'x'",
    "UPDATE shown SET nope = 1 WHERE kind = 'Bag'",
    "DELETE FROM counts WHERE what = 'Bag'",
    "SELECT kind FROM shown WHERE",
];

/// The statement for one side.
fn on(sql: &str, schema: &str) -> String {
    let database = if schema == LANE { "vd" } else { "vn" };
    replace_word(&in_schema(sql, schema), "vw", database)
}

fn made() -> Pair {
    static MADE: std::sync::Once = std::sync::Once::new();
    let mut pair = Pair::open();
    MADE.call_once(|| {
        for sql in ["CREATE DATABASE vw CHARACTER SET utf8mb4"]
            .iter()
            .chain(VIEWS)
        {
            pair.lane.run(&on(sql, LANE));
            pair.naive.run(&on(sql, NAIVE));
        }
    });
    pair.lane.run("USE vd");
    pair.naive.run("USE vn");
    pair
}

fn both(pair: &mut Pair, sql: &str) {
    pair.lane.run(&on(sql, LANE));
    pair.naive.run(&on(sql, NAIVE));
}

fn compare(pair: &mut Pair, sql: &str, parameters: Option<&[Param]>) -> Verdict {
    let run = |session: &mut _, schema| -> Result<Answer, _> {
        match parameters {
            None => query(session, &on(sql, schema)),
            Some(parameters) => execute_once(session, &on(sql, schema), parameters),
        }
    };
    let found = run(&mut pair.lane, LANE);
    let mut expected = run(&mut pair.naive, NAIVE);
    // The store says of such a column that it is never NULL,
    // and then gives NULL where a join finds no row.
    if let (true, Ok(found), Ok(expected)) = (sql.contains("filled"), &found, &mut expected) {
        expected.allow_null_as(found);
    }
    verdict(found, expected, sql.contains("ORDER BY"))
}

#[test]
fn statements_over_views_answer_as_over_the_naive_ones() {
    let mut pair = made();
    let mut wrong = Vec::new();
    for sql in STATEMENTS {
        for plan in ["NULL", "'temporary'", "'inline'"] {
            both(&mut pair, &format!("SET @ml_plan = {plan}"));
            for parameters in [None, Some(&[][..])] {
                let verdict = compare(&mut pair, sql, parameters);
                if !matches!(verdict, Verdict::Same) {
                    wrong.push(format!(
                        "{plan} {}: {sql}\n    {verdict:?}",
                        parameters.is_some()
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        STATEMENTS.len() * 6,
        wrong.join("\n")
    );
}

#[test]
fn what_the_store_refuses_is_refused_in_its_words() {
    let mut pair = made();
    for sql in WRONG {
        let verdict = compare(&mut pair, sql, None);
        assert!(matches!(verdict, Verdict::SameError), "{sql}: {verdict:?}");
    }
}

#[test]
fn parameters_and_sessions_of_other_modes_see_the_same() {
    let mut pair = made();
    let text = |value: &str| Param::Text(value.to_owned());
    for (sql, parameters) in [
        (
            "SELECT ?, id FROM shown WHERE kind = ? AND id < ?",
            vec![Param::Int(1), text("Bag"), Param::Int(80)],
        ),
        (
            "SELECT kind, COUNT(*) FROM hidden WHERE id > ? GROUP BY kind HAVING COUNT(*) > ?",
            vec![Param::Int(3), Param::Int(1)],
        ),
    ] {
        let verdict = compare(&mut pair, sql, Some(&parameters));
        assert!(matches!(verdict, Verdict::Same), "{sql}: {verdict:?}");
    }
    for setup in [
        "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
        "SET sql_mode = ''",
        "SET sql_mode = 'ONLY_FULL_GROUP_BY'",
        "SET NAMES latin1",
        "SET NAMES utf8mb4 COLLATE utf8mb4_general_ci",
        "SET sql_select_limit = 5",
        "USE df",
    ] {
        let mut pair = made();
        pair.both(setup);
        for sql in [
            "SELECT is_bag, COUNT(*) FROM vw.hidden GROUP BY is_bag ORDER BY is_bag",
            "SELECT * FROM vw.shown WHERE kind = 'Bag' ORDER BY id",
            "SELECT kind, COUNT(*) FROM vw.shown GROUP BY kind ORDER BY kind",
            "SELECT * FROM vw.counts ORDER BY what",
        ] {
            let verdict = compare(&mut pair, sql, None);
            assert!(
                matches!(verdict, Verdict::Same),
                "{setup}: {sql}: {verdict:?}"
            );
        }
    }
}

/// Where a view's query takes its place there is nothing to change through it.
#[test]
fn changes_by_way_of_a_view_whose_query_takes_its_place_are_refused() {
    let mut pair = made();
    for sql in [
        "DELETE FROM hidden WHERE kind = 'Bag'",
        "UPDATE hidden SET price = 1 WHERE is_bag = 'bag'",
        "DELETE h FROM hidden h JOIN df.q ON q.k = h.id WHERE h.kind = q.kind",
        "DELETE FROM bags",
        "UPDATE bags SET price = price + 1 LIMIT 3",
    ] {
        for parameters in [None, Some(&[][..])] {
            let verdict = compare(&mut pair, sql, parameters);
            let Verdict::Refused(reason) = &verdict else {
                panic!("{sql}: {verdict:?}");
            };
            let names = ["`vd`.`hidden`", "`vd`.`bags`"];
            assert!(names.iter().any(|view| reason.contains(view)), "{reason}");
        }
    }
}

#[test]
fn changes_by_way_of_views_leave_the_same_tables() {
    let mut pair = made();
    for sql in [
        "CREATE TABLE vw.made (id INT)",
        "CREATE TABLE vw.t AS SELECT id, photo, price, label FROM df.p",
        "ALTER TABLE vw.t ADD PRIMARY KEY (id), MODIFY price DECIMAL(8,2), ADD kind VARCHAR(255)",
        "CREATE VIEW vw.u AS SELECT id, photo, price, label, ml.apparel(photo) AS what FROM vw.t",
        "CREATE VIEW vw.chosen AS SELECT id, photo, price, label, ml.apparel(photo) AS what FROM vw.t WHERE label LIKE 'S%' AND price < 70",
        "CREATE VIEW vw.checked AS SELECT id, photo, price FROM vw.t WHERE ml.apparel(photo) = 'Bag' WITH CHECK OPTION",
    ] {
        both(&mut pair, sql);
    }
    for sql in [
        "INSERT INTO u (id, photo, price) VALUES (900, 'photos/00001.png', 1)",
        "UPDATE u SET price = 0 WHERE what = 'Bag'",
        "UPDATE u SET label = what WHERE id < 30",
        "UPDATE chosen SET price = price + 1 WHERE what IN ('Shirt', 'Sandal')",
        "UPDATE chosen JOIN df.q ON q.k = chosen.id SET chosen.price = 3 WHERE what <> 'Shirt'",
        "DELETE FROM chosen WHERE what LIKE 'Sn%'",
        "INSERT INTO t (id, kind) SELECT id + 5000, what FROM chosen WHERE what > 'S'",
        "REPLACE INTO t (id, kind) SELECT id, what FROM chosen WHERE what = 'Shirt' LIMIT 0",
        "UPDATE t JOIN u ON u.id = t.id SET t.kind = u.what WHERE t.id < 60",
        "DELETE FROM u WHERE what = 'Coat' AND id > 100",
        "DELETE t FROM t JOIN shown ON shown.id = t.id WHERE shown.kind = 'Shirt' AND t.id > 90",
        "INSERT INTO t (id, kind) SELECT id + 1000, kind FROM shown WHERE kind = 'Bag'",
        "INSERT INTO t (id, kind) SELECT id, kind FROM shown WHERE id < 9 ON DUPLICATE KEY UPDATE t.kind = CONCAT(shown.kind, '!')",
        "REPLACE INTO t (id, kind) SELECT 2000, MAX(kind) FROM shown",
        "CREATE OR REPLACE TABLE made AS SELECT id, kind, UPPER(kind) FROM shown WHERE id < 20",
    ] {
        let verdict = compare(&mut pair, sql, None);
        assert!(matches!(verdict, Verdict::Same), "{sql}: {verdict:?}");
        for table in ["t", "made"] {
            let rows = format!("SELECT * FROM {table} ORDER BY id");
            let verdict = compare(&mut pair, &rows, None);
            assert!(matches!(verdict, Verdict::Same), "{sql}: {verdict:?}");
        }
    }
    let mut made = |schema| {
        let session = if schema == LANE {
            &mut pair.lane
        } else {
            &mut pair.naive
        };
        session.rows(&on("SHOW CREATE TABLE made", schema))
    };
    assert_eq!(made(LANE), made(NAIVE));
}

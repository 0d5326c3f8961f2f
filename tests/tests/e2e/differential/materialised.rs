//! Statements that need two passes, and the plans forced over everything.

use super::answer::{Param, execute_once, query};
use super::generator::Generator;
use super::{Case, LANE, NAIVE, Pair, Verdict, case, corpus, in_schema};

/// Statements of one SELECT and more, that no stream plan answers.
pub const SELECTS: &[&str] = &[
    // GROUP BY, aggregates, HAVING
    "SELECT ml.apparel(photo), COUNT(*) FROM p GROUP BY ml.apparel(photo)",
    "SELECT ml.apparel(photo) AS kind, COUNT(*), SUM(price), MIN(id) FROM p GROUP BY kind ORDER BY kind",
    "SELECT city, ml.apparel(photo), COUNT(*) FROM p GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT stock, ml.apparel(photo) AS k, COUNT(*) FROM p WHERE price < 60 GROUP BY stock, k WITH ROLLUP",
    "SELECT COUNT(*) FROM p WHERE ml.apparel(photo) = 'Bag'",
    "SELECT COUNT(ml.apparel(photo)), COUNT(DISTINCT ml.apparel(photo)), MAX(ml.apparel(photo)), MIN(ml.apparel(img)) FROM p",
    "SELECT SUM(ml.apparel(photo) = 'Bag'), SUM(IF(ml.apparel(photo) = 'Bag', price, 0)) FROM p",
    "SELECT AVG(ml.predict_proba('apparel', 'Bag', photo)) > 0.05, MAX(ml.predict_proba('apparel', 'Bag', photo)) FROM p",
    "SELECT city, SUM(CASE ml.apparel(photo) WHEN 'Bag' THEN 1 WHEN 'Coat' THEN 2 ELSE 0 END) AS s FROM p GROUP BY city ORDER BY s, city",
    "SELECT GROUP_CONCAT(DISTINCT ml.apparel(photo) ORDER BY ml.apparel(photo) SEPARATOR '|') FROM p",
    "SELECT GROUP_CONCAT(id ORDER BY ml.apparel(photo), id) FROM p WHERE id < 40",
    "SELECT city, COUNT(*) FROM p GROUP BY city HAVING MAX(ml.apparel(photo)) > 'Shirt' ORDER BY city",
    "SELECT ml.apparel(photo) k, AVG(price) FROM p GROUP BY k HAVING k <> 'Bag' AND COUNT(*) > 3 ORDER BY k",
    "SELECT LEFT(ml.apparel(photo), 1) AS l, COUNT(*) FROM p GROUP BY l ORDER BY l",
    "SELECT label = ml.apparel(photo) AS ok, COUNT(*) FROM p GROUP BY ok ORDER BY ok",
    "SELECT label, ml.apparel(photo), COUNT(*) FROM p GROUP BY label, ml.apparel(photo) ORDER BY 1, 2",
    "SELECT ml.apparel(photo) COLLATE utf8mb4_bin k, COUNT(*) FROM p GROUP BY k ORDER BY k",
    "SELECT ml.apparel(photo) FROM p GROUP BY ml.apparel(photo) ORDER BY COUNT(*) DESC, 1 LIMIT 3",
    "SELECT JSON_ARRAYAGG(ml.apparel(photo)) FROM p WHERE id = 4",
    "SELECT ml.apparel(photo) = 'Bag' AND price > 20 AS b, COUNT(*) FROM p GROUP BY b ORDER BY b",
    "SELECT COUNT(*), ml.footwear(photo) f, ml.predict('footwear_other', photo) o FROM p GROUP BY f, o ORDER BY f, o",
    // DISTINCT
    "SELECT DISTINCT ml.apparel(photo) FROM p",
    "SELECT DISTINCT city, ml.apparel(photo) = 'Bag' FROM p ORDER BY 1, 2",
    "SELECT DISTINCT(ml.apparel(photo)) AS x FROM p ORDER BY x LIMIT 4",
    "SELECT COUNT(DISTINCT city, ml.apparel(photo)) FROM p",
    "SELECT SQL_CALC_FOUND_ROWS id, ml.apparel(photo) FROM p ORDER BY id LIMIT 3",
    // ORDER BY
    "SELECT id FROM p ORDER BY ml.apparel(photo), id",
    "SELECT id, ml.apparel(photo) AS k FROM p ORDER BY k DESC, id LIMIT 10 OFFSET 5",
    "SELECT id, ml.apparel(photo) FROM p ORDER BY 2, 1 LIMIT 12",
    "SELECT id FROM p ORDER BY ml.predict_proba('apparel', 'Bag', photo) > 0.5 DESC, id LIMIT 20",
    "SELECT id FROM p WHERE price < 70 ORDER BY ml.apparel(photo) = label DESC, id",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' ORDER BY ml.apparel(img), id",
    "SELECT id FROM p ORDER BY FIELD(ml.apparel(photo), 'Bag', 'Coat'), id LIMIT 30",
    // expressions that a stream cannot evaluate
    "SELECT id, CONCAT(ml.apparel(photo), '/', ml.apparel(img)) FROM p",
    "SELECT id, ml.apparel(photo) = ml.footwear(photo) FROM p",
    "SELECT id, ROUND(ml.predict_proba('apparel', 'Bag', photo), 1) FROM p",
    "SELECT id, ml.predict_proba('apparel', 'Bag', photo) > 0.5 AS sure FROM p",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) > ml.predict_proba('apparel', 'Coat', photo)",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) > price / 100",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' OR ml.apparel(img) = 'Bag'",
    "SELECT id FROM p WHERE ml.apparel(photo) <> ml.apparel(img) AND price < 80",
    "SELECT id, ml.predict_proba('footwear_other', 'Bag', photo) + 1 FROM p",
    "SELECT id, IF(ml.apparel(photo) = 'Bag', ml.footwear(photo), 'none') FROM p",
    "SELECT id, (ml.apparel(photo), id) = ('Bag', 7) FROM p",
    "SELECT @n := 7, id, ml.apparel(photo) FROM p WHERE id < 5",
    // window functions
    "SELECT id, ROW_NUMBER() OVER (PARTITION BY ml.apparel(photo) ORDER BY id) FROM p",
    "SELECT id, COUNT(*) OVER (PARTITION BY ml.apparel(photo)), RANK() OVER (ORDER BY ml.apparel(photo)) FROM p ORDER BY id",
    "SELECT id, LAG(ml.apparel(photo)) OVER (ORDER BY id) FROM p",
    "SELECT ml.apparel(photo) k, SUM(COUNT(*)) OVER (ORDER BY ml.apparel(photo)) FROM p GROUP BY k ORDER BY k",
    // joins
    "SELECT p.id, q.k FROM p JOIN q ON ml.apparel(p.photo) = q.kind WHERE p.id < 20",
    "SELECT p.id, q.k FROM p LEFT JOIN q ON q.k = p.stock AND ml.apparel(p.photo) = q.kind",
    "SELECT q.kind, COUNT(p.id) FROM q LEFT JOIN p ON ml.apparel(p.photo) = q.kind AND p.id < 50 GROUP BY q.kind ORDER BY q.kind",
    "SELECT a.id, b.id FROM p a JOIN p b ON ml.apparel(a.photo) = ml.apparel(b.photo) WHERE a.id < 6 AND b.id < 12",
    "SELECT q.town, ml.apparel(p.photo), COUNT(*) FROM p JOIN q ON q.k = p.stock GROUP BY 1, 2 ORDER BY 1, 2",
    "SELECT COUNT(*) FROM p NATURAL JOIN (SELECT id, ml.apparel(img) AS i FROM p) AS r WHERE ml.apparel(photo) = r.i",
    "SELECT * FROM (SELECT id, ml.apparel(photo) AS k FROM p) a JOIN (SELECT kind AS k, COUNT(*) AS n FROM q GROUP BY kind) b USING (k) ORDER BY id",
    // derived tables and WITH
    "SELECT k, COUNT(*) FROM (SELECT id, ml.apparel(photo) AS k FROM p WHERE price < 50) AS d GROUP BY k ORDER BY k",
    "SELECT d.* FROM (SELECT id, ml.apparel(photo) FROM p) AS d ORDER BY id LIMIT 5",
    "SELECT `ml.apparel(photo)` FROM (SELECT id, ml.apparel(photo) FROM p) AS d WHERE id < 4",
    "WITH c AS (SELECT id, photo, ml.apparel(photo) AS k FROM p) SELECT k, COUNT(*) FROM c GROUP BY k ORDER BY k",
    "WITH c AS (SELECT id, photo FROM p WHERE ml.apparel(photo) = 'Bag') SELECT id, ml.footwear(photo) FROM c ORDER BY id",
    "WITH a AS (SELECT id, photo FROM p WHERE price < 50), b AS (SELECT id, ml.apparel(photo) AS k FROM a) SELECT a.id, b.k, ml.footwear(a.photo) FROM a JOIN b ON a.id = b.id ORDER BY a.id",
    "WITH RECURSIVE n AS (SELECT 1 AS i, ml.apparel('photos/00001.png') AS k UNION ALL SELECT i + 1, k FROM n WHERE i < 4) SELECT i, k FROM n",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT ml.apparel(CONCAT('photos/0000', i, '.png')) k, COUNT(*) FROM n GROUP BY k",
    // UNION and its kin
    "SELECT ml.apparel(photo) FROM p WHERE id < 9 UNION SELECT kind FROM q",
    "SELECT id, ml.apparel(photo) FROM p WHERE id < 9 UNION ALL SELECT id, ml.footwear(photo) FROM p WHERE id > 140",
    "(SELECT id, ml.apparel(photo) k FROM p WHERE id < 9) UNION ALL (SELECT k, kind FROM q) ORDER BY 1, 2 LIMIT 10",
    "SELECT kind FROM q EXCEPT SELECT ml.apparel(photo) FROM p WHERE id < 20",
    "SELECT kind FROM q INTERSECT SELECT ml.apparel(photo) FROM p WHERE id < 20",
    "SELECT 'x' UNION SELECT ml.apparel('photos/00002.png')",
    // sub-queries
    "SELECT k FROM q WHERE kind IN (SELECT ml.apparel(photo) FROM p WHERE price < 30)",
    "SELECT k FROM q WHERE kind NOT IN (SELECT ml.apparel(photo) FROM p WHERE price < 30 AND ml.apparel(photo) IS NOT NULL)",
    "SELECT k FROM q WHERE EXISTS (SELECT 1 FROM p WHERE ml.apparel(p.photo) = q.kind AND p.stock > q.k)",
    "SELECT k, (SELECT COUNT(*) FROM p WHERE ml.apparel(p.photo) = q.kind) FROM q",
    "SELECT k, (SELECT ml.apparel(p.photo) FROM p WHERE p.id = q.k) FROM q",
    "SELECT id FROM p WHERE ml.apparel(photo) = (SELECT ml.apparel(photo) FROM p WHERE id = 24)",
    "SELECT id FROM p WHERE price > (SELECT AVG(price) FROM p AS o WHERE ml.apparel(o.photo) = ml.apparel(p.photo)) AND id < 40",
    "SELECT id FROM p WHERE EXISTS (SELECT 1 FROM q WHERE q.kind = ml.apparel(p.photo) AND q.k < 5)",
    "SELECT id FROM p WHERE EXISTS (SELECT 1 FROM q WHERE q.kind = ml.apparel(photo) AND q.k < 5)",
    "SELECT id, (SELECT COUNT(*) FROM q WHERE q.kind = ml.apparel(p.photo)) FROM p",
    "SELECT id, (SELECT ml.apparel(p.photo)) FROM p WHERE id < 30",
    "SELECT k FROM q WHERE EXISTS (SELECT 1 FROM p WHERE p.id = q.k AND ml.apparel(CONCAT('photos/', LPAD(q.k + p.id, 5, '0'), '.png')) = 'Bag')",
    "SELECT id FROM p WHERE (SELECT MAX(kind) FROM q WHERE q.k = p.stock) > ml.apparel(photo)",
    "SELECT id FROM p WHERE ml.apparel((SELECT r.photo FROM p AS r WHERE r.id = p.id + 1)) = 'Bag' AND id < 50",
    // aggregated and nested inputs
    "SELECT city, ml.apparel(MIN(photo)) FROM p GROUP BY city ORDER BY city",
    "SELECT city, COUNT(*) FROM p WHERE stock > 4 GROUP BY city HAVING ml.apparel(MAX(photo)) <> 'Bag' ORDER BY city",
    "SELECT id, ml.apparel(IF(ml.footwear(photo) = 'Sandal', photo, NULL)) FROM p",
    "SELECT COUNT(*) FROM p WHERE ml.apparel(IF(ml.apparel(photo) = 'Bag', photo, 'photos/00002.png')) = 'Pullover'",
    // several tables, tasks and models
    "SELECT ml.apparel(photo) a, ml.footwear(photo) f, COUNT(*) FROM p GROUP BY a, f ORDER BY a, f",
    "SELECT ml.predict('apparel_nano@1', photo) = ml.predict('apparel_nano@2', photo) AS same, COUNT(*) FROM p GROUP BY same",
    "SELECT ml.apparel(photo), ml.apparel(photo_ci), ml.apparel(photo_latin), ml.apparel(img), COUNT(*) FROM p GROUP BY 1, 2, 3, 4",
    "SELECT COUNT(*) FROM p WHERE ml.apparel(photo) = ml.apparel(photo_ci) AND ml.apparel(photo) = ml.apparel(photo_latin)",
    // nothing asked for
    "SELECT ml.apparel(photo), COUNT(*) FROM p WHERE 1 = 0 GROUP BY 1",
    "SELECT ml.apparel(photo), COUNT(*) FROM p GROUP BY 1 LIMIT 0",
    "SELECT MAX(ml.apparel(photo)) FROM p WHERE id < 0",
    // without a table
    "SELECT MAX(ml.apparel('photos/00002.png'))",
    "SELECT ml.apparel('photos/00002.png') UNION ALL SELECT ml.apparel('photos/00002.png')",
    "SELECT id FROM p WHERE id < 30 AND ml.apparel('photos/00010.png') <> label GROUP BY id ORDER BY id",
    // errors of the store
    "SELECT ml.apparel(nope), COUNT(*) FROM p GROUP BY 1",
    "SELECT ml.apparel(photo), COUNT(*) FROM nope GROUP BY 1",
    "SELECT ml.apparel(photo), COUNT(* FROM p GROUP BY 1",
    "SELECT id FROM p WHERE ml.apparel(photo) = (SELECT kind FROM q) ORDER BY ml.apparel(photo)",
];

/// With parameters, for both protocols.
pub fn with_parameters() -> Vec<Case> {
    let text = |value: &str| Param::Text(value.to_owned());
    vec![
        case("SELECT ml.apparel(photo) k, COUNT(*) FROM p WHERE price < ? GROUP BY k HAVING k <> ? ORDER BY k LIMIT ?")
            .with([Param::Int(60), text("Bag"), Param::Int(3)]),
        case("SELECT COUNT(*) FROM p WHERE ml.apparel(photo) = ? OR ml.apparel(img) = ?").with([text("Bag"), text("Coat")]),
        case("SELECT MAX(ml.apparel(?)), ?").with([text("photos/00002.png"), Param::Int(4)]),
        case("SELECT MAX(ml.apparel(?))").with([Param::Null]),
        case("SELECT COUNT(*), ml.apparel(CONCAT(?, photo)) k FROM p WHERE id < ? GROUP BY k ORDER BY k").with([text(""), Param::Int(50)]),
        case("SELECT k FROM q WHERE k > ? AND kind IN (SELECT ml.apparel(photo) FROM p WHERE price < ? AND id <> ?)")
            .with([Param::Int(2), Param::Int(40), Param::Int(9)]),
    ]
}

fn plans(pair: &mut Pair, plan: &str) {
    pair.lane.run(&format!("SET @ml_plan = {plan}"));
    // Else the store takes answers of sub-queries for each other's, by the collations of columns
    // that they read.
    pair.naive
        .run("SET optimizer_switch = 'subquery_cache=off'");
}

/// Runs cases under a plan; what differs is listed.
fn compare(cases: &[Case], plan: &str, refused: &mut usize) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut plain = Pair::open();
    plans(&mut plain, plan);
    for case in cases {
        let mut own;
        let pair = match case.setup.is_empty() {
            true => &mut plain,
            false => {
                own = Pair::open();
                plans(&mut own, plan);
                case.setup.iter().for_each(|sql| own.both(sql));
                &mut own
            }
        };
        for protocol in ["text", "prepared"] {
            let verdict = match protocol {
                "text" => pair.text(case),
                _ => pair.prepared(case),
            };
            match verdict {
                Verdict::Same => continue,
                Verdict::Refused(reason) if plan != "NULL" => {
                    println!("{plan} refused: {}\n    {reason}", case.sql);
                    *refused += 1;
                    continue;
                }
                verdict => wrong.push(format!("{plan}, {protocol}: {}\n    {verdict:?}", case.sql)),
            }
            // The session may be lost.
            *pair = Pair::open();
            plans(pair, plan);
            case.setup.iter().for_each(|sql| pair.both(sql));
        }
    }
    wrong
}

#[test]
fn statements_of_two_passes_answer_as_the_naive_evaluation_does() {
    let mut cases: Vec<Case> = SELECTS.iter().map(|sql| case(*sql)).collect();
    cases.extend(with_parameters());
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for plan in ["NULL", "'temporary'", "'inline'"] {
        wrong.extend(compare(&cases, plan, &mut refused));
    }
    println!(
        "{} statements under 3 plans, 2 protocols; {refused} refused",
        cases.len()
    );
    assert!(
        wrong.is_empty() && refused == 0,
        "{}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn forced_plans_answer_the_statements_of_stream_plans_too() {
    let cases = corpus::all();
    let (mut wrong, mut refused) = (Vec::new(), 0);
    for plan in ["'temporary'", "'inline'"] {
        wrong.extend(compare(&cases, plan, &mut refused));
    }
    println!(
        "{} statements under 2 plans, 2 protocols; {refused} refused",
        cases.len()
    );
    assert!(
        wrong.is_empty() && refused == 0,
        "{}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// A change of a session's own table `w`, a copy of `p`.
const CHANGES: &[&str] = &[
    "UPDATE w SET city = ml.apparel(photo)",
    "UPDATE w SET city = ml.apparel(photo), stock = 5 WHERE price < 50",
    "UPDATE w SET price = price + 1 WHERE ml.apparel(photo) = 'Bag'",
    "UPDATE w SET city = 'x' WHERE ml.apparel(photo) = 'Bag' ORDER BY id LIMIT 2",
    "UPDATE w JOIN q ON q.k = w.stock SET w.city = ml.apparel(w.photo) WHERE q.town = 'Oslo'",
    "DELETE FROM w WHERE ml.apparel(photo) = 'Bag'",
    "DELETE FROM w WHERE ml.apparel(photo) <> label AND price < 60 ORDER BY id LIMIT 7",
    "DELETE w FROM w JOIN q ON q.k = w.stock WHERE ml.apparel(w.photo) = 'Bag' OR q.k = 3",
    "DELETE FROM w USING w JOIN q ON q.k = w.stock WHERE ml.apparel(w.photo) = 'Bag'",
    "INSERT INTO w (id, sku, price, city) SELECT id + 1000, sku, price, ml.apparel(photo) FROM p WHERE id < 30",
    "INSERT INTO w (id, sku, price, city) SELECT id + 1000, sku, price, ml.apparel(photo) FROM p WHERE ml.apparel(img) = 'Bag'",
    "INSERT INTO w (id, sku, price, city) SELECT MAX(id) + 1000, ml.apparel(photo) AS k, 1, COUNT(*) FROM p WHERE photo IS NOT NULL GROUP BY k HAVING k IS NOT NULL",
    "INSERT INTO w (id, sku, price, city) VALUES (900, 'a', 1, ml.apparel('photos/00002.png')), (901, 'b', 2, ml.apparel(NULL))",
    "INSERT INTO w SET id = 900, sku = 'a', price = 2, city = ml.apparel('photos/00002.png')",
    "INSERT INTO w (id, sku, price) VALUES (3, 'a', 1) ON DUPLICATE KEY UPDATE city = ml.apparel('photos/00002.png')",
    "INSERT INTO w (id, sku, price) SELECT id, sku, price FROM p WHERE id < 20 ON DUPLICATE KEY UPDATE city = ml.apparel(p.photo)",
    "REPLACE INTO w (id, sku, price, city) SELECT id, sku, price, ml.apparel(photo) FROM p WHERE id < 30",
    "REPLACE INTO w (id, sku, price, city) VALUES (4, 'a', 1, ml.apparel('photos/00002.png'))",
    "INSERT IGNORE INTO w (id, sku, price, city) SELECT id, sku, price, ml.apparel(photo) FROM p",
    "CREATE TEMPORARY TABLE made AS SELECT id, ml.apparel(photo) AS k, ml.predict_proba('apparel', 'Bag', photo) AS s, CONCAT(ml.apparel(photo), '!') FROM p",
    "CREATE TEMPORARY TABLE made SELECT ml.apparel(photo), COUNT(*) AS n FROM p GROUP BY 1",
    "CREATE TEMPORARY TABLE made (k VARCHAR(40), PRIMARY KEY (id)) SELECT id, ml.apparel(photo) AS k FROM p WHERE price < 50",
    "SELECT COUNT(*) INTO @v FROM w WHERE ml.apparel(photo) = 'Bag'",
    "SELECT id, ml.apparel(photo) INTO @v, @u FROM w ORDER BY ml.apparel(photo), id LIMIT 1",
    "SET @v = ml.apparel('photos/00002.png')",
    "SET @v = (SELECT MAX(ml.apparel(photo)) FROM w)",
    "DO ml.apparel('photos/00002.png')",
    "SELECT id FROM w WHERE ml.apparel(photo) = 'Bag' ORDER BY id FOR UPDATE",
    "SELECT ml.apparel(photo) AS k, COUNT(*) FROM w GROUP BY k ORDER BY k LOCK IN SHARE MODE",
    // errors of the store
    "UPDATE w SET id = 3 WHERE ml.apparel(photo) = 'Bag'",
    "INSERT INTO w (id, sku, price, city) SELECT id, sku, price, ml.apparel(photo) FROM p",
];

#[test]
fn changes_leave_what_the_naive_evaluation_leaves() {
    let mut wrong = Vec::new();
    for plan in ["NULL", "'temporary'", "'inline'"] {
        for sql in CHANGES {
            for (in_transaction, binary) in [(false, false), (true, false), (false, true)] {
                let mut pair = Pair::open();
                plans(&mut pair, plan);
                pair.both("CREATE TEMPORARY TABLE w LIKE p");
                pair.both("INSERT INTO w SELECT * FROM p");
                pair.both("SET @v = NULL, @u = NULL");
                if in_transaction {
                    pair.both("START TRANSACTION");
                }
                let (lane, naive) = (in_schema(sql, LANE), in_schema(sql, NAIVE));
                let (found, expected) = match binary {
                    false => (query(&mut pair.lane, &lane), query(&mut pair.naive, &naive)),
                    true => (
                        execute_once(&mut pair.lane, &lane, &[]),
                        execute_once(&mut pair.naive, &naive, &[]),
                    ),
                };
                let mut note = |what: String| {
                    wrong.push(format!(
                        "{plan} {in_transaction} {binary}: {sql}\n    {what}"
                    ));
                };
                match (&found, &expected) {
                    (Ok(found), Ok(expected)) => {
                        if let Some(difference) = found.difference(expected, true) {
                            note(difference);
                        }
                        if found.done != expected.done {
                            note(format!("{:?}, expected {:?}", found.done, expected.done));
                        }
                    }
                    (Err(found), Err(expected)) if found.code == expected.code => {}
                    _ => note(format!("{found:?}, expected {expected:?}")),
                }
                // What leaves FOUND_ROWS() alone leaves what the lane's own statements have made of it.
                let counts_rows = sql.contains("SELECT") && !sql.starts_with("SET");
                let counts = match expected.is_ok() && counts_rows {
                    true => "SELECT ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID()",
                    false => "SELECT ROW_COUNT(), LAST_INSERT_ID()",
                };
                let mut probes = vec![counts, "SELECT @v, @u", "SELECT * FROM w ORDER BY id"];
                if sql.contains("TABLE made") && expected.is_ok() {
                    probes.extend(["SELECT * FROM made ORDER BY 1", "SHOW CREATE TABLE made"]);
                }
                for probe in probes {
                    let found = query(&mut pair.lane, probe);
                    let expected = query(&mut pair.naive, probe);
                    match (found, expected) {
                        (Ok(found), Ok(expected)) => {
                            let found = found.plain();
                            if let Some(difference) = found.difference(&expected.plain(), true) {
                                note(format!("{probe}: {difference}"));
                            }
                        }
                        (found, expected) => note(format!("{probe}: {found:?}, {expected:?}")),
                    }
                }
            }
        }
    }
    println!("{} changes under 3 plans, 3 ways", CHANGES.len());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn random_statements_of_two_passes_answer_as_the_naive_evaluation_does() {
    const STATEMENTS: usize = 900;
    let seed = std::env::var("PREDICTSQL_TEST_SEED").map_or(20_261_124, |s| s.parse().unwrap());
    let mut generator = Generator::new(seed);
    let mut pair = Pair::open();
    let mut compared = 0;
    for number in 0..STATEMENTS {
        let case = generator.statement_of_two_passes();
        let plan = ["NULL", "'temporary'", "'inline'"][number % 3];
        plans(&mut pair, plan);
        for (protocol, verdict) in [
            ("text", pair.text(&case)),
            ("prepared", pair.prepared(&case)),
        ] {
            match verdict {
                Verdict::Same => compared += 1,
                wrong => panic!(
                    "statement {number} of seed {seed} ({protocol}, plan {plan}): {}\n  parameters {:?}\n  {wrong:?}",
                    case.sql, case.params
                ),
            }
        }
    }
    println!("{compared} answers compared");
}

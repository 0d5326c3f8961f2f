//! Statements that change tables and variables: what they answer, and what they leave.

use super::answer::query;
use super::case::{Case, case};
use super::pair::Pair;
use super::tally::Tally;
use super::verdict::{MIXED_COLLATIONS, UNSUPPORTED, Verdict, verdict};

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
    "SELECT id, ml.apparel(photo) INTO @v, @u FROM w ORDER BY ml.apparel('photos/00002.png'), id LIMIT 1",
    "SET @v = ml.apparel('photos/00002.png')",
    "SET @v = (SELECT MAX(ml.apparel(photo)) FROM w)",
    "DO ml.apparel('photos/00002.png')",
    "SELECT id FROM w WHERE ml.apparel(photo) = 'Bag' ORDER BY id FOR UPDATE",
    "SELECT ml.apparel(photo) AS k, COUNT(*) FROM w GROUP BY k ORDER BY k LOCK IN SHARE MODE",
    // errors of the store
    "UPDATE w SET id = 3 WHERE ml.apparel(photo) = 'Bag'",
    "INSERT INTO w (id, sku, price, city) SELECT id, sku, price, ml.apparel(photo) FROM p",
    // in the lane's own transaction: inputs are found only while the statement is tried
    "UPDATE w JOIN q ON q.k = w.stock SET w.city = ml.apparel(IF(ml.footwear(w.photo) = 'Sandal', w.photo, w.photo_ci)), w.sku = CONCAT(w.sku, ml.predict('bag_tiny_other', w.photo)) WHERE w.label LIKE CONCAT('%', ml.apparel(w.photo), '%')",
    "UPDATE w SET photo = IF(id % 2, photo, photo_ci), city = ml.apparel(IF(ml.footwear(photo) = 'Sandal', photo, photo_ci)), sku = IF(ml.apparel(photo) = 'Bag', NULL, sku)",
];

/// Runs a change and compares its answer and what it leaves: counts, variables, tables.
pub fn compare(pair: &mut Pair, case: &Case, binary: bool) -> Verdict {
    let (found, expected) = pair.answers(case, binary);
    let mut wrong = Vec::new();
    match (&found, &expected) {
        (Err(error), _) if error.code == UNSUPPORTED => {
            return Verdict::Refused(error.message.clone());
        }
        (Ok(found), Ok(expected)) => {
            wrong.extend(found.difference(expected, case.ordered));
            if found.done != expected.done {
                wrong.push(format!("{:?}, expected {:?}", found.done, expected.done));
            }
        }
        (Err(found), Err(expected))
            if (found.code, &found.sqlstate) == (expected.code, &expected.sqlstate) => {}
        (_, Err(expected)) if MIXED_COLLATIONS.contains(&expected.code) => {
            return Verdict::Lenient;
        }
        _ => return Verdict::Different(format!("{found:?}, expected {expected:?}")),
    }
    for probe in probes(&case.sql, expected.is_ok()) {
        match (query(&mut pair.lane, probe), query(&mut pair.naive, probe)) {
            (Ok(found), Ok(expected)) => {
                let difference = found.plain().difference(&expected.plain(), true);
                wrong.extend(difference.map(|difference| format!("{probe}: {difference}")));
            }
            (found, expected) => wrong.push(format!("{probe}: {found:?}, {expected:?}")),
        }
    }
    match (wrong.is_empty(), expected) {
        (true, Ok(_)) => Verdict::Same,
        (true, Err(_)) => Verdict::SameError,
        (false, _) => Verdict::Different(wrong.join("; ")),
    }
}

/// The same without a look at what it leaves.
pub fn compare_answers(pair: &mut Pair, case: &Case, binary: bool) -> Verdict {
    let (found, expected) = pair.answers(case, binary);
    match (&found, &expected) {
        (Ok(done), Ok(wanted)) if done.done != wanted.done => {
            Verdict::Different(format!("{:?}, expected {:?}", done.done, wanted.done))
        }
        _ => verdict(found, expected, case.ordered),
    }
}

/// Questions about what a change has left.
fn probes(sql: &str, done: bool) -> Vec<&'static str> {
    // Sub-queries of changes leave what lookups beside them have made of FOUND_ROWS().
    let counts_rows = sql.contains("SELECT")
        && !["SET", "UPDATE", "DELETE"]
            .iter()
            .any(|verb| sql.starts_with(verb));
    let counts = match done && counts_rows {
        true => "SELECT ROW_COUNT(), FOUND_ROWS(), LAST_INSERT_ID()",
        false => "SELECT ROW_COUNT(), LAST_INSERT_ID()",
    };
    let mut probes = vec![counts, "SELECT @v, @u", "SELECT * FROM w ORDER BY id"];
    if sql.contains("TABLE made") && done {
        probes.extend(["SELECT * FROM made ORDER BY 1", "SHOW CREATE TABLE made"]);
    }
    probes
}

#[test]
fn changes_leave_what_the_naive_evaluation_leaves() {
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for plan in ["NULL", "'temporary'", "'inline'"] {
        for sql in CHANGES {
            for (in_transaction, binary) in [(false, false), (true, false), (false, true)] {
                let mut pair = Pair::open();
                pair.lane.run(&format!("SET @ml_plan = {plan}"));
                pair.both("CREATE TEMPORARY TABLE w LIKE p");
                pair.both("INSERT INTO w SELECT * FROM p");
                pair.both("SET @v = NULL, @u = NULL");
                if in_transaction {
                    pair.both("START TRANSACTION");
                }
                let verdict = compare(&mut pair, &case(*sql), binary);
                tally.count(&verdict);
                if !matches!(verdict, Verdict::Same | Verdict::SameError) {
                    wrong.push(format!(
                        "{plan} {in_transaction} {binary}: {sql}\n    {verdict:?}"
                    ));
                }
            }
        }
    }
    println!("{} changes under 3 plans, 3 ways: {tally}", CHANGES.len());
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

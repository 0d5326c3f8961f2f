//! Labels under other collations of the connection, which most drivers begin with: their answers
//! are those that the naive evaluation gives under the collation that its functions have.

use super::answer::{execute_once, query};
use super::case::case;
use super::pair::Pair;
use super::schemas::{LANE, NAIVE, in_schema};
use super::shop::model;

/// utf8mb4_unicode_ci is the default of mysql2, sqlx and DBD::MariaDB.
const FOLDING_CASE: [&str; 5] = [
    "utf8mb4_unicode_ci",
    "utf8mb4_unicode_520_ci",
    "utf8mb4_german2_ci",
    "utf8mb4_general_nopad_ci",
    "latin1_german1_ci",
];

const STATEMENTS: [&str; 16] = [
    "SELECT id, ml.apparel(photo) FROM p WHERE ml.apparel(photo) = 'bag'",
    "SELECT id FROM p WHERE ml.predict('apparel', photo) IN ('BAG', 'coat', 'none')",
    "SELECT id, ml.apparel(photo) = 'Bag', CONCAT(ml.apparel(photo), '!') FROM p WHERE id < 20",
    "SELECT id, CASE ml.apparel(photo) WHEN 'Bag' THEN 'b' ELSE ml.footwear(photo) END AS c FROM p ORDER BY id",
    "SELECT id FROM p WHERE ml.apparel(photo) = label",
    "SELECT id FROM p WHERE ml.apparel(photo) = label_bin",
    "SELECT id FROM p WHERE ml.apparel(photo) LIKE 'b%' OR ml.apparel(photo) = label ORDER BY id LIMIT 9",
    "SELECT ml.apparel(photo) AS k, COUNT(*) FROM p GROUP BY k HAVING k <> 'BAG' ORDER BY k",
    "SELECT COUNT(*) FROM p WHERE ml.apparel(photo) = 'bag'",
    "SELECT id FROM p ORDER BY ml.apparel(photo) = 'bag', id",
    "SELECT q.k, p.id FROM p JOIN q ON ml.apparel(p.photo) = q.kind WHERE p.id < 9 ORDER BY 1, 2",
    "SELECT k, COUNT(*) FROM (SELECT ml.apparel(photo) AS k FROM p) AS d WHERE k = 'bag' GROUP BY k",
    "SELECT id FROM p WHERE ml.apparel(IF(ml.apparel(photo) = 'bag', photo, 'photos/a.png')) = 'bag' ORDER BY id",
    "SELECT ml.apparel(photo) FROM p WHERE id < 5 UNION SELECT 'bag' UNION SELECT 'other'",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) > 0.5 AND ml.apparel(photo) <> 'x'",
    "SELECT SUM(ml.apparel(photo) = 'bag' AND ml.footwear(photo) <> 'sandal') FROM p",
];

#[test]
fn labels_are_compared_under_every_collation_of_the_connection() {
    let mut wrong = Vec::new();
    for collation in FOLDING_CASE {
        let mut pair = Pair::open();
        pair.lane
            .run(&format!("SET collation_connection = {collation}"));
        for sql in STATEMENTS {
            let (lane, naive) = (in_schema(sql, LANE), in_schema(sql, NAIVE));
            let of_text = query(&mut pair.lane, &lane).map(|found| (found, "text"));
            let prepared =
                execute_once(&mut pair.lane, &lane, &[]).map(|found| (found, "prepared"));
            for found in [of_text, prepared] {
                let (found, protocol) =
                    found.unwrap_or_else(|e| panic!("{collation}: {sql}: {e:?}"));
                let expected = match protocol {
                    "text" => query(&mut pair.naive, &naive),
                    _ => execute_once(&mut pair.naive, &naive, &[]),
                };
                let ordered = case(sql).ordered;
                if let Some(difference) = found.difference(&expected.unwrap(), ordered) {
                    wrong.push(format!("{collation} {protocol}: {sql}: {difference}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn labels_of_two_columns_are_compared_as_columns() {
    let mut pair = Pair::open();
    pair.both(
        "CREATE TEMPORARY TABLE u (kind VARCHAR(40) COLLATE utf8mb4_unicode_ci) SELECT kind FROM q",
    );
    let sql = "SELECT COUNT(*) FROM (SELECT DISTINCT ml.apparel(photo) AS k FROM p) AS d JOIN u ON u.kind = d.k";
    let refused = query(&mut pair.naive, &in_schema(sql, NAIVE)).unwrap_err();
    let found = query(&mut pair.lane, &in_schema(sql, LANE)).unwrap_err();
    assert_eq!((found.code, refused.code), (1267, 1267));
}

#[test]
fn labels_beyond_ascii_are_found_in_every_encoding_of_the_statement() {
    let mut pair = Pair::open();
    let session = &mut pair.lane;
    session.run("CREATE TASK hosen CLASSES ('Höse 100%', 'Größe''s')");
    let statement = model("legs_nano").statement();
    let statement = statement
        .replace(
            "MODEL legs_nano FOR TASK apparel",
            "MODEL hosen_nano FOR TASK hosen",
        )
        .replace("'Trouser'", "'Höse 100%'")
        .replace("'Dress'", "'Größe''s'");
    session.run(&statement);
    let count = |session: &mut predictsql_tests::Wire, condition: &str| {
        let sql = format!("SELECT id FROM p WHERE {condition}");
        query(session, &in_schema(&sql, LANE)).unwrap().rows.len()
    };
    let all = count(session, "ml.predict('legs_nano', photo) = 'Trouser'");
    assert!(all > 0);
    for collation in ["general_ci", "unicode_ci", "bin"] {
        session.run(&format!("SET NAMES utf8mb4 COLLATE utf8mb4_{collation}"));
        assert_eq!(
            count(session, "ml.hosen(photo) = 'Höse 100%'"),
            all,
            "{collation}"
        );
        assert_eq!(
            count(session, "ml.hosen(photo) LIKE 'H_se%' AND 1 = (SELECT 1)"),
            all
        );
        let grouped = "SELECT ml.hosen(photo) AS k, COUNT(*) FROM p WHERE id < 3 GROUP BY k";
        let rows = query(session, &in_schema(grouped, LANE)).unwrap().rows;
        let known = ["Höse 100%", "Größe's"].map(|label| Some(label.as_bytes().to_vec()));
        assert!(rows.iter().all(|row| known.contains(&row[0])), "{rows:?}");
    }
}

//! Statements written by hand: everything that stream plans are to answer. None may be refused.

use super::answer::Param;
use super::case::{Case, case};

/// All of them.
pub fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = [SELECT_LISTS, CONDITIONS, SCORES, SHAPES, SPELLINGS]
        .into_iter()
        .flatten()
        .map(|sql| case(*sql))
        .collect();
    cases.extend(with_parameters());
    cases.extend(with_settings());
    cases
}

const SELECT_LISTS: &[&str] = &[
    "SELECT id, IF(ml.apparel(photo) = 'Bag', made, NULL), IF(ml.apparel(photo) = 'Bag', seen, made), IF(ml.apparel(photo) = 'Bag', weight, price) FROM p",
    "SELECT id, INSERT(ml.apparel(photo), 1, 1, 'X'), SUBSTRING(ml.apparel(photo) FROM 2 FOR 3), TRIM(LEADING 'B' FROM ml.apparel(photo)) FROM p",
    "SELECT id, DATE_ADD(made, INTERVAL IF(ml.apparel(photo) = 'Bag', 1, 2) DAY), JSON_OBJECT('c', ml.apparel(photo)) FROM p",
    "SELECT id, RAND(3), ml.apparel(photo) FROM p WHERE id < 9 ORDER BY id",
    "SELECT id, ml.apparel(photo) FROM p",
    "SELECT ml.predict('apparel', photo) FROM p",
    "SELECT id, ml.predict('footwear', photo), ml.footwear(photo) AS f FROM p",
    "SELECT id, ml.apparel(img) FROM p",
    "SELECT id, ml.apparel(photo_ci), ml.apparel(photo_latin), ml.apparel(photo) FROM p",
    "SELECT *, ml.apparel(photo) FROM p",
    "SELECT p.*, ml.apparel(photo), q.* FROM p JOIN q ON p.stock = q.k",
    "SELECT ml.apparel(photo), ml.apparel(photo), id, ml.apparel(img) FROM p",
    "SELECT ml.apparel(photo), ml.predict('legs_nano', photo), ml.predict('apparel_nano@1', photo), \
     ml.predict('apparel_nano@2', photo), ml.predict('apparel_nano', photo), id FROM p",
    "SELECT id, ml.predict('footwear_other', photo), ml.predict('bag_tiny_other', img) FROM p",
    "SELECT id, CONCAT('is a ', ml.apparel(photo)) FROM p",
    "SELECT id, CONCAT(sku, ': ', ml.apparel(photo)) AS what FROM p",
    "SELECT id, ml.apparel(photo) = label, ml.apparel(photo) = label_bin FROM p",
    "SELECT id, ml.apparel(photo) = 'bag', ml.apparel(photo) LIKE 'S%', ml.apparel(photo) IS NULL FROM p",
    "SELECT id, CASE ml.apparel(photo) WHEN 'Bag' THEN 1.50 WHEN 'Coat' THEN 2 ELSE NULL END FROM p",
    "SELECT id, CASE WHEN ml.apparel(photo) = 'Bag' THEN price WHEN stock > 10 THEN stock ELSE 0 END FROM p",
    "SELECT id, IF(ml.apparel(photo) IN ('Bag', 'Coat'), price, 0) FROM p",
    "SELECT id, COALESCE(ml.apparel(photo), 'unknown'), IFNULL(ml.apparel(img), label) FROM p",
    "SELECT id, LENGTH(ml.apparel(photo)), UPPER(ml.apparel(photo)), LEFT(ml.apparel(photo), 2) FROM p",
    "SELECT id, ml.apparel(photo) COLLATE utf8mb4_bin = 'bag' FROM p",
    "SELECT id, NULLIF(ml.apparel(photo), label), GREATEST(ml.apparel(photo), label) FROM p",
    "SELECT id, FIELD(ml.apparel(photo), 'Bag', 'Coat') + 1, ELT(2, 'x', ml.apparel(photo)) FROM p",
    "SELECT ml.apparel(photo) IS NULL + 1 AS n, id FROM p",
    "SELECT id, (ml.apparel(photo)), ((ml.apparel(photo))) AS twice FROM p",
    "SELECT id, REPLACE(ml.apparel(photo), 'a', 'A'), HEX(ml.apparel(photo)) FROM p",
    "SELECT id, ml.apparel(photo) AS `größe des Ärmels`, price AS 'a b' FROM p",
    "SELECT id, ml.apparel(photo) label, ml.apparel(img) 'quoted alias' FROM p",
    "SELECT id, ml.apparel(photo) AS `back``quote`, `q``uoted col` FROM p",
    "SELECT id, ml.apparel(photo) AS 'it''s' FROM p",
    "SELECT id, ml.apparel(CONCAT('photos/', LPAD(id, 5, '0'), '.png')) FROM p",
    "SELECT id, ml.apparel(IF(id % 2, photo, NULL)), ml.apparel(NULL) FROM p",
    "SELECT id, made, seen, weight, ml.apparel(photo), price * 2, NULL, TRUE, 1e0 / 3 FROM p",
    "SELECT ml.predict_proba('apparel', 'Bag', photo), id FROM p",
    "SELECT id, ml.predict_proba('apparel', 'Bag', photo) AS b, ml.predict_proba('apparel', 'T-shirt/top', img) FROM p",
    "SELECT id, ml.predict_proba('footwear_other', 'Sneaker', photo), ml.predict_proba('footwear_other', 'Bag', photo) FROM p",
    "SELECT id, ml.predict_proba('apparel_nano@1', 'Coat', photo), ml.predict_proba('apparel', 'Coat', photo) FROM p",
    "SELECT id, (SELECT COUNT(*) FROM q WHERE q.k < p.id), ml.apparel(photo) FROM p",
    "SELECT id, ml.apparel(photo) = (SELECT q.kind FROM q WHERE q.k = p.id % 30) FROM p",
    "SELECT id, ml.apparel(photo) = 'a long text that makes the name of the column longer than any limit on names, \
     which is at 256 characters in this store, so that the name has to be cut off at the same place as the store \
     does it with the expression of a plain column' FROM p",
];

const CONDITIONS: &[&str] = &[
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag'",
    "SELECT id FROM p WHERE 'bag' = ml.apparel(photo)",
    "SELECT id FROM p WHERE ml.apparel(photo) <> 'Bag'",
    "SELECT id FROM p WHERE ml.apparel(photo) != 'Bag' AND price < 50",
    "SELECT id FROM p WHERE ml.apparel(photo) IN ('Bag', 'coat', 'Sneaker')",
    "SELECT id FROM p WHERE ml.apparel(photo) NOT IN ('Bag', 'coat')",
    "SELECT id FROM p WHERE ml.apparel(photo) NOT IN ('Bag', NULL)",
    "SELECT id FROM p WHERE ml.apparel(photo) LIKE '%a%'",
    "SELECT id FROM p WHERE ml.apparel(photo) NOT LIKE 'S%'",
    "SELECT id FROM p WHERE ml.apparel(photo) REGEXP '^[ST].*r'",
    "SELECT id FROM p WHERE ml.apparel(photo) RLIKE 'oo' OR ml.apparel(photo) = 'Bag'",
    "SELECT id FROM p WHERE ml.apparel(photo) IS NULL",
    "SELECT id FROM p WHERE ml.apparel(photo) IS NOT NULL",
    "SELECT id FROM p WHERE ml.apparel(photo) BETWEEN 'B' AND 'D'",
    "SELECT id FROM p WHERE ml.apparel(photo) NOT BETWEEN 'B' AND 'D' AND id BETWEEN 10 AND 90",
    "SELECT id FROM p WHERE ml.apparel(photo) > 'Coat' AND ml.apparel(photo) <= 'Shirt'",
    "SELECT id FROM p WHERE NOT ml.apparel(photo) = 'Bag'",
    "SELECT id FROM p WHERE NOT (ml.apparel(photo) = 'Bag' OR price < 30)",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' OR price < 20",
    "SELECT id FROM p WHERE price < 20 OR ml.apparel(photo) = 'Bag' AND stock > 10",
    "SELECT id FROM p WHERE (price < 60 OR stock > 5) AND (ml.apparel(photo) = 'Bag' OR city = 'Delft')",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' XOR price < 50",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' || price < 20",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' && price < 60",
    "SELECT id FROM p WHERE ml.apparel(photo) = label",
    "SELECT id FROM p WHERE ml.apparel(photo) <> label_bin",
    "SELECT id FROM p WHERE LOWER(ml.apparel(photo)) = label_bin",
    "SELECT id, label FROM p WHERE ml.apparel(photo) IN (label, 'Bag', city)",
    "SELECT id FROM p WHERE label LIKE CONCAT('%', ml.apparel(photo), '%')",
    "SELECT id FROM p WHERE ml.apparel(photo) COLLATE utf8mb4_bin IN ('bag', 'Coat')",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' COLLATE utf8mb4_bin",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'bag '",
    "SELECT id FROM p WHERE CONCAT(ml.apparel(photo), ml.apparel(photo)) LIKE 'Bag%'",
    "SELECT id FROM p WHERE CASE ml.apparel(photo) WHEN 'Bag' THEN price > 30 WHEN 'Coat' THEN 1 END",
    "SELECT id FROM p WHERE CASE WHEN ml.apparel(photo) = 'Bag' AND price > 10 THEN TRUE ELSE FALSE END AND stock > 3",
    "SELECT id FROM p WHERE LENGTH(ml.apparel(photo)) = 4",
    "SELECT id FROM p WHERE ml.apparel(photo)",
    "SELECT id FROM p WHERE ml.apparel(photo) <=> NULL",
    "SELECT id FROM p WHERE (ml.apparel(photo) = 'Bag') IS UNKNOWN",
    "SELECT id FROM p WHERE (ml.apparel(photo) = 'Bag') IS NOT TRUE AND id < 50",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'no such class'",
    "SELECT id FROM p WHERE ml.apparel(photo) = ml.apparel(photo)",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' AND ml.apparel(img) <> 'Bag'",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' OR ml.footwear(img) = 'Sneaker'",
    "SELECT id FROM p WHERE NOT (ml.apparel(photo) = 'Bag' AND ml.footwear(photo) = 'Sneaker')",
    "SELECT id FROM p WHERE NOT (ml.apparel(photo) <> label OR NOT (ml.footwear(img) = 'Sandal' OR price < 40))",
    "SELECT id, ml.footwear(photo) FROM p WHERE (ml.apparel(photo) IN ('Bag', 'Sandal') AND price < 60) OR (ml.footwear(photo) IS NOT NULL AND stock > 10)",
    "SELECT id FROM p WHERE (ml.predict_proba('apparel', 'Bag', photo) > 0.5 OR ml.apparel(img) = label_bin) AND NOT (ml.predict_proba('apparel', 'Coat', img) < 0.2 AND ml.apparel(photo) = 'Coat')",
    "SELECT id, ml.apparel(img) FROM p WHERE NOT (ml.predict_proba('apparel', 'Bag', photo) BETWEEN 0.1 AND NULL) OR ml.footwear(img) = 'Sneaker' ORDER BY id LIMIT 9",
    "SELECT id FROM p WHERE stock IS NULL OR ml.apparel(photo) = 'Bag' AND (city = 'Delft' OR ml.apparel(img) = 'Bag')",
    "SELECT id, ml.apparel(photo) FROM p WHERE ml.predict('footwear_other', photo) = 'Sneaker'",
    "SELECT id FROM p WHERE ml.predict('footwear_other', photo) IS NULL AND ml.footwear(photo) = 'Sandal'",
    "SELECT id FROM p WHERE ml.apparel(photo) IN ('Bag', 'Coat') AND ml.predict_proba('apparel', 'Bag', photo) > 0.5",
    "SELECT id FROM p WHERE id IN (SELECT k FROM q WHERE town = 'Oslo') AND ml.apparel(photo) <> 'Coat'",
    "SELECT id FROM p WHERE ml.apparel(photo) IN (SELECT kind FROM q WHERE k < 4)",
    "SELECT id FROM p WHERE EXISTS (SELECT 1 FROM q WHERE q.kind = p.label AND k < 4) AND ml.apparel(photo) = 'Bag'",
    "SELECT id FROM p WHERE ml.apparel(photo) = (SELECT MAX(kind) FROM q)",
    "SELECT id FROM p WHERE 1 = 0 AND ml.apparel(photo) = 'Bag'",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' AND NULL",
    "SELECT id FROM p WHERE YEAR(made) = 2026 AND IF(ml.apparel(photo) = 'Bag', MONTH(made), 0) > 4",
    "SELECT id FROM p WHERE STRCMP(ml.apparel(photo), 'Dress') < 0 AND MOD(id, 3) = 1",
];

const SCORES: &[&str] = &[
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) BETWEEN 0.1 AND 0.5 + 0.4",
    "SELECT id FROM p WHERE 5 * 0.1 < ml.predict_proba('apparel', 'Bag', photo)",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) < 0x30",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) <= TRUE",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) > 0.5",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) >= 0.75 AND price < 80",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) < 0.1",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) <= 0.25",
    "SELECT id FROM p WHERE 0.3 < ml.predict_proba('apparel', 'Coat', photo)",
    "SELECT id FROM p WHERE 0.9 >= ml.predict_proba('apparel', 'Coat', photo)",
    "SELECT id FROM p WHERE (ml.predict_proba('apparel', 'Coat', photo) > 1 - 0.5)",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) BETWEEN 0.1 AND 0.9",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) BETWEEN 0.9 AND 0.1",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) IS NULL",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) IS NOT NULL",
    "SELECT id FROM p WHERE ml.predict_proba('footwear_other', 'Coat', photo) IS NULL",
    "SELECT id FROM p WHERE ml.predict_proba('footwear_other', 'Sandal', img) > '0.5'",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) > NULL",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) <> 2",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) = 'x' AND id < 20",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) > -1e-1",
    "SELECT id, ml.predict_proba('apparel', 'Coat', photo) FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) > 5e-1",
    "SELECT id FROM p WHERE ml.predict_proba('footwear', 'Sandal', photo) > 0.99 AND ml.predict_proba('apparel', 'Sandal', photo) < 0.5",
];

const SHAPES: &[&str] = &[
    "SELECT id, ml.apparel(photo) FROM p WHERE id < 9 ORDER BY 3",
    "SELECT id, ml.apparel(photo) AS c FROM p WHERE id < 9 ORDER BY 'c', id",
    "SELECT id x, ml.apparel(photo) y FROM p ORDER BY IF(x > 5, x, -x), id",
    "SELECT id FROM p WHERE (ml.apparel(photo), id) = ('Ankle boot', 1)",
    "SELECT ml.predict('apparel', 'photos/00002.png')",
    "SELECT ml.predict('apparel', 'photos/00002.png') AS a, 1 + 1, ml.footwear('photos/00010.png') FROM DUAL",
    "SELECT 1 FROM DUAL WHERE ml.predict('apparel', 'photos/00002.png') = 'Pullover'",
    "SELECT ml.apparel(NULL), ml.apparel(''), ml.apparel('photos/none.png')",
    "SELECT ml.apparel('photos/it''s.png'), ml.apparel('photos/back\\\\slash.png'), ml.apparel('photos/é x.png')",
    "SELECT p.id, q.k, ml.apparel(p.photo) FROM p JOIN q ON q.k = p.stock WHERE ml.apparel(p.photo) = q.kind",
    "SELECT p.id, q.k, ml.apparel(p.photo) FROM p LEFT JOIN q ON q.k = p.stock AND q.k < 5 WHERE p.id < 60",
    "SELECT q.k, x.id, ml.apparel(x.photo) FROM q LEFT JOIN p AS x ON x.id = q.k * 5",
    "SELECT a.id, b.id FROM p a JOIN p b ON a.id = b.id + 1 WHERE ml.apparel(a.photo) = 'Bag' AND ml.apparel(b.photo) <> 'Bag'",
    "SELECT p.id, q.k FROM p, q WHERE p.id = q.k AND ml.apparel(photo) = kind",
    "SELECT p.id FROM p STRAIGHT_JOIN q ON p.city = q.town AND q.k < 3 WHERE ml.apparel(photo) = 'Bag'",
    "SELECT id, k, ml.apparel(photo) FROM p NATURAL JOIN (SELECT k, k AS id FROM q) AS r",
    "SELECT id, ml.apparel(photo) FROM p JOIN (SELECT k AS id, town FROM q WHERE k > 3) AS r USING (id)",
    "SELECT d.id, ml.apparel(d.photo) FROM (SELECT id, photo FROM p WHERE price > 50 ORDER BY id LIMIT 20) AS d",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' ORDER BY id DESC",
    "SELECT id, ml.apparel(photo) FROM p ORDER BY price DESC, id LIMIT 10",
    "SELECT id, ml.apparel(photo) FROM p ORDER BY id LIMIT 10 OFFSET 5",
    "SELECT id FROM p WHERE ml.apparel(photo) <> 'Bag' ORDER BY stock, id LIMIT 5",
    "SELECT id FROM p WHERE ml.apparel(photo) <> 'Bag' ORDER BY stock DESC, 1 LIMIT 7, 5",
    "SELECT id, price FROM p WHERE ml.apparel(photo) <> 'Bag' ORDER BY 2, 1 LIMIT 500 OFFSET 3",
    "SELECT id FROM p WHERE ml.apparel(photo) <> label ORDER BY id LIMIT 4 OFFSET 60",
    "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) < 0.5 ORDER BY id LIMIT 3 OFFSET 2",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' ORDER BY id LIMIT 3 OFFSET 1000",
    "SELECT id, ml.apparel(photo) FROM p LIMIT 0",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' LIMIT 0",
    "SELECT id, ml.apparel(photo) FROM p WHERE 1 = 0",
    "SELECT id, price AS cost, ml.apparel(photo) FROM p ORDER BY cost, p.id",
    "SELECT id, ml.apparel(photo) AS c FROM p ORDER BY id LIMIT 18446744073709551615 OFFSET 100",
    "WITH cheap AS (SELECT id, photo FROM p WHERE price < 40) SELECT id, ml.apparel(photo) FROM cheap",
    "WITH a AS (SELECT k FROM q), b AS (SELECT k + 1 AS k FROM a) SELECT p.id FROM p JOIN b ON b.k = p.id WHERE ml.apparel(photo) <> 'Coat'",
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i, ml.apparel(CONCAT('photos/0000', i, '.png')) FROM n",
    "SELECT ALL id, ml.apparel(photo) FROM p USE INDEX (PRIMARY) WHERE id < 30",
    "SELECT SQL_NO_CACHE id, ml.apparel(photo) FROM df.p AS x FORCE INDEX FOR ORDER BY (PRIMARY) WHERE x.id < 30",
    "SELECT p.`id`, ml.apparel(`p`.`photo`) FROM `df`.`p` WHERE `p`.`id` < 30",
    "SELECT id, ml.apparel(photo) FROM p;",
    "SELECT id, ml.apparel(photo) AS photo FROM p WHERE photo LIKE '%5.png'",
    "SELECT price AS photo, ml.apparel(photo) AS x FROM p",
    // wrapped, as tools write them
    "SELECT * FROM (SELECT id, price, ml.apparel(photo) AS k FROM p ORDER BY price) t ORDER BY id LIMIT 5",
    "SELECT * FROM (SELECT p.*, ml.apparel(photo) AS k FROM p WHERE ml.apparel(photo) <> 'Bag') AS t WHERE price > 20 ORDER BY price, t.id LIMIT 3 OFFSET 2",
    "SELECT * FROM (SELECT * FROM (SELECT id, ml.apparel(photo) FROM p) a WHERE id > 5) b ORDER BY id DESC",
    "SELECT * FROM (SELECT id, ml.apparel(photo) = label AS m FROM p WHERE price < 50) t WHERE id < 40 LIMIT 3, 4",
];

const SPELLINGS: &[&str] = &[
    "SELECT ML.PREDICT('APPAREL', photo), Ml.Apparel(photo), id FROM p",
    "SELECT MAX(CASE WHEN ML.Apparel (photo) NOT IN ('Bag', 'this element is longer than those that are named after their text \
     without asking the store, which tells the case of schemas apart') THEN `Ml`.Apparel(photo) ELSE label END), COUNT(*) FROM p",
    "select id, `ml`.`predict`('apparel', photo), `ml`.`apparel` (photo) from p",
    "SELECT id, ml . predict ( 'apparel' , photo ) FROM p",
    "SELECT id, ml./* c */predict(/* d */'apparel', photo -- e\n) AS x FROM p",
    "SELECT/**/id,ml.apparel(photo)FROM p WHERE(ml.apparel(photo)='Bag')",
    "-- before\nSELECT id, # here\n ml.apparel(photo) /* and */ AS c -- there\nFROM p -- end",
    "/* ml.nothing( */ SELECT id, 'apparel(photo)', ml.apparel(photo) FROM p /* done */ ",
    "SELECT id, ml.predict(\"apparel\", photo) FROM p WHERE ml.apparel(photo) = \"Bag\"",
    "SELECT id, 'it''s; \\' .apparel(', ml.apparel(photo) FROM p WHERE sku <> 'a\\\\'",
    "SELECT id FROM p WHERE ml.apparel(photo) = 'Bag'/* x */AND/* y */price < 60 -- z\n AND stock > 3",
    "SELECT id,\n\tml.apparel(photo)\n\tAS\n\tc\nFROM\tp\n\nWHERE\nid<40",
    "SELECT id, ml.apparel(photo) `c`, p.id AS `select`, 'ü' AS ü FROM p WHERE sku <> 'ñ' AND ml.apparel(photo) <> 'é'",
    "SELECT p.id, ml.predict('footwear_other', photo) FROM p WHERE ML.predict_proba('footwear_OTHER', 'Sandal', photo) > 0.5",
];

fn text(value: &str) -> Param {
    Param::Text(value.to_owned())
}

fn with_parameters() -> Vec<Case> {
    vec![
        case("SELECT id, ? FROM p WHERE ml.apparel(photo) = ?").with([Param::Int(5), text("Bag")]),
        case("SELECT id FROM p WHERE price < ? AND ml.apparel(photo) IN (?, ?) AND stock > ?")
            .with([Param::Int(70), text("Bag"), text("coat"), Param::Int(3)]),
        case("SELECT id FROM p WHERE ml.apparel(photo) = ? OR price < ?")
            .with([text("Coat"), Param::Double(20.5)]),
        case("SELECT id FROM p WHERE ml.apparel(photo) = ?").with([Param::Null]),
        case("SELECT id, CONCAT(?, ml.apparel(photo)), ml.apparel(photo) = ? FROM p WHERE id < ?")
            .with([text("a "), text("bag"), Param::Int(60)]),
        case("SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) BETWEEN ? AND ?")
            .with([Param::Double(0.25), Param::Double(0.99)]),
        case("SELECT id FROM p WHERE ? < ml.predict_proba('apparel', 'Bag', photo) AND id > ?")
            .with([Param::Double(0.5), Param::Int(10)]),
        case("SELECT id FROM p WHERE ml.apparel(photo) <> ? ORDER BY id LIMIT ? OFFSET ?")
            .with([text("Bag"), Param::Int(5), Param::Int(4)]),
        case("SELECT id, ml.apparel(photo) FROM p ORDER BY id LIMIT ?, ?").with([Param::Int(5), Param::Int(4)]),
        case("SELECT id FROM p WHERE ml.apparel(photo) <> ? ORDER BY id LIMIT ?").with([text("Bag"), Param::Int(0)]),
        case("SELECT ml.apparel(?)").with([text("photos/00002.png")]),
        case("SELECT ml.apparel(?), ml.apparel(?)").with([text("photos/00002.png"), text("photos/é x.png")]),
        case("SELECT ml.apparel(?)").with([Param::Null]),
        case("SELECT id, ml.apparel(CONCAT(?, '.png')) FROM p WHERE id < 4").with([text("photos/00002")]),
        case("SELECT id, ml.apparel(COALESCE(?, photo)) FROM p").with([Param::Null]),
        case("SELECT id, ml.apparel(IFNULL(photo, ?)) FROM p").with([text("photos/00007.png")]),
        case("SELECT id FROM p WHERE ml.apparel(CONCAT(?, photo)) = ?").with([text(""), text("Bag")]),
        case("SELECT id FROM p JOIN q ON q.k = p.stock AND q.k > ? WHERE ml.apparel(photo) <> q.kind AND p.city = ?")
            .with([Param::Int(4), text("Delft")]),
    ]
}

fn with_settings() -> Vec<Case> {
    let labels =
        "SELECT id, ml.apparel(photo), label FROM p WHERE ml.apparel(photo) <> 'Bag' ORDER BY id";
    let mut cases = vec![
        case("SELECT id, ml.\"apparel\"(\"photo\") AS \"a b\" FROM p WHERE ml.apparel(photo) = 'Bag' ORDER BY \"id\"")
            .after("SET sql_mode = 'ANSI_QUOTES'"),
        case("SELECT id, \"ml\".\"predict\"('apparel', photo) FROM p").after("SET sql_mode = 'ANSI_QUOTES'"),
        case("SELECT id, '\\', ml.apparel(photo) FROM p").after("SET sql_mode = 'NO_BACKSLASH_ESCAPES'"),
        case("SELECT '\\', ml.apparel(photo), '\\' FROM p").after("SET sql_mode = 'NO_BACKSLASH_ESCAPES'"),
        case("SELECT ml.apparel('photos/back\\slash.png')").after("SET sql_mode = 'NO_BACKSLASH_ESCAPES'"),
        case("SELECT id, ml.apparel(photo) || '!' FROM p WHERE ml.apparel(photo) || 'x' = 'Bagx'")
            .after("SET sql_mode = 'PIPES_AS_CONCAT'"),
        case("SELECT id FROM p WHERE NOT ml.apparel(photo) = 'Bag'").after("SET sql_mode = 'HIGH_NOT_PRECEDENCE'"),
        case("SELECT id, ml.apparel (photo) FROM p").after("SET sql_mode = 'IGNORE_SPACE'"),
        case("SELECT id, ml.apparel(photo) FROM p WHERE id < 10").after("SET sql_mode = ''"),
        case("SELECT id, ml.apparel(photo) FROM p ORDER BY id").after("SET sql_select_limit = 1"),
        case(labels).after("SET sql_select_limit = 1"),
        case(labels).after("SET sql_select_limit = 0"),
        case(format!("{labels} LIMIT 20")).after("SET sql_select_limit = 3"),
        case("SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) < 0.5 ORDER BY id")
            .after("SET sql_select_limit = 7"),
        case("SELECT id, ml.apparel(photo) FROM p WHERE ml.apparel(photo) = 'T-shirt/top'").after("SET NAMES latin1"),
        case("SELECT id, photo, ml.apparel(photo), ml.apparel(photo_latin) FROM p").after("SET NAMES latin1"),
        case("SELECT id, ml.apparel(photo_ci) FROM p").after("SET NAMES utf8mb3"),
        case("SELECT id FROM p WHERE ml.apparel(photo) = 'bag'").after("SET collation_connection = utf8mb4_bin"),
        case("SELECT id, ml.apparel(photo) FROM p WHERE ml.apparel(photo) = 'Bag'").after("SET character_set_results = NULL"),
        case(labels).after("SET SESSION TRANSACTION READ ONLY").after("START TRANSACTION"),
        case("SELECT id, ml.apparel(photo) FROM p").after("LOCK TABLES p READ, nv.labels AS l READ"),
        case("SELECT id, @x, ml.apparel(photo) = @x FROM p WHERE ml.apparel(photo) <> @x").after("SET @x = 'Bag'"),
        case("SELECT id FROM t1 WHERE ml.apparel(photo) = 'Bag'").after("CREATE TEMPORARY TABLE t1 SELECT id, photo FROM p"),
        case("SELECT id, ml.apparel(photo) FROM p").after("SET character_set_results = latin1"),
    ];
    for after in [
        "SET sql_big_selects = 1",
        "SET optimizer_switch = 'derived_merge=off'",
    ] {
        cases.push(case(labels).after(after));
    }
    cases
}

//! Statements written by hand that need two passes. None may be refused.

use super::answer::Param;
use super::case::{Case, case};

/// Statements of one SELECT and more, that no stream plan answers.
pub const SELECTS: &[&str] = &[
    // GROUP BY, aggregates, HAVING
    "SELECT ml.apparel(photo) 'kind', COUNT(*) FROM p GROUP BY 1 ORDER BY 1",
    "SELECT EXP(IF(ml.apparel(photo) = 'Bag', 1000, 1)), COUNT(*) FROM p WHERE ml.apparel(photo) <> 'Bag' GROUP BY 1",
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
    // Lookups whose texts begin alike.
    "SELECT id, ml.apparel(photo) FROM p ORDER BY ml.apparel('photos/00002.png'), id",
    "SELECT id, ml.apparel(photo) FROM p ORDER BY ml.apparel(IF(id % 2, photo, NULL)), id",
    "SELECT id, ml.predict_proba('apparel', 'Bag', photo) FROM p ORDER BY ml.predict_proba('apparel', 'Bag', IF(id % 2, photo, NULL)) > 0.5, id",
    "SELECT id, COALESCE((SELECT MAX(ml.apparel(o.photo)) FROM p o WHERE o.id = p.id), '-') FROM p ORDER BY COALESCE((SELECT MAX(ml.apparel(o.photo)) FROM p o WHERE o.id = 61 - p.id), '-'), id",
    "SELECT ml.apparel(photo), COUNT(*) FROM p GROUP BY ml.Apparel ( PHOTO ) WITH ROLLUP",
    "SELECT GROUP_CONCAT(id ORDER BY id) k, ml.apparel('photos/00002.png') FROM p GROUP BY ml.apparel(photo) ORDER BY k",
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
    "SELECT n, ml.footwear(photo) FROM (SELECT ml.apparel(p.photo) AS k, p.id AS n, p.photo AS photo FROM p STRAIGHT_JOIN q ON q.k = p.id \
     WHERE (ml.apparel(p.photo) = 'Bag' OR ml.apparel(p.photo) = 'Coat')) AS d WHERE k IS NOT NULL",
    "SELECT * FROM (SELECT id, ml.apparel(photo) AS k FROM p) t ORDER BY 2, 1 LIMIT 7",
    "SELECT * FROM (SELECT id, ml.apparel(photo) AS k FROM p) t WHERE K = 'Bag' ORDER BY id",
    "SELECT * FROM (SELECT id, ml.apparel(photo) AS k FROM p ORDER BY id LIMIT 9) t ORDER BY id LIMIT 2",
    "SELECT * FROM (SELECT p.*, ml.apparel(photo) AS price FROM p) t LIMIT 1",
    "SELECT * FROM (SELECT id AS k, ml.apparel(photo) AS K FROM p) t",
    // columns that nothing reads, and some that something reads after all
    "SELECT COUNT(*) FROM (SELECT id, ml.apparel(photo) AS k FROM p) t",
    "SELECT id, price FROM (SELECT p.*, ml.apparel(IF(ml.footwear(photo) = 'Sandal', photo, NULL)) AS k FROM p) t ORDER BY id LIMIT 5",
    "SELECT SUM(1) AS col FROM (SELECT ml.apparel(photo) FROM p) t HAVING COUNT(1) > 0",
    "WITH c AS (SELECT id, ml.apparel(photo) AS k FROM p) SELECT COUNT(*) FROM c a JOIN c b USING (id)",
    "SELECT COUNT(*) FROM (SELECT id, ml.apparel(photo) AS k, (SELECT MAX(price) FROM p) FROM p ORDER BY k) t",
    "SELECT COUNT(*) FROM (SELECT id, ml.apparel(photo) AS k, RAND() FROM p) t",
    "SELECT 1 FROM (SELECT id, ml.apparel(photo) AS k FROM p) t GROUP BY t.k",
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

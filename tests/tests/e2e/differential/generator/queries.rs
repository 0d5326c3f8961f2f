//! Queries: every place where SQL lets an expression stand.

use super::Generator;

/// Text, and whether its ORDER BY makes the order of the rows total.
type Query = (String, bool);

/// Tables of which `p` is one, and what makes their rows' order total.
type From = (String, &'static str);

/// Writes a query.
type Write = fn(&mut Generator) -> Query;

/// Kinds of queries: how often, and how they are made.
const QUERIES: &[(usize, Write)] = &[
    (24, Generator::plain),
    (12, Generator::grouped),
    (5, Generator::distinct),
    (7, Generator::ordered_by_prediction),
    (6, Generator::aggregated),
    (4, Generator::in_subquery),
    (4, Generator::exists),
    (6, Generator::derived),
    (6, Generator::united),
    (6, Generator::windowed),
    (4, Generator::joined_on_prediction),
    (3, Generator::labels_of_two_rows),
    (3, Generator::having),
    (5, Generator::with),
    (2, Generator::recursive),
    (4, Generator::scalar_subquery),
    (2, Generator::without_table),
    (3, Generator::joined_to_derived),
    (2, Generator::nested_calls),
    (2, Generator::aggregated_input),
    (2, Generator::locking),
    (6, Generator::over_view),
];

impl Generator {
    /// A query.
    pub(super) fn query(&mut self) -> Query {
        let kind = self
            .choices
            .weighted(QUERIES.iter().map(|(weight, _)| *weight));
        (QUERIES[kind].1)(self)
    }

    fn from(&mut self) -> From {
        let froms: &[(&str, &str)] = &[
            ("p", "p.id"),
            ("p", "p.id DESC"),
            ("p AS p", "p.id"),
            ("p JOIN q ON q.k = p.stock", "p.id"),
            ("p LEFT JOIN q ON q.k = p.id", "p.id"),
            ("(SELECT * FROM p WHERE id % 3) AS p", "p.id"),
            ("p JOIN q ON q.town = p.city AND q.k < 3", "p.id, q.k"),
            ("q RIGHT JOIN p ON q.k = p.stock AND q.low < 0.3", "p.id"),
            ("p STRAIGHT_JOIN q ON q.k = p.id", "p.id"),
            (
                "(SELECT * FROM p WHERE stock > 5 ORDER BY id LIMIT 25) AS p",
                "p.id",
            ),
            ("shown AS p", "p.id"),
            ("p USE INDEX (PRIMARY)", "p.id"),
        ];
        let (from, order) = self.pick(froms);
        match self.chance(8) {
            true => {
                let test = self.label_test("p.");
                (format!("p LEFT JOIN q ON q.k = p.stock AND {test}"), "p.id")
            }
            false => (from.to_owned(), order),
        }
    }

    fn item(&mut self) -> String {
        let item = match self.number(7) {
            0 => {
                return self
                    .pick(&["p.id", "p.*", "id AS n", "price * 2", "city"])
                    .to_owned();
            }
            1 => self
                .pick(&["p.id", "label", "made", "weight", "IFNULL(city, 'none')"])
                .to_owned(),
            _ => self.value("p."),
        };
        match self.number(4) {
            0 => item,
            1 => format!("{item} AS a{}", self.number(100)),
            2 => format!("{item} `b {}`", self.number(100)),
            _ => format!("({item})"),
        }
    }

    fn items(&mut self) -> String {
        let items: Vec<String> = (0..=self.number(4)).map(|_| self.item()).collect();
        items.join(", ")
    }

    fn plain(&mut self) -> Query {
        let (from, order) = self.from();
        let items = self.items();
        let conditions = self.conditions("p.", 3);
        let mut sql = format!("SELECT {items} FROM {from}{conditions}");
        let ordered = self.chance(60);
        if ordered {
            let first = self.pick(&["", "price DESC, ", "stock, ", "city DESC, ", "sku, "]);
            sql.push_str(&format!(" ORDER BY {first}{order}{}", self.limit()));
        }
        (sql, ordered)
    }

    fn grouped(&mut self) -> Query {
        let key = match self.number(5) {
            0 | 1 => self.label("p."),
            2 => self.label_test("p."),
            _ => self.over_label("p."),
        };
        // The store takes a sub-query over a function for a constant there,
        // and answers too few groups.
        let key = match key.contains("SELECT") {
            true => "stock % 3".to_owned(),
            false => key,
        };
        let count = match self.number(6) {
            0 => "COUNT(*)".to_owned(),
            1 => "SUM(price)".to_owned(),
            2 => "COUNT(DISTINCT stock)".to_owned(),
            3 => format!("MIN({})", self.label("p.")),
            4 => format!("SUM({})", self.label_test("p.")),
            _ => "MAX(p.id)".to_owned(),
        };
        let (from, _) = self.from();
        let conditions = self.conditions("p.", 2);
        let having = match self.number(4) {
            0 | 1 => String::new(),
            2 => " HAVING COUNT(*) > 2".to_owned(),
            _ => " HAVING its_kind IS NOT NULL".to_owned(),
        };
        let tail = match self.number(5) {
            0 => " WITH ROLLUP".to_owned(),
            1 => format!("{having} ORDER BY n, its_kind"),
            _ => format!("{having} ORDER BY its_kind{}", self.limit()),
        };
        let ordered = tail.contains("ORDER BY");
        let sql = format!(
            "SELECT {key} AS its_kind, {count} AS n FROM {from}{conditions} GROUP BY its_kind{tail}"
        );
        (sql, ordered)
    }

    fn distinct(&mut self) -> Query {
        let values: Vec<String> = (0..=self.number(2)).map(|_| self.value("p.")).collect();
        let (from, _) = self.from();
        let conditions = self.conditions("p.", 2);
        (
            format!(
                "SELECT DISTINCT {} FROM {from}{conditions}",
                values.join(", ")
            ),
            false,
        )
    }

    fn ordered_by_prediction(&mut self) -> Query {
        let (from, order) = self.from();
        let items = self.pick(&["p.id, price", "p.id", "p.*"]);
        let conditions = self.conditions("p.", 2);
        let by = self.over_label("p.");
        let direction = self.pick(&["", " DESC"]);
        let limit = self.limit();
        (
            format!(
                "SELECT {items} FROM {from}{conditions} ORDER BY {by}{direction}, {order}{limit}"
            ),
            true,
        )
    }

    fn aggregated(&mut self) -> Query {
        let aggregates: Vec<String> = (0..=self.number(3))
            .map(|_| match self.number(8) {
                0 => "COUNT(*)".to_owned(),
                1 => format!("SUM({})", self.label_test("p.")),
                2 => format!("MAX({})", self.label("p.")),
                3 => format!("COUNT(DISTINCT {})", self.label("p.")),
                4 => format!("MIN({})", self.over_label("p.")),
                5 => format!("GROUP_CONCAT(DISTINCT {} ORDER BY 1)", self.label("p.")),
                6 => format!("BIT_OR({})", self.label_test("p.")),
                _ => format!("MAX({})", self.score("p.")),
            })
            .collect();
        let (from, _) = self.from();
        let conditions = self.conditions("p.", 2);
        (
            format!("SELECT {} FROM {from}{conditions}", aggregates.join(", ")),
            true,
        )
    }

    fn in_subquery(&mut self) -> Query {
        let not = self.pick(&["", "NOT "]);
        let label = self.label("p.");
        let conditions = self.conditions("p.", 2);
        (
            format!("SELECT k, town FROM q WHERE kind {not}IN (SELECT {label} FROM p{conditions})"),
            false,
        )
    }

    fn exists(&mut self) -> Query {
        let not = self.pick(&["", "NOT "]);
        let label = self.label("p.");
        let test = self.condition("p.");
        let sql = format!(
            "SELECT k, kind FROM q WHERE {not}EXISTS (SELECT 1 FROM p WHERE {label} = q.kind AND p.stock > q.k AND {test})"
        );
        (sql, false)
    }

    fn derived(&mut self) -> Query {
        let inner = self.over_label("p.");
        let (from, _) = self.from();
        let conditions = self.conditions("p.", 2);
        let source = format!(
            "(SELECT {inner} AS k, p.id AS n, p.photo AS photo FROM {from}{conditions}) AS d"
        );
        match self.number(4) {
            0 => (
                format!("SELECT k, COUNT(*), MAX(n) FROM {source} GROUP BY k ORDER BY k"),
                true,
            ),
            1 => (
                format!("SELECT n, k FROM {source} WHERE k <> 'Coat' OR n < 9"),
                false,
            ),
            2 => {
                let sql = format!("SELECT n, ml.footwear(photo) FROM {source} WHERE k IS NOT NULL");
                (sql, false)
            }
            _ => (
                format!("SELECT DISTINCT k FROM {source} ORDER BY k LIMIT 4"),
                true,
            ),
        }
    }

    fn united(&mut self) -> Query {
        let operator = self.pick(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
        let first = self.label("p.");
        let test = self.native_test("p.");
        let second = self.label("p.");
        let conditions = self.conditions("p.", 2);
        let second = match self.chance(25) {
            true => format!("SELECT kind FROM q WHERE k IN (SELECT p.stock FROM p{conditions})"),
            false => format!("SELECT {second} FROM p{conditions}"),
        };
        let sql = format!("SELECT {first} AS k FROM p WHERE {test} {operator} {second}");
        (sql, false)
    }

    fn windowed(&mut self) -> Query {
        let (from, order) = self.from();
        let window = match self.number(6) {
            0 => format!(
                "ROW_NUMBER() OVER (PARTITION BY {} ORDER BY {order})",
                self.label("p.")
            ),
            1 => format!("COUNT(*) OVER (PARTITION BY {})", self.label("p.")),
            2 => format!("RANK() OVER (ORDER BY {})", self.over_label("p.")),
            3 => format!("LAG({}) OVER (ORDER BY {order})", self.label("p.")),
            4 => format!("SUM({}) OVER (ORDER BY {order})", self.label_test("p.")),
            _ => format!("MAX({}) OVER (PARTITION BY p.city)", self.label("p.")),
        };
        let conditions = self.conditions("p.", 2);
        (
            format!("SELECT NULLIF(p.id, 0), {window} AS w FROM {from}{conditions}"),
            false,
        )
    }

    fn joined_on_prediction(&mut self) -> Query {
        let join = self.pick(&["JOIN", "LEFT JOIN"]);
        let label = self.label("p.");
        let and = match self.chance(40) {
            true => format!(" AND {}", self.condition("p.")),
            false => String::new(),
        };
        let low = self.number(30);
        (
            format!("SELECT p.id, q.k FROM p {join} q ON {label} = q.kind AND q.k < {low}{and}"),
            false,
        )
    }

    fn labels_of_two_rows(&mut self) -> Query {
        let (first, second) = (self.label("a."), self.label("b."));
        let (third, test) = (self.label_test("a."), self.native_test("b."));
        let sql = format!(
            "SELECT a.id, b.id, {first} FROM p a JOIN p b ON a.id = b.stock + 1 WHERE {second} <> 'Bag' AND ({third} OR {test})"
        );
        (sql, false)
    }

    fn having(&mut self) -> Query {
        let score = self.score("p.");
        let (from, _) = self.from();
        let conditions = self.conditions("p.", 2);
        let label = self.label("p.");
        let constant = self.constant();
        let sql = format!(
            "SELECT UPPER(city) AS u, MAX({score}) > 0.5 FROM {from}{conditions} GROUP BY u HAVING MIN({label}) <> {constant}"
        );
        (sql, false)
    }

    fn with(&mut self) -> Query {
        let inner = self.over_label("p.");
        let (from, _) = self.from();
        let conditions = self.conditions("p.", 2);
        let with =
            format!("WITH c AS (SELECT p.id AS n, {inner} AS k, p.photo FROM {from}{conditions})");
        match self.number(4) {
            0 => (
                format!("{with} SELECT k, COUNT(*) FROM c GROUP BY k ORDER BY k"),
                true,
            ),
            1 => (
                format!("{with} SELECT a.n, b.k FROM c a JOIN c b ON a.n = b.n + 1"),
                false,
            ),
            2 => (
                format!(
                    "{with} SELECT n, ml.footwear(photo) FROM c WHERE n IN (SELECT n FROM c WHERE k > 'C')"
                ),
                false,
            ),
            _ => {
                let sql = format!(
                    "{with}, d AS (SELECT k, MAX(n) AS n FROM c GROUP BY k) SELECT d.k, d.n, c.photo FROM d JOIN c ON c.n = d.n"
                );
                (sql, false)
            }
        }
    }

    fn recursive(&mut self) -> Query {
        let upto = self.number(30);
        match self.chance(50) {
            true => {
                let constant = self.constant();
                let sql = format!(
                    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < {upto}) SELECT i, \
                     ml.apparel(CONCAT('photos/', LPAD(i, 5, '0'), '.png')) AS k FROM n HAVING k <> {constant}"
                );
                (sql, false)
            }
            false => {
                let (label, test) = (self.label("p."), self.native_test("p."));
                let sql = format!(
                    "WITH RECURSIVE n AS (SELECT p.id AS i, {label} AS k FROM p WHERE {test} UNION ALL SELECT i + 20, k \
                     FROM n WHERE i < {upto}) SELECT i, k FROM n"
                );
                (sql, false)
            }
        }
    }

    fn scalar_subquery(&mut self) -> Query {
        match self.number(4) {
            0 => {
                let label = self.label("p.");
                (
                    format!("SELECT k, (SELECT {label} FROM p WHERE p.id = q.k) AS l FROM q"),
                    false,
                )
            }
            1 => {
                let test = self.label_test("p.");
                (
                    format!(
                        "SELECT k, (SELECT COUNT(*) FROM p WHERE {test} AND p.stock < q.k) AS n FROM q"
                    ),
                    false,
                )
            }
            2 => {
                let (label, test) = (self.label("p."), self.native_test("p."));
                let sql = format!(
                    "SELECT p.id, (SELECT COUNT(*) FROM q WHERE q.kind = {label}) AS n FROM p WHERE {test}"
                );
                (sql, false)
            }
            _ => {
                let (label, other) = (self.label("p."), self.label("o."));
                let id = self.number(50);
                let sql = format!(
                    "SELECT p.id FROM p WHERE {label} = (SELECT {other} FROM p AS o WHERE o.id = {id})"
                );
                (sql, false)
            }
        }
    }

    fn without_table(&mut self) -> Query {
        let id = 1 + self.number(30);
        let constant = self.constant();
        let sql = match self.number(4) {
            0 => format!("SELECT ml.apparel('photos/{id:05}.png') = {constant}"),
            1 => format!("SELECT ml.footwear('photos/{id:05}.png') AS a, {constant} FROM DUAL"),
            2 => format!("SELECT ml.apparel('photos/{id:05}.png') UNION ALL SELECT {constant}"),
            _ => format!("SELECT 1 FROM DUAL WHERE ml.apparel('photos/{id:05}.png') <> {constant}"),
        };
        (sql, false)
    }

    fn joined_to_derived(&mut self) -> Query {
        let inner = self.label("p.");
        let conditions = self.conditions("p.", 1);
        let outer = self.label_test("r.");
        let sql = format!(
            "SELECT r.id, d.k FROM (SELECT p.id, {inner} AS k FROM p{conditions}) AS d JOIN p AS r USING (id) WHERE {outer} OR d.k = r.label"
        );
        (sql, false)
    }

    fn nested_calls(&mut self) -> Query {
        let outer = self.pick(&["ml.apparel", "ml.footwear"]);
        let test = self.label_test("p.");
        let conditions = self.conditions("p.", 1);
        (
            format!(
                "SELECT p.id, {outer}(IF({test}, p.photo, 'photos/00002.png')) AS k FROM p{conditions}"
            ),
            false,
        )
    }

    fn aggregated_input(&mut self) -> Query {
        let input = self.pick(&["photo", "photo_latin"]);
        let aggregate = self.pick(&["MIN", "MAX"]);
        let conditions = self.conditions("p.", 1);
        let constant = self.constant();
        let sql = format!(
            "SELECT stock, ml.apparel({aggregate}({input})) AS k FROM p{conditions} GROUP BY stock HAVING k <> {constant}"
        );
        (sql, false)
    }

    fn locking(&mut self) -> Query {
        let value = self.over_label("w.");
        let test = self.condition("w.");
        let lock = self.pick(&["FOR UPDATE", "LOCK IN SHARE MODE"]);
        (
            format!("SELECT id, {value} FROM w WHERE {test} ORDER BY id {lock}"),
            true,
        )
    }

    /// Over a view that predicts: `seen` is `p` with its `kind`, `above` a view of that.
    fn over_view(&mut self) -> Query {
        let (sql, ordered) = self.over_view_as_spelled();
        // Beside such a view the store is shown the client's own text,
        // which names schemas as they are.
        (sql.replace("ML.Apparel (", "ml.apparel("), ordered)
    }

    fn over_view_as_spelled(&mut self) -> Query {
        let view = self.pick(&["seen", "above"]);
        let operator = self.pick(&["=", "<>", "<", "LIKE"]);
        match self.number(7) {
            0 => {
                let constant = self.constant();
                let sql = format!(
                    "SELECT id, kind FROM {view} AS p WHERE kind {operator} {constant} ORDER BY id{}",
                    self.limit()
                );
                (sql, true)
            }
            1 => {
                let conditions = self.conditions("p.", 2);
                let sql = format!(
                    "SELECT kind, COUNT(*) AS n FROM {view} AS p{conditions} GROUP BY kind ORDER BY kind"
                );
                (sql, true)
            }
            2 => {
                let (value, constant) = (self.value("p."), self.constant());
                let sql = format!(
                    "SELECT p.id, {value} FROM {view} AS p WHERE p.kind {operator} {constant}"
                );
                (sql, false)
            }
            3 => {
                let low = self.number(40);
                let sql = format!(
                    "SELECT q.k, p.kind, p.id FROM q JOIN {view} AS p ON p.kind = q.kind AND p.id < {low}"
                );
                (sql, false)
            }
            4 => {
                let test = self.native_test("p.");
                let sql = format!(
                    "SELECT COUNT(*), MAX(kind), SUM(kind = label) FROM {view} AS p WHERE {test}"
                );
                (sql, true)
            }
            5 => {
                let constant = self.constant();
                let sql = format!(
                    "SELECT id FROM p WHERE id IN (SELECT s.id FROM {view} AS s WHERE s.kind {operator} {constant})"
                );
                (sql, false)
            }
            _ => {
                let conditions = self.conditions("p.", 1);
                let sql =
                    format!("SELECT DISTINCT UPPER(kind) AS u, city FROM {view} AS p{conditions}");
                (sql, false)
            }
        }
    }
}

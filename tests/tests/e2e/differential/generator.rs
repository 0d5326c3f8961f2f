//! Random statements by a grammar, the same for the same seed.

use super::answer::Param;
use super::shop::THRESHOLDS;
use super::{Case, case};

/// Makes statements.
pub struct Generator {
    state: u64,
    params: Vec<Param>,
}

const LABELS: [&str; 8] = [
    "Bag",
    "bag",
    "Coat",
    "Ankle boot",
    "T-shirt/top",
    "Dress",
    "Sneaker",
    "x",
];
const SCORED: [(&str, &str); 6] = [
    ("apparel", "Bag"),
    ("apparel", "Coat"),
    ("apparel_nano@1", "Sneaker"),
    ("footwear_other", "Sandal"),
    ("footwear_other", "Dress"),
    ("footwear", "Ankle boot"),
];

impl Generator {
    /// A generator that repeats itself for the same seed.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed,
            params: Vec::new(),
        }
    }

    /// SplitMix64.
    fn number(&mut self, below: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % below as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.number(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.number(from.len())]
    }

    /// The next statement.
    pub fn statement(&mut self) -> Case {
        self.params.clear();
        let (from, order) = self.from();
        let items = self.items();
        let mut sql = format!("SELECT {items} FROM {from}");
        let conditions = self.number(4);
        for i in 0..conditions {
            sql.push_str(if i == 0 { " WHERE " } else { " AND " });
            let condition = self.condition();
            sql.push_str(&condition);
        }
        if self.chance(60) {
            let first = self.pick(&["", "price DESC, ", "stock, ", "city DESC, ", "sku, "]);
            sql.push_str(&format!(" ORDER BY {first}{order}"));
            let limit = self.limit();
            sql.push_str(&limit);
        }
        case(sql).with(std::mem::take(&mut self.params))
    }

    /// The next statement that no stream plan answers.
    pub fn statement_of_two_passes(&mut self) -> Case {
        self.params.clear();
        let sql = match self.number(12) {
            0 | 1 => self.grouped(),
            2 => {
                let items = self.items();
                let (from, _) = self.from();
                format!("SELECT DISTINCT {items} FROM {from}{}", self.conditions())
            }
            3 => {
                let (from, order) = self.from();
                let conditions = self.conditions();
                let by = match self.number(3) {
                    0 => self.label(),
                    1 => self.label_test(),
                    _ => {
                        let label = self.label();
                        self.over_label(&label)
                    }
                };
                let limit = self.limit();
                format!("SELECT p.id, price FROM {from}{conditions} ORDER BY {by}, {order}{limit}")
            }
            4 => {
                let test = self.label_test();
                let label = self.label();
                let (from, _) = self.from();
                let conditions = self.conditions();
                format!(
                    "SELECT COUNT(*), SUM({test}), MAX({label}), MIN(p.id) FROM {from}{conditions}"
                )
            }
            5 => {
                let label = self.label();
                let conditions = self.conditions();
                let not = self.pick(&["", "NOT "]);
                format!(
                    "SELECT k, town FROM q WHERE kind {not}IN (SELECT {label} FROM p{conditions})"
                )
            }
            6 => {
                let label = self.label();
                let test = self.native_test();
                format!(
                    "SELECT k, kind FROM q WHERE EXISTS (SELECT 1 FROM p WHERE {label} = q.kind AND \
                     p.stock > q.k AND {test})"
                )
            }
            7 => {
                let label = self.label();
                let (from, _) = self.from();
                let conditions = self.conditions();
                format!(
                    "SELECT k, COUNT(*), MAX(n) FROM (SELECT {label} AS k, p.id AS n FROM {from}{conditions}) \
                     AS d GROUP BY k ORDER BY k"
                )
            }
            8 => {
                let (first, test) = (self.label(), self.native_test());
                let all = self.pick(&["", " ALL"]);
                let second = self.label();
                let conditions = self.conditions();
                format!(
                    "SELECT {first} AS k FROM p WHERE {test} UNION{all} SELECT {second} FROM p{conditions}"
                )
            }
            9 => {
                let label = self.label();
                let (from, order) = self.from();
                let conditions = self.conditions();
                format!(
                    "SELECT p.id, ROW_NUMBER() OVER (PARTITION BY {label} ORDER BY {order}) FROM {from}{conditions}"
                )
            }
            10 => {
                let (first, second) = (self.label(), self.label());
                let (from, _) = self.from();
                let conditions = self.conditions();
                let joined = if conditions.is_empty() {
                    " WHERE "
                } else {
                    " AND "
                };
                let (third, fourth, test) = (self.label(), self.label(), self.native_test());
                format!(
                    "SELECT p.id, CONCAT({first}, {second}) FROM {from}{conditions}{joined}({third} = {fourth} OR {test})"
                )
            }
            _ => {
                let score = self.score();
                let (from, _) = self.from();
                let conditions = self.conditions();
                let label = self.label();
                format!(
                    "SELECT UPPER(city) AS u, MAX({score}) > 0.5 FROM {from}{conditions} GROUP BY u HAVING \
                     MIN({label}) <> 'Coat'"
                )
            }
        };
        case(sql).with(std::mem::take(&mut self.params))
    }

    fn grouped(&mut self) -> String {
        let label = self.label();
        let key = match self.number(4) {
            0 => self.over_label(&label),
            1 => format!("{label} = label"),
            _ => label,
        };
        let count = self.pick(&[
            "COUNT(*)",
            "SUM(price)",
            "MAX(p.id)",
            "COUNT(DISTINCT stock)",
        ]);
        let (from, _) = self.from();
        let conditions = self.conditions();
        let having = match self.number(3) {
            0 => " HAVING COUNT(*) > 2",
            1 => " HAVING its_kind IS NOT NULL",
            _ => "",
        };
        let limit = self.limit();
        format!(
            "SELECT {key} AS its_kind, {count} AS n FROM {from}{conditions} GROUP BY its_kind{having} ORDER BY its_kind{limit}"
        )
    }

    /// A WHERE clause, or nothing.
    fn conditions(&mut self) -> String {
        let mut sql = String::new();
        for i in 0..self.number(3) {
            sql.push_str(if i == 0 { " WHERE " } else { " AND " });
            let condition = self.condition();
            sql.push_str(&condition);
        }
        sql
    }

    /// Tables, and what makes their rows' order total.
    fn from(&mut self) -> (&'static str, &'static str) {
        self.pick(&[
            ("p", "p.id"),
            ("p", "id DESC"),
            ("df.p AS p", "p.id"),
            ("p JOIN q ON q.k = p.stock", "p.id"),
            ("p LEFT JOIN q ON q.k = p.id", "p.id"),
            ("(SELECT * FROM p WHERE id % 3) AS p", "p.id"),
            ("p JOIN q ON q.town = p.city AND q.k < 3", "p.id, q.k"),
        ])
    }

    fn items(&mut self) -> String {
        let count = 1 + self.number(4);
        let items: Vec<String> = (0..count).map(|_| self.item()).collect();
        items.join(", ")
    }

    fn item(&mut self) -> String {
        let item = match self.number(10) {
            0 => {
                return self
                    .pick(&["p.*", "id", "id AS n", "price * 2", "city"])
                    .to_owned();
            }
            1 => self
                .pick(&["p.id", "label", "made", "weight", "IFNULL(city, 'none')"])
                .to_owned(),
            2..5 => self.label(),
            5 => self.score(),
            6 => {
                let label = self.label();
                self.over_label(&label)
            }
            7 => self.label_test(),
            _ => {
                let (test, other) = (self.label_test(), self.pick(&["price", "stock", "id + 1"]));
                format!("IF({test}, {other}, 0)")
            }
        };
        match self.number(4) {
            0 => format!("{item} AS a{}", self.number(100)),
            1 => format!("{item} `b {}`", self.number(100)),
            _ => item,
        }
    }

    /// A call that gives a label.
    fn label(&mut self) -> String {
        let input = self.input();
        let call = self.pick(&[
            "ml.apparel(",
            "ml.predict('apparel', ",
            "ML.Apparel (",
            "`ml`.predict('apparel_nano@1', ",
            "ml.footwear(",
            "ml.predict('footwear_other', ",
            "ml/* c */.predict ( 'bag_tiny_other' , ",
        ]);
        format!("{call}{input})")
    }

    fn input(&mut self) -> &'static str {
        self.pick(&[
            "photo",
            "photo",
            "p.photo",
            "photo_ci",
            "photo_latin",
            "img",
            "IF(p.id % 2, photo, NULL)",
        ])
    }

    fn score(&mut self) -> String {
        let ((target, class), input) = (self.pick(&SCORED), self.input());
        format!("ml.predict_proba('{target}', '{class}', {input})")
    }

    /// An expression over a label and perhaps columns.
    fn over_label(&mut self, label: &str) -> String {
        match self.number(7) {
            0 => format!("CONCAT({label}, '!')"),
            1 => format!("CONCAT(sku, {label})"),
            2 => format!("COALESCE({label}, label)"),
            3 => format!("UPPER({label})"),
            4 => format!("LENGTH({label})"),
            5 => {
                let constant = self.constant();
                format!("CASE {label} WHEN {constant} THEN 1.5 ELSE 2 END")
            }
            _ => format!("{label} COLLATE utf8mb4_bin"),
        }
    }

    /// A text constant, or a parameter.
    fn constant(&mut self) -> String {
        let label = self.pick(&LABELS);
        if self.chance(30) {
            self.params.push(Param::Text(label.to_owned()));
            return "?".to_owned();
        }
        format!("'{label}'")
    }

    /// A truth value over one prediction.
    fn label_test(&mut self) -> String {
        let label = self.label();
        match self.number(12) {
            0 => format!("{label} = label"),
            1 => format!("{label} <> label_bin"),
            2 => format!("{label} IS NULL"),
            3 => format!("{label} IS NOT NULL"),
            4 => format!("{label} LIKE '%{}%'", self.pick(&["a", "S", "boot", "e"])),
            5 => format!("{label} NOT LIKE 'S%'"),
            6 => format!("{label} IN ({}, {})", self.constant(), self.constant()),
            7 => format!("{label} NOT IN ({}, label)", self.constant()),
            8 => format!(
                "{label} BETWEEN {} AND {}",
                self.constant(),
                self.constant()
            ),
            9 => format!("{label} REGEXP '{}'", self.pick(&["^S", "a", "t$"])),
            10 => format!("{} <> {label}", self.constant()),
            _ => format!("{label} = {}", self.constant()),
        }
    }

    fn native_test(&mut self) -> String {
        match self.number(7) {
            0 => format!("price < {}", self.number(90)),
            1 => format!("stock > {}", self.number(40)),
            2 => "city = 'Delft'".to_owned(),
            3 => "city IS NULL".to_owned(),
            4 => format!(
                "id BETWEEN {} AND {}",
                self.number(60),
                60 + self.number(90)
            ),
            5 => "stock IN (SELECT k FROM q WHERE low < 0.2)".to_owned(),
            _ => {
                let id = self.number(150);
                self.params.push(Param::Int(id as i64));
                "id <> ?".to_owned()
            }
        }
    }

    fn score_test(&mut self) -> String {
        let score = self.score();
        let mut threshold = || {
            let threshold = self.pick(&THRESHOLDS);
            if self.chance(25) {
                self.params.push(Param::Double(threshold));
                return "?".to_owned();
            }
            threshold.to_string()
        };
        let (low, high) = (threshold(), threshold());
        let comparison = self.pick(&["<", "<=", ">", ">=", "<>"]);
        // Both were drawn: parameters must be used in the order in which they stand.
        match self.number(6) {
            0 => format!("{score} BETWEEN {low} AND {high}"),
            1 => format!("({low} {comparison} {score} OR {high} > 2)"),
            2 => format!("({score} {comparison} {low}) AND {high} < 2"),
            _ => format!("{low} {comparison} {score} AND {high} < 2"),
        }
    }

    fn condition(&mut self) -> String {
        match self.number(9) {
            0 | 1 => self.native_test(),
            2..5 => self.label_test(),
            5 => self.score_test(),
            6 => format!("({} OR {})", self.native_test(), self.label_test()),
            7 => format!("NOT ({} AND {})", self.label_test(), self.native_test()),
            _ => format!("({} XOR {})", self.label_test(), self.native_test()),
        }
    }

    fn limit(&mut self) -> String {
        let (rows, offset) = (self.number(20), self.number(30));
        match self.number(6) {
            0 => String::new(),
            1 => format!(" LIMIT {rows}"),
            2 => format!(" LIMIT {rows} OFFSET {offset}"),
            3 => format!(" LIMIT {offset}, {rows}"),
            _ => {
                self.params
                    .extend([Param::Int(rows as i64), Param::Int(offset as i64)]);
                " LIMIT ? OFFSET ?".to_owned()
            }
        }
    }
}

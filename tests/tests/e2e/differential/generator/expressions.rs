//! Expressions: inputs, calls, what is made of predictions, conditions. Parameters stand in the
//! text in the order in which they were made, so parts are made in the order in which they stand.

use super::super::answer::Param;
use super::super::shop::THRESHOLDS;
use super::Generator;

const LABELS: [&str; 9] = [
    "Bag",
    "bag",
    "Coat",
    "Ankle boot",
    "T-shirt/top",
    "Dress",
    "Sneaker",
    "x",
    "bag ",
];
const SCORED: [(&str, &str); 6] = [
    ("apparel", "Bag"),
    ("apparel", "Coat"),
    ("apparel_nano@1", "Sneaker"),
    ("footwear_other", "Sandal"),
    ("footwear_other", "Dress"),
    ("footwear", "Ankle boot"),
];
/// Labels of the rows' own, each with another collation.
const OWN_LABELS: [&str; 4] = ["label", "label_bin", "label_uni", "label_latin"];
/// Those that are spelt as classes are: which of several spellings stands for a group is up to the
/// store.
const SHOWN_LABELS: [&str; 3] = ["label", "label_bin", "label_uni"];
/// Of 100 labels in latin1, those that stand as they are:
/// functions of the store cannot be compared with them.
const UNCONVERTED_PERCENT: usize = 10;

impl Generator {
    /// A call that gives a label, over a table of `p`'s columns called by `t` (with its dot,
    /// or empty).
    pub(super) fn label(&mut self, t: &str) -> String {
        let call = self.pick(&[
            "ml.apparel(",
            "ml.predict('apparel', ",
            "ml.footwear(",
            "ml.predict('footwear_other', ",
            "`ml`.predict('apparel_nano@1', ",
            "ML.Apparel (",
            "ml/* c */.predict ( 'bag_tiny_other' , ",
            "ml.predict('legs_nano', ",
        ]);
        let input = self.input(t);
        format!("{call}{input})")
    }

    fn input(&mut self, t: &str) -> String {
        match self.choices.weighted([16, 6, 6, 6, 3, 2, 2, 2, 1, 1, 1, 1]) {
            0 => format!("{t}photo"),
            1 => format!("{t}photo_ci"),
            2 => format!("{t}photo_latin"),
            3 => format!("{t}img"),
            4 => format!("IF({t}id % 2, {t}photo, NULL)"),
            5 => format!("CONCAT('photos/', LPAD({t}id % 30 + 1, 5, '0'), '.png')"),
            6 => format!("COALESCE({t}photo_latin, {t}photo)"),
            7 => format!(
                "CONCAT({}, {t}photo_ci)",
                self.param(Param::Text(String::new()))
            ),
            8 => self.param(Param::Text("photos/00003.png".to_owned())),
            9 => "'photos/00002.png'".to_owned(),
            10 => {
                let condition = self.simple_test(t);
                format!("IF({condition}, {t}photo, {t}photo_ci)")
            }
            _ => format!("TRIM({t}photo)"),
        }
    }

    fn simple_test(&mut self, t: &str) -> String {
        let class = self.pick(&["Sandal", "Sneaker", "Ankle boot"]);
        format!("ml.footwear({t}photo) = '{class}'")
    }

    pub(super) fn score(&mut self, t: &str) -> String {
        let (target, class) = self.pick(&SCORED);
        let input = self.input(t);
        format!("ml.predict_proba('{target}', '{class}', {input})")
    }

    /// An expression over labels, and perhaps columns.
    pub(super) fn over_label(&mut self, t: &str) -> String {
        match self.number(18) {
            0 => self.label(t),
            1 => format!("CONCAT({}, '!')", self.label(t)),
            2 => format!("CONCAT({t}sku, {})", self.label(t)),
            3 => format!(
                "COALESCE({}, {t}{})",
                self.label(t),
                self.pick(&SHOWN_LABELS)
            ),
            4 => format!("UPPER({})", self.label(t)),
            5 => format!("LENGTH({})", self.label(t)),
            6 => {
                let label = self.label(t);
                let constant = self.constant();
                format!("CASE {label} WHEN {constant} THEN 1.5 ELSE 2 END")
            }
            7 => format!("{} COLLATE utf8mb4_bin", self.label(t)),
            8 => format!("NULLIF({}, {})", self.label(t), self.constant()),
            9 => format!("SUBSTRING({}, 2, {})", self.label(t), self.number(6)),
            10 => format!("CONCAT_WS('/', {}, {})", self.label(t), self.label(t)),
            11 => format!("HEX({})", self.label(t)),
            12 => format!("FIELD({}, 'Bag', 'Coat', {t}label)", self.label(t)),
            13 => {
                let test = self.label_test(t);
                let (then, other) = (self.label(t), self.pick(&["NULL", "'none'"]));
                format!("CASE WHEN {test} THEN {then} ELSE {other} END")
            }
            14 => format!(
                "GREATEST({}, {t}{})",
                self.label(t),
                self.pick(&SHOWN_LABELS)
            ),
            15 => format!("REPLACE({}, 'a', {t}sku)", self.label(t)),
            16 => format!("CAST({} AS CHAR(3))", self.label(t)),
            _ => format!("CONVERT({} USING latin1)", self.label(t)),
        }
    }

    /// Any value over predictions.
    pub(super) fn value(&mut self, t: &str) -> String {
        match self.number(8) {
            0..3 => self.label(t),
            3 | 4 => self.over_label(t),
            5 => self.label_test(t),
            6 => self.score(t),
            _ => {
                let test = self.label_test(t);
                let other = self.pick(&["price", "stock", "id + 1"]);
                format!("IF({test}, {t}{other}, 0)")
            }
        }
    }

    /// A text constant, or a parameter.
    pub(super) fn constant(&mut self) -> String {
        let label = self.pick(&LABELS);
        match self.chance(30) {
            true => self.param(Param::Text(label.to_owned())),
            false => format!("'{label}'"),
        }
    }

    /// A label of the row's own.
    fn own_label(&mut self, t: &str) -> String {
        let name = self.pick(&OWN_LABELS);
        match name == "label_latin" && !self.chance(UNCONVERTED_PERCENT) {
            true => format!("CONVERT({t}{name} USING utf8mb4)"),
            false => format!("{t}{name}"),
        }
    }

    /// A truth value over labels.
    pub(super) fn label_test(&mut self, t: &str) -> String {
        let own = self.own_label(t);
        match self.number(24) {
            0..3 => format!("{} = {}", self.label(t), self.constant()),
            3 => format!("{} = {own}", self.label(t)),
            4 => format!("{} <> {own}", self.label(t)),
            5 => format!("{} IS NULL", self.label(t)),
            6 => format!("{} IS NOT NULL", self.label(t)),
            7 => {
                let part = self.pick(&["a", "S", "boot", "e"]);
                format!("{} LIKE '%{part}%'", self.label(t))
            }
            8 => format!("{} NOT LIKE 'S%'", self.label(t)),
            9 => format!(
                "{} IN ({}, {})",
                self.label(t),
                self.constant(),
                self.constant()
            ),
            10 => format!("{} NOT IN ({}, {own})", self.label(t), self.constant()),
            11 => {
                let label = self.label(t);
                format!(
                    "{label} BETWEEN {} AND {}",
                    self.constant(),
                    self.constant()
                )
            }
            12 => {
                let pattern = self.pick(&["^S", "a", "t$"]);
                format!("{} REGEXP '{pattern}'", self.label(t))
            }
            13 => format!("{} <> {}", self.constant(), self.label(t)),
            14 => format!("{own} <=> {}", self.label(t)),
            15 => format!("{} > {}", self.label(t), self.constant()),
            16 => format!("{} = {}", self.label(t), self.label(t)),
            17 => {
                let label = self.label(t);
                let collation = self.pick(&["utf8mb4_bin", "utf8mb4_unicode_ci"]);
                format!("{label} = {} COLLATE {collation}", self.constant())
            }
            18 => format!(
                "{} IN (SELECT kind FROM q WHERE k < {})",
                self.label(t),
                self.number(9)
            ),
            19 => {
                let label = self.label(t);
                format!(
                    "EXISTS (SELECT 1 FROM q WHERE kind = {label} AND k < {})",
                    self.number(20)
                )
            }
            20 => format!("{} <= ALL (SELECT kind FROM q WHERE k < 3)", self.label(t)),
            21 => {
                let (label, low) = (self.label(t), self.number(9));
                format!("{label} = (SELECT MAX(kind) FROM q WHERE k BETWEEN {low} AND {t}id)")
            }
            22 => format!("({}, {t}stock) = ({}, 3)", self.label(t), self.constant()),
            _ => format!("{own} LIKE CONCAT('%', {}, '%')", self.label(t)),
        }
    }

    pub(super) fn native_test(&mut self, t: &str) -> String {
        match self.number(9) {
            0 => format!("{t}price < {}", self.number(90)),
            1 => format!("{t}stock > {}", self.number(40)),
            2 => format!("{t}city = 'Delft'"),
            3 => format!("{t}city IS NULL"),
            4 => format!(
                "{t}id BETWEEN {} AND {}",
                self.number(30),
                20 + self.number(40)
            ),
            5 => format!("{t}stock IN (SELECT k FROM q WHERE low < 0.2)"),
            6 => format!("{t}label_uni LIKE '{}%'", self.pick(&["s", "B", "T"])),
            7 => {
                let id = self.number(60);
                format!("{t}id <> {}", self.param(Param::Int(id as i64)))
            }
            _ => {
                let price = self.number(80);
                format!("{t}price > {}", self.param(Param::Double(price as f64)))
            }
        }
    }

    fn score_test(&mut self, t: &str) -> String {
        let comparison = self.pick(&["<", "<=", ">", ">=", "<>"]);
        match self.number(4) {
            0 => format!("{} {comparison} {}", self.score(t), self.threshold()),
            1 => format!("{} {comparison} {}", self.threshold(), self.score(t)),
            2 => {
                let score = self.score(t);
                format!(
                    "{score} BETWEEN {} AND {}",
                    self.threshold(),
                    self.threshold()
                )
            }
            _ => {
                let score = self.score(t);
                format!(
                    "ROUND({score}, 2) {comparison} {}",
                    self.pick(&["0.505", "0.915"])
                )
            }
        }
    }

    fn threshold(&mut self) -> String {
        let threshold = self.pick(&THRESHOLDS);
        match self.chance(25) {
            true => self.param(Param::Double(threshold)),
            false => threshold.to_string(),
        }
    }

    /// One condition, over predictions mostly.
    pub(super) fn condition(&mut self, t: &str) -> String {
        match self.number(10) {
            0 | 1 => self.native_test(t),
            2..5 => self.label_test(t),
            5 => self.score_test(t),
            6 => format!("({} OR {})", self.native_test(t), self.label_test(t)),
            7 => format!("NOT ({} AND {})", self.label_test(t), self.native_test(t)),
            8 => format!("({} XOR {})", self.label_test(t), self.native_test(t)),
            _ => format!("({} OR {})", self.label_test(t), self.label_test(t)),
        }
    }

    /// A WHERE clause of at most `most` conditions, or nothing.
    pub(super) fn conditions(&mut self, t: &str, most: usize) -> String {
        let mut sql = String::new();
        for i in 0..self.number(most + 1) {
            sql.push_str(if i == 0 { " WHERE " } else { " AND " });
            sql.push_str(&self.condition(t));
        }
        sql
    }

    /// LIMIT, or nothing.
    pub(super) fn limit(&mut self) -> String {
        let (rows, offset) = (self.number(20), self.number(30));
        match self.number(6) {
            0 => String::new(),
            1 => format!(" LIMIT {rows}"),
            2 => format!(" LIMIT {rows} OFFSET {offset}"),
            3 => format!(" LIMIT {offset}, {rows}"),
            4 => {
                let rows = self.param(Param::Int(rows as i64));
                format!(
                    " LIMIT {rows} OFFSET {}",
                    self.param(Param::Int(offset as i64))
                )
            }
            _ => format!(" LIMIT {}", self.param(Param::Int(rows as i64))),
        }
    }
}

//! Statements that change tables or variables. They change `w`, a copy of `p`, or make `made`.

use super::Generator;

/// Text, and whether rows that it gives come in a total order.
type Change = (String, bool);

/// Writes a change.
type Write = fn(&mut Generator) -> String;

/// Kinds of changes: how often, and how they are made.
const CHANGES: &[(usize, Write)] = &[
    (12, Generator::update),
    (6, Generator::update_of_two),
    (10, Generator::delete),
    (5, Generator::delete_of_two),
    (10, Generator::insert_select),
    (5, Generator::insert_values),
    (6, Generator::replace),
    (7, Generator::on_duplicate_key),
    (8, Generator::create_as),
    (6, Generator::variables_into),
    (3, Generator::set_variable),
];

impl Generator {
    /// A change.
    pub(super) fn change(&mut self) -> Change {
        let kind = self
            .choices
            .weighted(CHANGES.iter().map(|(weight, _)| *weight));
        ((CHANGES[kind].1)(self), false)
    }

    fn assignments(&mut self, t: &str) -> String {
        let assignments: Vec<String> = (0..=self.number(2))
            .map(|_| match self.number(9) {
                0 => format!("{t}city = {}", self.label(t)),
                1 => format!("{t}label = {}", self.label(t)),
                2 => format!("{t}label_bin = LOWER({})", self.label(t)),
                3 => format!("{t}label_latin = {}", self.label(t)),
                4 => format!("{t}price = {t}price + ({})", self.label_test(t)),
                5 => format!("{t}stock = LENGTH({})", self.label(t)),
                6 => format!("{t}sku = CONCAT({t}sku, {})", self.label(t)),
                7 => format!("{t}weight = {} > 0.5", self.score(t)),
                _ => format!("{t}label_uni = {}", self.over_label(t)),
            })
            .collect();
        assignments.join(", ")
    }

    fn by_id(&mut self) -> String {
        match self.chance(25) {
            true => format!(" ORDER BY id LIMIT {}", self.number(9)),
            false => String::new(),
        }
    }

    fn update(&mut self) -> String {
        let ignore = self.pick(&["", "", "", "IGNORE "]);
        let (set, conditions) = (self.assignments("w."), self.conditions("w.", 2));
        format!("UPDATE {ignore}w SET {set}{conditions}{}", self.by_id())
    }

    fn update_of_two(&mut self) -> String {
        let join = self.pick(&[
            "w JOIN q ON q.k = w.stock",
            "w LEFT JOIN q ON q.k = w.id",
            "q JOIN w ON w.id = q.k",
        ]);
        let (set, conditions) = (self.assignments("w."), self.conditions("w.", 2));
        format!("UPDATE {join} SET {set}{conditions}")
    }

    fn delete(&mut self) -> String {
        let conditions = self.conditions("w.", 3);
        format!("DELETE FROM w{conditions}{}", self.by_id())
    }

    fn delete_of_two(&mut self) -> String {
        let conditions = self.conditions("w.", 2);
        match self.chance(40) {
            true => format!("DELETE FROM w USING w LEFT JOIN q ON q.k = w.id{conditions}"),
            false => format!("DELETE w FROM w JOIN q ON q.k = w.stock{conditions}"),
        }
    }

    /// Ids, and values for city, label and photo.
    fn rows(&mut self) -> String {
        let away = self.pick(&["+ 1000", "", "% 7 + 55"]);
        let (city, label) = (self.label("p."), self.over_label("p."));
        let conditions = self.conditions("p.", 2);
        format!(
            "SELECT p.id {away}, sku, price, {city}, {label}, p.photo FROM p{conditions} ORDER BY p.id"
        )
    }

    fn insert_select(&mut self) -> String {
        let ignore = self.pick(&["", "IGNORE "]);
        format!(
            "INSERT {ignore}INTO w (id, sku, price, city, label, photo) {}",
            self.rows()
        )
    }

    fn insert_values(&mut self) -> String {
        let rows: Vec<String> = (0..=self.number(3))
            .map(|n| {
                let photo = 1 + self.number(30);
                let label = self.constant();
                format!(
                    "({}, 'new', 1.5, ml.apparel('photos/{photo:05}.png'), CONCAT(ml.footwear('photos/{photo:05}.png'), {label}))",
                    59 + n * 700
                )
            })
            .collect();
        let ignore = self.pick(&["IGNORE ", ""]);
        format!(
            "INSERT {ignore}INTO w (id, sku, price, city, label) VALUES {}",
            rows.join(", ")
        )
    }

    fn replace(&mut self) -> String {
        match self.chance(30) {
            true => {
                let photo = 1 + self.number(30);
                format!(
                    "REPLACE INTO w SET id = 7, sku = 'r', price = 2, city = ml.apparel('photos/{photo:05}.png')"
                )
            }
            false => format!(
                "REPLACE INTO w (id, sku, price, city, label, photo) {}",
                self.rows()
            ),
        }
    }

    fn on_duplicate_key(&mut self) -> String {
        let rows = self.rows();
        let update = match self.number(4) {
            0 => "city = VALUES(city)".to_owned(),
            1 => "label = CONCAT(VALUES(city), '!'), stock = 1".to_owned(),
            2 => "label_uni = ml.footwear(VALUES(photo))".to_owned(),
            _ => format!("w.city = {}", self.label("w.")),
        };
        format!(
            "INSERT INTO w (id, sku, price, city, label, photo) {rows} ON DUPLICATE KEY UPDATE {update}"
        )
    }

    fn create_as(&mut self) -> String {
        let kind = self.pick(&["TABLE", "TEMPORARY TABLE"]);
        let head = self.pick(&[
            "",
            " (k VARCHAR(40))",
            " ENGINE = MyISAM",
            " (n INT PRIMARY KEY)",
        ]);
        let value = self.value("p.");
        let and = match self.chance(50) {
            true => format!(", {}", self.label("p.")),
            false => String::new(),
        };
        let conditions = self.conditions("p.", 2);
        format!("CREATE {kind} made{head} SELECT p.id AS n, {value} AS k{and} FROM p{conditions}")
    }

    fn variables_into(&mut self) -> String {
        match self.chance(50) {
            true => {
                let test = self.condition("w.");
                format!("SELECT COUNT(*), MAX(id) INTO @v, @u FROM w WHERE {test}")
            }
            false => {
                let (label, by) = (self.label("w."), self.over_label("w."));
                format!("SELECT id, {label} INTO @v, @u FROM w ORDER BY {by}, id LIMIT 1")
            }
        }
    }

    fn set_variable(&mut self) -> String {
        let photo = 1 + self.number(30);
        let label = self.label("p.");
        match self.chance(50) {
            true => format!("SET @v = ml.apparel('photos/{photo:05}.png')"),
            false => format!("SET @v = (SELECT MAX({label}) FROM p)"),
        }
    }
}

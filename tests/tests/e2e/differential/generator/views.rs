//! Random views over predictions, and statements over them.

use super::super::answer::Param;
use super::choices::Choices;

/// A view, and what its columns are.
#[derive(Debug, Clone)]
pub struct View {
    /// Its name.
    pub name: String,
    /// The statement that makes it, with schema `ml`.
    pub sql: String,
    columns: Vec<Column>,
    /// No two rows have the same `id`.
    has_key: bool,
    /// Its rows are rows of one table, which may be changed by way of it.
    updatable: bool,
    /// Its query may take its place where a prediction is asked of it, so that nothing is changed
    /// by way of it then.
    replaced: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Column {
    name: &'static str,
    /// The label of a prediction, or made of one.
    is_label: bool,
}

/// A statement over views.
#[derive(Debug)]
pub struct OverViews {
    /// With schema `ml`; `?` stands for a parameter.
    pub sql: String,
    pub params: Vec<Param>,
    /// Its ORDER BY makes the order total.
    pub ordered: bool,
    /// It changes `p`.
    pub changes: bool,
    /// It may be refused: it changes rows by way of a view whose query takes its place.
    pub may_be_refused: bool,
}

const NATIVE: [&str; 5] = ["photo", "price", "city", "stock", "label"];

/// Conditions on a column that is no label, by its name; `@` stands for the column.
const TESTS: [(&str, &[&str]); 6] = [
    (
        "id",
        &[
            "@ < 40",
            "MOD(@, 3) = 1",
            "@ IN (SELECT k FROM q WHERE town = 'Oslo')",
            "@ BETWEEN 4 AND 50",
            "EXISTS (SELECT 1 FROM q WHERE q.k = @)",
            "@ <> 7",
        ],
    ),
    (
        "city",
        &[
            "@ = 'Oslo'",
            "@ LIKE 'D%'",
            "@ IN ('Oslo', 'Ghent')",
            "@ > 'E'",
            "@ IS NULL",
            "@ REGEXP '^[OG]'",
            "LENGTH(@) = 5",
            "@ <> 'delft'",
        ],
    ),
    (
        "price",
        &[
            "@ < 50",
            "@ BETWEEN 20 AND 70.5",
            "ROUND(@) % 2 = 0",
            "@ > (SELECT AVG(price) FROM p)",
            "NOT @ < 30",
        ],
    ),
    (
        "stock",
        &[
            "@ < 25",
            "@ IS NOT NULL",
            "COALESCE(@, 3) > 10",
            "@ NOT IN (1, 2, 13)",
        ],
    ),
    (
        "photo",
        &[
            "@ LIKE 'photos/0000%'",
            "@ IS NOT NULL",
            "ml.apparel(@) <> 'Shirt'",
            "ml.footwear(@) = 'Sneaker'",
            "ml.predict_proba('apparel', 'Bag', @) < 0.5",
            "ml.apparel(@) IN ('Bag', 'Coat', 'Sandal')",
        ],
    ),
    ("town", &["@ = 'Oslo'", "@ IS NULL"]),
];

/// Conditions on a label; `@` stands for its column.
const LABEL_TESTS: [&str; 9] = [
    "@ = 'Bag'",
    "@ LIKE 'S%'",
    "@ IN ('Bag', 'Coat')",
    "@ > 'P'",
    "@ IS NOT NULL",
    "@ REGEXP 'a'",
    "@ BETWEEN 'B' AND 'F'",
    "@ <> 'Bag'",
    "CHAR_LENGTH(@) > 4",
];

/// Makes views and statements.
pub struct ViewGenerator {
    choices: Choices,
    params: Vec<Param>,
}

impl ViewGenerator {
    pub fn new(choices: Choices) -> Self {
        Self {
            choices,
            params: Vec::new(),
        }
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.choices.chance(percent)
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        self.choices.pick(from)
    }

    /// A view over tables, or over one of `below`.
    pub fn view(&mut self, name: &str, below: &[View]) -> View {
        let base = View {
            name: "p".to_owned(),
            sql: String::new(),
            columns: NATIVE.map(native).to_vec(),
            has_key: true,
            updatable: true,
            replaced: false,
        };
        let source = match below.is_empty() || self.chance(15) {
            true => base,
            false => below[self.choices.number(below.len())].clone(),
        };
        let (query, mut view) = match self.choices.weighted([46, 18, 10, 6, 8, 7, 5]) {
            0 => self.rows(&source),
            1 => self.joined(&source),
            2 => self.united(&source),
            3 => self.distinct(&source),
            4 => self.grouped(&source),
            5 if source.has_key => self.limited(&source),
            _ => self.with(&source),
        };
        let algorithm = self.choices.weighted([60, 16, 12, 12]);
        let algorithm = [
            "",
            "ALGORITHM = MERGE ",
            "ALGORITHM = TEMPTABLE ",
            "ALGORITHM = UNDEFINED ",
        ][algorithm];
        let security = self.choices.weighted([70, 15, 15]);
        let security = ["", "SQL SECURITY INVOKER ", "SQL SECURITY DEFINER "][security];
        view.updatable &= !algorithm.contains("TEMPTABLE");
        let condition = query.split_once(" WHERE ").map_or("", |(_, after)| after);
        let predicts = ["ml.", "s.kind", "s.label", "s.shoe"];
        view.replaced |= !view.columns.contains(&native("photo"))
            || predicts.iter().any(|name| condition.contains(name));
        let check = view.updatable && query.contains("WHERE") && self.chance(15);
        view.sql = format!(
            "CREATE OR REPLACE {algorithm}{security}VIEW {name} AS {query}{}",
            if check { " WITH CHECK OPTION" } else { "" }
        );
        view.name = name.to_owned();
        view
    }

    /// Some columns of a source, with their texts.
    fn items(&mut self, source: &View, alias: &str) -> (Vec<String>, Vec<Column>) {
        let mut items = vec![format!("{alias}.id")];
        let mut columns: Vec<Column> = Vec::new();
        for column in &source.columns {
            if self.chance(if column.name == "photo" { 75 } else { 55 }) {
                items.push(format!("{alias}.{}", column.name));
                columns.push(*column);
            }
        }
        let photo = source.columns.iter().any(|c| c.name == "photo");
        let label = self.label(source);
        for name in ["kind", "label", "shoe"] {
            if columns.iter().any(|c| c.name == name) || !self.chance(50) {
                continue;
            }
            let call = match (photo, label) {
                (true, _) if name == "shoe" => "ml.footwear(s.photo)".to_owned(),
                (true, None) => self
                    .pick(&["ml.apparel(s.photo)", "ml.predict('apparel', s.photo)"])
                    .to_owned(),
                (_, Some(label)) => {
                    let made = [
                        "UPPER(s.@)",
                        "CONCAT(s.@, '-', LEFT(s.@, 1))",
                        "IFNULL(s.@, 'none')",
                    ];
                    self.pick(&made).replace('@', label)
                }
                _ => continue,
            };
            let call = call.replace("s.", &format!("{alias}."));
            let call = match self.choices.weighted([70, 10, 10, 10]) {
                1 => format!("UPPER({call})"),
                2 => format!("CASE WHEN {call} = 'Bag' THEN 'a bag' ELSE {call} END"),
                3 => format!("IF({call} LIKE 'S%', 'S', {call})"),
                _ => call,
            };
            items.push(format!("{call} AS {name}"));
            columns.push(Column {
                name,
                is_label: true,
            });
        }
        (items, columns)
    }

    /// A column that is a label, if there is one.
    fn label(&mut self, source: &View) -> Option<&'static str> {
        let labels = source.columns.iter().filter(|c| c.is_label);
        let labels: Vec<&str> = labels.map(|c| c.name).collect();
        (!labels.is_empty()).then(|| self.pick(&labels))
    }

    fn rows(&mut self, source: &View) -> (String, View) {
        let (items, columns) = self.items(source, "s");
        let condition = self.condition(source, "s");
        let query = format!(
            "SELECT {} FROM {} AS s{condition}",
            items.join(", "),
            source.name
        );
        let view = View {
            columns,
            ..source.clone()
        };
        (query, view)
    }

    fn joined(&mut self, source: &View) -> (String, View) {
        let (mut items, mut columns) = self.items(source, "s");
        if !columns.iter().any(|c| c.name == "town") && self.chance(60) {
            items.push("q.town".to_owned());
            columns.push(native("town"));
        }
        let mut on = "q.k = s.id".to_owned();
        if let (Some(label), true) = (self.label(source), self.chance(30)) {
            on = format!("q.k = s.id AND q.kind <> s.{label}");
        }
        let from = match self.choices.weighted([30, 30, 20, 20]) {
            0 => format!("{} AS s JOIN q ON {on}", source.name),
            1 => format!("{} AS s LEFT JOIN q ON {on}", source.name),
            2 => format!(
                "{} AS s JOIN (SELECT k AS id, town, kind, k FROM q) AS q USING (id)",
                source.name
            ),
            _ => format!("q, {} AS s", source.name),
        };
        let mut condition = self.condition(source, "s");
        if from.starts_with("q,") {
            condition = match condition.strip_prefix(" WHERE ") {
                Some(condition) => format!(" WHERE ({condition}) AND {on}"),
                None => format!(" WHERE {on}"),
            };
        }
        let query = format!("SELECT {} FROM {from}{condition}", items.join(", "));
        let view = View {
            columns,
            updatable: false,
            ..source.clone()
        };
        (query, view)
    }

    fn united(&mut self, source: &View) -> (String, View) {
        let (items, columns) = self.items(source, "s");
        let items = items.join(", ");
        let (first, second) = (self.condition(source, "s"), self.condition(source, "s"));
        let union = self.pick(&["UNION ALL", "UNION", "EXCEPT", "INTERSECT"]);
        let query = format!(
            "SELECT {items} FROM {0} AS s{first} {union} SELECT {items} FROM {0} AS s{second}",
            source.name
        );
        let view = View {
            columns,
            has_key: source.has_key && union != "UNION ALL",
            updatable: false,
            ..source.clone()
        };
        (query, view)
    }

    fn distinct(&mut self, source: &View) -> (String, View) {
        let (query, view) = self.rows(source);
        let query = query.replacen("SELECT ", "SELECT DISTINCT ", 1);
        (
            query,
            View {
                updatable: false,
                ..view
            },
        )
    }

    fn grouped(&mut self, source: &View) -> (String, View) {
        let label = match self.label(source) {
            Some(label) => format!("s.{label}"),
            None if source.columns.iter().any(|c| c.name == "photo") => {
                "ml.apparel(s.photo)".to_owned()
            }
            None => return self.distinct(source),
        };
        let condition = self.condition(source, "s");
        let having = self.pick(&[
            "",
            " HAVING COUNT(*) > 1",
            " HAVING MIN(s.id) < 30",
            " HAVING kind <> 'Bag'",
        ]);
        let query = format!(
            "SELECT {label} AS kind, MIN(s.id) AS id, COUNT(*) AS n FROM {} AS s{condition} GROUP BY {label}{having}",
            source.name
        );
        let kind = Column {
            name: "kind",
            is_label: true,
        };
        let view = View {
            columns: vec![kind, native("n")],
            updatable: false,
            ..source.clone()
        };
        (query, view)
    }

    fn limited(&mut self, source: &View) -> (String, View) {
        let (query, view) = self.rows(source);
        let order = self.pick(&["s.id", "s.id DESC"]);
        let limit = self.pick(&["5", "12", "3, 9", "20 OFFSET 2"]);
        let query = format!("{query} ORDER BY {order} LIMIT {limit}");
        (
            query,
            View {
                updatable: false,
                ..view
            },
        )
    }

    fn with(&mut self, source: &View) -> (String, View) {
        let (query, view) = self.rows(source);
        let query = format!("WITH c AS ({query}) SELECT c.* FROM c WHERE c.id > 2");
        (
            query,
            View {
                updatable: false,
                ..view
            },
        )
    }

    /// ` WHERE ...` over a source, or nothing.
    fn condition(&mut self, source: &View, alias: &str) -> String {
        if self.chance(15) {
            return String::new();
        }
        let first = self.test(source, alias);
        let condition = match self.choices.weighted([55, 20, 15, 10]) {
            0 => first,
            1 => format!("{first} AND {}", self.test(source, alias)),
            2 => format!("({first} OR {})", self.test(source, alias)),
            _ => format!("NOT ({first})"),
        };
        format!(" WHERE {condition}")
    }

    fn test(&mut self, source: &View, alias: &str) -> String {
        let mut tests: Vec<(&str, &[&str])> = vec![TESTS[0]];
        for column in &source.columns {
            match TESTS.iter().find(|(name, _)| *name == column.name) {
                _ if column.is_label => tests.extend([(column.name, &LABEL_TESTS[..]); 2]),
                Some(test) => tests.push(*test),
                None => {}
            }
        }
        let (name, tests) = self.pick(&tests);
        self.pick(tests).replace('@', &format!("{alias}.{name}"))
    }

    /// A statement over one or two views.
    pub fn statement(&mut self, views: &[View]) -> OverViews {
        self.params.clear();
        let view = views[self.choices.number(views.len())].clone();
        let other = views[self.choices.number(views.len())].clone();
        let label = self.label(&view).unwrap_or("id");
        let (mut ordered, mut changes, mut may_be_refused) = (false, false, false);
        let condition = self.bound_condition(&view);
        let name = &view.name;
        let sql = match self
            .choices
            .weighted([18, 12, 12, 8, 8, 8, 6, 6, 6, 6, 5, 5])
        {
            0 => format!("SELECT COUNT(*), MIN(v.{label}) FROM {name} AS v{condition}"),
            1 => format!("SELECT * FROM {name} AS v{condition}"),
            2 => format!(
                "SELECT v.{label}, COUNT(*) FROM {name} AS v{condition} GROUP BY v.{label} HAVING COUNT(*) > 0"
            ),
            3 => format!("SELECT DISTINCT UPPER(v.{label}) AS u FROM {name} AS v{condition}"),
            4 if view.has_key => {
                ordered = true;
                format!("SELECT v.id, v.{label} FROM {name} AS v{condition} ORDER BY v.id LIMIT 7")
            }
            5 => format!(
                "SELECT q.town, v.{label} FROM q JOIN {name} AS v ON v.id = q.k AND v.{label} <> q.kind{condition}"
            ),
            6 => format!(
                "SELECT q.k, v.{label} FROM q LEFT JOIN {name} AS v ON v.id = q.k{condition}"
            ),
            7 => {
                let theirs = self.label(&other).unwrap_or("id");
                format!(
                    "SELECT COUNT(*), MAX(o.{theirs}) FROM {name} AS v JOIN {} AS o ON o.id = v.id{condition}",
                    other.name
                )
            }
            8 => format!("SELECT k FROM q WHERE k IN (SELECT v.id FROM {name} AS v{condition})"),
            9 => format!(
                "WITH c AS (SELECT v.id, v.{label} AS l FROM {name} AS v{condition}) SELECT l, COUNT(*) FROM c GROUP BY l UNION SELECT kind, -1 FROM q"
            ),
            10 => format!(
                "SELECT d.l, MAX(d.id) FROM (SELECT v.id, v.{label} AS l FROM {name} AS v{condition}) AS d WHERE d.l IS NOT NULL GROUP BY d.l"
            ),
            11 => {
                changes = true;
                let (sql, refusable) = self.change(&view, label, &condition);
                may_be_refused = refusable;
                sql
            }
            _ => format!("SELECT v.id, v.{label} FROM {name} AS v{condition}"),
        };
        OverViews {
            sql,
            params: std::mem::take(&mut self.params),
            ordered,
            changes,
            may_be_refused,
        }
    }

    /// A change of `p`, by way of a view or with values of one; and whether it may be refused.
    fn change(&mut self, view: &View, label: &str, condition: &str) -> (String, bool) {
        let name = &view.name;
        let condition = condition.replace("v.", &format!("{name}."));
        match self.choices.weighted([30, 25, 25, 20]) {
            0 if view.updatable && view.columns.contains(&native("price")) => (
                format!("UPDATE {name} SET price = price + 1{condition}"),
                view.replaced,
            ),
            1 if view.updatable => (format!("DELETE FROM {name}{condition}"), view.replaced),
            2 => (
                format!(
                    "UPDATE p JOIN {name} ON {name}.id = p.id SET p.city = {name}.{label}{condition}"
                ),
                false,
            ),
            _ => (
                format!(
                    "INSERT INTO p (id, sku, price, city) SELECT {name}.id + 500, 'x', 1, {name}.{label} FROM {name}{condition} ON DUPLICATE KEY UPDATE p.stock = 1"
                ),
                false,
            ),
        }
    }

    /// A condition of which a constant may be a parameter.
    fn bound_condition(&mut self, view: &View) -> String {
        let condition = self.condition(view, "v");
        match condition.match_indices("'Bag'").map(|(at, _)| at).next() {
            Some(at) if self.chance(40) => {
                self.params.push(Param::Text("Bag".to_owned()));
                format!("{}?{}", &condition[..at], &condition[at + 5..])
            }
            _ => condition,
        }
    }
}

fn native(name: &'static str) -> Column {
    Column {
        name,
        is_label: false,
    }
}

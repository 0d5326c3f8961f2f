//! The statements that are planned from recorded replies: every shape of the differential tests is
//! among them. They are over these tests' tables `p`, `w` (a copy), `q` and `f`.

use predictsql_catalog::{
    Column, ColumnKind, ImageOptions, Layout, Model, ModelInput, ModelOptions, Normalisation,
    Output, Snapshot, Task, TaskInput, TaskKind,
};
use predictsql_optimizer::planning::{Bound, Forced, PlanSession};

/// A statement, and the session that it is planned in.
#[derive(Debug, Clone, Copy)]
pub struct Statement {
    /// With schema `ml`.
    pub sql: &'static str,
    /// Of an execution; none of a text.
    pub parameters: &'static [Value],
    /// Run before, at the store.
    pub setting: Option<&'static str>,
    /// The physical plan that must answer.
    pub forced: Option<Forced>,
}

/// A bound parameter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// NULL
    Null,
    /// BIGINT
    Int(i64),
    /// VARCHAR
    Text(&'static str),
    /// BLOB
    Bytes(&'static [u8]),
}

impl Statement {
    const fn of(sql: &'static str) -> Self {
        Self {
            sql,
            parameters: &[],
            setting: None,
            forced: None,
        }
    }

    const fn with(self, parameters: &'static [Value]) -> Self {
        Self { parameters, ..self }
    }

    const fn after(self, setting: &'static str) -> Self {
        Self {
            setting: Some(setting),
            ..self
        }
    }

    const fn forced(self, forced: Forced) -> Self {
        Self {
            forced: Some(forced),
            ..self
        }
    }

    /// Whether it is executed with parameters.
    pub fn is_binary(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// The session as plans depend on it.
    pub fn session(&self) -> PlanSession {
        let bound = |value: &Value| Bound {
            integer: match value {
                Value::Int(value) => u64::try_from(*value).ok(),
                Value::Null | Value::Text(_) | Value::Bytes(_) => None,
            },
            holds_nul: matches!(value, Value::Bytes(bytes) if bytes.contains(&0)),
        };
        PlanSession {
            literals_binary: false,
            results_utf8: self.setting != Some(LATIN1),
            is_strict: true,
            select_limit: if self.setting == Some(ONE_ROW) {
                1
            } else {
                u64::MAX
            },
            forced: self.forced,
            image_bytes_max: 32 << 20,
            parameters: self
                .is_binary()
                .then(|| self.parameters.iter().map(bound).collect()),
        }
    }
}

const LATIN1: &str = "SET character_set_results = latin1";
const ONE_ROW: &str = "SET sql_select_limit = 1";

const fn of(sql: &'static str) -> Statement {
    Statement::of(sql)
}

/// All, by the names of their groups.
pub const GROUPS: &[(&str, &[Statement])] = &[
    ("select_lists", SELECT_LISTS),
    ("conditions", CONDITIONS),
    ("scores", SCORES),
    ("shapes", SHAPES),
    ("sessions", SESSIONS),
    ("columns", COLUMNS),
    ("grouped", GROUPED),
    ("joined", JOINED),
    ("nested", NESTED),
    ("changes", CHANGES),
    ("explained", EXPLAINED),
    ("refused", REFUSED),
];

const SELECT_LISTS: &[Statement] = &[
    of("SELECT id, ml.apparel(photo) FROM p"),
    of("SELECT id, ml.predict('footwear', photo), ml.footwear(photo) AS f FROM p"),
    of("SELECT p.*, ml.apparel(photo), q.* FROM p JOIN q ON p.stock = q.k"),
    of(
        "SELECT ml.apparel(photo), ml.predict('apparel_nano@1', photo), ml.predict('footwear_other', img), id FROM p",
    ),
    of("SELECT id, CONCAT(sku, ': ', ml.apparel(photo)) AS what FROM p"),
    of(
        "SELECT id, ml.apparel(photo) = 'bag', ml.apparel(photo) LIKE 'S%', ml.apparel(photo) IS NULL FROM p",
    ),
    of(
        "SELECT id, CASE ml.apparel(photo) WHEN 'Bag' THEN 1.50 WHEN 'Coat' THEN 2 ELSE NULL END FROM p",
    ),
    of("SELECT id, ml.predict_proba('apparel', 'Coat', photo), ml.apparel(img) FROM p"),
];

const CONDITIONS: &[Statement] = &[
    of("SELECT id FROM p WHERE ml.apparel(photo) = 'Bag'"),
    of("SELECT id FROM p WHERE ml.apparel(photo) NOT IN ('Bag', NULL)"),
    of("SELECT id FROM p WHERE ml.apparel(photo) = label AND price < 50"),
    of("SELECT id FROM p WHERE price < 20 OR ml.apparel(photo) = 'Bag' AND stock > 10"),
    of("SELECT id FROM p WHERE NOT (ml.apparel(photo) = 'Bag' AND ml.footwear(photo) = 'Sneaker')"),
    of(
        "SELECT id, ml.footwear(photo) FROM p WHERE (ml.apparel(photo) IN ('Bag', 'Sandal') AND price < 60) OR (ml.footwear(photo) IS NOT NULL AND stock > 10)",
    ),
    of("SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' XOR price < 50"),
    of("SELECT id FROM p WHERE ml.apparel(photo) = 'no such class'"),
    of("SELECT id FROM p WHERE ml.apparel(photo) = ml.apparel(photo)"),
    of("SELECT id FROM p WHERE ml.apparel(photo) IN (SELECT kind FROM q WHERE k < 4)"),
];

const SCORES: &[Statement] = &[
    of(
        "SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) BETWEEN 0.1 AND 0.5 + 0.4",
    ),
    of("SELECT id FROM p WHERE 0.3 < ml.predict_proba('apparel', 'Coat', photo)"),
    of("SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) IS NULL"),
    of("SELECT id FROM p WHERE ml.predict_proba('apparel', 'Coat', photo) > NULL"),
    of(
        "SELECT id FROM p WHERE (ml.predict_proba('apparel', 'Bag', photo) > 0.5 OR ml.apparel(img) = label_bin) AND NOT (ml.predict_proba('apparel', 'Coat', img) < 0.2 AND ml.apparel(photo) = 'Coat')",
    ),
];

const SHAPES: &[Statement] = &[
    of("SELECT ml.predict('apparel', 'photos/00002.png')"),
    of("SELECT 1 FROM DUAL WHERE ml.predict('apparel', 'photos/00002.png') = 'Pullover'"),
    of(
        "SELECT p.id, q.k, ml.apparel(p.photo) FROM p LEFT JOIN q ON q.k = p.stock AND q.k < 5 WHERE p.id < 60",
    ),
    of(
        "SELECT d.id, ml.apparel(d.photo) FROM (SELECT id, photo FROM p WHERE price > 50 ORDER BY id LIMIT 20) AS d",
    ),
    of("SELECT id, ml.apparel(photo) FROM p ORDER BY id LIMIT 10 OFFSET 5"),
    of("SELECT id FROM p WHERE ml.apparel(photo) <> 'Bag' ORDER BY stock DESC, 1 LIMIT 7, 5"),
    of("SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' LIMIT 0"),
    of(
        "WITH cheap AS (SELECT id, photo FROM p WHERE price < 40) SELECT id, ml.apparel(photo) FROM cheap",
    ),
    of("SELECT id, ml./* c */predict(/* d */'apparel', photo -- e\n) AS x FROM p"),
    of("SELECT id, ml.apparel(photo) FROM p WHERE ml.apparel(photo) = 'Bag' FOR UPDATE"),
];

const SESSIONS: &[Statement] = &[
    of("SELECT id, ? FROM p WHERE ml.apparel(photo) = ?").with(&[Value::Int(5), Value::Text("Bag")]),
    of("SELECT id, CONCAT(?, ml.apparel(photo)), ml.apparel(photo) = ? FROM p WHERE id < ?")
        .with(&[Value::Text("a "), Value::Text("bag"), Value::Int(60)]),
    of("SELECT id FROM p WHERE ml.apparel(photo) <> ? ORDER BY id LIMIT ? OFFSET ?")
        .with(&[Value::Text("Bag"), Value::Int(5), Value::Int(4)]),
    of("SELECT id FROM p WHERE ml.predict_proba('apparel', 'Bag', photo) > ? LIMIT ?")
        .with(&[Value::Text("0.5"), Value::Int(3)]),
    of("SELECT ml.apparel(?)").with(&[Value::Text("photos/00002.png")]),
    of("SELECT ml.apparel(?)").with(&[Value::Bytes(b"\x89PNG\0")]),
    of("SELECT MAX(ml.apparel(?)), ?").with(&[Value::Bytes(b"\x89PNG\0"), Value::Int(4)]),
    of("SELECT ml.apparel(photo) k, COUNT(*) FROM p WHERE price < ? GROUP BY k HAVING k <> ? ORDER BY k")
        .with(&[Value::Int(60), Value::Text("Bag")]),
    of("SELECT COUNT(*) FROM p WHERE ml.apparel(photo) = ? OR ml.apparel(img) = ?")
        .with(&[Value::Null, Value::Text("Coat")]),
    of("SELECT id, ml.apparel(photo), ml.apparel(photo_latin) FROM p").after(LATIN1),
    of("SELECT ml.apparel(photo), COUNT(*) FROM p GROUP BY 1").after(LATIN1),
    of("SELECT ml.apparel(?)").with(&[Value::Text("photos/00002.png")]).after(LATIN1),
    of("SELECT id FROM p WHERE ml.apparel(photo) <> 'Bag' ORDER BY id").after(ONE_ROW),
    of("SELECT id FROM p WHERE ml.apparel(photo) = 'Bag'").forced(Forced::Inline),
    of("SELECT id, ml.apparel(photo) FROM p").forced(Forced::Temporary),
];

const COLUMNS: &[Statement] = &[
    of("SELECT id, ml.iris(sl, sw, pl, pw) FROM f"),
    of("SELECT id, ml.iris(sl, sw, txt, bad) FROM f WHERE ml.width(sl, sw, pl) > 0.5"),
    of("SELECT id FROM f WHERE ml.goods(colour, sl, sw, pieces) = 'yes'"),
    of("SELECT ml.goods(latin, sl, sw, pieces) AS g, AVG(ml.width(sl, sw, bad)) FROM f GROUP BY g"),
    of("SELECT ROUND(ml.width(sl, sw, pl), 1) AS w, COUNT(*) FROM f GROUP BY w ORDER BY w"),
];

const GROUPED: &[Statement] = &[
    of(
        "SELECT ml.apparel(photo) AS kind, COUNT(*), SUM(price), MIN(id) FROM p GROUP BY kind ORDER BY kind",
    ),
    of(
        "SELECT stock, ml.apparel(photo) AS k, COUNT(*) FROM p WHERE price < 60 GROUP BY stock, k WITH ROLLUP",
    ),
    of(
        "SELECT SUM(ml.apparel(photo) = 'Bag'), SUM(IF(ml.apparel(photo) = 'Bag', price, 0)) FROM p",
    ),
    of(
        "SELECT UPPER(city) AS u, MAX(ml.predict_proba('apparel', 'Bag', photo)) > 0.5 FROM p GROUP BY u HAVING MIN(ml.apparel(img)) <> 'Bag'",
    ),
    of("SELECT DISTINCT city, ml.apparel(photo) = 'Bag' FROM p ORDER BY 1, 2"),
    of("SELECT id FROM p ORDER BY ml.apparel(photo), id"),
    of("SELECT id FROM p WHERE ml.apparel(photo) = 'Bag' ORDER BY ml.apparel(img), id"),
    of("SELECT id, ROW_NUMBER() OVER (PARTITION BY ml.apparel(photo) ORDER BY id) FROM p"),
    of(
        "SELECT COUNT(*) FROM p WHERE ml.apparel(photo) = 'Bag' AND ml.footwear(photo) = 'Sandal' AND stock > 3",
    ),
    of("SELECT city, ml.apparel(MIN(photo)) FROM p GROUP BY city ORDER BY city"),
    of("SELECT ml.apparel(photo), COUNT(*) FROM p GROUP BY 1 LIMIT 0"),
];

const JOINED: &[Statement] = &[
    of("SELECT p.id, q.k FROM p JOIN q ON ml.apparel(p.photo) = q.kind WHERE p.id < 20"),
    of(
        "SELECT q.kind, COUNT(p.id) FROM q LEFT JOIN p ON ml.apparel(p.photo) = q.kind AND p.id < 50 GROUP BY q.kind ORDER BY q.kind",
    ),
    of(
        "SELECT a.id, b.id FROM p a JOIN p b ON ml.apparel(a.photo) = ml.apparel(b.photo) WHERE a.id < 6 AND b.id < 12",
    ),
    of(
        "SELECT r.id, d.k FROM (SELECT p.id, ml.apparel(photo) AS k FROM p WHERE price < 50) AS d JOIN p AS r USING (id) WHERE ml.footwear(r.img) = 'Sandal' OR d.k = r.label",
    ),
    of(
        "SELECT DISTINCT k FROM (SELECT UPPER(ml.apparel(p.photo)) AS k, p.id AS n FROM p JOIN q ON q.k = p.stock WHERE q.low < 0.3) AS d WHERE k <> 'COAT' ORDER BY k",
    ),
    of("SELECT ml.apparel(photo) FROM p WHERE id < 9 UNION SELECT kind FROM q"),
    of("SELECT kind FROM q EXCEPT SELECT ml.apparel(photo) FROM p WHERE id < 20"),
];

const NESTED: &[Statement] = &[
    of("SELECT k FROM q WHERE kind IN (SELECT ml.apparel(photo) FROM p WHERE price < 30)"),
    of(
        "SELECT k FROM q WHERE EXISTS (SELECT 1 FROM p WHERE ml.apparel(p.photo) = q.kind AND p.stock > q.k)",
    ),
    of("SELECT k, (SELECT ml.apparel(p.photo) FROM p WHERE p.id = q.k) FROM q"),
    of(
        "SELECT id FROM p WHERE EXISTS (SELECT 1 FROM q WHERE q.kind = ml.apparel(p.photo) AND q.k < 5)",
    ),
    of(
        "SELECT k FROM q WHERE EXISTS (SELECT 1 FROM p WHERE p.id = q.k AND ml.apparel(CONCAT('photos/', LPAD(q.k + p.id, 5, '0'), '.png')) = 'Bag')",
    ),
    of(
        "WITH c AS (SELECT id, photo, ml.apparel(photo) AS k FROM p) SELECT k, COUNT(*) FROM c GROUP BY k ORDER BY k",
    ),
    of(
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT ml.apparel(CONCAT('photos/0000', i, '.png')) k, COUNT(*) FROM n GROUP BY k",
    ),
    of("SELECT id, ml.apparel(IF(ml.footwear(photo) = 'Sandal', photo, NULL)) FROM p"),
    of("SELECT MAX(ml.apparel('photos/00002.png'))"),
];

const CHANGES: &[Statement] = &[
    of(
        "UPDATE w SET city = ml.apparel(photo) WHERE ml.apparel(photo) <> 'Bag' ORDER BY id LIMIT 3",
    ),
    of("UPDATE w JOIN q ON q.k = w.stock SET w.label = ml.apparel(w.photo) WHERE q.low < 0.5"),
    of("DELETE FROM w WHERE ml.apparel(photo) = 'Bag' OR price < 10"),
    of("DELETE w FROM w JOIN q ON q.k = w.stock WHERE ml.apparel(w.photo) = q.kind"),
    of(
        "INSERT INTO w (id, sku, price, city, photo) SELECT p.id + 1000, sku, price, ml.apparel(photo), p.photo FROM p ORDER BY p.id",
    ),
    of(
        "INSERT INTO w (id, sku, price, city) VALUES (59, 'new', 1.5, ml.apparel('photos/00003.png'))",
    ),
    of("REPLACE INTO w SET id = 7, sku = 'r', price = 2, city = ml.apparel('photos/00004.png')"),
    of(
        "INSERT INTO w (id, sku, price, city, photo) SELECT p.id, sku, price, city, p.photo FROM p ON DUPLICATE KEY UPDATE label = ml.apparel(p.photo)",
    ),
    of(
        "CREATE TEMPORARY TABLE made SELECT p.id AS n, ml.apparel(photo) AS k FROM p WHERE stock > 4",
    ),
    of("SELECT COUNT(*), MAX(id) INTO @v, @u FROM w WHERE ml.apparel(photo) = 'Bag'"),
    of("SET @v = (SELECT MAX(ml.apparel(photo)) FROM p)"),
];

const EXPLAINED: &[Statement] = &[
    of(
        "EXPLAIN SELECT id, ml.apparel(photo) FROM p WHERE ml.footwear(photo) = 'Sandal' AND price < 50 LIMIT 3",
    ),
    of("EXPLAIN SELECT /*+ ML(max_seconds = 60) */ id, ml.apparel(photo) FROM p"),
    of(
        "EXPLAIN FORMAT=JSON SELECT id FROM p WHERE ml.apparel(photo) IN ('Bag', 'Coat') OR price < 20",
    ),
    of(
        "EXPLAIN SELECT ml.apparel(photo), ml.footwear(img), COUNT(*) FROM p WHERE stock > 3 GROUP BY 1, 2",
    ),
    of("ANALYZE FORMAT=JSON SELECT ml.apparel(photo), COUNT(*) FROM p GROUP BY 1"),
    of("EXPLAIN SELECT id FROM p WHERE ml.apparel(photo) = ?").with(&[Value::Text("Bag")]),
    of("SELECT /*+ ML(max_cost = 5) */ ml.apparel(photo), COUNT(*) FROM p GROUP BY 1"),
];

const REFUSED: &[Statement] = &[
    of(
        "INSERT INTO w (id, sku, price, city, photo) SELECT p.id, sku, price, city, p.photo FROM p ON DUPLICATE KEY UPDATE label_uni = ml.footwear(VALUES(photo))",
    ),
    of("SELECT ml.apparel(photo), COUNT(*) FROM p GROUP BY 1").forced(Forced::Stream),
    of("SELECT ml.apparel(nope) FROM p"),
    of("SELECT ml.apparel(photo), COUNT(*) FROM nope GROUP BY 1"),
    of("SELECT ml.apparel(price) FROM p"),
    of("SELECT ml.apparel(photo), COUNT(* FROM p GROUP BY 1"),
    of("SELECT id, ml.apparel(photo) FROM p LIMIT ?").with(&[Value::Text("x")]),
    of("SELECT /*+ ML(min_accuracy = 0.9) */ id, ml.apparel(photo) FROM p"),
    of("SELECT id, ml.apparel(ml.apparel(ml.apparel(ml.apparel(photo)))) FROM p"),
];

fn task(name: &str, classes: &[&str], input: TaskInput) -> Task {
    Task {
        name: name.to_owned(),
        kind: match classes {
            [] => TaskKind::Regression,
            _ => TaskKind::Classification,
        },
        input,
        classes: classes.iter().map(|c| (*c).to_owned()).collect(),
        accuracy_slack_points: 1.0,
        constraints: Default::default(),
        image_roots: Vec::new(),
        version: 1,
    }
}

fn columns(names: &[&str]) -> TaskInput {
    let column = |name: &&str| Column {
        name: (*name).to_owned(),
        kind: match *name {
            "colour" => ColumnKind::Varchar,
            _ => ColumnKind::Double,
        },
    };
    TaskInput::Columns(names.iter().map(column).collect())
}

/// Classes of task `apparel`.
pub const APPAREL: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

const SHOES: [&str; 3] = ["Sneaker", "Sandal", "Ankle boot"];

fn model(id: u64, task: &Task, (name, version): (&str, &str), covers: &[&str]) -> Model {
    let labels: Vec<String> = covers.iter().map(|c| (*c).to_owned()).collect();
    let image = ImageOptions {
        layout: Layout::Nchw,
        height: 28,
        width: 28,
        channels: 1,
        normalisation: Normalisation {
            mean: vec![0.0],
            std: vec![1.0],
        },
        preprocessing: Default::default(),
    };
    Model {
        id,
        name: name.to_owned(),
        version: version.to_owned(),
        task: task.name.clone(),
        uri: format!("{name}.onnx"),
        sha256: String::new(),
        bytes: 0,
        covers: labels.clone(),
        options: ModelOptions {
            input: match &task.input {
                TaskInput::Image => ModelInput::Image(image),
                TaskInput::Columns(columns) => ModelInput::Columns {
                    columns: columns.clone(),
                },
            },
            labels,
            other: None,
            output: Output::Logits,
            output_name: None,
            accuracy: (covers.len() > 5).then_some(0.9 - id as f64 / 100.0),
        },
        seconds_per_image: Some(0.001 * id as f64),
    }
}

/// The catalog of the differential tests, but for what is in the models' files.
pub fn catalog() -> Snapshot {
    let species = ["setosa", "versicolor", "virginica"];
    let sepals = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
    let goods = ["colour", "weight", "price", "pieces"];
    let apparel = task("apparel", &APPAREL, TaskInput::Image);
    let footwear = task("footwear", &SHOES, TaskInput::Image);
    let iris = task("iris", &species, columns(&sepals));
    let width = task("width", &[], columns(&sepals[..3]));
    let goods = task("goods", &["no", "yes"], columns(&goods));
    let models = vec![
        model(1, &apparel, ("apparel_small", "1"), &APPAREL),
        model(2, &apparel, ("apparel_nano", "1"), &APPAREL),
        model(3, &apparel, ("apparel_nano", "2"), &APPAREL),
        model(4, &apparel, ("footwear_other", "1"), &SHOES),
        model(5, &footwear, ("footwear_net", "1"), &SHOES),
        model(6, &iris, ("iris_sk", "1"), &species),
        model(7, &width, ("width_tree", "1"), &[]),
        model(8, &goods, ("goods_sk", "1"), &["no", "yes"]),
    ];
    Snapshot::new(1, vec![apparel, footwear, iris, width, goods], models)
}

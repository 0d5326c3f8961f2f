//! Flowers and goods in a table, the models over its columns, and what these say naively.

use std::path::PathBuf;

use ort::value::{Tensor, TensorRef};
use predictsql_tests::Wire;
use predictsql_tests::process::checkout;

use super::naive;

/// Rows of the table.
pub const ROWS: usize = 60;
const SPECIES: [&str; 3] = ["setosa", "versicolor", "virginica"];
const COLOURS: [&str; 6] = ["red", "green", "blue", "Red", "red ", "größer, 'blau'"];

/// The models' folder, as a model root.
pub fn model_root() -> PathBuf {
    checkout().join("executor/tests/columns")
}

/// The tasks and their models, at the proxy.
pub fn create_models(session: &mut Wire) {
    for sql in [
        "CREATE TASK iris CLASSES ('setosa', 'versicolor', 'virginica') INPUT (sepal_length DOUBLE, \
         sepal_width DOUBLE, petal_length DOUBLE, petal_width DOUBLE)",
        "CREATE MODEL iris_sk FOR TASK iris FROM 'iris_tensor.onnx' OPTIONS (accuracy = 0.97)",
        "CREATE MODEL iris_xgb FOR TASK iris FROM 'iris_xgboost.onnx' OPTIONS (accuracy = 0.9)",
        "CREATE TASK width KIND REGRESSION INPUT (sepal_length DOUBLE, sepal_width DOUBLE, petal_length DOUBLE)",
        "CREATE MODEL width_tree FOR TASK width FROM 'width_tree.onnx'",
        "CREATE TASK goods CLASSES ('no', 'yes') INPUT (colour VARCHAR, weight DOUBLE, price DOUBLE, pieces DOUBLE)",
        "CREATE MODEL goods_sk FOR TASK goods FROM 'goods_maps.onnx'",
        "CREATE TASK total KIND REGRESSION INPUT (broken DOUBLE, whole DOUBLE)",
        "CREATE MODEL total_sum FOR TASK total FROM 'sum.onnx'",
        "CREATE TASK logarithm KIND REGRESSION INPUT (x DOUBLE)",
        "CREATE MODEL logarithm_ln FOR TASK logarithm FROM 'logarithm.onnx'",
    ] {
        session.run(&below_root(sql));
    }
}

/// With the models' files by absolute paths: another root is the base of relative ones.
pub fn below_root(sql: &str) -> String {
    sql.replace("FROM '", &format!("FROM '{}/", model_root().display()))
}

/// One row of table `f`. Every seventh repeats another; some values are NULL.
struct Flower {
    sepal_length: f64,
    sepal_width: f32,
    /// In hundredths.
    petal_length: Option<u32>,
    petal_width: Option<f64>,
    colour: Option<&'static str>,
    pieces: i32,
}

impl Flower {
    fn sepal(&self) -> [f64; 2] {
        [self.sepal_length, f64::from(self.sepal_width)]
    }
}

fn flower(id: usize) -> Flower {
    let seed = if id.is_multiple_of(7) { 3 } else { id } as u32;
    let tenths = |from: u32, of: u32| f64::from(from + seed * 7 % of) / 10.0;
    Flower {
        sepal_length: tenths(43, 37),
        sepal_width: tenths(20, 25) as f32,
        petal_length: (id != 11).then_some(100 + seed * 13 % 590),
        petal_width: (id != 12).then_some(tenths(1, 25)),
        colour: (id != 13).then_some(COLOURS[seed as usize % COLOURS.len()]),
        pieces: (seed % 5) as i32,
    }
}

/// Makes `f` in a database.
pub fn create_table(session: &mut Wire, database: &str) {
    session.run(&format!(
        "CREATE TABLE {database}.f (id INT PRIMARY KEY, sl DOUBLE NOT NULL, sw FLOAT NOT NULL, \
         pl DECIMAL(5,2), pw DOUBLE, txt VARCHAR(20), bad VARCHAR(20), colour VARCHAR(40) COLLATE utf8mb4_unicode_ci, \
         latin VARCHAR(40) CHARSET latin1, pieces INT, kind VARCHAR(20))"
    ));
    let or_null = |text: Option<String>| text.unwrap_or_else(|| "NULL".to_owned());
    let rows = (1..=ROWS).map(|id| {
        let f = flower(id);
        let petal_width = or_null(f.petal_width.map(|v| v.to_string()));
        let text = or_null(f.petal_width.map(|v| format!("' {v:e} '")));
        let bad = if id == 5 { "'1.5 cm'" } else { &petal_width };
        let colour = or_null(f.colour.map(|c| format!("'{}'", c.replace('\'', "''"))));
        let petal_length = f
            .petal_length
            .map(|v| format!("{}.{:02}", v / 100, v % 100));
        format!(
            "({id}, {}, {}, {}, {petal_width}, {text}, {bad}, {colour}, {colour}, {}, '{}')",
            f.sepal_length,
            f.sepal_width,
            or_null(petal_length),
            f.pieces,
            SPECIES[id % 3],
        )
    });
    let rows: Vec<String> = rows.collect();
    session.run(&format!(
        "INSERT INTO {database}.f VALUES {}",
        rows.join(", ")
    ));
}

/// The naive functions, which read what models say of all inputs that statements here give.
pub fn create_naive(session: &mut Wire) {
    session.run(
        "CREATE TABLE nv.said (task VARCHAR(20), a VARBINARY(100), b DOUBLE, c DOUBLE, d DOUBLE, \
         label VARCHAR(255) CHARSET utf8mb4, value DOUBLE, KEY (task, b, c))",
    );
    let tail = "NOT DETERMINISTIC READS SQL DATA RETURN (SELECT DISTINCT";
    session.run(&format!(
        "CREATE FUNCTION nv.iris(w DOUBLE, x DOUBLE, y DOUBLE, z DOUBLE) RETURNS VARCHAR(255) CHARSET utf8mb4 \
         {tail} label FROM nv.said WHERE task = 'iris' AND a = CONCAT(w) AND b = x AND c = y AND d = z)"
    ));
    session.run(&format!(
        "CREATE FUNCTION nv.width(x DOUBLE, y DOUBLE, z DOUBLE) RETURNS DOUBLE \
         {tail} value FROM nv.said WHERE task = 'width' AND b = x AND c = y AND d = z)"
    ));
    session.run(&format!(
        "CREATE FUNCTION nv.goods(w LONGTEXT CHARSET utf8mb4, x DOUBLE, y DOUBLE, z DOUBLE) \
         RETURNS VARCHAR(255) CHARSET utf8mb4 {tail} label FROM nv.said \
         WHERE task = 'goods' AND a = CAST(w AS BINARY) AND b = x AND c = y AND d = z)"
    ));
    let mut naive = Naive { session };
    let widths = naive.widths();
    naive.irises(&widths);
    naive.goods();
}

/// Fills the table of what models say.
struct Naive<'s> {
    session: &'s mut Wire,
}

impl Naive<'_> {
    /// Gives the inputs with what the model says of them.
    fn widths(&mut self) -> Vec<([f64; 3], f64)> {
        let mut inputs = vec![[5.1, 3.5, 1.4]];
        for flower in flowers() {
            let lengths = [flower.petal_length, flower.petal_length.map(|pl| pl + 100)];
            let lengths = lengths
                .into_iter()
                .flatten()
                .map(|pl| f64::from(pl) / 100.0);
            let [sl, sw] = flower.sepal();
            inputs.extend(lengths.chain([1.4, 2.0]).map(|pl| [sl, sw, pl]));
        }
        let mut session = naive::session(&model_root().join("width_tree.onnx"));
        let features = single(inputs.as_flattened());
        let tensor = TensorRef::from_array_view(([inputs.len(), 3], &features[..])).unwrap();
        let outputs = session.run(ort::inputs![tensor]).unwrap();
        let (_, values) = outputs[0].try_extract_tensor::<f32>().unwrap();
        let values = values.iter().map(|value| f64::from(*value));
        let said: Vec<([f64; 3], f64)> = inputs.into_iter().zip(values).collect();
        for (input, value) in &said {
            self.insert("width", b"", *input, &format!("NULL, {value:e}"));
        }
        said
    }

    fn irises(&mut self, widths: &[([f64; 3], f64)]) {
        let mut inputs = vec![[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]];
        inputs.extend(widths.iter().map(|([sl, sw, pl], pw)| [*sl, *sw, *pl, *pw]));
        for flower in flowers() {
            let [sl, sw] = flower.sepal();
            let Some(length) = flower.petal_length else {
                continue;
            };
            let widths = [Some(0.2), flower.petal_width].into_iter().flatten();
            inputs.extend(widths.map(|pw| [sl, sw, f64::from(length) / 100.0, pw]));
        }
        let mut session = naive::session(&model_root().join("iris_tensor.onnx"));
        let features = single(inputs.as_flattened());
        let tensor = TensorRef::from_array_view(([inputs.len(), 4], &features[..])).unwrap();
        let outputs = session.run(ort::inputs![tensor]).unwrap();
        let (_, labels) = outputs[0].try_extract_tensor::<i64>().unwrap();
        for ([sl, sw, pl, pw], label) in inputs.iter().zip(labels) {
            let label = SPECIES[usize::try_from(*label).unwrap()];
            let key = self.session.value(&format!("SELECT CONCAT({sl:e})"));
            let said = format!("'{label}', NULL");
            self.insert("iris", key.unwrap().as_bytes(), [*sw, *pl, *pw], &said);
        }
    }

    fn goods(&mut self) {
        let (mut colours, mut rest) = (Vec::new(), Vec::new());
        for flower in flowers() {
            let names = COLOURS.into_iter().chain(SPECIES).chain(["striped", ""]);
            for (name, price) in names.flat_map(|n| flower.petal_width.map(|price| (n, price))) {
                colours.push(name);
                rest.push([flower.sepal_length, price, f64::from(flower.pieces)]);
            }
        }
        let shape = [rest.len(), 1];
        let floats = |column: usize| {
            let column: Vec<f64> = rest.iter().map(|row| row[column]).collect();
            Tensor::from_array((shape, single(&column))).unwrap()
        };
        let pieces: Vec<i64> = rest.iter().map(|row| row[2] as i64).collect();
        let inputs = ort::inputs![
            "colour" => Tensor::from_string_array((shape, &colours[..])).unwrap(),
            "weight" => floats(0),
            "price" => floats(1),
            "pieces" => Tensor::from_array((shape, pieces)).unwrap(),
        ];
        let mut session = naive::session(&model_root().join("goods_maps.onnx"));
        let outputs = session.run(inputs).unwrap();
        let (_, labels) = outputs[0].try_extract_strings().unwrap();
        for ((colour, rest), label) in colours.iter().zip(&rest).zip(&labels) {
            let said = format!("'{label}', NULL");
            self.insert("goods", colour.as_bytes(), *rest, &said);
        }
    }

    fn insert(&mut self, task: &str, first: &[u8], rest: [f64; 3], said: &str) {
        let hex: String = first.iter().map(|byte| format!("{byte:02x}")).collect();
        let [b, c, d] = rest.map(|number| format!("{number:e}"));
        self.session.run(&format!(
            "INSERT INTO nv.said VALUES ('{task}', x'{hex}', {b}, {c}, {d}, {said})"
        ));
    }
}

fn flowers() -> impl Iterator<Item = Flower> {
    (1..=ROWS).map(flower)
}

/// In single precision, as these models take numbers.
fn single(numbers: &[f64]) -> Vec<f32> {
    numbers.iter().map(|number| *number as f32).collect()
}

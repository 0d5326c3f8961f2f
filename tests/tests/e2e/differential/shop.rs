//! What is predicted here: a table whose paths differ by case, collation, spelling and trailing
//! space, with NULLs, missing and broken files, and the models that look at it.

use std::fs;
use std::path::PathBuf;

use predictsql_tests::apparel::{self, Photos};
use predictsql_tests::process::new_dir;
use predictsql_tests::{Settings, Wire};

use super::flowers;
use super::naive::{Inputs, NaiveModel, file_of};
use super::schemas::{LANE, in_schema};

/// Photos that are written.
const PHOTOS: usize = 110;

/// How large table `p` is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    rows: usize,
    /// Different photos among them.
    photos: usize,
}

/// For statements written by hand.
pub const LARGE: Size = Size {
    rows: 150,
    photos: PHOTOS,
};
/// For many statements.
pub const SMALL: Size = Size {
    rows: 60,
    photos: 38,
};
/// Constants that scores are compared with: no score lies near them.
pub const THRESHOLDS: [f64; 7] = [0.1, 0.25, 0.3, 0.5, 0.75, 0.9, 0.99];

const CITIES: [&str; 5] = ["'Delft'", "'Oslo'", "NULL", "'Ghent'", "'delft'"];

/// Paths of the last rows of `p` that are no plain photo.
const SPECIAL: [Option<&str>; 16] = [
    None,
    Some("photos/none.png"),
    Some("photos/text.png"),
    Some("photos/cut.png"),
    Some(""),
    Some("photos/a.png"),
    Some("photos/A.png"),
    Some("photos/a.png "),
    Some("photos/é x.png"),
    Some("./photos/00003.png"),
    Some("photos/it's.png"),
    Some("photos/back\\slash.png"),
    Some("../outside.png"),
    Some("/etc/passwd"),
    Some("s3://bucket/a.png"),
    None,
];

/// The images.
pub struct Shop {
    root: PathBuf,
}

impl Shop {
    /// Writes the images.
    pub fn new() -> Self {
        let root = new_dir("shop-images");
        fs::create_dir(root.join("photos")).unwrap();
        let source = apparel::photos();
        for id in 1..=PHOTOS {
            let path = Photos::path(id);
            fs::copy(source.root().join(&path), root.join(&path)).unwrap();
        }
        let photo = |id| fs::read(source.root().join(Photos::path(id))).unwrap();
        let write = |path: &str, bytes: &[u8]| fs::write(root.join(path), bytes).unwrap();
        write("photos/text.png", b"this is text\n");
        let whole = photo(1);
        write("photos/cut.png", &whole[..whole.len() / 2]);
        for (id, name) in [
            (1, "a"),
            (2, "A"),
            (19, "é x"),
            (24, "it's"),
            (31, "back\\slash"),
        ] {
            write(&format!("photos/{name}.png"), &photo(id));
        }
        Self { root }
    }

    /// Of a proxy that reads the images, and keeps nothing where a session does not ask for it:
    /// each plan predicts for itself.
    pub fn settings(&self) -> Settings {
        Settings {
            schema: LANE.to_owned(),
            image_roots: vec![self.root.clone()],
            model_roots: vec![apparel::model_root(), flowers::model_root()],
            tables: "[cache]\nmode = 'off'".to_owned(),
            ..Settings::default()
        }
    }

    fn path(id: usize, size: Size) -> Option<String> {
        let plain = size.rows - SPECIAL.len();
        if id > plain {
            return SPECIAL[id - plain - 1].map(str::to_owned);
        }
        // The rows after the different photos repeat the first of them.
        Some(Photos::path((id - 1) % size.photos + 1))
    }

    fn blob(&self, id: usize) -> Option<Vec<u8>> {
        match id % 17 {
            0 => None,
            1 => Some(b"no image".to_vec()),
            _ => fs::read(self.root.join(Photos::path((id * 7) % PHOTOS + 1))).ok(),
        }
    }

    /// All inputs by the bytes that a function gets, as path or image, in each character set.
    pub fn inputs(&self) -> Inputs {
        let mut inputs = Inputs::new();
        for id in 1..=LARGE.rows {
            if let Some(path) = Self::path(id, LARGE)
                && let Some(image) = file_of(&self.root, &path)
            {
                let latin1: Vec<u8> = path.chars().map(|c| u8::try_from(c).unwrap()).collect();
                inputs.insert(latin1, image.clone());
                inputs.insert(path.into_bytes(), image);
            }
            if let Some(blob) = self.blob(id) {
                inputs.insert(blob.clone(), blob);
            }
        }
        inputs
    }

    /// A database with `p`, which holds the images, and `q` to be joined.
    pub fn create_tables(&self, session: &mut Wire, database: &str, size: Size) {
        session.run(&format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
        session.run(&format!(
            "CREATE TABLE {database}.p (id INT PRIMARY KEY, sku VARCHAR(20) NOT NULL, \
             price DECIMAL(8,2) NOT NULL, stock INT, city VARCHAR(20), \
             label VARCHAR(40) COLLATE utf8mb4_general_ci, label_bin VARCHAR(40) COLLATE utf8mb4_bin, \
             label_uni VARCHAR(40) COLLATE utf8mb4_unicode_ci, label_latin VARCHAR(40) CHARSET latin1, \
             weight FLOAT, made DATE, seen DATETIME(3), photo VARCHAR(200) COLLATE utf8mb4_bin, \
             photo_ci VARCHAR(200) COLLATE utf8mb4_unicode_ci, photo_latin VARCHAR(200) CHARSET latin1, \
             img MEDIUMBLOB, `q``uoted col` TINYINT)"
        ));
        let rows: Vec<String> = (1..=size.rows).map(|id| self.row(id, size)).collect();
        session.run(&format!(
            "INSERT INTO {database}.p VALUES {}",
            rows.join(", ")
        ));
        session.run(&format!(
            "CREATE TABLE {database}.q (k INT PRIMARY KEY, town VARCHAR(20), kind VARCHAR(40), low DOUBLE)"
        ));
        let rows: Vec<String> = (0..30)
            .map(|k| {
                let kind = quoted(apparel::CLASSES[k % 10]);
                format!("({k}, {}, {kind}, 0.{k:02})", CITIES[k % CITIES.len()])
            })
            .collect();
        session.run(&format!(
            "INSERT INTO {database}.q VALUES {}",
            rows.join(", ")
        ));
    }

    /// A row of `p` as VALUES has it.
    fn row(&self, id: usize, size: Size) -> String {
        let path = Self::path(id, size).map_or("NULL".to_owned(), |p| quoted(&p));
        let label = match id % 3 {
            0 => apparel::photos().class((id - 1) % size.photos + 1),
            _ => apparel::CLASSES[(id * 7) % 10],
        };
        let blob = self.blob(id).map_or("NULL".to_owned(), |b| hex(&b));
        let stock = match id % 11 {
            0 => "NULL".to_owned(),
            _ => (id * 13 % 50).to_string(),
        };
        let (label, lower) = (quoted(label), quoted(&label.to_lowercase()));
        format!(
            "({id}, 'SKU-{:04}', {}.{:02}, {stock}, {}, {label}, {lower}, {label}, {lower}, {}.5, \
             '2026-0{}-1{}', '2026-01-0{} 10:00:00.125', {path}, {path}, {path}, {blob}, {})",
            id * 37 % 1000,
            5 + id * 7 % 90,
            id % 100,
            CITIES[id % CITIES.len()],
            id % 9,
            id % 9 + 1,
            id % 10,
            id % 9 + 1,
            id % 5,
        )
    }
}

/// Tasks `apparel` and `footwear` with their models, at the proxy.
pub fn create_models(session: &mut Wire) {
    session.run(&apparel::create_task());
    session.run("CREATE TASK footwear CLASSES ('Sneaker', 'Sandal', 'Ankle boot')");
    let wanted = [
        "apparel_small",
        "apparel_nano",
        "footwear_other",
        "bag_tiny_other",
        "legs_nano",
    ];
    for name in wanted {
        session.run(&model(name).statement());
    }
    let second = model("apparel_small").statement();
    let second = second.replace("MODEL apparel_small", "MODEL apparel_nano");
    let second = second.replace(" COVERS ", " VERSION '2' COVERS ");
    session.run(&lower_accuracy(&second));
    let shoes = model("footwear_small").statement();
    session.run(
        &shoes
            .replace("MODEL footwear_small", "MODEL footwear_net")
            .replace("TASK apparel", "TASK footwear"),
    );
    let known = session.value(&in_schema("SELECT COUNT(*) FROM ml.models", LANE));
    assert_eq!(known.as_deref(), Some("7"));
}

/// So that the model is not its task's default.
fn lower_accuracy(statement: &str) -> String {
    let at = statement.rfind("accuracy = ").unwrap();
    format!("{}accuracy = 0.1)", &statement[..at])
}

pub fn model(name: &str) -> &'static apparel::ZooModel {
    apparel::zoo().iter().find(|m| m.name == name).unwrap()
}

/// The same models for the naive evaluation, with the decision of each target.
pub fn naive_models() -> Vec<NaiveModel> {
    let targets: [(&str, &[&'static str]); 6] = [
        (
            "apparel_small",
            &["apparel", "apparel_small", "apparel_nano", "apparel_nano@2"],
        ),
        ("apparel_nano", &["apparel_nano@1"]),
        ("footwear_other", &["footwear_other"]),
        ("bag_tiny_other", &["bag_tiny_other"]),
        ("legs_nano", &["legs_nano"]),
        ("footwear_small", &["footwear", "footwear_net"]),
    ];
    let naive = |(name, targets): &(&str, &[&'static str])| {
        let model = model(name);
        assert_eq!((model.channels, model.output.as_str()), (1, "logits"));
        NaiveModel {
            targets: targets.to_vec(),
            file: apparel::model_root().join(model.file.file_name().unwrap()),
            labels: model.labels.clone(),
            other: model.other.clone(),
            mean: model.mean[0] as f32,
            std: model.std[0] as f32,
        }
    };
    targets.iter().map(naive).collect()
}

/// Scores must not lie so near a threshold that a last bit decides.
pub fn check_thresholds(scores: &[f64]) {
    for threshold in THRESHOLDS {
        let near = scores
            .iter()
            .find(|score| (*score - threshold).abs() < 3e-6);
        assert_eq!(near, None, "choose another threshold than {threshold}");
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("x'{digits}'")
}

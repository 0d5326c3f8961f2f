//! The tables of the soak, and what each photo's labels must be.

use std::collections::BTreeMap;
use std::path::Path;

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use predictsql_proxy::demo::dataset::{CLASSES, Split};
use predictsql_proxy::demo::pictures;

use super::error::SoakError;
use super::ledger::Label;
use super::servers::IMAGES;

/// Distinct photos.
const PHOTOS: u32 = 300;
/// Rows of `products`: each photo four times.
pub const PRODUCTS: u32 = 1_200;
/// Values of `warehouse`, each of as many rows.
pub const WAREHOUSES: u32 = 24;
/// Rows of a batch, and batches.
pub const BATCH_ROWS: u32 = 12;
/// See [`BATCH_ROWS`].
pub const BATCHES: u32 = PRODUCTS / BATCH_ROWS;
const FOLDER: &str = "photos";

/// The products, as every answer must show them.
pub struct Shop {
    products: Vec<Product>,
}

/// A row of `products`.
#[derive(Debug, Clone)]
pub struct Product {
    /// Its key, from 1.
    pub id: u32,
    /// One of [`WAREHOUSES`].
    pub warehouse: u32,
    /// One of [`BATCHES`].
    pub batch: u32,
    /// Path of its photo.
    pub photo: String,
    /// What the only model of task `kind` says.
    pub kind: String,
    /// What model `apparel_small` says.
    pub small: String,
}

impl Product {
    /// The label that a statement stores.
    pub fn label(&self, label: Label) -> Option<&str> {
        match label {
            Label::Null => None,
            Label::Kind => Some(&self.kind),
            Label::Small => Some(&self.small),
        }
    }
}

impl Shop {
    /// Makes images, tasks, models and tables, and asks for each photo's labels by itself.
    ///
    /// # Errors
    /// A step fails.
    pub async fn create(conn: &mut Conn, dataset: &Path, folder: &Path) -> Result<Self, SoakError> {
        let images = Split::read(dataset, "t10k")?.last(PHOTOS as usize);
        pictures::write_all(&folder.join(IMAGES), FOLDER, &images)?;
        let classes: Vec<&str> = images.iter().map(|(_, class)| class).collect();
        for sql in models().iter().chain(&tables(&classes)) {
            let done = conn.query_drop(sql).await;
            done.map_err(SoakError::sql("creating the shop"))?;
        }
        let labels = naive_labels(conn).await?;
        let rows = labels
            .iter()
            .map(|(photo, [kind, small])| format!("('{photo}', '{kind}', '{small}')"));
        let rows: Vec<String> = rows.collect();
        let insert = format!("INSERT INTO shop.labels VALUES {}", rows.join(", "));
        let done = conn.query_drop(insert).await;
        done.map_err(SoakError::sql("storing labels"))?;
        let product = |id| {
            let photo = photo(id % PHOTOS + 1);
            let [kind, small] = labels.get(&photo)?.clone();
            let (warehouse, batch) = (id % WAREHOUSES, id % BATCHES);
            Some(Product {
                id: id + 1,
                warehouse,
                batch,
                photo,
                kind,
                small,
            })
        };
        let products = (0..PRODUCTS).filter_map(product).collect();
        Ok(Self { products })
    }

    /// All of them, by id.
    pub fn products(&self) -> &[Product] {
        &self.products
    }

    /// One of them.
    pub fn product(&self, id: u32) -> Option<&Product> {
        self.products.get((id as usize).checked_sub(1)?)
    }

    /// Those of a warehouse.
    pub fn of_warehouse(&self, warehouse: u32) -> impl Iterator<Item = &Product> {
        let products = self.products.iter();
        products.filter(move |product| product.warehouse == warehouse)
    }

    /// Those of a batch.
    pub fn of_batch(&self, batch: u32) -> impl Iterator<Item = &Product> {
        let products = self.products.iter();
        products.filter(move |product| product.batch == batch)
    }
}

fn photo(id: u32) -> String {
    pictures::relative_path(FOLDER, id as usize)
}

/// A statement that makes a generalist of the zoo known under a name.
pub fn create_model(name: &str, task: &str, file: &str) -> String {
    format!(
        "CREATE MODEL {name} FOR TASK {task} FROM '{file}' COVERS {classes} OPTIONS (layout = 'NCHW', \
         size = '28x28', channels = 1, mean = (0.286), std = (0.353), labels = {classes}, output = 'logits')",
        classes = classes()
    )
}

/// The classes of the apparel, as statements have them.
pub fn classes() -> String {
    format!("('{}')", CLASSES.join("', '"))
}

/// Task `kind` has one model for ever, so that its answers are fixed;
/// task `apparel` is what is evaluated.
fn models() -> Vec<String> {
    let task = |name: &str| format!("CREATE TASK {name} CLASSES {}", classes());
    vec![
        task("kind"),
        task("apparel"),
        create_model("kind_nano", "kind", "apparel_nano.onnx"),
        create_model("apparel_nano", "apparel", "apparel_nano.onnx"),
        create_model("apparel_small", "apparel", "apparel_small.onnx"),
    ]
}

fn tables(classes: &[&str]) -> Vec<String> {
    let path = format!("CONCAT('{FOLDER}/', LPAD((seq - 1) % {PHOTOS} + 1, 5, '0'), '.png')");
    let truth = classes.iter().zip(1..);
    let truth = truth.map(|(class, id)| format!("('{}', '{class}')", photo(id)));
    let truth: Vec<String> = truth.collect();
    let mut statements: Vec<String> = [
        "CREATE DATABASE shop CHARACTER SET utf8mb4",
        "USE shop",
        "CREATE TABLE products (id INT PRIMARY KEY, warehouse INT NOT NULL, batch INT NOT NULL, \
         price INT NOT NULL, photo VARCHAR(100) NOT NULL, KEY (warehouse), KEY (batch))",
        "CREATE TABLE truth (photo VARCHAR(100) PRIMARY KEY, label VARCHAR(40) NOT NULL)",
        "CREATE TABLE labels (photo VARCHAR(100) PRIMARY KEY, kind VARCHAR(40) NOT NULL, small VARCHAR(40) NOT NULL)",
        "CREATE TABLE journal (token BIGINT NOT NULL, place INT NOT NULL, photo VARCHAR(100) NOT NULL, \
         label VARCHAR(40), KEY (token))",
        "CREATE TABLE items (id INT PRIMARY KEY, batch INT NOT NULL, photo VARCHAR(100) NOT NULL, \
         label VARCHAR(40), token BIGINT NOT NULL, KEY (batch))",
        "CREATE TABLE bin (token BIGINT NOT NULL, place INT NOT NULL, photo VARCHAR(100) NOT NULL, KEY (token))",
        "CREATE VIEW kinds AS SELECT id, warehouse, batch, photo, ml.kind(photo) AS kind FROM products",
    ]
    .map(str::to_owned)
    .into();
    statements.push(format!(
        "INSERT INTO products SELECT seq, (seq - 1) % {WAREHOUSES}, (seq - 1) % {BATCHES}, seq * 7 % 90, {path} \
         FROM seq_1_to_{PRODUCTS}"
    ));
    statements.push("INSERT INTO items SELECT id, batch, photo, NULL, 0 FROM products".to_owned());
    statements.push(format!("INSERT INTO truth VALUES {}", truth.join(", ")));
    statements
}

/// Each photo's labels, asked for one by one before there is any load: nothing is batched,
/// kept or planned.
async fn naive_labels(conn: &mut Conn) -> Result<BTreeMap<String, [String; 2]>, SoakError> {
    let step = || SoakError::sql("asking for a photo's labels");
    conn.query_drop("SET @ml_cache = 'off'")
        .await
        .map_err(step())?;
    let mut labels = BTreeMap::new();
    for id in 1..=PHOTOS {
        let photo = photo(id);
        let mut told = Vec::new();
        for model in ["kind_nano@1", "apparel_small@1"] {
            let sql = format!("SELECT ml.predict('{model}', '{photo}')");
            let label: Option<Option<String>> = conn.query_first(sql).await.map_err(step())?;
            told.push(label.flatten());
        }
        let [Some(kind), Some(small)] = &told[..] else {
            return Err(SoakError::Broken(format!("{photo} has no labels")));
        };
        labels.insert(photo, [kind.clone(), small.clone()]);
    }
    Ok(labels)
}

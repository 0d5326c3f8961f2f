//! The models of `bench/zoo`: copied to the data directory, and created by SQL.

use std::fs;
use std::path::{Path, PathBuf};

use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::dataset::CLASSES;
use super::error::DemoError;
use super::progress::Progress;

/// The task of the models.
const TASK: &str = "apparel";

/// One entry of `zoo.json`.
#[derive(Debug, Deserialize)]
pub struct ZooModel {
    /// Its name in the catalog.
    pub name: String,
    /// The ONNX file, relative to `zoo.json`.
    pub file: PathBuf,
    /// Labels of its output's numbers.
    pub labels: Vec<String>,
    /// The label that means none of the classes that it covers.
    pub other: Option<String>,
    covers: Vec<String>,
    /// Height and width, in pixels.
    pub size: (u32, u32),
    /// 1: grey, 3: RGB.
    pub channels: u32,
    layout: String,
    /// Subtracted from a sample in 0..1; one per channel.
    pub mean: Vec<f64>,
    /// Divisor after the subtraction; one per channel.
    pub std: Vec<f64>,
    output: String,
    accuracy: f64,
}

/// The models listed in `dir/zoo.json`.
///
/// # Errors
/// The file is missing or invalid.
pub fn read(dir: &Path) -> Result<Vec<ZooModel>, DemoError> {
    let path = dir.join("zoo.json");
    if !path.exists() {
        return Err(DemoError::NoZoo { path });
    }
    let text = fs::read(&path).map_err(DemoError::io("read", &path))?;
    serde_json::from_slice(&text).map_err(|error| DemoError::Data {
        path,
        reason: error.to_string(),
    })
}

/// Creates the task and the models, unless they exist. A model whose file differs from the one
/// recorded in the catalog is recreated.
///
/// # Errors
/// A file cannot be copied, or a statement failed.
pub async fn create(
    conn: &mut Conn,
    zoo: &Path,
    models: &[ZooModel],
    model_root: &Path,
) -> Result<(), DemoError> {
    conn.query_drop(create_task())
        .await
        .map_err(DemoError::sql(format!("creating task {TASK}")))?;
    let known: Vec<(String, String)> = conn
        .query("SELECT name, sha256 FROM ml.models")
        .await
        .map_err(DemoError::sql("reading the catalog"))?;
    let mut progress = Progress::begin(format!("models of task {TASK}"), models.len());
    for model in models {
        create_one(conn, zoo, model, model_root, &known).await?;
        progress.add(1);
    }
    progress.finish();
    Ok(())
}

async fn create_one(
    conn: &mut Conn,
    zoo: &Path,
    model: &ZooModel,
    model_root: &Path,
    known: &[(String, String)],
) -> Result<(), DemoError> {
    let source = zoo.join(&model.file);
    let bytes = fs::read(&source).map_err(DemoError::io("read", source))?;
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let target = model_root.join(model.target());
    let pinned = known.iter().find(|(name, _)| *name == model.name);
    if pinned.is_some_and(|(_, pin)| *pin == sha256) && target.exists() {
        return Ok(());
    }
    let step = || DemoError::sql(format!("creating model {}", model.name));
    if pinned.is_some() {
        let drop = format!("DROP MODEL IF EXISTS {}", model.name);
        conn.query_drop(drop).await.map_err(step())?;
    }
    fs::create_dir_all(model_root).map_err(DemoError::io("create", model_root))?;
    let unfinished = target.with_extension("unfinished");
    fs::write(&unfinished, bytes).map_err(DemoError::io("write", &unfinished))?;
    fs::rename(&unfinished, &target).map_err(DemoError::io("rename", unfinished))?;
    conn.query_drop(model.statement()).await.map_err(step())
}

fn create_task() -> String {
    let classes = CLASSES.map(str::to_owned);
    format!(
        "CREATE TASK IF NOT EXISTS {TASK} CLASSES {}",
        texts(&classes)
    )
}

impl ZooModel {
    /// Name of the file below the model root.
    fn target(&self) -> String {
        format!("{}.onnx", self.name)
    }

    /// The statement that creates the model.
    fn statement(&self) -> String {
        let Self { size, channels, .. } = self;
        let other = match &self.other {
            Some(label) => format!(", other = {}", text(label)),
            None => String::new(),
        };
        format!(
            "CREATE MODEL IF NOT EXISTS {} FOR TASK {TASK} FROM {} COVERS {} OPTIONS \
             (layout = {}, size = '{}x{}', channels = {channels}, mean = {}, std = {}, \
             labels = {}{other}, output = {}, accuracy = {})",
            self.name,
            text(&self.target()),
            texts(&self.covers),
            text(&self.layout),
            size.0,
            size.1,
            numbers(&self.mean),
            numbers(&self.std),
            texts(&self.labels),
            text(&self.output),
            self.accuracy,
        )
    }
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

fn texts(values: &[String]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| text(value)).collect();
    format!("({})", quoted.join(", "))
}

fn numbers(values: &[f64]) -> String {
    let written: Vec<String> = values.iter().map(f64::to_string).collect();
    format!("({})", written.join(", "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ENTRY: &str = r#"[{"name": "sneaker_sandal", "file": "models/s.onnx", "kind": "specialist",
        "labels": ["Sandal", "Sneaker", "other"], "other": "other", "covers": ["Sandal", "Sneaker"],
        "size": [28, 28], "channels": 1, "layout": "NCHW", "mean": [0.286], "std": [0.353],
        "output": "logits", "accuracy": 0.971}]"#;

    #[test]
    fn an_entry_becomes_a_statement_that_the_parser_reads() {
        let models: Vec<ZooModel> = serde_json::from_str(ENTRY).unwrap();
        let statement = models[0].statement();
        assert_eq!(
            statement,
            "CREATE MODEL IF NOT EXISTS sneaker_sandal FOR TASK apparel FROM 'sneaker_sandal.onnx' \
             COVERS ('Sandal', 'Sneaker') OPTIONS (layout = 'NCHW', size = '28x28', channels = 1, \
             mean = (0.286), std = (0.353), labels = ('Sandal', 'Sneaker', 'other'), other = 'other', \
             output = 'logits', accuracy = 0.971)"
        );
        predictsql_optimizer::ddl::parse(&statement).unwrap();
        predictsql_optimizer::ddl::parse(&create_task()).unwrap();
    }

    #[test]
    fn a_missing_zoo_says_where_to_start() {
        let error = read(Path::new("/nonexistent")).unwrap_err().to_string();
        assert!(error.contains("--zoo"), "{error}");
    }
}

//! A proxy over the folder of photos, with each model twice.

use std::fs;
use std::path::{Path, PathBuf};

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use tempfile::TempDir;

use super::agreement::LABELS;
use super::args::{DecodeArgs, Way};
use super::error::DecodeError;
use crate::photo;
use crate::served::{Program, Proxy};

/// Rows of one INSERT.
const ROWS_PER_INSERT: usize = 1000;

/// The proxy, and a session without kept outputs.
pub struct Library {
    // Dropped before the folder of its store.
    proxy: Proxy,
    conn: Conn,
    photos: PathBuf,
    _folder: TempDir,
}

impl Library {
    /// Starts the proxy and creates the models.
    ///
    /// # Errors
    /// It does not start, or `scripts/setup.sh bench` has not made the models.
    pub async fn start(args: &DecodeArgs) -> Result<Self, DecodeError> {
        let photos = std::path::absolute(&args.photos)?;
        let folder = tempfile::tempdir()?;
        let models = folder.path().join("models");
        fs::create_dir(&models)?;
        for name in ["means.onnx", "nearest.onnx"] {
            copy(&photos.join(name), &models.join(name))?;
        }
        let program = Program {
            ort_library: args.ort_library.clone(),
            flags: vec![
                format!("--image-root={}", photos.display()),
                format!("--model-root={}", models.display()),
            ],
            ..Program::default()
        };
        let proxy = Proxy::start(&program, folder.path(), &folder.path().join("data")).await?;
        let options = OptsBuilder::default()
            .ip_or_hostname(proxy.address().ip().to_string())
            .tcp_port(proxy.address().port())
            // The client library would otherwise go on to the store's own socket, past the proxy.
            .prefer_socket(false)
            .user(Some("root"));
        let mut conn = Conn::new(options).await?;
        for statement in statements() {
            conn.query_drop(statement).await?;
        }
        Ok(Self {
            proxy,
            conn,
            photos,
            _folder: folder,
        })
    }

    /// Makes a table of the photos in a folder, or of so many; tells how many there are.
    ///
    /// # Errors
    /// There are too few, or the store refuses.
    pub async fn fill(
        &mut self,
        folder: &str,
        wanted: Option<usize>,
    ) -> Result<usize, DecodeError> {
        let mut files = photo::files(&self.photos.join(folder))?;
        let wanted = wanted.unwrap_or(files.len());
        if files.len() < wanted {
            let text = format!("--images: the folder {folder} has {}", files.len());
            return Err(DecodeError::Flag(text));
        }
        files.truncate(wanted);
        let create = format!("CREATE TABLE `{folder}` (id INT PRIMARY KEY, photo VARCHAR(255))");
        self.conn.query_drop(create).await?;
        let names = files.iter().filter_map(|file| file.file_name());
        let rows: Vec<String> = (1..)
            .zip(names)
            .map(|(id, name): (usize, _)| format!("({id},'{folder}/{}')", name.display()))
            .collect();
        for rows in rows.chunks(ROWS_PER_INSERT) {
            let insert = format!("INSERT INTO `{folder}` VALUES {}", rows.join(","));
            self.conn.query_drop(insert).await?;
        }
        Ok(wanted)
    }

    /// CPU seconds of the proxy while it runs the model that costs nothing over all `images`.
    ///
    /// # Errors
    /// An image was not answered.
    pub async fn cpu_seconds(
        &mut self,
        table: &str,
        way: Way,
        images: usize,
    ) -> Result<f64, DecodeError> {
        let sql = format!(
            "SELECT COUNT(ml.predict('means_{}', photo)) FROM `{table}`",
            way.name()
        );
        let before = self.proxy.cpu_seconds()?;
        let inferred = self.proxy.images_inferred().await?;
        let answered: Option<usize> = self.conn.query_first(sql).await?;
        let inferred = self.proxy.images_inferred().await? - inferred;
        match answered == Some(images) && inferred == images as u64 {
            true => Ok(self.proxy.cpu_seconds()? - before),
            false => Err(DecodeError::Worthless(format!(
                "{answered:?} answers from {inferred} runs for {images} images"
            ))),
        }
    }

    /// The network's label of every photo in a table, by id.
    ///
    /// # Errors
    /// A statement is refused.
    pub async fn labels(
        &mut self,
        table: &str,
        way: Way,
    ) -> Result<Vec<Option<String>>, DecodeError> {
        let sql = format!(
            "SELECT ml.predict('nearest_{}', photo) FROM `{table}` ORDER BY id",
            way.name()
        );
        Ok(self.conn.query(sql).await?)
    }

    /// Ends the session and the proxy.
    ///
    /// # Errors
    /// The proxy does not end.
    pub async fn stop(self) -> Result<(), DecodeError> {
        // How the connection ends changes nothing.
        let _ = self.conn.disconnect().await;
        Ok(self.proxy.stop()?)
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), DecodeError> {
    match fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(error) => Err(DecodeError::Flag(format!(
            "{}: {error}; `scripts/setup.sh bench` makes it",
            from.display()
        ))),
    }
}

/// What makes tasks and models known.
fn statements() -> Vec<String> {
    let known: Vec<String> = (1..=LABELS).map(|label| format!("'{label}'")).collect();
    let known = known.join(",");
    let mut statements = vec![
        "CREATE DATABASE bench".to_owned(),
        "USE bench".to_owned(),
        "SET @ml_cache = 'off'".to_owned(),
        "CREATE TASK colour CLASSES ('red', 'green', 'blue')".to_owned(),
        format!("CREATE TASK resembles CLASSES ({known})"),
    ];
    for way in [Way::Scaled, Way::Exact] {
        let way = way.name();
        // It sees the middle, as the photo model does.
        statements.push(format!(
            "CREATE MODEL means_{way} FOR TASK colour FROM 'means.onnx' OPTIONS (size = 224, \
             crop_fraction = 0.875, resize = 'stretch', output = 'logits', decode = '{way}')"
        ));
        let of_network = photo::OPTIONS_OF_INPUT;
        statements.push(format!(
            "CREATE MODEL nearest_{way} FOR TASK resembles FROM 'nearest.onnx' OPTIONS \
             ({of_network}, labels = ({known}), output = 'logits', output_name = 'known_logits', \
             decode = '{way}')"
        ));
    }
    statements
}

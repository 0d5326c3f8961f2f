//! The product's side: a table of photos in an embedded store, queried through the proxy's port.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use predictsql_executor::Executor;
use predictsql_proxy::demo::{pictures, zoo};
use tokio::runtime::Runtime;

use super::error::BenchError;

/// Folder of the images below the image root.
pub const IMAGE_FOLDER: &str = "test";
/// Rows of one INSERT.
const ROWS_PER_INSERT: usize = 1000;

/// A client of the proxy.
pub struct Shop {
    runtime: Runtime,
    conn: Conn,
    executor: Executor,
    store_pid: u32,
    query: String,
}

/// One run of the query.
pub struct Answer {
    /// From sending the statement to the last row.
    pub seconds: f64,
    /// Label by id; ids count from 1.
    pub labels: HashMap<u64, Option<String>>,
}

impl Shop {
    /// Connects. `data_dir` is the embedded store's directory.
    ///
    /// # Errors
    /// The proxy does not let the client in.
    pub fn connect(
        proxy: SocketAddr,
        executor: Executor,
        data_dir: &Path,
    ) -> Result<Self, BenchError> {
        let pid = std::fs::read_to_string(data_dir.join("store.pid"))?;
        let store_pid = pid.trim().parse().map_err(std::io::Error::other)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let options = OptsBuilder::default()
            .ip_or_hostname(proxy.ip().to_string())
            .tcp_port(proxy.port())
            // The client library would otherwise go on to the store's own socket, past the proxy.
            .prefer_socket(false)
            .user(Some("root"));
        let conn = runtime
            .block_on(Conn::new(options))
            .map_err(BenchError::sql("connecting to the proxy"))?;
        Ok(Self {
            runtime,
            conn,
            executor,
            store_pid,
            query: String::new(),
        })
    }

    /// Makes the task and one model known.
    ///
    /// # Errors
    /// The model is refused.
    pub fn create_model(
        &mut self,
        zoo: &Path,
        model: &zoo::ZooModel,
        model_root: &Path,
    ) -> Result<(), BenchError> {
        let models = std::slice::from_ref(model);
        let creating = zoo::create(&mut self.conn, zoo, models, model_root);
        self.runtime.block_on(creating)?;
        self.query = format!(
            "SELECT id, ml.predict('{}', photo) FROM products",
            model.name
        );
        Ok(())
    }

    /// Fills the table with `rows` rows, over the first `images` images again and again.
    ///
    /// # Errors
    /// The store refuses.
    pub fn fill(&mut self, rows: usize, images: usize) -> Result<(), BenchError> {
        let (runtime, conn) = (&self.runtime, &mut self.conn);
        let mut run = |statement: String| {
            runtime
                .block_on(conn.query_drop(statement))
                .map_err(BenchError::sql("filling the table"))
        };
        run("CREATE DATABASE bench".to_owned())?;
        run("USE bench".to_owned())?;
        run("CREATE TABLE products (id INT PRIMARY KEY, photo VARCHAR(255) NOT NULL)".to_owned())?;
        for first in (1..=rows).step_by(ROWS_PER_INSERT) {
            let last = rows.min(first + ROWS_PER_INSERT - 1);
            let mut statement = "INSERT INTO products VALUES ".to_owned();
            for id in first..=last {
                let image = (id - 1).checked_rem(images).unwrap_or(0) + 1;
                let path = pictures::relative_path(IMAGE_FOLDER, image);
                let comma = if id == first { "" } else { "," };
                // Writing to a string cannot fail.
                let _ = write!(statement, "{comma}({id},'{path}')");
            }
            run(statement)?;
        }
        run("ANALYZE TABLE products".to_owned())
    }

    /// Processes whose CPU time is the product's: this one, with proxy and client, and the store.
    pub fn pids(&self) -> Vec<u32> {
        vec![std::process::id(), self.store_pid]
    }

    /// Runs the query over the whole table and reads all rows.
    ///
    /// # Errors
    /// The statement fails, or did not look at `rows` images.
    pub fn predict(&mut self, rows: usize) -> Result<Answer, BenchError> {
        let before = self.executor.images_inferred();
        let begin = Instant::now();
        let answer: Vec<(u64, Option<String>)> = self
            .runtime
            .block_on(self.conn.query(self.query.as_str()))
            .map_err(BenchError::sql("predicting"))?;
        let seconds = begin.elapsed().as_secs_f64();
        let (found, inferred) = (answer.len(), self.executor.images_inferred() - before);
        if found != rows || inferred != rows as u64 {
            return Err(BenchError::Worthless(format!(
                "{found} rows from {inferred} inferred images came for a table of {rows} rows"
            )));
        }
        Ok(Answer {
            seconds,
            labels: answer.into_iter().collect(),
        })
    }

    /// Closes the session, so that the proxy need not wait for it when it stops.
    pub fn disconnect(self) {
        // All rows are here: how the connection ends changes nothing.
        let _ = self.runtime.block_on(self.conn.disconnect());
    }
}

/// Full paths of the first `count` images below the image root.
pub fn image_paths(image_root: &Path, count: usize) -> Vec<PathBuf> {
    let path = |id| image_root.join(pictures::relative_path(IMAGE_FOLDER, id));
    (1..=count).map(path).collect()
}

//! The product's side: a table of photos in an embedded store, queried through the proxy's port.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use predictsql_executor::Executor;
use predictsql_proxy::demo::zoo;
use tokio::runtime::Runtime;

use super::case::{Case, Kind};
use super::error::BenchError;
use crate::photo;

/// Rows of one INSERT.
const ROWS_PER_INSERT: usize = 1000;

/// A client of the proxy.
pub struct Shop {
    runtime: Runtime,
    conn: Conn,
    executor: Executor,
    store_pid: u32,
    table: String,
    model: String,
}

/// One run of the query.
pub struct Answer<T> {
    /// From sending the statement to the last row.
    pub seconds: f64,
    /// What was asked for, by id; ids count from 1.
    pub by_id: HashMap<u64, T>,
}

impl Shop {
    /// Connects, and makes the database `bench`. `data_dir` is the embedded store's directory.
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
        let mut conn = runtime
            .block_on(Conn::new(options))
            .map_err(BenchError::sql("connecting to the proxy"))?;
        for statement in ["CREATE DATABASE IF NOT EXISTS bench", "USE bench"] {
            let done = runtime.block_on(conn.query_drop(statement));
            done.map_err(BenchError::sql("creating the database"))?;
        }
        Ok(Self {
            runtime,
            conn,
            executor,
            store_pid,
            table: String::new(),
            model: String::new(),
        })
    }

    /// Makes the task and the model of a case known; statements are about it from here on.
    ///
    /// # Errors
    /// The model is refused.
    pub fn create_model(
        &mut self,
        zoo: &Path,
        case: &Case,
        model_root: &Path,
    ) -> Result<(), BenchError> {
        self.model = case.model().to_owned();
        self.table = format!("{}_photos", case.model());
        match case.kind() {
            Kind::Zoo(model) => {
                let models = std::slice::from_ref(&**model);
                let creating = zoo::create(&mut self.conn, zoo, models, model_root);
                self.runtime.block_on(creating)?;
            }
            Kind::Photo { folder } => {
                std::fs::create_dir_all(model_root)?;
                std::fs::copy(photo::model(folder), model_root.join("photo.onnx"))?;
                for statement in photo::create("photo.onnx") {
                    let done = self.runtime.block_on(self.conn.query_drop(statement));
                    done.map_err(BenchError::sql("creating the photo model"))?;
                }
            }
        }
        Ok(())
    }

    /// The table of the model's images, in the database `bench`.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Fills the table with `rows` rows, over the images again and again.
    ///
    /// # Errors
    /// The store refuses.
    pub fn fill(&mut self, rows: usize, images: &[String]) -> Result<(), BenchError> {
        let (runtime, conn, table) = (&self.runtime, &mut self.conn, &self.table);
        let mut run = |statement: String| {
            runtime
                .block_on(conn.query_drop(statement))
                .map_err(BenchError::sql("filling the table"))
        };
        run(format!(
            "CREATE TABLE {table} (id INT PRIMARY KEY, photo VARCHAR(255) NOT NULL)"
        ))?;
        let mut paths = images.iter().cycle();
        for first in (1..=rows).step_by(ROWS_PER_INSERT) {
            let last = rows.min(first + ROWS_PER_INSERT - 1);
            let mut statement = format!("INSERT INTO {table} VALUES ");
            for (id, path) in (first..=last).zip(&mut paths) {
                let comma = if id == first { "" } else { "," };
                // Writing to a string cannot fail.
                let _ = write!(statement, "{comma}({id},'{path}')");
            }
            run(statement)?;
        }
        run(format!("ANALYZE TABLE {table}"))
    }

    /// Processes whose CPU time is the product's: this one, with proxy and client, and the store.
    pub fn pids(&self) -> Vec<u32> {
        vec![std::process::id(), self.store_pid]
    }

    /// Asks for the label of every row, and reads all rows.
    ///
    /// # Errors
    /// The statement fails, or did not look at `rows` images.
    pub fn predict(&mut self, rows: usize) -> Result<Answer<Option<String>>, BenchError> {
        self.ask(&format!("ml.predict('{}', photo)", self.model), rows)
    }

    /// Asks for the probability of a class in every row, and reads all rows.
    ///
    /// # Errors
    /// The same.
    pub fn probabilities(
        &mut self,
        class: &str,
        rows: usize,
    ) -> Result<Answer<Option<f64>>, BenchError> {
        let model = &self.model;
        let expression = format!("ml.predict_proba('{model}', '{class}', photo)");
        self.ask(&expression, rows)
    }

    fn ask<T>(&mut self, expression: &str, rows: usize) -> Result<Answer<T>, BenchError>
    where
        (u64, T): mysql_async::prelude::FromRow + Send + 'static,
    {
        let query = format!("SELECT id, {expression} FROM {}", self.table);
        let before = self.executor.images_inferred();
        let begin = Instant::now();
        let answer: Vec<(u64, T)> = self
            .runtime
            .block_on(self.conn.query(query))
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
            by_id: answer.into_iter().collect(),
        })
    }

    /// Closes the session, so that the proxy need not wait for it when it stops.
    pub fn disconnect(self) {
        // All rows are here: how the connection ends changes nothing.
        let _ = self.runtime.block_on(self.conn.disconnect());
    }
}

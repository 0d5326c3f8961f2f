//! The client: tables of photos and of flowers, and the statements that are timed.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder, Row};
use predictsql_proxy::demo::zoo;

use super::error::SemanticsError;

/// Folder of the images below the image root.
pub const IMAGE_FOLDER: &str = "test";
/// Warehouses that the rows are spread over.
const WAREHOUSES: usize = 20;
/// What an input's name is, such as `test/00001.png`, as an expression over `seq`.
const PATHS: &str = "CONCAT('FOLDER/', LPAD(seq * 7919 % IMAGES + 1, 5, '0'), '.png')";

/// A client of the proxy.
pub struct Shop {
    conn: Conn,
}

impl Shop {
    /// Connects, and makes a database.
    ///
    /// # Errors
    /// The proxy does not let the client in.
    pub async fn connect(proxy: SocketAddr) -> Result<Self, SemanticsError> {
        let options = OptsBuilder::default()
            .ip_or_hostname(proxy.ip().to_string())
            .tcp_port(proxy.port())
            // The client library would otherwise go on to the store's own socket, past the proxy.
            .prefer_socket(false)
            .user(Some("root"));
        let conn = Conn::new(options)
            .await
            .map_err(SemanticsError::sql("connecting to the proxy"))?;
        let mut shop = Self { conn };
        for sql in ["CREATE DATABASE bench CHARACTER SET utf8mb4", "USE bench"] {
            shop.run("making a database", sql).await?;
        }
        Ok(shop)
    }

    async fn run(&mut self, step: &'static str, sql: &str) -> Result<(), SemanticsError> {
        let done = self.conn.query_drop(sql).await;
        done.map_err(SemanticsError::sql(step))
    }

    /// Runs a query and reads all rows: the seconds that took, and the rows.
    async fn timed(
        &mut self,
        step: &'static str,
        sql: &str,
    ) -> Result<(f64, Vec<Row>), SemanticsError> {
        let begin = Instant::now();
        let rows = self.conn.query(sql).await;
        let rows = rows.map_err(SemanticsError::sql(step))?;
        Ok((begin.elapsed().as_secs_f64(), rows))
    }

    /// Makes the task of the zoo and a model known.
    ///
    /// # Errors
    /// The model is refused, or is none of the zoo.
    pub async fn create_models(
        &mut self,
        zoo: &Path,
        models: &[zoo::ZooModel],
        model_root: &Path,
    ) -> Result<(), SemanticsError> {
        if models.is_empty() {
            let text = "--model: the zoo has no such model".to_owned();
            return Err(SemanticsError::Flag(text));
        }
        zoo::create(&mut self.conn, zoo, models, model_root).await?;
        Ok(())
    }

    /// Fills `items` with rows over the images.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn fill_photos(&mut self, rows: usize, images: usize) -> Result<(), SemanticsError> {
        let path = PATHS
            .replace("FOLDER", IMAGE_FOLDER)
            .replace("IMAGES", &images.to_string());
        let step = "filling the table of photos";
        self.run(
            step,
            "CREATE TABLE items (id INT PRIMARY KEY, warehouse INT NOT NULL, photo VARCHAR(100) NOT NULL, \
             label VARCHAR(40))",
        )
        .await?;
        self.run(
            step,
            &format!(
                "INSERT INTO items SELECT seq, seq * 31 % {WAREHOUSES}, {path}, NULL FROM seq_1_to_{rows}"
            ),
        )
        .await?;
        self.run(step, "ANALYZE TABLE items").await
    }

    /// Counts items by warehouse and predicted label: seconds.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn predicted(&mut self) -> Result<f64, SemanticsError> {
        let sql =
            "SELECT warehouse, ml.predict('apparel', photo), COUNT(*) FROM items GROUP BY 1, 2";
        Ok(self.timed("counting predicted labels", sql).await?.0)
    }

    /// Counts items by warehouse and stored label: seconds.
    ///
    /// # Errors
    /// The statement fails.
    pub async fn stored(&mut self) -> Result<f64, SemanticsError> {
        let sql = "SELECT warehouse, label, COUNT(*) FROM items GROUP BY 1, 2";
        Ok(self.timed("counting stored labels", sql).await?.0)
    }

    /// Keeps each item's predicted label in its column.
    ///
    /// # Errors
    /// A statement fails.
    pub async fn store_labels(&mut self) -> Result<(), SemanticsError> {
        let step = "storing labels";
        for sql in [
            "CREATE TEMPORARY TABLE answers (photo VARCHAR(100) PRIMARY KEY) SELECT photo, \
             ml.predict('apparel', photo) AS label FROM (SELECT DISTINCT photo FROM items) AS inputs",
            "UPDATE items JOIN answers USING (photo) SET items.label = answers.label",
            "DROP TEMPORARY TABLE answers",
            "ANALYZE TABLE items",
        ] {
            self.run(step, sql).await?;
        }
        Ok(())
    }

    /// Both statements must count the same.
    ///
    /// # Errors
    /// They do not.
    pub async fn check_labels(&mut self) -> Result<(), SemanticsError> {
        let count = "SELECT warehouse, LABEL AS l, COUNT(*) FROM items GROUP BY 1, 2 ORDER BY 1, 2";
        let step = "comparing labels";
        let mut answers = Vec::new();
        for label in ["ml.predict('apparel', photo)", "label"] {
            let sql = count.replace("LABEL", label);
            let rows: Vec<(u64, Option<String>, u64)> =
                (self.conn.query(sql).await).map_err(SemanticsError::sql(step))?;
            answers.push(rows);
        }
        match answers.windows(2).all(|pair| pair.first() == pair.last()) {
            true => Ok(()),
            false => Err(SemanticsError::Worthless(
                "predicted and stored labels were counted differently".to_owned(),
            )),
        }
    }

    /// Makes the task over columns and its model known.
    ///
    /// # Errors
    /// The model is refused.
    pub async fn create_iris(
        &mut self,
        model: &Path,
        model_root: &Path,
    ) -> Result<(), SemanticsError> {
        std::fs::copy(model, model_root.join("iris.onnx"))?;
        let step = "creating the task over columns";
        self.run(
            step,
            "CREATE TASK iris CLASSES ('setosa', 'versicolor', 'virginica') INPUT (sepal_length DOUBLE, \
             sepal_width DOUBLE, petal_length DOUBLE, petal_width DOUBLE)",
        )
        .await?;
        self.run(
            step,
            "CREATE MODEL iris_tensor FOR TASK iris FROM 'iris.onnx' OPTIONS \
             (labels = ('setosa', 'versicolor', 'virginica'), output = 'softmax')",
        )
        .await
    }

    /// Fills `flowers` with rows of which no two are the same.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn fill_flowers(&mut self, rows: usize) -> Result<(), SemanticsError> {
        let step = "filling the table of flowers";
        self.run(
            step,
            "CREATE TABLE flowers (id INT PRIMARY KEY, a DOUBLE, b DOUBLE, c DOUBLE, d DOUBLE)",
        )
        .await?;
        let values = "4 + seq % 1000 / 250, 2 + seq DIV 1000 / 1000, 1 + seq * 7 % 1000 / 200, seq * 3 % 100 / 40";
        let insert = format!("INSERT INTO flowers SELECT seq, {values} FROM seq_1_to_{rows}");
        self.run(step, &insert).await
    }

    /// Counts the flowers by predicted class: seconds.
    ///
    /// # Errors
    /// The statement fails, or does not count all.
    pub async fn flowers(&mut self, rows: usize) -> Result<f64, SemanticsError> {
        let sql = "SELECT ml.predict('iris', a, b, c, d), COUNT(*) FROM flowers GROUP BY 1";
        let (seconds, answer) = self.timed("predicting flowers", sql).await?;
        let counts = answer.iter().filter_map(|row| row.get::<usize, _>(1));
        match counts.sum::<usize>() == rows {
            true => Ok(seconds),
            false => Err(SemanticsError::Worthless(format!(
                "{rows} flowers were counted as {answer:?}"
            ))),
        }
    }

    /// Closes the session, so that the proxy need not wait for it when it stops.
    pub async fn disconnect(self) {
        // All rows are here: how the connection ends changes nothing.
        let _ = self.conn.disconnect().await;
    }
}

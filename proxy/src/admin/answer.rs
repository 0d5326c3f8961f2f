//! Answers of the admin endpoint as tables.

use crate::config::Config;
use crate::http::Status;
use crate::metrics;
use opensrv_mysql::{Column, ColumnFlags, ColumnType};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The version in the greeting. Clients parse its number, so it is one that they recognize.
pub const VERSION: &str = concat!("8.0.0-PredictSQL-admin-", env!("CARGO_PKG_VERSION"));

/// A result set: columns, and rows with one cell per column; `None` is NULL.
#[derive(Debug)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Option<String>>>,
}

/// A text column or, with `!` after its name, an unsigned integer column.
fn column(name: &str) -> Column {
    let (name, coltype, colflags) = match name.strip_suffix('!') {
        Some(name) => (
            name,
            ColumnType::MYSQL_TYPE_LONGLONG,
            ColumnFlags::UNSIGNED_FLAG,
        ),
        None => (
            name,
            ColumnType::MYSQL_TYPE_VAR_STRING,
            ColumnFlags::empty(),
        ),
    };
    Column {
        table: String::new(),
        column: name.to_owned(),
        coltype,
        colflags,
    }
}

impl Table {
    fn new(columns: &[&str], rows: Vec<Vec<Option<String>>>) -> Self {
        let columns = columns.iter().map(|name| column(name)).collect();
        Self { columns, rows }
    }

    /// `SHOW SESSIONS`
    #[must_use]
    pub fn sessions(status: &Status) -> Self {
        let sessions = status.live().sessions();
        let rows = sessions.iter().map(|session| {
            vec![
                Some(session.connection_id.to_string()),
                Some(session.user.clone()),
                Some(session.client.clone()),
                session.database.clone(),
                Some(session.activity().name().to_owned()),
                Some(session.since.elapsed().as_secs().to_string()),
                Some(session.commands().to_string()),
            ]
        });
        Self::new(
            &[
                "id!",
                "user",
                "client",
                "login_database",
                "state",
                "seconds!",
                "commands!",
            ],
            rows.collect(),
        )
    }

    /// `SHOW QUERIES`
    #[must_use]
    pub fn queries(status: &Status) -> Self {
        let sessions = status.live().sessions();
        let rows = sessions.iter().filter_map(|session| {
            let statement = session.statement()?;
            let count = |count: &AtomicU64| Some(count.load(Relaxed).to_string());
            let seconds = |seconds: f64| format!("{seconds:.3}");
            Some(vec![
                Some(session.connection_id.to_string()),
                Some(seconds(statement.age().as_secs_f64())),
                count(&statement.rows_read),
                count(&statement.rows_sent),
                count(&statement.counters.images),
                count(&statement.counters.cache_hits),
                Some(statement.phase().name().to_owned()),
                count(&statement.inputs),
                count(&statement.predicted),
                statement.seconds_left().map(seconds),
                statement.plan().map(str::to_owned),
                Some(statement.masked_text()),
            ])
        });
        Self::new(
            &[
                "session_id!",
                "seconds",
                "rows_read!",
                "rows_sent!",
                "images!",
                "cache_hits!",
                "phase",
                "inputs!",
                "predicted!",
                "seconds_left",
                "plan",
                "statement",
            ],
            rows.collect(),
        )
    }

    /// `SHOW METRICS`
    #[must_use]
    pub fn metrics(status: &Status) -> Self {
        let text = status.metrics_text();
        let cell = |text: &str| Some(text.to_owned());
        let rows = metrics::samples(&text)
            .map(|(name, labels, value)| vec![cell(name), cell(labels), cell(value)]);
        Self::new(&["name", "labels", "value"], rows.collect())
    }

    /// `SHOW CONFIG`
    #[must_use]
    pub fn config(config: &Config) -> Self {
        let rows = config
            .settings()
            .into_iter()
            .map(|(name, value)| vec![Some(name), value]);
        Self::new(&["name", "value"], rows.collect())
    }

    /// A variable that clients query when they connect; NULL for variables not supported here.
    #[must_use]
    pub fn variable(asked: &str) -> Self {
        let value = match asked.to_ascii_lowercase().as_str() {
            "@@version_comment" => Some("PredictSQL admin endpoint".to_owned()),
            "@@version" => Some(VERSION.to_owned()),
            "@@max_allowed_packet" => Some((16 << 20).to_string()),
            _ => None,
        };
        Self::new(&[asked], vec![vec![value]])
    }
}

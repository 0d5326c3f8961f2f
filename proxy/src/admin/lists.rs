//! The lists that SHOW answers: columns and rows.

use super::endpoint::Admin;
use super::facts::Facts;
use super::table::Table;
use super::value::Value;
use super::variables;
use crate::config::Config;
use crate::http::Status;
use crate::metrics;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    Sessions,
    Queries,
    Workers,
    Metrics,
    Config,
    Variables,
    Status,
    Warnings,
    Databases,
    Tables,
    FullTables,
    TableStatus,
    Routines,
    Triggers,
    Events,
    OpenTables,
    Processes,
    CharacterSets,
    Collations,
    Engines,
    Plugins,
    Privileges,
}

/// The words of each list, after SHOW and its modifiers.
pub const LISTS: &[(&[&str], List)] = &[
    (&["SESSIONS"], List::Sessions),
    (&["QUERIES"], List::Queries),
    (&["WORKERS"], List::Workers),
    (&["METRICS"], List::Metrics),
    (&["CONFIG"], List::Config),
    (&["VARIABLES"], List::Variables),
    (&["STATUS"], List::Status),
    (&["WARNINGS"], List::Warnings),
    (&["ERRORS"], List::Warnings),
    (&["DATABASES"], List::Databases),
    (&["SCHEMAS"], List::Databases),
    (&["TABLES"], List::Tables),
    (&["TABLE", "STATUS"], List::TableStatus),
    (&["PROCEDURE", "STATUS"], List::Routines),
    (&["FUNCTION", "STATUS"], List::Routines),
    (&["TRIGGERS"], List::Triggers),
    (&["EVENTS"], List::Events),
    (&["OPEN", "TABLES"], List::OpenTables),
    (&["PROCESSLIST"], List::Processes),
    (&["CHARACTER", "SET"], List::CharacterSets),
    (&["CHARSET"], List::CharacterSets),
    (&["COLLATION"], List::Collations),
    (&["STORAGE", "ENGINES"], List::Engines),
    (&["ENGINES"], List::Engines),
    (&["PLUGINS"], List::Plugins),
    (&["PRIVILEGES"], List::Privileges),
];

/// Rows of `SHOW CHARACTER SET`.
const CHARACTER_SETS: &[&[&str]] = &[
    &["binary", "Binary pseudo charset", "binary", "1"],
    &["latin1", "cp1252 West European", "latin1_swedish_ci", "1"],
    &["utf8mb3", "UTF-8 Unicode", "utf8mb3_general_ci", "3"],
    &["utf8mb4", "UTF-8 Unicode", "utf8mb4_general_ci", "4"],
];

/// The only database; it has no tables.
const DATABASE: &str = "admin";

impl List {
    /// Columns and all rows.
    pub fn table(self, admin: &Admin, facts: &Facts) -> Table {
        let pairs = ["Variable_name", "Value"];
        match self {
            Self::Sessions => sessions(&admin.status),
            Self::Queries => queries(&admin.status),
            Self::Workers => workers(&admin.status),
            Self::Metrics => metrics_table(&admin.status),
            Self::Config => config(&admin.settings.config()),
            Self::Variables => Table::new(&pairs, variables::variables(facts)),
            Self::Status => Table::new(&pairs, variables::status(facts)),
            Self::Processes => process_list(&admin.status),
            Self::Databases => Table::of_texts(&["Database"], &[&[DATABASE]]),
            Self::Tables | Self::FullTables => {
                let name = format!(
                    "Tables_in_{}",
                    facts.database.as_deref().unwrap_or(DATABASE)
                );
                let full = [name.as_str(), "Table_type"];
                let columns = if self == Self::Tables {
                    &full[..1]
                } else {
                    &full
                };
                Table::new(columns, Vec::new())
            }
            _ => self.fixed(),
        }
    }

    /// Lists that are the same for all sessions.
    fn fixed(self) -> Table {
        let (columns, rows): (&[&str], &[&[&str]]) = match self {
            Self::TableStatus => (
                &[
                    "Name",
                    "Engine",
                    "Version!",
                    "Row_format",
                    "Rows!",
                    "Comment",
                ],
                &[],
            ),
            Self::Routines => (&["Db", "Name", "Type", "Definer", "Comment"], &[]),
            Self::Triggers => (&["Trigger", "Event", "Table", "Statement", "Timing"], &[]),
            Self::Events => (
                &["Db", "Name", "Definer", "Time zone", "Type", "Status"],
                &[],
            ),
            Self::OpenTables => (&["Database", "Table", "In_use!", "Name_locked!"], &[]),
            Self::Privileges => (&["Privilege", "Context", "Comment"], &[]),
            Self::CharacterSets => (
                &["Charset", "Description", "Default collation", "Maxlen"],
                CHARACTER_SETS,
            ),
            Self::Engines => (
                &[
                    "Engine",
                    "Support",
                    "Comment",
                    "Transactions",
                    "XA",
                    "Savepoints",
                ],
                &[&[
                    "MEMORY",
                    "DEFAULT",
                    "State of this process",
                    "NO",
                    "NO",
                    "NO",
                ]],
            ),
            Self::Plugins => (
                &["Name", "Status", "Type", "Library", "License"],
                &[
                    &[
                        "caching_sha2_password",
                        "ACTIVE",
                        "AUTHENTICATION",
                        "",
                        "Apache-2.0",
                    ],
                    &[
                        "mysql_native_password",
                        "ACTIVE",
                        "AUTHENTICATION",
                        "",
                        "Apache-2.0",
                    ],
                ],
            ),
            Self::Collations => return collations(),
            _ => (&["Level", "Code!", "Message"], &[]),
        };
        Table::of_texts(columns, rows)
    }
}

fn collations() -> Table {
    let row = |(name, charset, id, default): (&str, &str, i128, &str)| {
        vec![
            Value::text(name),
            Value::text(charset),
            Value::Int(id),
            Value::text(default),
            Value::text("Yes"),
            Value::Int(1),
        ]
    };
    let rows = [
        ("binary", "binary", 63, "Yes"),
        ("latin1_swedish_ci", "latin1", 8, "Yes"),
        ("utf8mb3_general_ci", "utf8mb3", 33, "Yes"),
        ("utf8mb4_0900_ai_ci", "utf8mb4", 255, ""),
        ("utf8mb4_bin", "utf8mb4", 46, ""),
        ("utf8mb4_general_ci", "utf8mb4", 45, "Yes"),
        ("utf8mb4_unicode_ci", "utf8mb4", 224, ""),
    ];
    let columns = [
        "Collation",
        "Charset",
        "Id!",
        "Default",
        "Compiled",
        "Sortlen!",
    ];
    Table::new(&columns, rows.map(row).to_vec())
}

fn sessions(status: &Status) -> Table {
    let sessions = status.live().sessions();
    let rows = sessions.iter().map(|session| {
        vec![
            Value::Int(session.connection_id.into()),
            Value::text(&session.user),
            Value::text(&session.client),
            session.database.as_ref().map_or(Value::Null, Value::text),
            Value::text(session.activity().name()),
            Value::Int(session.since.elapsed().as_secs().into()),
            Value::Int(session.commands().into()),
        ]
    });
    let columns = [
        "id!",
        "user",
        "client",
        "login_database",
        "state",
        "seconds!",
        "commands!",
    ];
    Table::new(&columns, rows.collect())
}

/// The same in the form of a server, for tools that show a server's sessions.
fn process_list(status: &Status) -> Table {
    let sessions = status.live().sessions();
    let rows = sessions.iter().map(|session| {
        let statement = session.statement();
        let (command, info) = match &statement {
            Some(statement) => ("Query", Value::Text(statement.masked_text())),
            None => ("Sleep", Value::Null),
        };
        vec![
            Value::Int(session.connection_id.into()),
            Value::text(&session.user),
            Value::text(&session.client),
            session.database.as_ref().map_or(Value::Null, Value::text),
            Value::text(command),
            Value::Int(session.since.elapsed().as_secs().into()),
            Value::text(session.activity().name()),
            info,
        ]
    });
    let columns = [
        "Id!", "User", "Host", "db", "Command", "Time!", "State", "Info",
    ];
    Table::new(&columns, rows.collect())
}

fn queries(status: &Status) -> Table {
    let sessions = status.live().sessions();
    let rows = sessions.iter().filter_map(|session| {
        let statement = session.statement()?;
        let count = |count: &AtomicU64| Value::Int(count.load(Relaxed).into());
        let seconds = |seconds: f64| Value::Text(format!("{seconds:.3}"));
        Some(vec![
            Value::Int(session.connection_id.into()),
            seconds(statement.age().as_secs_f64()),
            count(&statement.rows_read),
            count(&statement.rows_sent),
            count(&statement.counters.images),
            count(&statement.counters.cache_hits),
            Value::text(statement.phase().name()),
            count(&statement.inputs),
            count(&statement.predicted),
            statement.seconds_left().map_or(Value::Null, seconds),
            statement.plan().map_or(Value::Null, Value::text),
            Value::Text(statement.masked_text()),
        ])
    });
    let columns = [
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
    ];
    Table::new(&columns, rows.collect())
}

fn workers(status: &Status) -> Table {
    let rows = status.workers().into_iter().map(|worker| {
        let (state, device, pieces) = match &worker.takes_work {
            Some((device, pieces)) => (
                Value::text("up"),
                Value::text(device.name()),
                Value::Int(*pieces as i128),
            ),
            None => (Value::text("down"), Value::Null, Value::Null),
        };
        vec![
            Value::Text(worker.address.to_string()),
            state,
            device,
            pieces,
            Value::Int(worker.models_loaded as i128),
            Value::Int(worker.inputs_outstanding as i128),
            Value::Int(worker.requests_answered.into()),
            Value::Int(worker.times_lost.into()),
            match worker.trouble.is_empty() {
                true => Value::Null,
                false => Value::Text(worker.trouble),
            },
        ]
    });
    let columns = [
        "address",
        "state",
        "device",
        "pieces!",
        "models_loaded!",
        "inputs_outstanding!",
        "requests_answered!",
        "times_lost!",
        "trouble",
    ];
    Table::new(&columns, rows.collect())
}

fn metrics_table(status: &Status) -> Table {
    let text = status.metrics_text();
    let rows = metrics::samples(&text).map(|(name, labels, value)| {
        vec![Value::text(name), Value::text(labels), Value::text(value)]
    });
    Table::new(&["name", "labels", "value"], rows.collect())
}

fn config(config: &Config) -> Table {
    let rows = config
        .settings()
        .into_iter()
        .map(|(name, value)| vec![Value::Text(name), value.map_or(Value::Null, Value::Text)]);
    Table::new(&["name", "value"], rows.collect())
}

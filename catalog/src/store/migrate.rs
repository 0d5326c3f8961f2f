//! Set-up of the schema: ordered migrations, each safe to rerun after a crash in the middle.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::schema::MARKER;
use super::{
    SchemaName, StoreError, beside, generic_stubs, lock, read, typed_stub, views_procedure, write,
};

/// One migration of the schema.
#[derive(Debug)]
pub struct Migration {
    /// Increments by one; never reused.
    pub version: u32,
    /// Description for readers of `schema_migrations`.
    pub description: &'static str,
    /// Statements with `{schema}` for the quoted schema name. DDL commits implicitly, so each
    /// statement must have no effect when it is run a second time.
    pub statements: &'static [&'static str],
}

const CREATE_MARKER: &str = "CREATE TABLE IF NOT EXISTS {schema}.schema_migrations (
  version INT UNSIGNED NOT NULL PRIMARY KEY,
  description VARCHAR(255) NOT NULL,
  applied_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COMMENT='PredictSQL catalog'";

/// All migrations in order. Append only.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        version: 1,
        description: "tasks, their classes, and models",
        statements: &[
            "CREATE TABLE IF NOT EXISTS {schema}.meta (
  id TINYINT UNSIGNED NOT NULL DEFAULT 1 PRIMARY KEY CHECK (id = 1),
  epoch BIGINT UNSIGNED NOT NULL COMMENT 'grows with each change of the catalog'
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
            "INSERT IGNORE INTO {schema}.meta (id, epoch) VALUES (1, 1)",
            "CREATE TABLE IF NOT EXISTS {schema}.tasks (
  name VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  kind VARCHAR(32) NOT NULL,
  input VARCHAR(255) NOT NULL,
  accuracy_slack_points DOUBLE NOT NULL,
  version INT UNSIGNED NOT NULL,
  state ENUM('creating','ready','dropping') NOT NULL,
  definition LONGTEXT NOT NULL COMMENT 'the CREATE TASK statement',
  created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  created_by VARCHAR(255) NOT NULL
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
            "CREATE TABLE IF NOT EXISTS {schema}.classes (
  task VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  position INT UNSIGNED NOT NULL COMMENT 'counts from 0, in the order of CREATE TASK',
  class VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  PRIMARY KEY (task, position),
  UNIQUE KEY class (task, class),
  CONSTRAINT classes_task FOREIGN KEY (task) REFERENCES tasks (name) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
            "CREATE TABLE IF NOT EXISTS {schema}.models (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  name VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  version VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  task VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  uri TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  sha256 CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
  bytes BIGINT UNSIGNED NOT NULL,
  covers JSON NOT NULL COMMENT 'classes that it answers',
  options JSON NOT NULL COMMENT 'how to feed it and read its output',
  accuracy DOUBLE NULL COMMENT 'as declared, 0 to 1',
  seconds_per_image DOUBLE NULL COMMENT 'as measured when it was created',
  state ENUM('creating','ready','dropping') NOT NULL,
  definition LONGTEXT NOT NULL COMMENT 'the CREATE MODEL statement',
  created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  created_by VARCHAR(255) NOT NULL,
  UNIQUE KEY name_version (name, version),
  KEY task (task),
  CONSTRAINT models_task FOREIGN KEY (task) REFERENCES tasks (name)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    ],
}, Migration {
    version: 2,
    description: "what EVALUATE measured",
    statements: &[
        "CREATE TABLE IF NOT EXISTS {schema}.evaluations (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  task VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  task_version INT UNSIGNED NOT NULL,
  published BOOLEAN NOT NULL COMMENT 'plans are made on these rows: one a task',
  population MEDIUMTEXT NOT NULL COMMENT 'the query that gave the labelled rows',
  population_id BINARY(16) NOT NULL COMMENT 'the same for the same rows',
  cal_rows INT UNSIGNED NOT NULL COMMENT 'rows that calibrations are fitted on',
  plan_rows INT UNSIGNED NOT NULL COMMENT 'rows that plans are searched on',
  cert_rows INT UNSIGNED NOT NULL COMMENT 'rows that only certify',
  plan_truths MEDIUMBLOB NOT NULL COMMENT 'class position plus one, two bytes each',
  cert_truths MEDIUMBLOB NOT NULL,
  epoch BIGINT UNSIGNED NOT NULL COMMENT 'of the last change',
  created_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  created_by VARCHAR(255) NOT NULL,
  KEY task (task),
  CONSTRAINT evaluations_task FOREIGN KEY (task) REFERENCES tasks (name) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        "CREATE TABLE IF NOT EXISTS {schema}.votes (
  model_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
  evaluation BIGINT UNSIGNED NOT NULL,
  calibration JSON NOT NULL,
  costs JSON NOT NULL COMMENT 'seconds by images a run, one entry a device',
  plan MEDIUMBLOB NOT NULL COMMENT 'outcome and calibrated score, two bytes each, a row',
  cert MEDIUMBLOB NOT NULL,
  KEY evaluation (evaluation),
  CONSTRAINT votes_model FOREIGN KEY (model_id) REFERENCES models (id) ON DELETE CASCADE,
  CONSTRAINT votes_evaluation FOREIGN KEY (evaluation) REFERENCES evaluations (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        "CREATE TABLE IF NOT EXISTS {schema}.model_stats (
  model_id BIGINT UNSIGNED NOT NULL,
  device VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  part ENUM('all','cal','plan','cert') NOT NULL,
  model VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  version VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  task VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  evaluation BIGINT UNSIGNED NOT NULL,
  inputs INT UNSIGNED NOT NULL COMMENT 'of classes that it covers',
  correct INT UNSIGNED NOT NULL,
  accuracy DOUBLE NULL COMMENT 'on its own classes, 0 to 1',
  inputs_all INT UNSIGNED NOT NULL COMMENT 'of any class',
  correct_all INT UNSIGNED NOT NULL COMMENT 'other is right for a class that it does not cover',
  accuracy_all DOUBLE NULL,
  seconds_per_image DOUBLE NULL COMMENT 'of one thread, at the best batch',
  load_seconds DOUBLE NOT NULL,
  memory_bytes BIGINT UNSIGNED NOT NULL,
  evaluated_at DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (model_id, device, part),
  KEY evaluation (evaluation),
  CONSTRAINT model_stats_model FOREIGN KEY (model_id) REFERENCES models (id) ON DELETE CASCADE,
  CONSTRAINT model_stats_evaluation FOREIGN KEY (evaluation) REFERENCES evaluations (id)
    ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
        "CREATE TABLE IF NOT EXISTS {schema}.confusion (
  model_id BIGINT UNSIGNED NOT NULL,
  part ENUM('cal','plan','cert') NOT NULL,
  truth_outcome SMALLINT UNSIGNED NOT NULL COMMENT 'class position plus one; 0: no class of the task',
  answer_outcome SMALLINT UNSIGNED NOT NULL COMMENT 'class position plus one; 0: none that it knows',
  model VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  version VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  truth VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  answer VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
  inputs INT UNSIGNED NOT NULL,
  PRIMARY KEY (model_id, part, truth_outcome, answer_outcome),
  CONSTRAINT confusion_model FOREIGN KEY (model_id) REFERENCES models (id) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
    ],
}, Migration {
    version: 3,
    description: "tasks over columns",
    statements: &["ALTER TABLE {schema}.tasks \
                   MODIFY input MEDIUMTEXT CHARACTER SET utf8mb4 NOT NULL"],
}, Migration {
    version: 4,
    description: "outputs of models that are kept",
    statements: &["CREATE TABLE IF NOT EXISTS {schema}.predictions (
  output BINARY(16) NOT NULL COMMENT 'which model under which options',
  input BINARY(16) NOT NULL COMMENT 'which content',
  scores BLOB NOT NULL COMMENT 'numbers of the model, little-endian FLOAT',
  used_at INT UNSIGNED NOT NULL COMMENT 'hours since 1970',
  PRIMARY KEY (output, input),
  KEY used_at (used_at)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"],
}, Migration {
    version: 5,
    description: "what plans of a task must keep",
    statements: &["CREATE TABLE IF NOT EXISTS {schema}.task_constraints (
  task VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL PRIMARY KEY,
  min_accuracy DOUBLE NULL COMMENT '0 to 1',
  max_seconds DOUBLE NULL,
  max_cost DOUBLE NULL,
  CONSTRAINT task_constraints_task FOREIGN KEY (task) REFERENCES tasks (name) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"],
}, Migration {
    version: 6,
    description: "how often inputs of a task show its classes",
    statements: &["CREATE TABLE IF NOT EXISTS {schema}.task_priors (
  task VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  class VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  share DOUBLE NOT NULL COMMENT '0 to 1; classes without a row share the rest as labelled rows do',
  PRIMARY KEY (task, class),
  CONSTRAINT task_priors_class FOREIGN KEY (task, class) REFERENCES classes (task, class)
    ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"],
}, Migration {
    version: 7,
    // Makes older programs, which would recreate it here, reject the catalog as newer.
    description: "what serves the service account alone is in a schema of its own",
    statements: &["DROP PROCEDURE IF EXISTS {schema}.view_definitions"],
}, Migration {
    version: 8,
    description: "options of tasks that are words",
    statements: &["CREATE TABLE IF NOT EXISTS {schema}.task_options (
  task VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  name VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  value VARCHAR(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL COMMENT 'as in ALTER TASK; options without a row have their default',
  PRIMARY KEY (task, name),
  CONSTRAINT task_options_task FOREIGN KEY (task) REFERENCES tasks (name) ON DELETE CASCADE
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"],
}, Migration {
    version: 9,
    // Also makes older programs, which would read images outside these roots, reject the catalog.
    description: "where images of a task may be read",
    statements: &["ALTER TABLE {schema}.task_options \
                   MODIFY value MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL \
                   COMMENT 'as in ALTER TASK, lists as JSON; options without a row have their default'"],
}];

/// See [`SchemaName::session`].
fn create_session_schema(schema: &SchemaName) -> String {
    let session = schema.session();
    format!("CREATE DATABASE IF NOT EXISTS `{session}` CHARACTER SET utf8mb4")
}

/// Grants everybody the privilege to create temporary tables there. MariaDB supports PUBLIC from
/// 10.11; with older versions the privilege is granted by user, and without it relations are sent
/// in the text of statements.
pub fn grant_session_schema(schema: &SchemaName) -> String {
    // `_` is a wildcard in the database name of a GRANT.
    let pattern = schema.session().replace('_', "\\_");
    format!("GRANT CREATE TEMPORARY TABLES ON `{pattern}`.* TO PUBLIC")
}

/// Grants everybody EXECUTE on the generic functions. It permits nothing by itself, since access
/// to a task is the privilege on its own function, but views that name a model contain generic
/// calls.
fn grant_generic_stubs(schema: &SchemaName) -> [String; 2] {
    ["predict", "predict_proba"]
        .map(|name| format!("GRANT EXECUTE ON FUNCTION `{schema}`.`{name}` TO PUBLIC"))
}

/// The catalog version of this program.
fn known_version() -> u32 {
    MIGRATIONS.last().map_or(0, |m| m.version)
}

/// A statement of a migration, for `schema`.
pub fn render(statement: &str, schema: &SchemaName) -> String {
    statement.replace("{schema}", &super::quote_identifier(schema.as_str()))
}

fn create_schema(schema: &SchemaName) -> String {
    render(
        "CREATE DATABASE IF NOT EXISTS {schema} CHARACTER SET utf8mb4",
        schema,
    )
}

fn record(schema: &SchemaName, migration: &Migration) -> String {
    format!(
        "INSERT IGNORE INTO `{schema}`.schema_migrations (version, description) VALUES ({}, {})",
        migration.version,
        super::quote_text(migration.description)
    )
}

/// All statements of a bootstrap of an empty store in order, for running them by hand.
pub fn bootstrap_script(schema: &SchemaName) -> Vec<String> {
    let mut script = vec![
        create_schema(schema),
        create_session_schema(schema),
        grant_session_schema(schema),
        render(CREATE_MARKER, schema),
    ];
    for migration in MIGRATIONS {
        script.extend(migration.statements.iter().map(|s| render(s, schema)));
        script.push(record(schema, migration));
    }
    script.extend(generic_stubs(schema));
    script.extend(views_procedure(schema));
    script.extend(grant_generic_stubs(schema));
    script
}

/// State of the database with the schema's name.
enum Found {
    /// Missing, or empty (as after a crash right after its creation).
    Nothing,
    /// A catalog of that version.
    Ours(u32),
}

/// Creates or migrates the catalog and completes changes interrupted by a crash. Running it again
/// has no effect. Rejects, without touching it, a database of that name that is not a catalog, one
/// of a newer version, and an additional database that is not ours ([`SchemaName::session`],
/// [`SchemaName::service`]).
pub async fn bootstrap(conn: &mut Conn, schema: &SchemaName) -> Result<(), StoreError> {
    lock::take(conn, schema).await?;
    let result = bootstrap_locked(conn, schema).await;
    lock::give(conn, schema, result).await
}

async fn bootstrap_locked(conn: &mut Conn, schema: &SchemaName) -> Result<(), StoreError> {
    // Quoting below and the bodies of stubs rely on backslash escapes; strict mode, so that no
    // value is silently truncated.
    conn.query_drop("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'")
        .await?;
    let found = inspect(conn, schema).await?;
    beside::check(conn, schema).await?;
    let version = match found {
        Found::Nothing => {
            conn.query_drop(create_schema(schema)).await?;
            conn.query_drop(render(CREATE_MARKER, schema)).await?;
            0
        }
        Found::Ours(version) => version,
    };
    for migration in MIGRATIONS.iter().filter(|m| m.version > version) {
        for statement in migration.statements {
            conn.query_drop(render(statement, schema)).await?;
        }
        conn.query_drop(record(schema, migration)).await?;
        tracing::info!(
            schema = schema.as_str(),
            version = migration.version,
            "catalog migrated"
        );
    }
    for stub in missing_stubs(conn, schema).await? {
        conn.query_drop(stub).await?;
    }
    for statement in views_procedure(schema) {
        conn.query_drop(statement).await?;
    }
    for grant in grant_generic_stubs(schema) {
        if let Err(error) = conn.query_drop(grant).await {
            tracing::info!(%error, "views that name a model need EXECUTE on the generic functions by user");
        }
    }
    conn.query_drop(create_session_schema(schema)).await?;
    if let Err(error) = conn.query_drop(grant_session_schema(schema)).await {
        tracing::info!(%error, "temporary tables of predict statements need a grant by user");
    }
    write::repair_locked(conn, schema).await
}

/// Checks that the catalog is set up for this program; for a service account, which may not
/// migrate.
pub async fn check(conn: &mut Conn, schema: &SchemaName) -> Result<(), StoreError> {
    match inspect(conn, schema).await? {
        Found::Ours(version) if version == known_version() => Ok(()),
        _ => Err(StoreError::NotSetUp {
            schema: schema.to_string(),
        }),
    }
}

async fn inspect(conn: &mut Conn, schema: &SchemaName) -> Result<Found, StoreError> {
    let marker: Option<String> = conn
        .exec_first(
            "SELECT table_comment FROM information_schema.tables \
             WHERE table_schema = ? AND table_name = 'schema_migrations'",
            (schema.as_str(),),
        )
        .await?;
    if marker.as_deref() == Some(MARKER) {
        let version: Option<Option<u32>> = conn
            .query_first(format!(
                "SELECT MAX(version) FROM `{schema}`.schema_migrations"
            ))
            .await?;
        let found = version.flatten().unwrap_or(0);
        let known = known_version();
        return if found > known {
            Err(StoreError::Newer {
                schema: schema.to_string(),
                found,
                known,
            })
        } else {
            Ok(Found::Ours(found))
        };
    }
    let contents: Option<u64> = conn
        .exec_first(
            "SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ?) \
             + (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = ?)",
            (schema.as_str(), schema.as_str()),
        )
        .await?;
    match contents {
        None | Some(0) => Ok(Found::Nothing),
        Some(_) => Err(StoreError::Foreign {
            schema: schema.to_string(),
        }),
    }
}

/// Statements that create missing stubs: the generic ones in a new schema, and those of tasks
/// after the restore of a backup without functions. Existing stubs are never replaced: that would
/// drop the privileges granted on them.
async fn missing_stubs(conn: &mut Conn, schema: &SchemaName) -> Result<Vec<String>, StoreError> {
    let present: Vec<String> = conn
        .exec(
            "SELECT LOWER(routine_name) FROM information_schema.routines WHERE routine_schema = ?",
            (schema.as_str(),),
        )
        .await?;
    let tasks = read::read_tasks(conn, schema).await?;
    let missing = |name: &str| !present.iter().any(|present| present == name);
    let [predict, predict_proba] = generic_stubs(schema);
    let mut stubs = Vec::new();
    for (name, stub) in [("predict", predict), ("predict_proba", predict_proba)] {
        if missing(name) {
            stubs.push(stub);
        }
    }
    for task in tasks.iter().filter(|task| missing(&task.name)) {
        tracing::warn!(
            task = task.name,
            "its function was missing and is made anew: EXECUTE must be granted again"
        );
        stubs.push(typed_stub(schema, task));
    }
    Ok(stubs)
}

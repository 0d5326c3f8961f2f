//! Reading the catalog: its epoch, and the whole catalog as a [`Snapshot`].

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, IsolationLevel, Row, Transaction, TxOpts};

use super::statistics::read_statistics;
use super::{SchemaName, StatisticsCache, StoreError, constraints};
use crate::{Answers, ClassShares, Model, Snapshot, Task, TaskConstraints, TaskKind};

/// The counter incremented by each change of the catalog.
pub async fn epoch(conn: &mut Conn, schema: &SchemaName) -> Result<u64, StoreError> {
    let epoch: Option<u64> = conn
        .query_first(format!("SELECT epoch FROM `{schema}`.meta"))
        .await
        .map_err(|error| missing(error, schema))?;
    epoch.ok_or_else(|| StoreError::NotSetUp {
        schema: schema.to_string(),
    })
}

/// Reads all rows in state `ready` in one transaction: the result is the catalog at its epoch.
/// Statistics found in the cache `statistics` are not read again.
///
/// A row that this program cannot parse (written by hand, or by a newer version) is skipped and
/// logged, so that it affects only itself.
pub async fn snapshot(
    conn: &mut Conn,
    schema: &SchemaName,
    statistics: &StatisticsCache,
) -> Result<Snapshot, StoreError> {
    let mut options = TxOpts::default();
    options
        .with_consistent_snapshot(true)
        .with_isolation_level(IsolationLevel::RepeatableRead);
    let mut tx = conn.start_transaction(options).await?;
    let epoch: Option<u64> = tx
        .query_first(format!("SELECT epoch FROM `{schema}`.meta"))
        .await
        .map_err(|error| missing(error, schema))?;
    let epoch = epoch.ok_or_else(|| StoreError::NotSetUp {
        schema: schema.to_string(),
    })?;
    let tasks = read_tasks(&mut tx, schema).await?;
    let models = read_models(&mut tx, schema).await?;
    let statistics = read_statistics(&mut tx, schema, &tasks, &models, statistics).await?;
    tx.commit().await?;
    Ok(Snapshot::new(epoch, tasks, models).with_statistics(statistics))
}

/// Maps a missing schema or table to "not set up".
fn missing(error: mysql_async::Error, schema: &SchemaName) -> StoreError {
    match &error {
        // ER_BAD_DB_ERROR, ER_NO_SUCH_TABLE
        mysql_async::Error::Server(e) if matches!(e.code, 1049 | 1146) => StoreError::NotSetUp {
            schema: schema.to_string(),
        },
        _ => error.into(),
    }
}

/// Name, kind, input, slack points, version, and the constraints: accuracy, seconds, cost.
type TaskRow = (
    String,
    String,
    String,
    f64,
    u32,
    Option<f64>,
    Option<f64>,
    Option<f64>,
);

/// The tasks in state `ready`, by name.
pub(super) async fn read_tasks(
    tx: &mut impl Queryable,
    schema: &SchemaName,
) -> Result<Vec<Task>, StoreError> {
    let mut classes = read_classes(tx, schema).await?;
    let mut priors = read_priors(tx, schema).await?;
    let mut answers = read_answers(tx, schema).await?;
    let mut image_roots = read_image_roots(tx, schema).await?;
    let rows: Vec<TaskRow> = tx
        .query(format!(
            "SELECT t.name, t.kind, t.input, t.accuracy_slack_points, t.version, c.min_accuracy, \
             c.max_seconds, c.max_cost FROM `{schema}`.tasks t \
             LEFT JOIN `{schema}`.task_constraints c ON c.task = t.name \
             WHERE t.state = 'ready' ORDER BY t.name"
        ))
        .await?;
    let mut tasks = Vec::with_capacity(rows.len());
    for (name, kind, input, slack_points, version, min_accuracy, max_seconds, max_cost) in rows {
        let prior = priors.remove(&name).map(ClassShares::new).transpose();
        let Ok(prior) = prior.inspect_err(|error| {
            tracing::warn!(task = name, %error, "task left out: its prior is not understood");
        }) else {
            continue;
        };
        let Some(image_roots) = image_roots.remove(&name).unwrap_or(Some(Vec::new())) else {
            tracing::warn!(
                task = name,
                "task left out: its image roots are not understood"
            );
            continue;
        };
        let constraints = TaskConstraints {
            min_accuracy,
            max_seconds,
            max_cost,
            prior,
            answers: answers.remove(&name).unwrap_or_default(),
        };
        let classes = classes.remove(&name).unwrap_or_default();
        let read = (kind.parse::<TaskKind>(), input.parse());
        let (Ok(read_kind), Ok(read_input)) = read else {
            tracing::warn!(task = name, kind, input, "task left out: not understood");
            continue;
        };
        if classes.is_empty() == read_kind.answer_shape().has_classes() {
            tracing::warn!(
                task = name,
                kind,
                "task left out: classes do not fit its kind"
            );
            continue;
        }
        tasks.push(Task {
            name,
            kind: read_kind,
            input: read_input,
            classes,
            accuracy_slack_points: slack_points,
            constraints,
            image_roots,
            version,
        });
    }
    Ok(tasks)
}

/// The classes of tasks, in their order.
async fn read_classes(
    tx: &mut impl Queryable,
    schema: &SchemaName,
) -> Result<HashMap<String, Vec<String>>, StoreError> {
    let mut classes: HashMap<String, Vec<String>> = HashMap::new();
    let rows: Vec<(String, String)> = tx
        .query(format!(
            "SELECT task, class FROM `{schema}`.classes ORDER BY task, position"
        ))
        .await?;
    for (task, class) in rows {
        classes.entry(task).or_default().push(class);
    }
    Ok(classes)
}

/// The option [`Answers`] of tasks where it is not the default.
async fn read_answers(
    tx: &mut impl Queryable,
    schema: &SchemaName,
) -> Result<HashMap<String, Answers>, StoreError> {
    let sql = format!("SELECT task, value FROM `{schema}`.task_options WHERE name = ?");
    let rows: Vec<(String, String)> = tx.exec(sql, (constraints::ANSWERS,)).await?;
    let parsed = rows.into_iter().filter_map(|(task, value)| {
        let parsed = value.parse::<Answers>();
        if parsed.is_err() {
            tracing::warn!(
                task,
                value,
                "option `answers` is not understood: the default holds"
            );
        }
        Some((task, parsed.ok()?))
    });
    Ok(parsed.collect())
}

/// The image roots of tasks that have some; `None`: not understood.
pub(super) async fn read_image_roots(
    tx: &mut impl Queryable,
    schema: &SchemaName,
) -> Result<HashMap<String, Option<Vec<String>>>, StoreError> {
    let sql = format!("SELECT task, value FROM `{schema}`.task_options WHERE name = ?");
    let rows: Vec<(String, String)> = tx.exec(sql, (constraints::IMAGE_ROOTS,)).await?;
    let parsed = rows.into_iter().map(|(task, value)| {
        let roots: Option<Vec<String>> = serde_json::from_str(&value).ok();
        // No roots would mean all of the proxy's.
        (task, roots.filter(|roots| !roots.is_empty()))
    });
    Ok(parsed.collect())
}

/// The declared shares of classes, by task.
async fn read_priors(
    tx: &mut impl Queryable,
    schema: &SchemaName,
) -> Result<HashMap<String, Vec<(String, f64)>>, StoreError> {
    let mut priors: HashMap<String, Vec<(String, f64)>> = HashMap::new();
    let sql = format!("SELECT task, class, share FROM `{schema}`.task_priors");
    let rows: Vec<(String, String, f64)> = tx.query(sql).await?;
    for (task, class, share) in rows {
        priors.entry(task).or_default().push((class, share));
    }
    Ok(priors)
}

async fn read_models(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
) -> Result<Vec<Model>, StoreError> {
    let rows: Vec<Row> = tx
        .query(format!(
            "SELECT id, name, version, task, uri, sha256, bytes, covers, options, \
             seconds_per_image FROM `{schema}`.models WHERE state = 'ready' ORDER BY id"
        ))
        .await?;
    let mut models = Vec::with_capacity(rows.len());
    for mut row in rows {
        let name: Option<String> = row.get_opt("name").and_then(Result::ok);
        match model_of(&mut row) {
            Some(model) => models.push(model),
            None => tracing::warn!(model = name, "model left out: not understood"),
        }
    }
    Ok(models)
}

fn model_of(row: &mut Row) -> Option<Model> {
    Some(Model {
        id: row.take_opt("id")?.ok()?,
        name: row.take_opt("name")?.ok()?,
        version: row.take_opt("version")?.ok()?,
        task: row.take_opt("task")?.ok()?,
        uri: row.take_opt("uri")?.ok()?,
        sha256: row.take_opt("sha256")?.ok()?,
        bytes: row.take_opt("bytes")?.ok()?,
        covers: serde_json::from_str(&row.take_opt::<String, _>("covers")?.ok()?).ok()?,
        options: serde_json::from_str(&row.take_opt::<String, _>("options")?.ok()?).ok()?,
        seconds_per_image: row.take_opt("seconds_per_image")?.ok()?,
    })
}

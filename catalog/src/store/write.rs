//! Changes of the catalog, in an order that can be repaired after a crash at any point.
//!
//! CREATE and DROP of a stub commit implicitly, so a task cannot be created in one transaction:
//!
//! ```text
//! create:  row 'creating' ──► CREATE FUNCTION ──► row 'ready' + epoch
//! drop:    row 'dropping' + epoch ──► DROP FUNCTION ──► row deleted
//! ```
//!
//! Only `ready` rows are visible in a [`crate::Snapshot`]. A row in another state, found while
//! holding the lock, was left by a writer that died: its stub is dropped and the row deleted. A
//! model has no stub and is written in one transaction.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, TxOpts};

use super::{SchemaName, StoreError, constraints, lock, quote_identifier, typed_stub};
use crate::{ModelOptions, Task};

/// Parameters of `CREATE TASK`.
#[derive(Debug, Clone)]
pub struct NewTask {
    /// The task; its name is validated and in lower case.
    pub task: Task,
    /// The statement that creates it.
    pub definition: String,
    /// Account of the user, `user@host`.
    pub created_by: String,
}

/// Parameters of `CREATE MODEL`.
#[derive(Debug, Clone)]
pub struct NewModel {
    /// Validated name in lower case.
    pub name: String,
    /// Version label.
    pub version: String,
    /// The task when the options were checked.
    pub task: Task,
    /// URI of the file, as given.
    pub uri: String,
    /// SHA-256 of the file, lower-case hex.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Classes that it can predict, in the task's order.
    pub covers: Vec<String>,
    /// How to feed it.
    pub options: ModelOptions,
    /// Measured seconds of inference per image.
    pub seconds_per_image: Option<f64>,
    /// The statement that creates it.
    pub definition: String,
    /// Account of the user, `user@host`.
    pub created_by: String,
}

/// Creates a task and its typed stub.
pub async fn create_task(
    conn: &mut Conn,
    schema: &SchemaName,
    new: &NewTask,
) -> Result<(), StoreError> {
    lock::take(conn, schema).await?;
    let result = create_task_locked(conn, schema, new).await;
    lock::give(conn, schema, result).await
}

/// Writes a model whose file has been checked; returns its id. The name may exist with other
/// versions for the same task.
pub async fn create_model(
    conn: &mut Conn,
    schema: &SchemaName,
    new: &NewModel,
) -> Result<u64, StoreError> {
    lock::take(conn, schema).await?;
    let result = create_model_locked(conn, schema, new).await;
    lock::give(conn, schema, result).await
}

/// Drops a task without models, and its stub with the privileges granted on it.
pub async fn drop_task(conn: &mut Conn, schema: &SchemaName, name: &str) -> Result<(), StoreError> {
    lock::take(conn, schema).await?;
    let result = drop_task_locked(conn, schema, name).await;
    lock::give(conn, schema, result).await
}

/// Drops one version of a model, or all versions; returns their number.
pub async fn drop_model(
    conn: &mut Conn,
    schema: &SchemaName,
    name: &str,
    version: Option<&str>,
) -> Result<u64, StoreError> {
    lock::take(conn, schema).await?;
    let result = drop_model_locked(conn, schema, name, version).await;
    lock::give(conn, schema, result).await
}

async fn create_task_locked(
    conn: &mut Conn,
    schema: &SchemaName,
    new: &NewTask,
) -> Result<(), StoreError> {
    repair_locked(conn, schema).await?;
    let name = new.task.name.as_str();
    check_free(conn, schema, name).await?;
    insert_creating(conn, schema, new).await?;
    if let Err(error) = conn.query_drop(typed_stub(schema, &new.task)).await {
        // Rejected by the store, so there is no stub of ours and only the row must be removed. If
        // the connection is lost instead, this fails too and the row remains for repair.
        delete_row(conn, schema, name).await?;
        return Err(match error {
            // ER_SP_ALREADY_EXISTS
            mysql_async::Error::Server(e) if e.code == 1304 => StoreError::ForeignStub {
                schema: schema.to_string(),
                name: name.to_owned(),
            },
            error => error.into(),
        });
    }
    set_state(conn, schema, name, "ready").await
}

/// Checks that no task, model or function has the name: they share one namespace.
async fn check_free(conn: &mut Conn, schema: &SchemaName, name: &str) -> Result<(), StoreError> {
    if task_state(conn, schema, name).await?.is_some() {
        return Err(StoreError::Exists {
            kind: "Task",
            name: name.to_owned(),
        });
    }
    if model_task(conn, schema, name).await?.is_some() {
        return Err(StoreError::Exists {
            kind: "Model",
            name: name.to_owned(),
        });
    }
    let routine: Option<u8> = conn
        .exec_first(
            "SELECT 1 FROM information_schema.routines \
             WHERE routine_schema = ? AND routine_name = ?",
            (schema.as_str(), name),
        )
        .await?;
    match routine {
        None => Ok(()),
        Some(_) => Err(StoreError::ForeignStub {
            schema: schema.to_string(),
            name: name.to_owned(),
        }),
    }
}

async fn task_state(
    conn: &mut Conn,
    schema: &SchemaName,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let sql = format!("SELECT state FROM `{schema}`.tasks WHERE name = ?");
    Ok(conn.exec_first(sql, (name,)).await?)
}

/// The task of the models with that name.
async fn model_task(
    conn: &mut Conn,
    schema: &SchemaName,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let sql = format!("SELECT task FROM `{schema}`.models WHERE name = ? LIMIT 1");
    Ok(conn.exec_first(sql, (name,)).await?)
}

async fn insert_creating(
    conn: &mut Conn,
    schema: &SchemaName,
    new: &NewTask,
) -> Result<(), StoreError> {
    let task = &new.task;
    let mut tx = conn.start_transaction(TxOpts::default()).await?;
    tx.exec_drop(
        format!(
            "INSERT INTO `{schema}`.tasks (name, kind, input, accuracy_slack_points, version, \
             state, definition, created_by) \
             VALUES (?, ?, ?, ?, ?, 'creating', ?, ?)"
        ),
        (
            &task.name,
            task.kind.as_str(),
            task.input.to_string(),
            task.accuracy_slack_points,
            task.version,
            &new.definition,
            &new.created_by,
        ),
    )
    .await?;
    let rows = task
        .classes
        .iter()
        .enumerate()
        .map(|(i, class)| (&task.name, i as u64, class));
    tx.exec_batch(
        format!("INSERT INTO `{schema}`.classes (task, position, class) VALUES (?, ?, ?)"),
        rows,
    )
    .await?;
    constraints::write(&mut tx, schema, task).await?;
    Ok(tx.commit().await?)
}

/// Changes a task's state; either change affects visibility, so the epoch is incremented.
async fn set_state(
    conn: &mut Conn,
    schema: &SchemaName,
    name: &str,
    state: &str,
) -> Result<(), StoreError> {
    let mut tx = conn.start_transaction(TxOpts::default()).await?;
    tx.exec_drop(
        format!("UPDATE `{schema}`.tasks SET state = ? WHERE name = ?"),
        (state, name),
    )
    .await?;
    tx.query_drop(grow_epoch(schema)).await?;
    Ok(tx.commit().await?)
}

pub(super) fn grow_epoch(schema: &SchemaName) -> String {
    format!("UPDATE `{schema}`.meta SET epoch = epoch + 1")
}

async fn delete_row(conn: &mut Conn, schema: &SchemaName, name: &str) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM `{schema}`.tasks WHERE name = ?");
    Ok(conn.exec_drop(sql, (name,)).await?)
}

async fn drop_task_locked(
    conn: &mut Conn,
    schema: &SchemaName,
    name: &str,
) -> Result<(), StoreError> {
    repair_locked(conn, schema).await?;
    if task_state(conn, schema, name).await?.is_none() {
        return Err(StoreError::Unknown {
            kind: "Task",
            name: name.to_owned(),
        });
    }
    let models: Vec<String> = conn
        .exec(
            format!("SELECT DISTINCT name FROM `{schema}`.models WHERE task = ? ORDER BY name"),
            (name,),
        )
        .await?;
    if !models.is_empty() {
        return Err(StoreError::InUse {
            task: name.to_owned(),
            models: models
                .iter()
                .map(|m| format!("'{m}'"))
                .collect::<Vec<_>>()
                .join(", "),
        });
    }
    set_state(conn, schema, name, "dropping").await?;
    finish_drop(conn, schema, name).await
}

async fn finish_drop(conn: &mut Conn, schema: &SchemaName, name: &str) -> Result<(), StoreError> {
    conn.query_drop(format!(
        "DROP FUNCTION IF EXISTS `{schema}`.{}",
        quote_identifier(name)
    ))
    .await?;
    delete_row(conn, schema, name).await
}

/// Removes rows and stubs left behind by writers that died. The lock must be held.
pub(super) async fn repair_locked(conn: &mut Conn, schema: &SchemaName) -> Result<(), StoreError> {
    let left: Vec<(String, String)> = conn
        .query(format!(
            "SELECT name, state FROM `{schema}`.tasks WHERE state <> 'ready'"
        ))
        .await?;
    for (name, state) in left {
        finish_drop(conn, schema, &name).await?;
        tracing::warn!(
            task = name,
            state,
            "removed what an interrupted change left behind"
        );
    }
    Ok(())
}

async fn create_model_locked(
    conn: &mut Conn,
    schema: &SchemaName,
    new: &NewModel,
) -> Result<u64, StoreError> {
    repair_locked(conn, schema).await?;
    check_task_unchanged(conn, schema, &new.task).await?;
    if task_state(conn, schema, &new.name).await?.is_some() {
        return Err(StoreError::Exists {
            kind: "Task",
            name: new.name.clone(),
        });
    }
    if let Some(task) = model_task(conn, schema, &new.name)
        .await?
        .filter(|t| *t != new.task.name)
    {
        return Err(StoreError::OtherTask {
            name: new.name.clone(),
            task,
        });
    }
    insert_model(conn, schema, new).await
}

pub(super) async fn check_task_unchanged(
    conn: &mut Conn,
    schema: &SchemaName,
    task: &Task,
) -> Result<(), StoreError> {
    let asked: Option<(String, String)> = conn
        .exec_first(
            format!("SELECT kind, input FROM `{schema}`.tasks WHERE name = ?"),
            (&task.name,),
        )
        .await?;
    let Some((kind, input)) = asked else {
        return Err(StoreError::Unknown {
            kind: "Task",
            name: task.name.clone(),
        });
    };
    let classes: Vec<String> = conn
        .exec(
            format!("SELECT class FROM `{schema}`.classes WHERE task = ? ORDER BY position"),
            (&task.name,),
        )
        .await?;
    let same = kind == task.kind.as_str() && input == task.input.to_string();
    match same && classes == task.classes {
        true => Ok(()),
        false => Err(StoreError::TaskChanged(task.name.clone())),
    }
}

/// Serializes a value for the catalog's JSON columns.
pub(super) fn json<T: serde::Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|e| StoreError::Sql(mysql_async::Error::Other(Box::new(e))))
}

async fn insert_model(
    conn: &mut Conn,
    schema: &SchemaName,
    new: &NewModel,
) -> Result<u64, StoreError> {
    use mysql_async::Value;

    let values: Vec<Value> = vec![
        (&new.name).into(),
        (&new.version).into(),
        (&new.task.name).into(),
        (&new.uri).into(),
        (&new.sha256).into(),
        new.bytes.into(),
        json(&new.covers)?.into(),
        json(&new.options)?.into(),
        new.options.accuracy.into(),
        new.seconds_per_image.into(),
        (&new.definition).into(),
        (&new.created_by).into(),
    ];
    let mut tx = conn.start_transaction(TxOpts::default()).await?;
    tx.exec_drop(
        format!(
            "INSERT INTO `{schema}`.models (name, version, task, uri, sha256, bytes, covers, \
             options, accuracy, seconds_per_image, state, definition, created_by) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'ready', ?, ?)"
        ),
        values,
    )
    .await
    .map_err(|error| match error {
        // ER_DUP_ENTRY
        mysql_async::Error::Server(e) if e.code == 1062 => StoreError::Exists {
            kind: "Model",
            name: new.name.clone(),
        },
        error => error.into(),
    })?;
    let id = tx.last_insert_id().unwrap_or_default();
    tx.query_drop(grow_epoch(schema)).await?;
    tx.commit().await?;
    Ok(id)
}

async fn drop_model_locked(
    conn: &mut Conn,
    schema: &SchemaName,
    name: &str,
    version: Option<&str>,
) -> Result<u64, StoreError> {
    let mut tx = conn.start_transaction(TxOpts::default()).await?;
    tx.exec_drop(
        format!("DELETE FROM `{schema}`.models WHERE name = ? AND version = COALESCE(?, version)"),
        (name, version),
    )
    .await?;
    let dropped = tx.affected_rows();
    if dropped == 0 {
        tx.rollback().await?;
        let name = match version {
            Some(version) => format!("{name}@{version}"),
            None => name.to_owned(),
        };
        return Err(StoreError::Unknown {
            kind: "Model",
            name,
        });
    }
    tx.query_drop(grow_epoch(schema)).await?;
    tx.commit().await?;
    Ok(dropped)
}

//! Changes of existing objects: options of a task, the declared accuracy of a model.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, TxOpts};

use super::{SchemaName, StoreError, constraints, lock, read, write};
use crate::{Model, Task, model_definition, task_definition};

/// Writes the options of a task that is otherwise unchanged. `known` is the task that they were
/// set on.
///
/// # Errors
/// [`StoreError::TaskChanged`] if it was changed otherwise, or if it has other image roots than
/// `known` by now: two changes at a time must not free a task from them.
pub async fn alter_task(
    conn: &mut Conn,
    schema: &SchemaName,
    known: &Task,
    task: &Task,
) -> Result<(), StoreError> {
    lock::take(conn, schema).await?;
    let result = alter_task_locked(conn, schema, known, task).await;
    lock::give(conn, schema, result).await
}

/// Writes the options of a model that is otherwise unchanged.
///
/// # Errors
/// [`StoreError::Unknown`] if it was dropped meanwhile.
pub async fn alter_model(
    conn: &mut Conn,
    schema: &SchemaName,
    model: &Model,
) -> Result<(), StoreError> {
    lock::take(conn, schema).await?;
    let result = alter_model_locked(conn, schema, model).await;
    lock::give(conn, schema, result).await
}

async fn alter_task_locked(
    conn: &mut Conn,
    schema: &SchemaName,
    known: &Task,
    task: &Task,
) -> Result<(), StoreError> {
    write::repair_locked(conn, schema).await?;
    write::check_task_unchanged(conn, schema, task).await?;
    let mut roots = read::read_image_roots(conn, schema).await?;
    let roots = roots.remove(&task.name).unwrap_or(Some(Vec::new()));
    if roots.as_ref() != Some(&known.image_roots) {
        return Err(StoreError::TaskChanged(task.name.clone()));
    }
    let mut tx = conn.start_transaction(TxOpts::default()).await?;
    tx.exec_drop(
        format!(
            "UPDATE `{schema}`.tasks SET accuracy_slack_points = ?, definition = ? WHERE name = ?"
        ),
        (
            task.accuracy_slack_points,
            task_definition(task),
            &task.name,
        ),
    )
    .await?;
    constraints::write(&mut tx, schema, task).await?;
    tx.query_drop(write::grow_epoch(schema)).await?;
    Ok(tx.commit().await?)
}

async fn alter_model_locked(
    conn: &mut Conn,
    schema: &SchemaName,
    model: &Model,
) -> Result<(), StoreError> {
    let definition = model_definition(
        &model.name,
        &model.version,
        &model.task,
        &model.uri,
        &model.covers,
        &model.options,
    );
    let options = write::json(&model.options)?;
    let mut tx = conn.start_transaction(TxOpts::default()).await?;
    tx.query_drop(write::grow_epoch(schema)).await?;
    let found: Option<u64> = tx
        .exec_first(
            format!("SELECT id FROM `{schema}`.models WHERE id = ? AND state = 'ready'"),
            (model.id,),
        )
        .await?;
    if found.is_none() {
        tx.rollback().await?;
        return Err(StoreError::Unknown {
            kind: "Model",
            name: format!("{}@{}", model.name, model.version),
        });
    }
    tx.exec_drop(
        format!(
            "UPDATE `{schema}`.models SET options = ?, accuracy = ?, definition = ? WHERE id = ?"
        ),
        (options, model.options.accuracy, definition, model.id),
    )
    .await?;
    Ok(tx.commit().await?)
}

//! The stored constraints and other options of a task.

use mysql_async::Transaction;
use mysql_async::prelude::Queryable;

use super::{SchemaName, StoreError};
use crate::{Answers, Task};

/// Name of the stored option [`Answers`].
pub(super) const ANSWERS: &str = "answers";

/// Name of the stored option [`Task::image_roots`], a JSON array of texts.
pub(super) const IMAGE_ROOTS: &str = "image_roots";

/// Replaces a task's stored constraints and options.
pub(super) async fn write(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    task: &Task,
) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM `{schema}`.task_constraints WHERE task = ?");
    tx.exec_drop(sql, (&task.name,)).await?;
    let sql = format!("DELETE FROM `{schema}`.task_priors WHERE task = ?");
    tx.exec_drop(sql, (&task.name,)).await?;
    let set = &task.constraints;
    if set.named().next().is_some() {
        tx.exec_drop(
            format!(
                "INSERT INTO `{schema}`.task_constraints (task, min_accuracy, max_seconds, max_cost) \
                 VALUES (?, ?, ?, ?)"
            ),
            (&task.name, set.min_accuracy, set.max_seconds, set.max_cost),
        )
        .await?;
    }
    let sql = format!("DELETE FROM `{schema}`.task_options WHERE task = ?");
    tx.exec_drop(sql, (&task.name,)).await?;
    let mut options = Vec::new();
    if set.answers != Answers::default() {
        options.push((&task.name, ANSWERS, set.answers.name().to_owned()));
    }
    if !task.image_roots.is_empty() {
        let roots = serde_json::Value::from(task.image_roots.clone());
        options.push((&task.name, IMAGE_ROOTS, roots.to_string()));
    }
    let sql = format!("INSERT INTO `{schema}`.task_options (task, name, value) VALUES (?, ?, ?)");
    tx.exec_batch(sql, options).await?;
    if let Some(prior) = &set.prior {
        let rows = prior
            .iter()
            .map(|(class, share)| (&task.name, class, share));
        let sql =
            format!("INSERT INTO `{schema}`.task_priors (task, class, share) VALUES (?, ?, ?)");
        tx.exec_batch(sql, rows).await?;
    }
    Ok(())
}

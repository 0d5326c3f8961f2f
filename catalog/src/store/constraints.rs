//! The stored constraints of a task.

use mysql_async::Transaction;
use mysql_async::prelude::Queryable;

use super::{SchemaName, StoreError};
use crate::{Answers, Task};

/// Name of the stored option [`Answers`].
pub(super) const ANSWERS: &str = "answers";

/// Replaces a task's stored constraints.
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
    if set.answers != Answers::default() {
        let sql =
            format!("INSERT INTO `{schema}`.task_options (task, name, value) VALUES (?, ?, ?)");
        tx.exec_drop(sql, (&task.name, ANSWERS, set.answers.name()))
            .await?;
    }
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

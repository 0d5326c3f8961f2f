//! Publishing an evaluation: one transaction, after which all planning uses its epoch.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Transaction, TxOpts, Value};

use super::super::{SchemaName, StoreError, lock, write};
use super::{ROWS_PER_INSERT, encode_truths, encode_votes};
use crate::{CostCurve, EvaluatedModel, PartTally, Task};

/// The labelled rows of an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Population {
    /// Identical for the same inputs with the same labels, in any order.
    pub id: [u8; 16],
    /// The query that returned them.
    pub query: String,
    /// Number of rows for fitting calibrations.
    pub cal_rows: u32,
    /// True outcomes (class index plus one; 0: none of the task's classes) of the rows for
    /// searching plans.
    pub plan: Vec<u16>,
    /// True outcomes of the rows for certifying plans.
    pub cert: Vec<u16>,
}

/// Content of an evaluation to publish.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvaluation {
    /// The task when the evaluation began.
    pub task: Task,
    /// Whether all models of the task were evaluated: these rows then become those used for
    /// planning.
    pub whole_task: bool,
    /// The rows.
    pub population: Population,
    /// The models.
    pub models: Vec<EvaluatedModel>,
    /// Account of the user, `user@host`.
    pub created_by: String,
}

/// Result of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// The first epoch that includes it.
    pub epoch: u64,
    /// Whether the models are used for planning: their rows are those of the task's published
    /// evaluation.
    pub planned_with: bool,
}

/// Publishes an evaluation and replaces the earlier statistics of its models. Until it returns,
/// and after a crash as well, readers see the previous state.
///
/// # Errors
/// [`StoreError::TaskChanged`] if the task or one of the models was dropped or recreated
/// meanwhile.
pub async fn publish_evaluation(
    conn: &mut Conn,
    schema: &SchemaName,
    new: &NewEvaluation,
) -> Result<Published, StoreError> {
    lock::take(conn, schema).await?;
    let result = publish_locked(conn, schema, new).await;
    lock::give(conn, schema, result).await
}

async fn publish_locked(
    conn: &mut Conn,
    schema: &SchemaName,
    new: &NewEvaluation,
) -> Result<Published, StoreError> {
    write::repair_locked(conn, schema).await?;
    write::check_task_unchanged(conn, schema, &new.task).await?;
    check_models(conn, schema, new).await?;
    let mut tx = conn.start_transaction(TxOpts::default()).await?;
    tx.query_drop(write::grow_epoch(schema)).await?;
    let epoch: Option<u64> = tx
        .query_first(format!("SELECT epoch FROM `{schema}`.meta"))
        .await?;
    let epoch = epoch.unwrap_or_default();
    let (evaluation, planned_with) = place(&mut tx, schema, new, epoch).await?;
    for model in &new.models {
        write_model(&mut tx, schema, new, model, evaluation).await?;
    }
    tx.exec_drop(
        format!(
            "DELETE FROM `{schema}`.evaluations WHERE task = ? AND NOT published \
             AND id NOT IN (SELECT evaluation FROM `{schema}`.votes)"
        ),
        (&new.task.name,),
    )
    .await?;
    tx.commit().await?;
    Ok(Published {
        epoch,
        planned_with,
    })
}

async fn check_models(
    conn: &mut Conn,
    schema: &SchemaName,
    new: &NewEvaluation,
) -> Result<(), StoreError> {
    let ids: Vec<u64> = conn
        .exec(
            format!("SELECT id FROM `{schema}`.models WHERE task = ? AND state = 'ready'"),
            (&new.task.name,),
        )
        .await?;
    match new.models.iter().all(|m| ids.contains(&m.statistics.model)) {
        true => Ok(()),
        false => Err(StoreError::TaskChanged(new.task.name.clone())),
    }
}

/// The evaluation that the models' votes refer to, and whether it is the published one: a new one,
/// or the published one if a single model was evaluated on exactly its rows.
async fn place(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    new: &NewEvaluation,
    epoch: u64,
) -> Result<(u64, bool), StoreError> {
    let task = &new.task;
    let published: Option<(u64, Vec<u8>)> = tx
        .exec_first(
            format!(
                "SELECT id, population_id FROM `{schema}`.evaluations \
                 WHERE task = ? AND published AND task_version = ?"
            ),
            (&task.name, task.version),
        )
        .await?;
    let publishes = new.whole_task || published.is_none();
    if let Some((id, _)) = published.filter(|(_, id)| !publishes && *id == new.population.id) {
        let sql = format!("UPDATE `{schema}`.evaluations SET epoch = ? WHERE id = ?");
        tx.exec_drop(sql, (epoch, id)).await?;
        return Ok((id, true));
    }
    if publishes {
        let sql = format!("UPDATE `{schema}`.evaluations SET published = FALSE WHERE task = ?");
        tx.exec_drop(sql, (&task.name,)).await?;
    }
    let population = &new.population;
    let values: Vec<Value> = vec![
        (&task.name).into(),
        task.version.into(),
        publishes.into(),
        (&population.query).into(),
        (&population.id[..]).into(),
        population.cal_rows.into(),
        population.plan.len().into(),
        population.cert.len().into(),
        encode_truths(&population.plan).into(),
        encode_truths(&population.cert).into(),
        epoch.into(),
        (&new.created_by).into(),
    ];
    tx.exec_drop(
        format!(
            "INSERT INTO `{schema}`.evaluations (task, task_version, published, population, \
             population_id, cal_rows, plan_rows, cert_rows, plan_truths, cert_truths, epoch, \
             created_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ),
        values,
    )
    .await?;
    Ok((tx.last_insert_id().unwrap_or_default(), publishes))
}

async fn write_model(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    new: &NewEvaluation,
    model: &EvaluatedModel,
    evaluation: u64,
) -> Result<(), StoreError> {
    let (statistics, id) = (&model.statistics, model.statistics.model);
    for table in ["votes", "model_stats", "confusion"] {
        let sql = format!("DELETE FROM `{schema}`.{table} WHERE model_id = ?");
        tx.exec_drop(sql, (id,)).await?;
    }
    tx.exec_drop(
        format!(
            "INSERT INTO `{schema}`.votes (model_id, evaluation, calibration, costs, plan, cert) \
             VALUES (?, ?, ?, ?, ?, ?)"
        ),
        (
            id,
            evaluation,
            write::json(&statistics.calibration)?,
            write::json(&statistics.costs)?,
            encode_votes(&statistics.plan),
            encode_votes(&statistics.cert),
        ),
    )
    .await?;
    write_figures(tx, schema, new, model, evaluation).await?;
    write_confusion(tx, schema, new, model).await
}

/// One row per device and part, and one for all parts.
async fn write_figures(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    new: &NewEvaluation,
    model: &EvaluatedModel,
    evaluation: u64,
) -> Result<(), StoreError> {
    let whole = model
        .tallies
        .iter()
        .fold(PartTally::default(), |sum, (_, tally)| PartTally {
            own: sum.own + tally.own,
            own_correct: sum.own_correct + tally.own_correct,
            all: sum.all + tally.all,
            all_correct: sum.all_correct + tally.all_correct,
        });
    let parts = model.tallies.iter().map(|(part, t)| (part.name(), *t));
    let parts: Vec<_> = parts.chain([("all", whole)]).collect();
    let mut rows = Vec::new();
    for cost in &model.statistics.costs {
        for (part, tally) in &parts {
            rows.push(figures(new, model, evaluation, cost, part, tally));
        }
    }
    tx.exec_batch(
        format!(
            "INSERT INTO `{schema}`.model_stats (model_id, device, part, model, version, task, \
             evaluation, inputs, correct, accuracy, inputs_all, correct_all, accuracy_all, \
             seconds_per_image, load_seconds, memory_bytes) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        ),
        rows,
    )
    .await?;
    Ok(())
}

fn figures(
    new: &NewEvaluation,
    model: &EvaluatedModel,
    evaluation: u64,
    cost: &CostCurve,
    part: &str,
    tally: &PartTally,
) -> Vec<Value> {
    let share = |part: u32, whole: u32| {
        let whole = Some(whole).filter(|whole| *whole > 0);
        whole.map(|whole| f64::from(part) / f64::from(whole))
    };
    vec![
        model.statistics.model.into(),
        cost.device.name().into(),
        part.into(),
        (&model.name).into(),
        (&model.version).into(),
        (&new.task.name).into(),
        evaluation.into(),
        tally.own.into(),
        tally.own_correct.into(),
        share(tally.own_correct, tally.own).into(),
        tally.all.into(),
        tally.all_correct.into(),
        share(tally.all_correct, tally.all).into(),
        cost.seconds_per_input().into(),
        cost.load_seconds.into(),
        cost.memory_bytes.into(),
    ]
}

async fn write_confusion(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    new: &NewEvaluation,
    model: &EvaluatedModel,
) -> Result<(), StoreError> {
    let class = |outcome: u16| {
        let position = usize::from(outcome).checked_sub(1)?;
        new.task.classes.get(position)
    };
    for rows in model.confusion.chunks(ROWS_PER_INSERT) {
        let places = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows.len()].join(", ");
        let values: Vec<Value> = rows
            .iter()
            .flat_map(|c| -> [Value; 9] {
                [
                    model.statistics.model.into(),
                    c.part.name().into(),
                    c.truth.into(),
                    c.answer.into(),
                    (&model.name).into(),
                    (&model.version).into(),
                    class(c.truth).into(),
                    class(c.answer).into(),
                    c.rows.into(),
                ]
            })
            .collect();
        tx.exec_drop(
            format!(
                "INSERT INTO `{schema}`.confusion (model_id, part, truth_outcome, answer_outcome, \
                 model, version, truth, answer, inputs) VALUES {places}"
            ),
            values,
        )
        .await?;
    }
    Ok(())
}

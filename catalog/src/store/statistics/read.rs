//! Reading what evaluations published, as part of a snapshot.

use std::collections::HashMap;
use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Row, Transaction};

use super::super::{SchemaName, StoreError};
use super::{decode_truths, decode_votes};
use crate::{Calibration, CostCurve, Model, ModelStatistics, Task, TaskStatistics, Vote};

/// What was measured of `tasks`. A row that this program cannot read is left out and logged, so that
/// it breaks nothing but itself.
pub(in super::super) async fn read_statistics(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    tasks: &[Task],
    models: &[Model],
) -> Result<Vec<Arc<TaskStatistics>>, StoreError> {
    let rows: Vec<Row> = tx
        .query(format!(
            "SELECT id, task, task_version, epoch, population, cal_rows, \
             DATE_FORMAT(created_at, '%Y-%m-%d %H:%i') AS at, plan_truths, cert_truths \
             FROM `{schema}`.evaluations WHERE published ORDER BY id"
        ))
        .await?;
    let mut by_id: HashMap<u64, TaskStatistics> = HashMap::new();
    for mut row in rows {
        let id: Option<u64> = row.get_opt("id").and_then(Result::ok);
        match task_statistics(&mut row, tasks) {
            Some((id, statistics)) => {
                by_id.insert(id, statistics);
            }
            None => tracing::warn!(evaluation = id, "evaluation left out: not understood"),
        }
    }
    let rows: Vec<Row> = tx
        .query(format!(
            "SELECT v.model_id, v.evaluation, v.calibration, v.costs, v.plan, v.cert \
             FROM `{schema}`.votes v JOIN `{schema}`.evaluations e ON e.id = v.evaluation \
             WHERE e.published ORDER BY v.model_id"
        ))
        .await?;
    for mut row in rows {
        let evaluation: Option<u64> = row.get_opt("evaluation").and_then(Result::ok);
        let Some(of) = evaluation.and_then(|id| by_id.get_mut(&id)) else {
            continue; // logged above
        };
        let id: Option<u64> = row.get_opt("model_id").and_then(Result::ok);
        if !models.iter().any(|m| Some(m.id) == id && m.task == of.task) {
            continue; // of a model that was itself left out
        }
        match model_statistics(&mut row, of, tasks) {
            Some(model) => of.models.push(Arc::new(model)),
            None => tracing::warn!(model = id, "votes of a model left out: not understood"),
        }
    }
    Ok(by_id.into_values().map(Arc::new).collect())
}

fn task_statistics(row: &mut Row, tasks: &[Task]) -> Option<(u64, TaskStatistics)> {
    let name: String = row.take_opt("task")?.ok()?;
    let task_version: u32 = row.take_opt("task_version")?.ok()?;
    let task = tasks.iter().find(|t| t.name == name)?;
    if task.version != task_version {
        return None;
    }
    let mut truths = |column: &str| {
        let truths = decode_truths(&row.take_opt::<Vec<u8>, _>(column)?.ok()?)?;
        let known = |truth: &u16| usize::from(*truth) <= task.classes.len();
        truths.iter().all(known).then_some(truths)
    };
    let (plan, cert) = (truths("plan_truths")?, truths("cert_truths")?);
    let query: String = row.take_opt("population")?.ok()?;
    let cal_rows: u32 = row.take_opt("cal_rows")?.ok()?;
    let at: String = row.take_opt("at")?.ok()?;
    let rows = cal_rows as usize + plan.len() + cert.len();
    let population = format!("{rows} rows of ({query}), {at}");
    let statistics = TaskStatistics {
        task: name,
        task_version,
        epoch: row.take_opt("epoch")?.ok()?,
        population,
        plan,
        cert,
        models: Vec::new(),
    };
    Some((row.take_opt("id")?.ok()?, statistics))
}

fn model_statistics(row: &mut Row, of: &TaskStatistics, tasks: &[Task]) -> Option<ModelStatistics> {
    let classes = tasks.iter().find(|t| t.name == of.task)?.classes.len();
    let mut votes = |column: &str, truths: &[u16]| {
        let votes = decode_votes(&row.take_opt::<Vec<u8>, _>(column)?.ok()?)?;
        let known = |vote: &Vote| usize::from(vote.outcome()) <= classes;
        (votes.len() == truths.len() && votes.iter().all(known)).then_some(votes)
    };
    let (plan, cert) = (votes("plan", &of.plan)?, votes("cert", &of.cert)?);
    let mut json = |column: &str| row.take_opt::<String, _>(column)?.ok();
    let calibration: Calibration = serde_json::from_str(&json("calibration")?).ok()?;
    let costs: Vec<CostCurve> = serde_json::from_str(&json("costs")?).ok()?;
    Some(ModelStatistics {
        model: row.take_opt("model_id")?.ok()?,
        calibration,
        plan,
        cert,
        costs,
    })
}

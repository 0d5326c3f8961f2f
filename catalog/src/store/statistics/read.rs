//! Reading published evaluations as part of a snapshot: first the list of rows, then the long
//! columns of those that are not in the cache.

use std::collections::HashMap;
use std::sync::Arc;

use mysql_async::prelude::Queryable;
use mysql_async::{Row, Transaction};

use super::super::{SchemaName, StoreError};
use super::cache::{Key, StatisticsCache, Truths};
use super::{decode_truths, decode_votes};
use crate::{Calibration, CostCurve, Model, ModelStatistics, Task, TaskStatistics, Vote};

/// A published evaluation with its short columns.
struct Listed<'t> {
    key: Key,
    task: &'t Task,
    query: String,
    cal_rows: u32,
    at: String,
    /// Votes of its models, by id.
    votes: Vec<Key>,
}

/// Statistics of `tasks`. A row that this program cannot parse is skipped and logged, so that it
/// affects only itself.
pub(in super::super) async fn read_statistics(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    tasks: &[Task],
    models: &[Model],
    cache: &StatisticsCache,
) -> Result<Vec<Arc<TaskStatistics>>, StoreError> {
    let mut listed = list(tx, schema, tasks).await?;
    list_votes(tx, schema, models, &mut listed).await?;
    let keys = listed
        .iter()
        .flat_map(|of| of.votes.iter().chain([&of.key]));
    cache.retain(&keys.copied().collect());
    let truths = truths(tx, schema, &listed, cache).await?;
    listed.retain(|of| truths.contains_key(&of.key)); // the others are logged
    let votes = votes(tx, schema, &listed, &truths, cache).await?;
    let statistics = listed.into_iter().filter_map(|of| {
        let models = of.votes.iter().filter_map(|key| votes.get(key));
        let models = models.cloned().collect();
        Some(Arc::new(of.statistics(truths.get(&of.key)?, models)))
    });
    Ok(statistics.collect())
}

impl Listed<'_> {
    fn statistics(&self, truths: &Truths, models: Vec<Arc<ModelStatistics>>) -> TaskStatistics {
        let rows = self.cal_rows as usize + truths.plan.len() + truths.cert.len();
        TaskStatistics {
            task: self.task.name.clone(),
            task_version: self.task.version,
            epoch: self.key.epoch,
            population: format!("{rows} rows of ({}), {}", self.query, self.at),
            plan: Arc::clone(&truths.plan),
            cert: Arc::clone(&truths.cert),
            models,
        }
    }
}

/// The published evaluations, without votes.
async fn list<'t>(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    tasks: &'t [Task],
) -> Result<Vec<Listed<'t>>, StoreError> {
    let rows: Vec<Row> = tx
        .query(format!(
            "SELECT id, task, task_version, epoch, population, cal_rows, \
             DATE_FORMAT(created_at, '%Y-%m-%d %H:%i') AS at, TO_SECONDS(created_at) AS written \
             FROM `{schema}`.evaluations WHERE published ORDER BY id"
        ))
        .await?;
    let mut listed = Vec::with_capacity(rows.len());
    for mut row in rows {
        let id: Option<u64> = row.get_opt("id").and_then(Result::ok);
        match listed_of(&mut row, tasks) {
            Some(of) => listed.push(of),
            None => not_understood(id),
        }
    }
    Ok(listed)
}

fn listed_of<'t>(row: &mut Row, tasks: &'t [Task]) -> Option<Listed<'t>> {
    let name: String = row.take_opt("task")?.ok()?;
    let task_version: u32 = row.take_opt("task_version")?.ok()?;
    let task = tasks.iter().find(|t| t.name == name)?;
    if task.version != task_version {
        return None;
    }
    Some(Listed {
        key: Key {
            evaluation: row.take_opt("id")?.ok()?,
            model: None,
            epoch: row.take_opt("epoch")?.ok()?,
            written: row.take_opt("written")?.ok()?,
        },
        task,
        query: row.take_opt("population")?.ok()?,
        cal_rows: row.take_opt("cal_rows")?.ok()?,
        at: row.take_opt("at")?.ok()?,
        votes: Vec::new(),
    })
}

/// The models with votes on the rows of those evaluations.
async fn list_votes(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    models: &[Model],
    listed: &mut [Listed<'_>],
) -> Result<(), StoreError> {
    let rows: Vec<(u64, u64, Option<u64>)> = tx
        .query(format!(
            "SELECT v.model_id, v.evaluation, (SELECT TO_SECONDS(MAX(s.evaluated_at)) \
             FROM `{schema}`.model_stats s WHERE s.model_id = v.model_id) \
             FROM `{schema}`.votes v JOIN `{schema}`.evaluations e ON e.id = v.evaluation \
             WHERE e.published ORDER BY v.model_id"
        ))
        .await?;
    let task_of: HashMap<u64, &str> = models.iter().map(|m| (m.id, &*m.task)).collect();
    for (model, evaluation, written) in rows {
        let of = listed.iter_mut().find(|of| of.key.evaluation == evaluation);
        let Some(of) = of else {
            continue; // logged when evaluations were listed
        };
        if task_of.get(&model) != Some(&&*of.task.name) {
            continue; // of a model that was itself skipped
        }
        of.votes.push(Key {
            model: Some(model),
            written,
            ..of.key
        });
    }
    Ok(())
}

/// The true outcomes of each evaluation that can be parsed.
async fn truths(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    listed: &[Listed<'_>],
    cache: &StatisticsCache,
) -> Result<HashMap<Key, Truths>, StoreError> {
    let mut truths = HashMap::new();
    let mut missing = HashMap::new();
    for of in listed {
        match cache.truths(&of.key) {
            Some(kept) => {
                truths.insert(of.key, kept);
            }
            None => {
                missing.insert(of.key.evaluation, of);
            }
        }
    }
    if missing.is_empty() {
        return Ok(truths);
    }
    let mut rows = tx
        .query_iter(format!(
            "SELECT id, plan_truths, cert_truths FROM `{schema}`.evaluations WHERE id IN ({})",
            id_list(missing.keys())
        ))
        .await?;
    while let Some(mut row) = rows.next().await? {
        let id: Option<u64> = row.get_opt("id").and_then(Result::ok);
        let Some(of) = id.and_then(|id| missing.get(&id)) else {
            continue;
        };
        match truths_of(&mut row, of.task) {
            Some(read) => {
                cache.keep_truths(of.key, &read);
                truths.insert(of.key, read);
            }
            None => not_understood(id),
        }
    }
    Ok(truths)
}

fn truths_of(row: &mut Row, task: &Task) -> Option<Truths> {
    let mut truths = |column: &str| {
        let truths = decode_truths(&row.take_opt::<Vec<u8>, _>(column)?.ok()?)?;
        let known = |truth: &u16| usize::from(*truth) <= task.classes.len();
        truths.iter().all(known).then(|| truths.into())
    };
    Some(Truths {
        plan: truths("plan_truths")?,
        cert: truths("cert_truths")?,
    })
}

/// Statistics of each model that can be parsed.
async fn votes(
    tx: &mut Transaction<'_>,
    schema: &SchemaName,
    listed: &[Listed<'_>],
    truths: &HashMap<Key, Truths>,
    cache: &StatisticsCache,
) -> Result<HashMap<Key, Arc<ModelStatistics>>, StoreError> {
    let mut votes = HashMap::new();
    let mut missing = HashMap::new();
    for of in listed {
        for key in &of.votes {
            match (cache.votes(key), key.model, truths.get(&of.key)) {
                (Some(kept), _, _) => {
                    votes.insert(*key, kept);
                }
                (None, Some(model), Some(truths)) => {
                    missing.insert(model, (*key, of.task.classes.len(), truths));
                }
                (None, _, _) => {}
            }
        }
    }
    if missing.is_empty() {
        return Ok(votes);
    }
    let mut rows = tx
        .query_iter(format!(
            "SELECT model_id, calibration, costs, plan, cert FROM `{schema}`.votes \
             WHERE model_id IN ({})",
            id_list(missing.keys())
        ))
        .await?;
    while let Some(mut row) = rows.next().await? {
        let id: Option<u64> = row.get_opt("model_id").and_then(Result::ok);
        let Some((key, classes, truths)) = id.and_then(|id| missing.get(&id)) else {
            continue;
        };
        match votes_of(&mut row, *classes, truths) {
            Some(read) => {
                let read = Arc::new(read);
                cache.keep_votes(*key, &read);
                votes.insert(*key, read);
            }
            None => tracing::warn!(model = id, "votes of a model left out: not understood"),
        }
    }
    Ok(votes)
}

fn votes_of(row: &mut Row, classes: usize, truths: &Truths) -> Option<ModelStatistics> {
    let mut votes = |column: &str, truths: &[u16]| {
        let votes = decode_votes(&row.take_opt::<Vec<u8>, _>(column)?.ok()?)?;
        let known = |vote: &Vote| usize::from(vote.outcome()) <= classes;
        (votes.len() == truths.len() && votes.iter().all(known)).then_some(votes)
    };
    let (plan, cert) = (votes("plan", &truths.plan)?, votes("cert", &truths.cert)?);
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

fn not_understood(evaluation: Option<u64>) {
    tracing::warn!(evaluation, "evaluation left out: not understood");
}

/// Text for `IN (...)`.
fn id_list<'i>(ids: impl Iterator<Item = &'i u64>) -> String {
    let ids: Vec<String> = ids.map(u64::to_string).collect();
    ids.join(", ")
}

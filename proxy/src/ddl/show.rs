//! SHOW statements as plain SELECTs over the catalog's tables.

use predictsql_catalog::Snapshot;
use predictsql_catalog::store::SchemaName;
use predictsql_optimizer::ddl::{Show, ShowFilter};

use super::version::with_version;
use crate::error::SqlError;

/// Seconds of inference for one input, by id of the model, as this proxy has observed them.
pub type ObservedSeconds = Vec<(u64, f64)>;

/// The SELECT that answers a SHOW in the user's own session, with the user's own privileges.
pub fn as_select(show: &Show, schema: &SchemaName, observed: &ObservedSeconds) -> String {
    match show {
        Show::Tasks { filter } => show_tasks(filter.as_ref(), schema),
        Show::Models { task, filter } => {
            show_models(task.as_deref(), filter.as_ref(), schema, observed)
        }
        Show::CreateTask { name } => format!(
            "SELECT `name` AS `Task`, `definition` AS `Create Task` FROM `{schema}`.`tasks` \
             WHERE `state` = 'ready' AND `name` = {}",
            literal(&name.to_ascii_lowercase())
        ),
        Show::CreateModel { name, version } => format!(
            "SELECT `name` AS `Model`, `version` AS `Version`, `definition` AS `Create Model` \
             FROM `{schema}`.`models` WHERE `state` = 'ready' AND `name` = {}{} \
             ORDER BY `id` DESC LIMIT 1",
            literal(&name.to_ascii_lowercase()),
            version.as_ref().map_or(String::new(), |v| format!(
                " AND `version` = {}",
                literal(v)
            ))
        ),
    }
}

/// Rejects a SHOW that names an unknown task or model, whose SELECT would be empty.
pub fn check_show(show: &Show, catalog: &Snapshot) -> Result<(), SqlError> {
    let (kind, name, known) = match show {
        Show::CreateTask { name }
        | Show::Models {
            task: Some(name), ..
        } => ("Task", name.clone(), catalog.task(name).is_some()),
        Show::CreateModel { name, version } => {
            let known = catalog.model(name, version.as_deref()).is_some();
            ("Model", with_version(name, version.as_deref()), known)
        }
        Show::Tasks { .. } | Show::Models { task: None, .. } => return Ok(()),
    };
    if known {
        Ok(())
    } else {
        Err(SqlError::unknown(kind, &name))
    }
}

fn show_tasks(filter: Option<&ShowFilter>, schema: &SchemaName) -> String {
    format!(
        "SELECT * FROM (SELECT t.`name` AS `Task`, t.`kind` AS `Kind`, t.`input` AS `Input`, \
         (SELECT GROUP_CONCAT(c.`class` ORDER BY c.`position` SEPARATOR ', ') \
         FROM `{schema}`.`classes` c WHERE c.`task` = t.`name`) AS `Classes`, \
         (SELECT COUNT(*) FROM `{schema}`.`models` m \
         WHERE m.`task` = t.`name` AND m.`state` = 'ready') AS `Models`, \
         (SELECT SUM(e.`cal_rows` + e.`plan_rows` + e.`cert_rows`) FROM `{schema}`.`evaluations` e \
         WHERE e.`task` = t.`name` AND e.`published`) AS `Evaluated_rows`, \
         t.`created_at` AS `Created`, t.`created_by` AS `Created_by` \
         FROM `{schema}`.`tasks` t WHERE t.`state` = 'ready') AS `tasks`{} ORDER BY `Task`",
        condition(filter, "Task")
    )
}

/// Columns with EVALUATE's measurements of a model over all rows, and whether they are current.
const MEASURED: &str = "s.`accuracy` AS `Measured_accuracy`, \
     s.`accuracy_all` AS `Measured_accuracy_all`, s.`inputs_all` AS `Measured_rows`, \
     s.`seconds_per_image` AS `Measured_seconds_per_image`, s.`load_seconds` AS `Load_seconds`, \
     s.`memory_bytes` AS `Memory_bytes`, s.`evaluated_at` AS `Evaluated`, \
     CASE WHEN s.`model_id` IS NULL THEN 'never evaluated' \
     WHEN e.`task_version` <> t.`version` THEN 'task changed since' \
     WHEN NOT e.`published` THEN 'on other rows than the task' ELSE 'current' END AS `Freshness`";

/// What this proxy has observed, as an expression.
fn observed_column(observed: &ObservedSeconds) -> String {
    let when = observed
        .iter()
        .map(|(id, seconds)| format!("WHEN {id} THEN {seconds:e}"));
    let when: Vec<String> = when.collect();
    match when.is_empty() {
        true => "CAST(NULL AS DOUBLE)".to_owned(),
        false => format!("CASE m.`id` {} END", when.join(" ")),
    }
}

fn show_models(
    task: Option<&str>,
    filter: Option<&ShowFilter>,
    schema: &SchemaName,
    observed: &ObservedSeconds,
) -> String {
    let observed = observed_column(observed);
    let of_task = task.map_or(String::new(), |task| {
        format!(" AND m.`task` = {}", literal(&task.to_ascii_lowercase()))
    });
    format!(
        "SELECT * FROM (SELECT m.`name` AS `Model`, m.`version` AS `Version`, m.`task` AS `Task`, \
         m.`covers` AS `Covers`, m.`accuracy` AS `Accuracy`, \
         m.`seconds_per_image` AS `Seconds_per_image`, {MEASURED}, \
         {observed} AS `Observed_seconds_per_image`, m.`state` AS `State`, \
         m.`uri` AS `Uri`, m.`sha256` AS `Sha256`, m.`bytes` AS `Bytes`, \
         m.`created_at` AS `Created`, m.`created_by` AS `Created_by` FROM `{schema}`.`models` m \
         LEFT JOIN `{schema}`.`model_stats` s ON s.`model_id` = m.`id` AND s.`part` = 'all' \
         AND s.`device` = (SELECT MIN(d.`device`) FROM `{schema}`.`model_stats` d \
         WHERE d.`model_id` = m.`id`) \
         LEFT JOIN `{schema}`.`evaluations` e ON e.`id` = s.`evaluation` \
         LEFT JOIN `{schema}`.`tasks` t ON t.`name` = m.`task` \
         WHERE m.`state` = 'ready'{of_task}) AS `models`{} ORDER BY `Model`, `Created`, `Version`",
        condition(filter, "Model")
    )
}

fn condition(filter: Option<&ShowFilter>, name_column: &str) -> String {
    match filter {
        None => String::new(),
        Some(ShowFilter::Like(pattern)) => {
            format!(
                " WHERE `{name_column}` LIKE {}",
                literal(&pattern.to_lowercase())
            )
        }
        // The user's own expression in the user's own session; the line break ends a trailing
        // comment.
        Some(ShowFilter::Where(expression)) => format!(" WHERE ({expression}\n)"),
    }
}

/// A string literal that has the same meaning with any `sql_mode` and character set of the
/// session.
fn literal(text: &str) -> String {
    if text.is_empty() {
        return "''".to_owned();
    }
    format!("CONVERT(x'{}' USING utf8mb4)", hex::encode(text))
}

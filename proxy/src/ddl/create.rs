//! `CREATE TASK` and `CREATE MODEL`.

use predictsql_catalog::store::{self, NewModel, NewTask, StoreError};
use predictsql_catalog::{
    ACCURACY_SLACK_POINTS_DEFAULT, Model, Task, TaskConstraints, TaskInput, check_classes,
    check_columns, check_name, model_definition, model_options, task_definition,
};
use predictsql_optimizer::ddl::{CreateModel, CreateTask};

use super::context::{DdlAnswer, DdlContext, Inspect};
use super::described;
use super::image_roots::check_image_roots;
use super::version::with_version;
use crate::account::AccountError;
use crate::error::SqlError;

/// Maximum length of a model's URI, in bytes.
const URI_BYTES_MAX: usize = 4096;

/// Maximum length of a version label, in characters.
const VERSION_CHARS_MAX: usize = 60;

/// `CREATE TASK`
pub(super) async fn task<I: Inspect>(
    create: &CreateTask,
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    let name = checked_name("task", &create.name)?;
    let (classes, warning) = match &create.classes_from {
        Some(from) => {
            let labels = described::classes(from, context.inspector).await?;
            (labels.names, labels.warning)
        }
        None => (create.classes.clone(), None),
    };
    check_classes(create.kind, &classes)?;
    if let TaskInput::Columns(columns) = &create.input {
        check_columns(columns)?;
    }
    let mut task = Task {
        name,
        kind: create.kind,
        input: create.input.clone(),
        classes,
        accuracy_slack_points: ACCURACY_SLACK_POINTS_DEFAULT,
        constraints: TaskConstraints::default(),
        image_roots: Vec::new(),
        version: 1,
    };
    task.set(&create.options)?;
    check_image_roots(&task, context.inspector).await?;
    let definition = task_definition(&task);
    let new = NewTask {
        task,
        definition,
        created_by: context.user.to_owned(),
    };
    let work =
        move |mut conn, schema| async move { store::create_task(&mut conn, &schema, &new).await };
    let answer = created(
        context.account.run_until(context.until, work).await,
        create.if_not_exists,
        "Task",
    )?;
    Ok(DdlAnswer {
        warnings: warning.map(SqlError::wrong_value).into_iter().collect(),
        ..answer
    })
}

/// `CREATE MODEL`: the file is read and tried before anything is written.
pub(super) async fn model<I: Inspect>(
    create: &CreateModel,
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    let name = checked_name("model", &create.name)?;
    let version = checked_version(create.version.as_deref().unwrap_or("1"))?;
    if create.uri.is_empty() || create.uri.len() > URI_BYTES_MAX {
        let message = format!("Incorrect model URI: it has 1 to {URI_BYTES_MAX} bytes");
        return Err(SqlError::wrong_value(message));
    }
    // A task created just before, possibly through another proxy, must be visible.
    context.account.invalidate();
    let catalog = context.account.snapshot().await?;
    let task = catalog
        .task(&create.task)
        .ok_or_else(|| SqlError::unknown("Task", &create.task))?;
    if let Some(model) = catalog
        .model(&name, Some(&version))
        .filter(|m| m.task == task.name)
    {
        // Known without reading the file.
        return created(Err(already(model)), create.if_not_exists, "Model");
    }
    let found = described::model(create, task, context.inspector).await?;
    let (covers, options) = model_options(task, create.covers.as_deref(), &found.options)?;
    let inspected = context.inspector.inspect(&found.uri, &options).await;
    let file = inspected.map_err(|error| SqlError::from(&error))?;
    let warned = file.warnings.iter();
    let warnings = warned.map(|warning| SqlError::wrong_value(warning.to_string()));
    let warnings: Vec<SqlError> = found.warnings.into_iter().chain(warnings).collect();
    let new = NewModel {
        definition: model_definition(&name, &version, &task.name, &found.uri, &covers, &options),
        name,
        version,
        task: Task::clone(task),
        uri: found.uri,
        sha256: file.sha256,
        bytes: file.bytes,
        covers,
        options,
        seconds_per_image: file.seconds_per_image,
        created_by: context.user.to_owned(),
    };
    let work = move |mut conn, schema| async move {
        store::create_model(&mut conn, &schema, &new)
            .await
            .map(|_id| ())
    };
    let answer = created(
        context.account.run_until(context.until, work).await,
        create.if_not_exists,
        "Model",
    )?;
    Ok(DdlAnswer { warnings, ..answer })
}

fn already(model: &Model) -> AccountError {
    StoreError::Exists {
        kind: "Model",
        name: with_version(&model.name, Some(&model.version)),
    }
    .into()
}

/// Checks a version label, which must be usable in `model@version`.
fn checked_version(version: &str) -> Result<String, SqlError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+');
    if version.is_empty() || version.len() > VERSION_CHARS_MAX || !version.chars().all(plain) {
        return Err(SqlError::wrong_value(format!(
            "Incorrect model version '{version}': 1 to {VERSION_CHARS_MAX} letters, digits, '.', \
             '_', '-' or '+' are expected"
        )));
    }
    Ok(version.to_owned())
}

fn created(
    result: Result<(), AccountError>,
    if_not_exists: bool,
    kind: &'static str,
) -> Result<DdlAnswer, SqlError> {
    match result {
        Ok(()) => Ok(DdlAnswer::default()),
        Err(error) => match &error {
            // Only an existing object of the same kind satisfies IF NOT EXISTS.
            AccountError::Store(StoreError::Exists { kind: found, .. })
                if if_not_exists && *found == kind =>
            {
                Ok(DdlAnswer::note(error.into()))
            }
            _ => Err(error.into()),
        },
    }
}

fn checked_name(kind: &str, name: &str) -> Result<String, SqlError> {
    check_name(name).map_err(|reason| {
        SqlError::wrong_value(format!("Incorrect {kind} name '{name}': it {reason}"))
    })?;
    Ok(name.to_ascii_lowercase())
}

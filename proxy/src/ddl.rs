//! Runs catalog statements: `CREATE`/`DROP` of tasks and models by the service account, `SHOW` as
//! plain SELECTs for the user's own session.
//!
//! The user's right to change the catalog is the right to change its tables. The lane has the
//! user's session prepare [`rights_probe`] (which the store refuses with error 1142 where the
//! right is missing) and calls [`run`] only then.

mod alter;
mod show;

use std::future::Future;

use predictsql_catalog::store::{self, NewModel, NewTask, SchemaName, StoreError};
use predictsql_catalog::{
    ACCURACY_SLACK_POINTS_DEFAULT, Model, OptionError, Task, TaskConstraints, TaskInput,
    check_classes, check_columns, check_name, model_definition, model_options, task_definition,
};
use predictsql_executor::{Executor, ModelError, ModelFile};
use predictsql_optimizer::ddl::{CatalogStatement, CreateModel, CreateTask};
use tokio::time::Instant;

use crate::account::{AccountError, ServiceAccount};
use crate::error::{ErrorKind, SqlError};

pub use show::{as_select, check_show};

/// Longest URI of a model, in bytes.
const URI_BYTES_MAX: usize = 4096;

/// Longest version label, in characters.
const VERSION_CHARS_MAX: usize = 60;

/// Reads and runs a model's file once; everything wrong with it is an error.
pub trait Inspect {
    /// What [`Executor::inspect`] does.
    fn inspect(
        &self,
        uri: &str,
        options: &predictsql_catalog::ModelOptions,
    ) -> impl Future<Output = Result<ModelFile, ModelError>>;
}

impl Inspect for Executor {
    fn inspect(
        &self,
        uri: &str,
        options: &predictsql_catalog::ModelOptions,
    ) -> impl Future<Output = Result<ModelFile, ModelError>> {
        Executor::inspect(self, uri, options)
    }
}

/// What a catalog statement runs with.
#[derive(Clone, Copy)]
pub struct DdlContext<'a, I> {
    /// Who writes.
    pub account: &'a ServiceAccount,
    /// Who checks model files.
    pub inspector: &'a I,
    /// Account of the user, `user@host`, for `created_by`.
    pub user: &'a str,
    /// When the store must have ended what it is asked to do, if ever.
    pub until: Option<Instant>,
}

/// The answer to a statement that changed the catalog, or found it as wished.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DdlAnswer {
    /// For the OK packet: models dropped, else 0.
    pub affected_rows: u64,
    /// Rows of SHOW WARNINGS at level `Note`.
    pub notes: Vec<SqlError>,
}

impl DdlAnswer {
    fn note(error: SqlError) -> Self {
        Self {
            affected_rows: 0,
            notes: vec![error],
        }
    }
}

impl From<OptionError> for SqlError {
    /// 1525 (HY000) for a wrong value or unknown class, 1064 for an unknown or missing option.
    fn from(error: OptionError) -> Self {
        match error {
            OptionError::Unknown { .. } | OptionError::Missing { .. } => {
                Self::new(ErrorKind::Syntax, error.to_string())
            }
            OptionError::Value { .. }
            | OptionError::UnknownClass { .. }
            | OptionError::Covers(_)
            | OptionError::Classes(_)
            | OptionError::Columns(_) => Self::wrong_value(error.to_string()),
        }
    }
}

impl From<&ModelError> for SqlError {
    /// | cause | code | SQLSTATE |
    /// |---|---|---|
    /// | ONNX Runtime missing | 1126 cannot open library | HY000 |
    /// | outside the roots, larger than the limit, beyond a limit of its trial | 1290 an option prevents it | HY000 |
    /// | not found | 1017 | HY000 |
    /// | cannot be read | 1024 | HY000 |
    /// | damaged, or not the file that was created | 1033 | HY000 |
    /// | unsupported operator | 1235 | 42000 |
    /// | nobody waited any more, or the loading thread died | 1317 interrupted | 70100 |
    /// | ONNX Runtime failed or crashed otherwise, other loads hang | 1105 | HY000 |
    /// | URI, shapes, types, labels, values | 1525 wrong value | HY000 |
    fn from(error: &ModelError) -> Self {
        let kind = match error {
            ModelError::LibraryMissing { .. } => ErrorKind::CannotOpenLibrary,
            ModelError::OutsideRoots { .. }
            | ModelError::TooLarge { .. }
            | ModelError::TrialSeconds { .. }
            | ModelError::TrialMemory { .. } => ErrorKind::OptionPrevents,
            ModelError::NotFound { .. } => ErrorKind::FileNotFound,
            ModelError::Unreadable { .. } => ErrorKind::FileUnreadable,
            ModelError::Corrupt { .. } | ModelError::Changed { .. } => ErrorKind::FileDamaged,
            ModelError::UnsupportedOperator { .. } => ErrorKind::Unsupported,
            ModelError::Interrupted { .. } => ErrorKind::Interrupted,
            ModelError::Runtime { .. }
            | ModelError::LoadsHang { .. }
            | ModelError::TrialDied { .. }
            | ModelError::NoTrial { .. } => ErrorKind::Other,
            ModelError::Uri { .. }
            | ModelError::MemoryTooLarge { .. }
            | ModelError::OutputTooLarge { .. }
            | ModelError::ExternalWeights
            | ModelError::Options { .. }
            | ModelError::InputCount { .. }
            | ModelError::InputType { .. }
            | ModelError::InputShape { .. }
            | ModelError::ColumnInputs { .. }
            | ModelError::ColumnNames { .. }
            | ModelError::ColumnType { .. }
            | ModelError::ColumnShape { .. }
            | ModelError::ValueOutput { .. }
            | ModelError::MapKeys { .. }
            | ModelError::LabelOrder { .. }
            | ModelError::OutputType { .. }
            | ModelError::OutputColumns { .. }
            | ModelError::OutputShape { .. }
            | ModelError::NotProbabilities { .. }
            | ModelError::NotFinite => ErrorKind::WrongValue,
        };
        Self::new(kind, error.to_string())
    }
}

/// A statement that needs the same right as `statement`: prepared on the user's session, and never
/// executed, it is refused with 1142 where the right is missing. `None` for SHOW, whose SELECT
/// the store checks itself.
pub fn rights_probe(statement: &CatalogStatement, schema: &SchemaName) -> Option<String> {
    match statement {
        CatalogStatement::CreateTask(_) => Some(format!(
            "INSERT INTO `{schema}`.`tasks` (`name`) VALUES ('')"
        )),
        CatalogStatement::CreateModel(_) | CatalogStatement::Evaluate(_) => Some(format!(
            "INSERT INTO `{schema}`.`models` (`name`) VALUES ('')"
        )),
        CatalogStatement::DropTask { .. } => {
            Some(format!("DELETE FROM `{schema}`.`tasks` WHERE `name` = ''"))
        }
        CatalogStatement::DropModel { .. } => {
            Some(format!("DELETE FROM `{schema}`.`models` WHERE `name` = ''"))
        }
        CatalogStatement::AlterTask { .. } => Some(format!(
            "UPDATE `{schema}`.`tasks` SET `definition` = '' WHERE `name` = ''"
        )),
        CatalogStatement::AlterModel { .. } => Some(format!(
            "UPDATE `{schema}`.`models` SET `definition` = '' WHERE `name` = ''"
        )),
        CatalogStatement::ShowTasks { .. }
        | CatalogStatement::ShowModels { .. }
        | CatalogStatement::ShowCreateTask { .. }
        | CatalogStatement::ShowCreateModel { .. } => None,
    }
}

/// The table that [`rights_probe`] names.
pub fn probed_table(statement: &CatalogStatement) -> &'static str {
    match statement {
        CatalogStatement::CreateTask(_)
        | CatalogStatement::DropTask { .. }
        | CatalogStatement::AlterTask { .. } => "tasks",
        _ => "models",
    }
}

/// Runs a statement that changes the catalog. The user's rights have been checked.
pub async fn run<I: Inspect>(
    statement: &CatalogStatement,
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    let result = match statement {
        CatalogStatement::CreateTask(create) => create_task(create, context).await,
        CatalogStatement::CreateModel(create) => create_model(create, context).await,
        CatalogStatement::DropTask { name, if_exists } => {
            let task = name.to_ascii_lowercase();
            let work = move |mut conn, schema| async move {
                store::drop_task(&mut conn, &schema, &task)
                    .await
                    .map(|()| 0)
            };
            dropped(
                context.account.run_until(context.until, work).await,
                *if_exists,
            )
        }
        CatalogStatement::DropModel {
            name,
            version,
            if_exists,
        } => {
            let (model, version) = (name.to_ascii_lowercase(), version.clone());
            let work = move |mut conn, schema| async move {
                store::drop_model(&mut conn, &schema, &model, version.as_deref()).await
            };
            dropped(
                context.account.run_until(context.until, work).await,
                *if_exists,
            )
        }
        CatalogStatement::AlterTask { name, options } => alter::task(name, options, context).await,
        CatalogStatement::AlterModel {
            name,
            version,
            options,
        } => alter::model(name, version.as_deref(), options, context).await,
        CatalogStatement::Evaluate(_)
        | CatalogStatement::ShowTasks { .. }
        | CatalogStatement::ShowModels { .. }
        | CatalogStatement::ShowCreateTask { .. }
        | CatalogStatement::ShowCreateModel { .. } => {
            return Err(SqlError::unsupported("SHOW or EVALUATE in this place"));
        }
    };
    // Also after an error: how far a change came before it failed is not known.
    context.account.invalidate();
    context.account.look_soon();
    result
}

fn dropped(result: Result<u64, AccountError>, if_exists: bool) -> Result<DdlAnswer, SqlError> {
    match result {
        Ok(affected_rows) => Ok(DdlAnswer {
            affected_rows,
            notes: Vec::new(),
        }),
        Err(error) => match &error {
            AccountError::Store(StoreError::Unknown { .. }) if if_exists => {
                Ok(DdlAnswer::note(error.into()))
            }
            _ => Err(error.into()),
        },
    }
}

fn created(
    result: Result<(), AccountError>,
    if_not_exists: bool,
    kind: &'static str,
) -> Result<DdlAnswer, SqlError> {
    match result {
        Ok(()) => Ok(DdlAnswer::default()),
        Err(error) => match &error {
            // The name of a task that a model has (or the other way round) is no reason to be content.
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

async fn create_task<I>(
    create: &CreateTask,
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    let name = checked_name("task", &create.name)?;
    check_classes(create.kind, &create.classes)?;
    if let TaskInput::Columns(columns) = &create.input {
        check_columns(columns)?;
    }
    let mut task = Task {
        name,
        kind: create.kind,
        input: create.input.clone(),
        classes: create.classes.clone(),
        accuracy_slack_points: ACCURACY_SLACK_POINTS_DEFAULT,
        constraints: TaskConstraints::default(),
        version: 1,
    };
    task.set(&create.options)?;
    let definition = task_definition(&task);
    let new = NewTask {
        task,
        definition,
        created_by: context.user.to_owned(),
    };
    let work =
        move |mut conn, schema| async move { store::create_task(&mut conn, &schema, &new).await };
    created(
        context.account.run_until(context.until, work).await,
        create.if_not_exists,
        "Task",
    )
}

async fn create_model<I: Inspect>(
    create: &CreateModel,
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    let name = checked_name("model", &create.name)?;
    let version = checked_version(create.version.as_deref().unwrap_or("1"))?;
    if create.uri.is_empty() || create.uri.len() > URI_BYTES_MAX {
        let message = format!("Incorrect model URI: it has 1 to {URI_BYTES_MAX} bytes");
        return Err(SqlError::wrong_value(message));
    }
    // A task created a moment ago, through another proxy too, must be seen.
    context.account.invalidate();
    let catalog = context.account.snapshot().await?;
    let task = catalog
        .task(&create.task)
        .ok_or_else(|| SqlError::unknown("Task", &create.task))?;
    if let Some(model) = catalog
        .model(&name, Some(&version))
        .filter(|m| m.task == task.name)
    {
        // Known without looking at the file.
        return created(Err(already(model)), create.if_not_exists, "Model");
    }
    let (covers, options) = model_options(task, create.covers.as_deref(), &create.options)?;
    let inspected = context.inspector.inspect(&create.uri, &options).await;
    let file = inspected.map_err(|error| SqlError::from(&error))?;
    let new = NewModel {
        definition: model_definition(&name, &version, &task.name, &create.uri, &covers, &options),
        name,
        version,
        task: Task::clone(task),
        uri: create.uri.clone(),
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
    created(
        context.account.run_until(context.until, work).await,
        create.if_not_exists,
        "Model",
    )
}

fn already(model: &Model) -> AccountError {
    StoreError::Exists {
        kind: "Model",
        name: with_version(&model.name, Some(&model.version)),
    }
    .into()
}

/// A version stands in `model@version`.
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

fn with_version(name: &str, version: Option<&str>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}"))
}

//! `ALTER TASK` and `ALTER MODEL`.

use predictsql_catalog::{Model, OptionValue, Task, set_model_options, store};

use super::context::{DdlAnswer, DdlContext};
use super::version::with_version;
use crate::error::SqlError;

/// `ALTER TASK name SET options`
pub(super) async fn task<I>(
    name: &str,
    options: &[(String, OptionValue)],
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    // Objects created just before, possibly through another proxy, must be visible.
    context.account.invalidate();
    let catalog = context.account.snapshot().await?;
    let known = catalog.task(name);
    let known = known.ok_or_else(|| SqlError::unknown("Task", name))?;
    let mut task = Task::clone(known);
    task.set(options)?;
    let work =
        move |mut conn, schema| async move { store::alter_task(&mut conn, &schema, &task).await };
    context.account.run_until(context.until, work).await?;
    Ok(DdlAnswer::default())
}

/// `ALTER MODEL name VERSION version SET options`; without a version, for the newest one.
pub(super) async fn model<I>(
    name: &str,
    version: Option<&str>,
    options: &[(String, OptionValue)],
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    context.account.invalidate();
    let catalog = context.account.snapshot().await?;
    let known = catalog.model(name, version);
    let known = known.ok_or_else(|| SqlError::unknown("Model", &with_version(name, version)))?;
    let mut model = Model::clone(known);
    set_model_options(&mut model.options, options)?;
    let work =
        move |mut conn, schema| async move { store::alter_model(&mut conn, &schema, &model).await };
    context.account.run_until(context.until, work).await?;
    Ok(DdlAnswer::default())
}

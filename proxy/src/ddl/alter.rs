//! `ALTER TASK` and `ALTER MODEL`.

use std::sync::Arc;

use predictsql_catalog::{Model, OptionValue, Task, set_model_options, store};

use super::context::{DdlAnswer, DdlContext, Inspect};
use super::image_roots::check_image_roots;
use super::version::with_version;
use crate::error::SqlError;

/// `ALTER TASK name SET options`
pub(super) async fn task<I: Inspect>(
    name: &str,
    options: &[(String, OptionValue)],
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    // Objects created just before, possibly through another proxy, must be visible.
    context.account.invalidate();
    let catalog = context.account.snapshot().await?;
    let known = catalog.task(name);
    let known = known.ok_or_else(|| SqlError::unknown("Task", name))?;
    let known = Arc::clone(known);
    let mut task = Task::clone(&known);
    task.set(options)?;
    // Other options may be changed where this proxy's own roots have changed since.
    let names_roots = |(key, _): &(String, _)| key.eq_ignore_ascii_case("image_roots");
    if options.iter().any(names_roots) {
        check_image_roots(&task, context.inspector).await?;
    }
    let work = move |mut conn, schema| async move {
        store::alter_task(&mut conn, &schema, &known, &task).await
    };
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

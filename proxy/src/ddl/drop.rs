//! `DROP TASK` and `DROP MODEL`.

use predictsql_catalog::store::{self, StoreError};

use super::context::{DdlAnswer, DdlContext};
use crate::account::AccountError;
use crate::error::SqlError;

/// `DROP TASK [IF EXISTS] name`
pub(super) async fn task<I>(
    name: &str,
    if_exists: bool,
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    let task = name.to_ascii_lowercase();
    let work = move |mut conn, schema| async move {
        store::drop_task(&mut conn, &schema, &task)
            .await
            .map(|()| 0)
    };
    dropped(
        context.account.run_until(context.until, work).await,
        if_exists,
    )
}

/// `DROP MODEL [IF EXISTS] name [VERSION version]`; without a version, all versions.
pub(super) async fn model<I>(
    name: &str,
    version: Option<&str>,
    if_exists: bool,
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    let (model, version) = (name.to_ascii_lowercase(), version.map(str::to_owned));
    let work = move |mut conn, schema| async move {
        store::drop_model(&mut conn, &schema, &model, version.as_deref()).await
    };
    dropped(
        context.account.run_until(context.until, work).await,
        if_exists,
    )
}

fn dropped(result: Result<u64, AccountError>, if_exists: bool) -> Result<DdlAnswer, SqlError> {
    match result {
        Ok(affected_rows) => Ok(DdlAnswer {
            affected_rows,
            warnings: Vec::new(),
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

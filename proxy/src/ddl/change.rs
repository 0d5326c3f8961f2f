//! Executes statements that change the catalog, as the service account.

use predictsql_optimizer::ddl::Change;

use super::context::{DdlAnswer, DdlContext, Inspect};
use super::{alter, create, drop};
use crate::error::SqlError;

/// Executes a statement that changes the catalog. The caller has checked the user's privileges.
pub async fn run<I: Inspect>(
    change: &Change,
    context: &DdlContext<'_, I>,
) -> Result<DdlAnswer, SqlError> {
    let result = match change {
        Change::CreateTask(create) => create::task(create, context).await,
        Change::CreateModel(create) => create::model(create, context).await,
        Change::DropTask { name, if_exists } => drop::task(name, *if_exists, context).await,
        Change::DropModel {
            name,
            version,
            if_exists,
        } => drop::model(name, version.as_deref(), *if_exists, context).await,
        Change::AlterTask { name, options } => alter::task(name, options, context).await,
        Change::AlterModel {
            name,
            version,
            options,
        } => alter::model(name, version.as_deref(), options, context).await,
    };
    // Also after an error: the change may have been partly applied.
    context.account.invalidate();
    context.account.look_soon();
    result
}

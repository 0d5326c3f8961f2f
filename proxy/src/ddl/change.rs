//! Runs the statements that change the catalog, by the service account.

use predictsql_optimizer::ddl::Change;

use super::context::{DdlAnswer, DdlContext, Inspect};
use super::{alter, create, drop};
use crate::error::SqlError;

/// Runs a statement that changes the catalog. The user's rights have been checked.
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
    // Also after an error: how far a change came before it failed is not known.
    context.account.invalidate();
    context.account.look_soon();
    result
}

//! Parses statements and resolves their predict calls in the catalog.

use std::sync::Arc;

use predictsql_catalog::Snapshot;
use predictsql_optimizer::statement::PredictStatement;
use predictsql_optimizer::{RefusalKind, may_call_newer_task};

use crate::error::SqlError;
use crate::lane::context::LaneContext;
use crate::lane::session::settings::SessionSettings;
use crate::lane::store::error::LinkError;

/// Parses a statement and resolves its predict calls; `None` if it has none. If a name is not in
/// the cached catalog, it reloads the catalog and tries again: another proxy may have just created
/// the object.
pub async fn read<'a>(
    context: &'a LaneContext,
    settings: &SessionSettings,
    text: &'a str,
) -> Result<Option<(PredictStatement<'a>, Arc<Snapshot>)>, LinkError> {
    let account = &context.account;
    let mut catalog = account.snapshot().await.map_err(SqlError::from)?;
    let schema = context.schema.as_str();
    let (mode, bare) = (settings.lex, &settings.bare);
    let read = |catalog: &Arc<Snapshot>| {
        PredictStatement::read_with_bare(text, mode, schema, bare, catalog)
    };
    let mut statement = read(&catalog);
    let may_be_newer = match &statement {
        Ok(_) => may_call_newer_task(text, mode, schema, &catalog),
        Err(refusal) => refusal.kind == RefusalKind::UnknownTarget,
    };
    if may_be_newer {
        account.invalidate();
        catalog = account.snapshot().await.map_err(SqlError::from)?;
        statement = read(&catalog);
    }
    let as_bytes = settings.text_is_bytes();
    let labelled = |statement: PredictStatement<'a>| {
        let labelled = statement.with_labels(settings.labels);
        labelled.with_text_as_bytes(as_bytes)
    };
    Ok(statement?.map(|statement| (labelled(statement), catalog)))
}

//! Checks that the catalog's additional schemas are not used by others.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::schema::MARKER;
use super::views::PROCEDURE;
use super::{SchemaName, StoreError};

/// Rejects databases of these names that contain foreign objects: the privileges granted on them
/// would include those objects.
pub(super) async fn check(conn: &mut Conn, schema: &SchemaName) -> Result<(), StoreError> {
    for name in [schema.session(), schema.service()] {
        let foreign: Option<u64> = conn
            .exec_first(
                "SELECT (SELECT COUNT(*) FROM information_schema.tables \
                 WHERE table_schema = ? AND table_type <> 'TEMPORARY') \
                 + (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = ? \
                 AND NOT (routine_name = ? AND routine_comment = ?))",
                (&name, &name, PROCEDURE, MARKER),
            )
            .await?;
        if foreign.unwrap_or(0) > 0 {
            return Err(StoreError::Foreign { schema: name });
        }
    }
    Ok(())
}

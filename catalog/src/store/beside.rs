//! The schemas beside the catalog's: whether they are ours.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::schema::MARKER;
use super::views::PROCEDURE;
use super::{SchemaName, StoreError};

/// Refuses databases of these names that hold what is somebody else's: the rights that are given
/// on them would be rights to that.
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

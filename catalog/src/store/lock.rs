//! The named lock of the store under which the catalog is changed.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{SchemaName, StoreError};

/// Longest wait for another change of the catalog to end, in seconds.
const LOCK_WAIT_SECONDS_MAX: u32 = 10;

/// Takes the lock. The store releases it when the connection ends, however it ends.
pub(super) async fn take(conn: &mut Conn, schema: &SchemaName) -> Result<(), StoreError> {
    let taken: Option<Option<i64>> = conn
        .exec_first(
            "SELECT GET_LOCK(?, ?)",
            (schema.lock_name(), LOCK_WAIT_SECONDS_MAX),
        )
        .await?;
    match taken.flatten() {
        Some(1) => Ok(()),
        _ => Err(StoreError::Locked),
    }
}

/// Gives the lock back; `result` is passed on unless releasing fails after a success.
pub(super) async fn give<T>(
    conn: &mut Conn,
    schema: &SchemaName,
    result: Result<T, StoreError>,
) -> Result<T, StoreError> {
    let released = conn
        .exec_drop("DO RELEASE_LOCK(?)", (schema.lock_name(),))
        .await;
    let value = result?;
    released?;
    Ok(value)
}

//! The store's named lock that serializes changes of the catalog.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::{SchemaName, StoreError};

/// Timeout for acquiring the lock, in seconds.
const LOCK_WAIT_SECONDS_MAX: u32 = 10;

/// Acquires the lock. The store releases it when the connection ends in any way.
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

/// Releases the lock; returns `result`, unless it was a success and releasing fails.
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

//! Checks the image roots that a task is bound to.

use predictsql_catalog::Task;

use super::context::Inspect;
use crate::error::SqlError;

/// Checks that each image root of a task is, or is below, one of this proxy's.
pub(super) async fn check_image_roots<I: Inspect>(
    task: &Task,
    inspector: &I,
) -> Result<(), SqlError> {
    if task.image_roots.is_empty() {
        return Ok(());
    }
    let checked = inspector.check_image_roots(&task.image_roots).await;
    checked.map_err(|error| SqlError::from(&error))
}

//! The roots that a task is bound to: what its images may be, of what the proxy may read.

use std::sync::{Arc, OnceLock};

use super::local_files::LocalFiles;
use super::roots::Roots;
use crate::error::ImageRootError;
use crate::storage::{ObjectLocation, StorageRoot};

/// A task's image roots as one statement uses them. They only take away: whoever reads by them
/// checks the proxy's own roots, too.
#[derive(Debug)]
pub(crate) struct BoundRoots {
    /// In the order of the task; `None`: cannot be a root.
    roots: Vec<Option<StorageRoot>>,
    /// Files below them, once one is asked for. The folders are opened then, since the proxy's
    /// roots and the folders may have changed since the task was made.
    files: OnceLock<LocalFiles>,
}

impl BoundRoots {
    /// Roots as the catalog has them.
    pub(crate) fn new(given: &[String]) -> Self {
        Self {
            roots: given.iter().map(|root| parse(root).ok()).collect(),
            files: OnceLock::new(),
        }
    }

    /// The root of relative locations, if it is remote.
    pub(super) fn first(&self) -> Option<&ObjectLocation> {
        self.roots.first()?.as_ref()?.as_objects()
    }

    /// Whether an object is below one of them.
    pub(super) fn holds(&self, object: &ObjectLocation) -> bool {
        let roots = self.roots.iter().flatten();
        let mut remote = roots.filter_map(StorageRoot::as_objects);
        remote.any(|root| root.holds(object))
    }

    /// The files below them, of those that are below the proxy's `roots`.
    pub(super) fn files(&self, roots: &Roots) -> &LocalFiles {
        self.files.get_or_init(|| {
            let roots_of_task = self.roots.iter().map(Option::as_ref);
            let folders = roots_of_task.map(|root| root.and_then(StorageRoot::as_folder));
            LocalFiles::new(Arc::new(roots.bound(folders)), 1)
        })
    }
}

/// Parses a root: an absolute path or a URI.
pub(super) fn parse(given: &str) -> Result<StorageRoot, ImageRootError> {
    let malformed = |reason| ImageRootError::Malformed {
        root: given.to_owned(),
        reason,
    };
    let root = StorageRoot::of_bytes(given.as_bytes()).map_err(malformed)?;
    match root.as_folder() {
        Some(folder) if !folder.is_absolute() => {
            Err(malformed("is no absolute path and no URI".to_owned()))
        }
        _ => Ok(root),
    }
}

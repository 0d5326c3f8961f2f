//! Display form of paths.

use std::path::{Path, PathBuf};

/// The path, lossily converted to UTF-8.
pub(super) fn shown_path(path: &Path) -> PathBuf {
    path.display().to_string().into()
}
